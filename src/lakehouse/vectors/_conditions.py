"""Which rows of a built part pass a filter, remembered condition by condition.

The demands of a day ask for the same roles, certifications and places in ever new combinations. What a condition
passes is kept as row numbers and as a mask; a filter starts from its rarest condition and looks up only those rows in
the masks of the others, so that its cost grows with the people who may pass and not with the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from lakehouse.vectors import columns, filters
from lakehouse.vectors.base import Condition, Filter
from lakehouse.vectors.columns import Column

# Masks of a large part are large, so fewer of them are kept.
_MASK_BYTES = 8 << 20
_FEWEST, _MOST = 48, 256
_FILTERS_KEPT = 256
# So many undecided rows are named; more are not worth to be looked at one by one.
_FEW_UNDECIDED = 4_096
_NO_ROWS = np.empty(0, dtype=np.int64)

_encode = msgspec.msgpack.Encoder().encode
_Name = TypeVar("_Name", bytes, str)
_Kept = TypeVar("_Kept")


class _Met(NamedTuple):
    """Where a condition is met: sorted row numbers, and the same as `(n,)` bool."""

    rows: np.ndarray
    mask: np.ndarray


class Conditions:
    """Answers filters for the rows of one built part, deleted rows included. Safe to use from several threads.

    Args:
        by_key: The part's columns.
        count: Its rows.
    """

    def __init__(self, by_key: Mapping[str, Column], count: int) -> None:
        self._by_key = by_key
        self._count = count
        self._kept = max(_FEWEST, min(_MOST, _MASK_BYTES // max(1, count)))
        self._met: dict[bytes, _Met] = {}
        self._passing: dict[bytes, np.ndarray] = {}
        self._lacking: dict[str, np.ndarray] = {}
        self._undecided: dict[bytes, tuple[np.ndarray | None]] = {}

    def passing(self, filter: Filter) -> np.ndarray:
        """Return the numbers of the rows that pass `filter`, int64, sorted; not to be written on."""
        name = _encode(filter)
        known = self._passing.get(name)
        if known is None:
            known = self._work_out(filter)
            _keep(self._passing, name, known, most=_FILTERS_KEPT)
        return known

    def holding(self, words: Iterable[tuple[str, str]]) -> np.ndarray:
        """Return the numbers of the rows that hold any of these strings under their keys, sorted; not remembered."""
        return columns.holding(self._by_key, words, self._count)

    def undecided(self, steps: Sequence[Filter | None]) -> np.ndarray | None:
        """Return the rows that steps cannot decide (see `filters.undecided`), sorted; None when they are too many."""
        name = _encode(steps)
        known = self._undecided.get(name)
        if known is None:
            rows = self.undecided_of(steps, np.arange(self._count))
            known = (rows if len(rows) <= _FEW_UNDECIDED else None,)
            _keep(self._undecided, name, known, most=_FILTERS_KEPT)
        return known[0]

    def undecided_of(self, steps: Sequence[Filter | None], rows: np.ndarray) -> np.ndarray:
        """Return those of some rows that steps cannot decide, in their order."""
        keys, common = filters.tested(steps)
        lacking = np.zeros(len(rows), dtype=bool)
        for key in keys:
            lacking |= self._lack(key)[rows]
        left = rows[lacking]
        for condition in common:
            left = left[self._lack(condition.key)[left] | self._where(condition).mask[left]]
        return left

    def _lack(self, key: str) -> np.ndarray:
        """Return which rows lack a key: `(n,)` bool."""
        known = self._lacking.get(key)
        if known is None:
            column = self._by_key.get(key)
            known = column.lacking(self._count) if column is not None else np.ones(self._count, dtype=bool)
            _keep(self._lacking, key, known, most=self._kept)
        return known

    def _work_out(self, filter: Filter) -> np.ndarray:
        if not filter.must and not filter.must_not and all(map(_is_value, filter.should)):
            return self._met_by_any(filter.should)
        if not filter.must:
            return np.flatnonzero(columns.mask(self._by_key, filter, self._count))
        rarest, *others = sorted(map(self._where, filter.must), key=lambda met: len(met.rows))
        rows = rarest.rows
        for met in others:
            rows = rows[met.mask[rows]]
        for condition in filter.must_not:
            rows = rows[~self._where(condition).mask[rows]]
        if filter.should:
            either = np.zeros(len(rows), dtype=bool)
            for condition in filter.should:
                either |= self._where(condition).mask[rows]
            rows = rows[either]
        return rows

    def _met_by_any(self, conditions: Sequence[Condition]) -> np.ndarray:
        """Return the rows that meet at least one condition, at a cost that grows with them and not with all rows."""
        found = [self._by_key[each.key].rows(each) for each in conditions if each.key in self._by_key]
        rows = (
            columns.in_order(found[0] if len(found) == 1 else np.concatenate(found)).astype(np.int64)
            if found
            else _NO_ROWS
        )
        # Rows that came in after this part was counted are not asked for.
        return rows[: int(np.searchsorted(rows, self._count))]

    def _where(self, condition: Condition) -> _Met:
        name = _encode(condition)
        known = self._met.get(name)
        if known is None:
            mask = columns.meeting(self._by_key, condition, self._count)
            known = _Met(np.flatnonzero(mask), mask)
            _keep(self._met, name, known, most=self._kept)
        return known


def _is_value(condition: Condition) -> bool:
    """Tell whether a condition asks for certain values, so that its rows are few and need no mask."""
    return condition.any is not None or condition.match is not None


def _keep(cache: dict[_Name, _Kept], name: _Name, value: _Kept, *, most: int) -> None:
    """Add to a cache, dropping what came first; other threads may do the same at the same time."""
    while len(cache) >= most:
        cache.pop(next(iter(list(cache))), None)
    cache[name] = value
