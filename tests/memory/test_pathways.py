import itertools
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import NotFound, Unavailable
from lakehouse.memory.pathways import Pathways
from lakehouse.state.database import Database


def embed(texts):
    """One direction per distinct set of words, so that the same words lie at distance 0."""
    vectors = np.zeros((len(texts), 64), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            vectors[row, sum(map(ord, word)) % 64] += 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def open_pathways(tmp_path):
    opened = []

    def make() -> Pathways:
        while opened:
            opened.pop().close()
        opened.append(Database.open(tmp_path / "state.db"))
        numbers = itertools.count()
        return Pathways(
            opened[-1], embed, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), uid=lambda: f"pw-{next(numbers)}"
        )

    yield make
    opened.pop().close()


def test_revise_keeps_the_old_version_and_retire_hides_it_also_after_a_restart(open_pathways):
    pathways = open_pathways()
    made = pathways.add("fill a night shift", ["call"])
    pathways.update(made.uid, outcome="filled")
    pathways.revise(made.uid, steps=["text"])
    assert [hit.uid for hit in pathways.search("fill a night shift").results] == [made.uid]
    pathways.retire(made.uid)
    for again in (pathways, open_pathways()):
        assert again.search("fill a night shift").results == []
        history = again.history(made.uid).history
        assert [(each.version, each.change, each.steps, each.outcome, each.retired) for each in history] == [
            (1, 1, ["call"], "", False),
            (1, 2, ["call"], "filled", False),
            (2, 3, ["text"], "filled", False),
            (2, 4, ["text"], "filled", True),
        ]


def test_add_idempotent_goes_by_task_steps_and_tags(open_pathways):
    pathways = open_pathways()
    first = pathways.add_idempotent("fill  a shift", ["call"], ["night"])
    assert first.created
    again = pathways.add_idempotent("fill a shift", ["call"], ["night"])
    assert (again.uid, again.created) == (first.uid, False)
    assert pathways.add_idempotent("fill a shift", ["text"], ["night"]).created


def test_search_nearest_first_ties_by_uid(open_pathways):
    pathways = open_pathways()
    for task in ("fill a shift", "fill a shift", "audit a chain"):
        pathways.add(task, [])
    found = pathways.search("fill a shift").results
    assert [hit.uid for hit in found] == ["pw-0", "pw-1", "pw-2"]
    assert found[0].distance == found[1].distance == 0.0


def test_add_idempotent_adds_anew_what_was_retired(open_pathways):
    pathways = open_pathways()
    pathways.retire(pathways.add_idempotent("fill a shift", ["call"]).uid)
    again = pathways.add_idempotent("fill a shift", ["call"])
    assert again.created
    assert not again.retired
    assert [hit.uid for hit in pathways.search("fill a shift").results] == [again.uid]
    assert not pathways.add_idempotent("fill a shift", ["call"]).created


def test_change_that_cannot_be_embedded_is_not_kept(open_pathways, monkeypatch):
    pathways = open_pathways()
    kept = pathways.add("fill a shift", ["call"])
    assert pathways.search("fill").results

    def away(_):
        raise Unavailable("the model is away")

    with monkeypatch.context() as without:
        without.setattr(pathways, "_embed", away)
        for change in (
            lambda: pathways.revise(kept.uid, outcome="worked"),
            lambda: pathways.update(kept.uid, task="fill two shifts"),
            lambda: pathways.add("another", []),
        ):
            with pytest.raises(Unavailable):
                change()
    assert pathways.history(kept.uid).history == [kept]
    assert [hit.uid for hit in pathways.search("fill").results] == [kept.uid]
    assert pathways.stats().pathways == 1


def test_unknown_uid_is_named(open_pathways):
    pathways = open_pathways()
    for call in (pathways.get, pathways.history, pathways.retire):
        with pytest.raises(NotFound, match="pw-none"):
            call("pw-none")


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["update", "revise", "retire", "add"]), max_size=12))
def test_history_never_loses_anything(tmp_path_factory, steps):
    database = Database.open(tmp_path_factory.mktemp("pathways") / "state.db")
    try:
        pathways = Pathways(database, embed)
        uid = pathways.add("task", []).uid
        seen = [pathways.history(uid).history]
        for number, step in enumerate(steps):
            if step == "add":
                pathways.add(f"other {number}", [])
            elif step == "retire":
                pathways.retire(uid)
            elif not pathways.get(uid).retired:
                getattr(pathways, step)(uid, outcome=f"outcome {number}")
            seen.append(pathways.history(uid).history)
            assert seen[-1][: len(seen[-2])] == seen[-2]
    finally:
        database.close()
