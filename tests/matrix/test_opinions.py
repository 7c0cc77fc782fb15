"""Second opinions of a chat model in the answers of searches."""

import os
import shutil

import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import InvalidInput
from lakehouse.evals.fake_provider import FakeProvider

ASK = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight, must have OSHA-30"


@pytest.fixture
def judged(tmp_path, built, people):
    """Open lakes whose chat model is at an address; all are closed at the end."""
    opened = []

    def open_lake(url, model="judge/small", **provider):
        folder = tmp_path / f"lake{len(opened)}"
        shutil.copytree(built(people), folder)
        overrides = {
            "data": str(folder),
            "models": {"local_judge": model},
            "chat": {"retries": 0, "providers": {"judge": {"base_url": url, **provider}}},
        }
        opened.append(lakehouse.connect(config=settings.load(environ={}, overrides=overrides)))
        return opened[-1]

    yield open_lake
    for lake in opened:
        lake.close()


@pytest.fixture
def fake():
    with FakeProvider() as provider:
        yield provider


def opinions_of(lake, **more):
    return lake.matrix.search(ASK, ["workers"], k=4, **more)


def test_opinions_stand_beside_ratings_and_change_nothing(judged, fake):
    # The model thinks more of those who are certified.
    fake.say = lambda request: "5" if "certs: ['OSHA-30']" in request["messages"][-1]["content"] else "2"
    lake = judged(fake.url)
    plain, judged_ = opinions_of(lake), opinions_of(lake, opinions=3)
    assert [(match.id, match.rating, match.distance) for match in plain.results] == [
        (match.id, match.rating, match.distance) for match in judged_.results
    ]
    assert plain.opinions is None
    assert [match.opinion for match in plain.results] == [None] * 4
    thought = [5 if match.metadata["certs"] == ["OSHA-30"] else 2 for match in judged_.results[:3]]
    assert [match.opinion for match in judged_.results] == [*thought, None]
    assert set(thought) == {2, 5}
    said = judged_.opinions
    assert (said.model, said.asked, said.pairs, said.unanswered, said.failure) == ("judge/small", 3, 3, 0, "")
    assert said.same == sum(match.rating == match.opinion for match in judged_.results[:3])
    assert said.kappa is not None
    assert len(fake.requests) == 3
    assert "Person Number" not in str(fake.requests)


def test_opinions_of_a_model_that_fails_leave_the_answer_whole(judged, fake):
    fake.manners.extend(["500"] * 3)
    found = opinions_of(judged(fake.url), opinions=3)
    assert len(found.results) == 4
    assert (found.opinions.unanswered, found.opinions.pairs, found.opinions.kappa) == (3, 0, None)
    assert found.opinions.failure
    # After the first failure nobody waits for the next.
    assert len(fake.requests) == 1


def test_opinions_without_a_model_are_refused(shared_lake):
    with pytest.raises(InvalidInput, match="local_judge"):
        opinions_of(shared_lake, opinions=1)


@pytest.mark.skipif("LAKEHOUSE_TEST_CHAT_URL" not in os.environ, reason="set LAKEHOUSE_TEST_CHAT_URL to a chat model")
def test_opinions_of_a_real_model(judged):
    found = opinions_of(judged(os.environ["LAKEHOUSE_TEST_CHAT_URL"], thinking="template"), opinions=3)
    assert found.opinions.failure == ""
    assert found.opinions.pairs + found.opinions.unanswered == 3
