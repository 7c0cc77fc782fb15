from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.vectors import _parts
from lakehouse.vectors._parts import Parts
from lakehouse.vectors._scoring import Query
from lakehouse.vectors.journal import Drop, Entry, Put

IDS = [f"p{number}" for number in range(12)]


def put(id: str, value: int) -> Put:
    vector = np.array([1.0, value], dtype=np.float32)
    return Put([id], [b'{"value": %d}' % value], vector.tobytes())


def found_by(parts: Parts) -> dict[str, int]:
    lookup = parts.lookup(Query(np.array([1.0, 0.0], dtype=np.float32), "l2"), ef=16, exclude=(), exact=False)
    return {id: int(lookup.encoded(place).split()[1][:-1]) for _, id, place in lookup.nearest(len(IDS), None)}


def test_items_written_again_and_again_take_no_more_room() -> None:
    parts = Parts(None, 2)
    for value in range(5_000):
        parts.apply(put(IDS[value % len(IDS)], value))
        assert len(parts.fresh) < 40

    assert parts.changes == 5_000, "a build is due by what was written, not by what is left of it"
    assert found_by(parts) == {IDS[value % len(IDS)]: value for value in range(5_000 - len(IDS), 5_000)}


@given(st.lists(st.tuples(st.sampled_from(IDS), st.booleans(), st.integers(1, 80)), max_size=60))
def test_any_writes_leave_the_last_of_each(writes: list[tuple[str, bool, int]]) -> None:
    parts, expected = Parts(None, 2), {}
    value = 0
    for id, kept, times in writes:
        for _ in range(times):
            value += 1
            parts.apply(put(id, value))
            expected[id] = value
        if not kept:
            parts.apply(Drop([id]))
            del expected[id]
        assert parts.ids() == sorted(expected)

    assert found_by(parts) == expected
    assert {id: parts.metadata(id) for id in expected} == {id: {"value": each} for id, each in expected.items()}


def test_a_lookup_goes_on_with_what_it_saw() -> None:
    parts = Parts(None, 2)
    parts.apply(put("p0", 7))
    before = parts.lookup(Query(np.array([1.0, 0.0], dtype=np.float32), "l2"), ef=16, exclude=(), exact=False)
    for value in range(1_000):
        parts.apply(put("p1", value))
    after = parts.lookup(Query(np.array([1.0, 0.0], dtype=np.float32), "l2"), ef=16, exclude=(), exact=False)

    [(_, id, place)] = before.nearest(5, None)
    before.notes("about")[place] = id
    assert (id, before.encoded(place)) == ("p0", b'{"value": 7}')
    assert after.notes("about") == {}, "the same number is another place now"


@given(
    st.lists(st.tuples(st.lists(st.sampled_from(IDS), max_size=4, unique=True), st.booleans()), max_size=40),
    st.integers(1, 50),
)
def test_entries_read_together_leave_what_they_leave_one_by_one(
    writes: list[tuple[list[str], bool]], at_once: int
) -> None:
    entries: list[Entry] = []
    for value, (ids, kept) in enumerate(writes):
        puts = [put(id, value + at) for at, id in enumerate(ids)]
        vectors = b"".join(each.vectors for each in puts)
        entries.append(Put(ids, [each.metadata[0] for each in puts], vectors) if kept else Drop(ids))
    singly, together = Parts(None, 2), Parts(None, 2)
    for entry in entries:
        singly.apply(entry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_parts, "_AT_ONCE", at_once)
        together.apply_all(iter(entries))

    assert together.ids() == singly.ids()
    assert found_by(together) == found_by(singly)
    assert together.changes == singly.changes
    for id in singly.ids():
        assert together.find(id) == singly.find(id)
