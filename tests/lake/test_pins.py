"""Deferred removal: nothing goes while somebody who may see it is reading."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.lake._pins import Pins


def test_retire_without_readers_removes_at_once() -> None:
    removed: list[str] = []
    Pins().retire(lambda: removed.append("a"))
    assert removed == ["a"]


def test_retire_waits_for_readers_from_before_only() -> None:
    pins, removed = Pins(), []
    before = pins.hold()
    pins.retire(lambda: removed.append("a"))
    with pins.held():
        pins.retire(lambda: removed.append("b"))
        assert removed == []
        before()
        before()
        assert removed == ["a"]
    assert removed == ["a", "b"]


@given(steps=st.lists(st.tuples(st.sampled_from(["hold", "release", "retire"]), st.integers(0, 5)), max_size=40))
def test_any_order_of_steps_removes_exactly_what_nobody_can_see(steps) -> None:
    pins = Pins()
    held: dict[int, object] = {}
    waiting: list[tuple[int, set[int]]] = []
    removed: set[int] = set()
    for number, (step, which) in enumerate(steps):
        if step == "hold":
            held[number] = pins.hold()
        elif step == "retire":
            waiting.append((number, set(held)))
            pins.retire(lambda number=number: removed.add(number))
        elif held:
            held.pop(sorted(held)[which % len(held)])()
        for retired, seen_by in waiting:
            assert (retired in removed) == (not seen_by & set(held))
