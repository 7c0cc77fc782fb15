"""Roles that rules do not find, read by the chat model of `models.local_parse`."""

import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import Upstream
from lakehouse.evals.fake_provider import FakeProvider
from lakehouse.staffing.role_reader import role_reader

TEXT = "our widget whisperer left, same again please"


@pytest.fixture
def reading(tmp_path):
    """Open lakes whose model for parsing is at an address; all are closed at the end."""
    opened = []

    def open_lake(url):
        overrides = {
            "data": str(tmp_path / f"lake{len(opened)}"),
            "models": {"local_parse": "reader/small"},
            "chat": {"retries": 0, "providers": {"reader": {"base_url": url}}},
        }
        opened.append(lakehouse.connect(config=settings.load(environ={}, overrides=overrides)))
        return opened[-1]

    yield open_lake
    for lake in opened:
        lake.close()


def test_parse_asks_the_configured_model_for_a_role_that_rules_do_not_find(reading):
    with FakeProvider(lambda request: "Job title: Widget whisperer.") as model:
        lake = reading(model.url)
        assert lake.demand.parse(TEXT).role is None
        demand = lake.demand.parse(TEXT, use_model=True)
        assert lake.demand.parse("Need 3 cooks in Tampa FL", use_model=True).source == "rules"
        ((_, _, asked),) = model.requests
    assert (demand.role.casefold(), demand.source) == ("widget whisperer", "model")
    assert TEXT in asked["messages"][-1]["content"]


def test_parse_with_a_model_that_fails_says_so(reading):
    with FakeProvider() as model:
        model.manners.append("500")
        with pytest.raises(Upstream):
            reading(model.url).demand.parse(TEXT, use_model=True)


@pytest.mark.parametrize(
    ("answer", "role"), [("None.", None), ("", None), ('\n"Line Cook"\nbecause', "Line Cook"), ("title: cook", "cook")]
)
def test_role_reader_takes_the_first_line_without_what_stands_around_it(answer, role):
    assert role_reader(lambda prompt: answer)("a text") == role
