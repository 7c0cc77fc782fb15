"""Which rows of a built part pass a filter, remembered condition by condition.

The demands of a day ask for the same roles, certifications and places in ever new combinations. What a condition
passes is kept as row numbers and, of one that many rows meet, as a mask; a filter starts from its rarest condition and
looks up only those rows in the others, so that its cost grows with the people who may pass and not with the index.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec
import numpy as np

from lakehouse.vectors import columns, filters
from lakehouse.vectors.base import Condition, Filter
from lakehouse.vectors.columns import Column

# What is kept of conditions and of filters: for a part of any size, and for each of its rows.
_CONDITIONS_BYTES, _FILTERS_BYTES = 4 << 20, 2 << 20
_CONDITIONS_A_ROW, _FILTERS_A_ROW = 48, 8
# What a name and its place among the others take, about.
_ENTRY_BYTES = 400
# A condition that one row in so many meets has a mask; among fewer rows it is quick to look for some.
_MASKED_FROM = 16
# So many undecided rows are named; more are not worth to be looked at one by one.
_FEW_UNDECIDED = 4_096
_NO_ROWS = np.empty(0, dtype=np.int32)

_encode = msgspec.msgpack.Encoder().encode
_Value = TypeVar("_Value")


class _Kept(Generic[_Value]):
    """The latest values by name, as many as fit. Safe to use from several threads.

    Args:
        most: Bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._lock = threading.Lock()
        self._values: dict[Hashable, tuple[int, _Value]] = {}

    def get(self, name: Hashable) -> _Value | None:
        """Return what is kept under a name."""
        found = self._values.get(name)
        return found[1] if found is not None else None

    def keep(self, name: Hashable, value: _Value, size: int) -> None:
        """Add a value of so many bytes, dropping what came first."""
        size += _ENTRY_BYTES
        with self._lock:
            if name in self._values:
                return
            while self._values and self._size + size > self._most:
                self._size -= self._values.pop(next(iter(self._values)))[0]
            self._size += size
            self._values[name] = size, value


class _Met(NamedTuple):
    """Where a condition is met: row numbers, int32, sorted, and the same as `(n,)` bool where they are many."""

    rows: np.ndarray
    mask: np.ndarray | None

    def among(self, rows: np.ndarray) -> np.ndarray:
        """Tell of some rows whether they meet it: `(m,)` bool."""
        if self.mask is not None:
            marked: np.ndarray = self.mask[rows]
            return marked
        if not len(self.rows):
            return np.zeros(len(rows), dtype=bool)
        at = self.rows.searchsorted(rows)
        at[at == len(self.rows)] = 0
        same: np.ndarray = self.rows[at] == rows
        return same


