from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput
from lakehouse.vectors._conditions import Conditions
from lakehouse.vectors.base import Condition, Filter, Place
from lakehouse.vectors.columns import Columns, load_columns, mask
from lakehouse.vectors.filters import check, passes, undecided

CLEVELAND = Place(41.5, -81.7)
COLUMBUS = {"lat": 39.96, "lon": -83.0}


def must(**test: Any) -> Filter:
    return Filter(must=[Condition(**test)])


@pytest.mark.parametrize(
    ("filter", "metadata", "expected"),
    [
        (must(key="state", match="OH"), {"state": "OH"}, True),
        (must(key="state", match="OH"), {"state": "oh"}, False),
        (must(key="state", match="OH"), {}, False),
        (must(key="state", match="OH"), {"state": None}, False),
        (must(key="certs", match="OSHA-30"), {"certs": ["CDL-A", "OSHA-30"]}, True),
        (must(key="certs", any=["OSHA-30", "OSHA-10"]), {"certs": ["OSHA-10"]}, True),
        (must(key="certs", any=["OSHA-30"]), {"certs": []}, False),
        (must(key="certs", any=[]), {"certs": ["OSHA-30"]}, False),
        (must(key="n", match=2), {"n": 2.0}, True),
        (must(key="n", match=2), {"n": "2"}, False),
        (must(key="n", match=1), {"n": True}, False),
        (must(key="n", match=True), {"n": 1}, False),
        (must(key="n", match=False), {"n": False}, True),
        (must(key="n", match="1"), {"n": 1}, False),
        (must(key="years", gte=2), {"years": 2}, True),
        (must(key="years", gt=2), {"years": 2}, False),
        (must(key="years", gte=2, lt=5), {"years": [1, 9]}, False),
        (must(key="years", gte=2, lt=5), {"years": [1, 3]}, True),
        (must(key="years", gte=0), {"years": True}, False),
        (must(key="location", within_km=250, of=CLEVELAND), {"location": COLUMBUS}, True),
        (must(key="location", within_km=150, of=CLEVELAND), {"location": COLUMBUS}, False),
        (must(key="location", within_km=250, of=CLEVELAND), {"location": {"lat": 41.0}}, False),
        (must(key="location", within_km=0, of=Place(1, 2)), {"location": [{"lat": 1, "lon": 2}]}, True),
        (Filter(must_not=[Condition(key="state", match="OH")]), {}, True),
        (Filter(must_not=[Condition(key="state", match="OH")]), {"state": "OH"}, False),
        (Filter(should=[Condition(key="a", match=1), Condition(key="b", match=1)]), {"b": 1}, True),
        (Filter(should=[Condition(key="a", match=1), Condition(key="b", match=1)]), {"c": 1}, False),
        (Filter(), {}, True),
    ],
)
def test_passes_each_kind_of_test_reads_as_documented(filter: Filter, metadata: dict[str, Any], expected: bool) -> None:
    assert passes(filter, metadata) is expected


@pytest.mark.parametrize(
    ("filter", "named"),
    [
        (must(key="a"), r"filter\.must\[0\] tests nothing"),
        (must(key="a", match=1, gte=2), r"filter\.must\[0\] has several"),
        (must(key="a", any=[1], match=1), r"filter\.must\[0\] has several"),
        (must(key="", match=1), r"filter\.must\[0\] has an empty key"),
        (must(key="a", within_km=3), r"of is missing"),
        (must(key="a", of=CLEVELAND), r"within_km is missing"),
        (must(key="a", within_km=-1, of=CLEVELAND), r"at least 0"),
        (must(key="a", within_km=1, of=Place(91, 0)), r"not a place"),
        (must(key="a", within_km=1, of=Place(0, float("nan"))), r"not a place"),
        (Filter(should=[Condition(key="a", match=1), Condition(key="b")]), r"filter\.should\[1\]"),
        (Filter(must_not=[Condition(key="b")]), r"filter\.must_not\[0\]"),
    ],
)
def test_check_filter_without_one_meaning_is_refused_by_place(filter: Filter, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        check(filter)


KEYS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 2.0, -0.0, 2**53, 2**53 + 1, 10**400]))
STRINGS = st.sampled_from(["", "x", "y", "1", "True", "é", "x" * 199, "x" * 200, "x" * 201, "x" * 200 + "y"])
PLACES = st.builds(lambda lat, lon: {"lat": lat, "lon": lon}, st.integers(-90, 90), st.integers(-180, 180))
SINGLE = st.one_of(NUMBERS, STRINGS, st.booleans(), st.none(), PLACES, st.just({"lat": "1", "lon": 2}))
METADATA = st.dictionaries(KEYS, st.one_of(SINGLE, st.lists(SINGLE, max_size=3)), max_size=3)
BOUND = st.one_of(st.none(), st.integers(-3, 3).map(float), st.just(2.0**53))
CONDITIONS = st.one_of(
    st.builds(
        lambda key, match: Condition(key=key, match=match), KEYS, st.one_of(STRINGS, st.integers(-3, 3), st.booleans())
    ),
    st.builds(
        lambda key, choices: Condition(key=key, any=choices),
        KEYS,
        st.lists(st.one_of(STRINGS, st.integers(-3, 3)), max_size=3),
    ),
    st.builds(
        lambda key, low, high, strict: Condition(
            key=key, **({"gt": low, "lt": high} if strict else {"gte": low, "lte": high})
        ),
        KEYS,
        st.integers(-3, 3).map(float),
        BOUND,
        st.booleans(),
    ),
    st.builds(
        lambda key, km, of: Condition(key=key, within_km=km, of=Place(**of)),
        KEYS,
        st.sampled_from([0.0, 500.0, 8_000.0, 20_100.0]),
        PLACES,
    ),
)
FILTERS = st.builds(
    Filter,
    must=st.lists(CONDITIONS, max_size=2),
    must_not=st.lists(CONDITIONS, max_size=2),
    should=st.lists(CONDITIONS, max_size=2),
)