class Conditions:
    """Answers filters for the rows of one built part, deleted rows included. Safe to use from several threads.

    Args:
        by_key: The part's columns.
        count: Its rows.
    """

    def __init__(self, by_key: Mapping[str, Column], count: int) -> None:
        self._by_key = by_key
        self._count = count
        self._met: _Kept[_Met] = _Kept(_CONDITIONS_BYTES + _CONDITIONS_A_ROW * count)
        self._lacking: _Kept[np.ndarray] = _Kept(_FILTERS_BYTES + _FILTERS_A_ROW * count)
        self._passing: _Kept[np.ndarray] = _Kept(_FILTERS_BYTES + _FILTERS_A_ROW * count)
        self._undecided: _Kept[tuple[np.ndarray | None]] = _Kept(_FILTERS_BYTES)

    def passing(self, filter: Filter) -> np.ndarray:
        """Return the numbers of the rows that pass `filter`, int64, sorted; not to be written on."""
        name = _encode(filter)
        known = self._passing.get(name)
        if known is None:
            known = self._work_out(filter).astype(np.int64)
            self._passing.keep(name, known, known.nbytes)
        return known

    def holding(self, words: Iterable[tuple[str, str]]) -> np.ndarray:
        """Return the numbers of the rows that hold any of these strings under their keys, sorted; not remembered."""
        return columns.holding(self._by_key, words, self._count)

    def undecided(self, steps: Sequence[Filter | None]) -> np.ndarray | None:
        """Return the rows that steps cannot decide (see `filters.undecided`), sorted; None when they are too many."""
        name = _encode(steps)
        known = self._undecided.get(name)
        if known is None:
            # Demands that differ in their places and certifications leave the same rows undecided.
            tested = filters.tested(steps)
            tests = "tests", _encode(tested)
            known = self._undecided.get(tests)
            if known is None:
                rows = self._undecided_by(tested, np.arange(self._count))
                known = (rows if len(rows) <= _FEW_UNDECIDED else None,)
                self._undecided.keep(tests, known, rows.nbytes if known[0] is not None else 0)
            self._undecided.keep(name, known, len(name))
        return known[0]

    def undecided_of(self, steps: Sequence[Filter | None], rows: np.ndarray) -> np.ndarray:
        """Return those of some rows that steps cannot decide, in their order."""
        return self._undecided_by(filters.tested(steps), rows)

    def _undecided_by(self, tested: filters.Tested, rows: np.ndarray) -> np.ndarray:
        keys, common = tested
        lacking = np.zeros(len(rows), dtype=bool)
        for key in keys:
            lacking |= self._lack(key)[rows]
        left = rows[lacking]
        for condition in common:
            left = left[self._lack(condition.key)[left] | self._where(condition).among(left)]
        return left

    def _lack(self, key: str) -> np.ndarray:
        """Return which rows lack a key: `(n,)` bool."""
        known = self._lacking.get(key)
        if known is None:
            column = self._by_key.get(key)
            known = column.lacking(self._count) if column is not None else np.ones(self._count, dtype=bool)
            self._lacking.keep(key, known, known.nbytes)
        return known

    def _work_out(self, filter: Filter) -> np.ndarray:
        if not filter.must and not filter.must_not and all(map(_is_value, filter.should)):
            return self._met_by_any(filter.should)
        if not filter.must:
            return np.flatnonzero(columns.mask(self._by_key, filter, self._count))
        rarest, *others = sorted(map(self._where, filter.must), key=lambda met: len(met.rows))
        rows = rarest.rows
        for met in others:
            rows = rows[met.among(rows)]
        for condition in filter.must_not:
            rows = rows[~self._where(condition).among(rows)]
        if filter.should:
            either = np.zeros(len(rows), dtype=bool)
            for condition in filter.should:
                either |= self._where(condition).among(rows)
            rows = rows[either]
        return rows

    def _met_by_any(self, conditions: Sequence[Condition]) -> np.ndarray:
        """Return the rows that meet at least one condition, at a cost that grows with them and not with all rows."""
        found = [self._by_key[each.key].rows(each) for each in conditions if each.key in self._by_key]
        return self._in_order(found[0] if len(found) == 1 else np.concatenate(found)) if found else _NO_ROWS

    def _in_order(self, rows: np.ndarray) -> np.ndarray:
        rows = columns.in_order(rows)
        # Rows that came in after this part was counted are not asked for.
        return rows[: int(np.searchsorted(rows, self._count))]

    def _where(self, condition: Condition) -> _Met:
        name = _encode(condition)
        known = self._met.get(name)
        if known is None:
            column = self._by_key.get(condition.key)
            rows = self._in_order(column.rows(condition)) if column is not None else _NO_ROWS
            known = _Met(rows, None)
            if _MASKED_FROM * len(rows) > self._count:
                mask = np.zeros(self._count, dtype=bool)
                mask[rows] = True
                known = _Met(rows, mask)
            self._met.keep(name, known, rows.nbytes + (known.mask.nbytes if known.mask is not None else 0))
        return known


def _is_value(condition: Condition) -> bool:
    """Tell whether a condition asks for certain values, so that its rows are few and need no mask."""
    return condition.any is not None or condition.match is not None