def columns_of(rows: list[dict[str, Any]]) -> Columns:
    columns = Columns()
    for row, metadata in enumerate(rows):
        columns.add(row, metadata)
    return columns


@settings(max_examples=400, deadline=None)
@given(st.lists(METADATA, max_size=12), FILTERS)
def test_mask_growing_columns_agree_with_passes(rows: list[dict[str, Any]], filter: Filter) -> None:
    columns = columns_of(rows)
    assert mask(columns, filter, len(rows)).tolist() == [passes(filter, metadata) for metadata in rows]


@settings(max_examples=200, deadline=None)
@given(st.lists(METADATA, max_size=12), st.lists(FILTERS, min_size=1, max_size=4))
def test_mask_stored_columns_agree_with_passes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], filters: list[Filter]
) -> None:
    columns = columns_of(rows)
    path: Path = tmp_path_factory.mktemp("columns") / "columns.npz"
    columns.save(path)
    stored = load_columns(path)
    for filter in filters:
        assert mask(stored, filter, len(rows)).tolist() == [passes(filter, metadata) for metadata in rows]


@settings(max_examples=200, deadline=None)
@given(st.lists(METADATA, min_size=1, max_size=12), st.lists(CONDITIONS, max_size=4), st.booleans(), FILTERS)
def test_undecided_rows_agree_with_their_definition(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    conditions: list[Condition],
    always: bool,
    filter: Filter,
) -> None:
    columns = columns_of(rows)
    path: Path = tmp_path_factory.mktemp("columns") / "columns.npz"
    columns.save(path)
    last = filter if always else None
    kept = last.must if last is not None else []
    steps = [Filter(must=[*kept, *conditions[:number]]) for number in range(len(conditions), 0, -1)]
    expected = [row for row, metadata in enumerate(rows) if undecided([*steps, last], metadata)]
    for by_key in (columns, load_columns(path)):
        found = Conditions(by_key, len(rows))
        for _ in range(2):
            assert found.undecided([*steps, last]).tolist() == expected
        assert found.undecided_of([*steps, last], np.arange(len(rows))[::-1]).tolist() == expected[::-1]


def test_undecided_is_who_lacks_a_key_and_may_still_meet_what_all_steps_ask() -> None:
    role, shift = Condition(key="role", match="cook"), Condition(key="shifts", match="day")
    steps = [Filter(must=[role, shift]), Filter(must=[role]), None]
    assert undecided(steps, {})
    assert undecided(steps, {"role": "cook"})
    assert undecided(steps, {"role": "cook", "shifts": None})
    assert undecided(steps, {"shifts": ["night"]})
    assert not undecided(steps, {"role": "welder"})
    assert not undecided(steps, {"role": "cook", "shifts": []})
    assert not undecided([None], {})
    # What the last step asks, too, is not given up, so nobody who lacks it is meant.
    assert not undecided([Filter(must=[role]), Filter(must=[role])], {})


def test_undecided_columns_of_an_earlier_edition_leave_everybody_undecided(tmp_path: Path) -> None:
    columns = Columns()
    columns.add(0, {"a": 1})
    columns.save(tmp_path / "columns.npz")
    with np.load(tmp_path / "columns.npz") as stored:
        np.savez(tmp_path / "older.npz", **{name: stored[name] for name in stored.files if not name.endswith("held")})
    for name, expected in (("columns", []), ("older", [0])):
        found = Conditions(load_columns(tmp_path / f"{name}.npz"), 1)
        assert found.undecided([must(key="a", match=2), None]).tolist() == expected


def test_mask_rows_beyond_the_count_are_not_looked_at() -> None:
    columns = Columns()
    for row in range(10):
        columns.add(row, {"n": row % 2, "s": "x", "p": {"lat": 0, "lon": 0}})
    filter = Filter(
        must=[Condition(key="s", match="x"), Condition(key="p", within_km=1, of=Place(0, 0)), Condition(key="n", gte=1)]
    )
    assert mask(columns, filter, 5).tolist() == [False, True, False, True, False]
    assert mask(columns, filter, 0).dtype == np.bool_


def test_mask_unknown_key_passes_nothing() -> None:
    columns = Columns()
    columns.add(0, {"a": 1})
    assert mask(columns, must(key="zz", match=1), 1).tolist() == [False]
