"""Metadata by column, so that a filter answers for all rows of an index part at once.

For each metadata key: the distinct strings and booleans with the rows that hold them, the numbers with theirs, the
places with theirs. `Columns` grows while items come in; `StoredColumns` is the sorted form written by a build. Both
name the rows that meet a condition, exactly as `filters.meets` would.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lakehouse.vectors import filters
from lakehouse.vectors.base import Condition, Filter

# Longer strings are kept by their hash: a resume as a filter value must still be found, but not stored twice.
_LONGEST_TERM = 200
# One row in so many is a lot to put in order.
_MARKED_FROM = 64
# Far more than the rounding of a distance.
_DEGREES_SLACK = 1e-6
# So many terms are found quicker by their hashes, all at once, than by halving for each.
_AT_ONCE = 6


class Column:
    """Where the values of one key are, in a form that answers conditions."""

    def rows(self, condition: Condition) -> np.ndarray:
        """Return the row numbers that meet `condition`, int32, any order, possibly repeated."""
        if condition.within_km is not None and condition.of is not None:
            return self._near(condition.of.lat, condition.of.lon, condition.within_km)
        if filters.is_range(condition):
            return self._in_range(condition)
        parts = []
        for choice in filters.wanted(condition):
            if isinstance(choice, str | bool):
                parts.append(self._with_term(term(choice)))
            else:
                parts.append(self._with_number(filters.double(choice)))
        return np.concatenate(parts) if parts else _NONE

    def lacking(self, count: int) -> np.ndarray:
        """Return which of the first `count` rows have nothing under the key, or null: `(count,)` bool.

        Of a column that does not say so, all.
        """
        raise NotImplementedError

    def holding(self, values: Sequence[str]) -> list[np.ndarray]:
        """Return the numbers of the rows that have each of these strings, int32, in rising order, possibly repeated.

        In no order, and without those that no row has or with nothing for them.
        """
        return [self._with_term(term(value)) for value in values]

    def _with_term(self, name: bytes) -> np.ndarray:
        raise NotImplementedError

    def _with_number(self, value: float) -> np.ndarray:
        raise NotImplementedError

    def _in_range(self, condition: Condition) -> np.ndarray:
        raise NotImplementedError

    def _near(self, lat: float, lon: float, within_km: float) -> np.ndarray:
        raise NotImplementedError


def mask(columns: Mapping[str, Column], filter: Filter, count: int) -> np.ndarray:
    """Return which of the first `count` rows pass `filter`: `(count,)` bool."""
    if not filter.must:
        verdict = np.ones(count, dtype=bool)
    else:
        verdict = meeting(columns, filter.must[0], count)
        for condition in filter.must[1:]:
            verdict &= meeting(columns, condition, count)
    for condition in filter.must_not:
        verdict &= ~meeting(columns, condition, count)
    if filter.should:
        either = np.zeros(count, dtype=bool)
        for condition in filter.should:
            either |= meeting(columns, condition, count)
        verdict &= either
    return verdict


def meeting(columns: Mapping[str, Column], condition: Condition, count: int) -> np.ndarray:
    """Return which of the first `count` rows meet one condition: `(count,)` bool, the caller's own."""
    verdict = np.zeros(count, dtype=bool)
    column = columns.get(condition.key)
    if column is not None:
        rows = column.rows(condition)
        # Rows that came in after the caller counted are not asked for.
        verdict[rows if not len(rows) or rows.max() < count else rows[rows < count]] = True
    return verdict


def in_order(rows: np.ndarray) -> np.ndarray:
    """Return row numbers sorted, each once; those of one value are so already and are returned as they are."""
    if bool((rows[1:] > rows[:-1]).all()):
        return rows
    most = int(rows.max()) + 1
    if len(rows) * _MARKED_FROM >= most:
        # Where they are many, marks cost less than to put them in order.
        marks = np.zeros(most, dtype=bool)
        marks[rows] = True
        return np.flatnonzero(marks).astype(rows.dtype)
    # Without `unique`, which hashes and takes several times as long.
    rows = np.sort(rows)
    once: np.ndarray = rows[np.concatenate([_FIRST, rows[1:] != rows[:-1]])]
    return once


def holding(columns: Mapping[str, Column], words: Iterable[tuple[str, str]], count: int) -> np.ndarray:
    """Return which of the first `count` rows hold any of these strings under their keys, sorted, each once."""
    by_key: dict[str, list[str]] = {}
    for key, value in words:
        by_key.setdefault(key, []).append(value)
    held = (column.holding(values) for key, values in by_key.items() if (column := columns.get(key)) is not None)
    found = [rows for each in held for rows in each if len(rows)]
    if not found:
        return _NONE
    rows = in_order(found[0] if len(found) == 1 else np.concatenate(found))
    # Rows that came in after the caller counted are not asked for.
    return rows if rows[-1] < count else rows[: int(np.searchsorted(rows, count))]


def term(value: str | bool) -> bytes:
    """Return the key under which a string or boolean is kept; different values never share one."""
    if isinstance(value, bool):
        return b"b1" if value else b"b0"
    text = value.encode("utf-8", "surrogatepass")
    return b"s" + text if len(text) <= _LONGEST_TERM else b"h" + hashlib.sha256(text).digest()


class _Growing:
    """An array that is appended to by one writer while others read its beginning."""

    def __init__(self, dtype: Any, width: int = 0) -> None:
        self._buffer = np.empty((8, width) if width else 8, dtype=dtype)
        self._count = 0

    def append(self, value: Any) -> None:
        if self._count == len(self._buffer):
            larger = np.empty((2 * len(self._buffer), *self._buffer.shape[1:]), dtype=self._buffer.dtype)
            larger[: self._count] = self._buffer
            self._buffer = larger
        self._buffer[self._count] = value
        self._count += 1

    def view(self) -> np.ndarray:
        # The count first: a buffer taken later holds at least as much.
        count = self._count
        view: np.ndarray = self._buffer[:count]
        return view


class GrowingColumn(Column):
    """The column of one key while items come in; one writer, any number of readers."""

    def __init__(self) -> None:
        self.held_rows = _Growing(np.int32)
        self.terms: dict[bytes, _Growing] = {}
        self.numbers = _Growing(np.float64)
        self.number_rows = _Growing(np.int32)
        self.places = _Growing(np.float64, 2)
        self.place_rows = _Growing(np.int32)

    def add(self, row: int, value: Any) -> None:
        """Take in the value of a row."""
        if value is not None:
            self.held_rows.append(row)
        for single in filters.values_of(value):
            if isinstance(single, str | bool):
                self._term(term(single)).append(row)
            elif (number := filters.number(single)) is not None:
                self.numbers.append(number)
                self.number_rows.append(row)
            elif (place := filters.place(single)) is not None:
                self.places.append(place)
                self.place_rows.append(row)

    def lacking(self, count: int) -> np.ndarray:
        """Return which rows lack the key, as any column does."""
        lacking = np.ones(count, dtype=bool)
        rows = self.held_rows.view()
        lacking[rows[: int(np.searchsorted(rows, count))]] = False
        return lacking

    def _term(self, name: bytes) -> _Growing:
        rows = self.terms.get(name)
        if rows is None:
            rows = self.terms[name] = _Growing(np.int32)
        return rows

    def _with_term(self, name: bytes) -> np.ndarray:
        rows = self.terms.get(name)
        return _NONE if rows is None else rows.view()

    def _with_number(self, value: float) -> np.ndarray:
        rows, numbers = self.number_rows.view(), self.numbers.view()
        equal: np.ndarray = rows[numbers[: len(rows)] == value]
        return equal

    def _in_range(self, condition: Condition) -> np.ndarray:
        # The writer appends the number before its row, so there are never more rows than numbers.
        rows = self.number_rows.view()
        numbers = self.numbers.view()[: len(rows)]
        inside = np.ones(len(rows), dtype=bool)
        if condition.gte is not None:
            inside &= numbers >= condition.gte
        if condition.gt is not None:
            inside &= numbers > condition.gt
        if condition.lte is not None:
            inside &= numbers <= condition.lte
        if condition.lt is not None:
            inside &= numbers < condition.lt
        return rows[inside]

    def _near(self, lat: float, lon: float, within_km: float) -> np.ndarray:
        rows = self.place_rows.view()
        near: np.ndarray = rows[_near_enough(self.places.view()[: len(rows)], lat, lon, within_km)]
        return near


class Columns(Mapping[str, Column]):
    """The columns of the items that came in since the last build."""

    def __init__(self) -> None:
        self._by_key: dict[str, GrowingColumn] = {}

    def add(self, row: int, metadata: Mapping[str, Any]) -> None:
        """Take in the metadata of a row; rows come in rising order."""
        for key, value in metadata.items():
            column = self._by_key.get(key)
            if column is None:
                column = self._by_key[key] = GrowingColumn()
            column.add(row, value)

    def __getitem__(self, key: str) -> Column:
        return self._by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def save(self, path: Path) -> None:
        """Write the sorted form to `path`, for `StoredColumns`."""
        arrays: dict[str, np.ndarray] = {}
        for position, column in enumerate(self._by_key.values()):
            for name, array in _sorted_form(column).items():
                arrays[f"{position}.{name}"] = array
        keys = np.frombuffer(msgspec.json.encode(list(self._by_key)), dtype=np.uint8)
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, keys=keys, **arrays)


class StoredColumn(Column):
    """The column of one key in a built part: terms, numbers and their rows, sorted."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._terms = _Terms(arrays["term_bytes"].tobytes(), arrays["term_ends"].tolist())
        self._term_starts = arrays["term_starts"]
        self._term_rows = arrays["term_rows"]
        self._numbers = arrays["numbers"]
        self._number_rows = arrays["number_rows"]
        self._places = arrays["places"]
        self._place_rows = arrays["place_rows"]
        self._held: np.ndarray | None = arrays.get("held")

    def lacking(self, count: int) -> np.ndarray:
        """Return which rows lack the key, as any column does."""
        lacking = np.ones(count, dtype=bool)
        if self._held is not None:
            held = np.unpackbits(self._held).view(bool)[:count]
            lacking[: len(held)] = ~held
        return lacking

    def holding(self, values: Sequence[str]) -> list[np.ndarray]:
        """Return the rows of these strings as any column does; many are looked up at once."""
        if len(values) < _AT_ONCE:
            return super().holding(values)
        at = self._terms.positions([term(value) for value in values])
        rows = self._term_rows
        begins, ends = self._term_starts[at].tolist(), self._term_starts[at + 1].tolist()
        return [rows[begin:end] for begin, end in zip(begins, ends, strict=True)]

    def _with_term(self, name: bytes) -> np.ndarray:
        at = self._terms.position(name)
        return _NONE if at is None else self._term_rows[self._term_starts[at] : self._term_starts[at + 1]]

    def _with_number(self, value: float) -> np.ndarray:
        begin, end = np.searchsorted(self._numbers, value, "left"), np.searchsorted(self._numbers, value, "right")
        return self._number_rows[begin:end]

    def _in_range(self, condition: Condition) -> np.ndarray:
        begin, end = 0, len(self._numbers)
        if condition.gte is not None:
            begin = max(begin, int(np.searchsorted(self._numbers, condition.gte, "left")))
        if condition.gt is not None:
            begin = max(begin, int(np.searchsorted(self._numbers, condition.gt, "right")))
        if condition.lte is not None:
            end = min(end, int(np.searchsorted(self._numbers, condition.lte, "right")))
        if condition.lt is not None:
            end = min(end, int(np.searchsorted(self._numbers, condition.lt, "left")))
        return self._number_rows[begin:end]

    def _near(self, lat: float, lon: float, within_km: float) -> np.ndarray:
        near: np.ndarray = self._place_rows[_near_enough(self._places, lat, lon, within_km)]
        return near


class _Terms:
    """Sorted byte strings laid end to end."""

    def __init__(self, data: bytes, ends: list[int]) -> None:
        self._data = data
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, position: int) -> bytes:
        begin = self._ends[position - 1] if position else 0
        return self._data[begin : self._ends[position]]

    def position(self, name: bytes) -> int | None:
        """Return where a term is, None when it is not there."""
        at = bisect.bisect_left(self, name)
        return at if at < len(self) and self[at] == name else None

    def positions(self, names: Sequence[bytes]) -> np.ndarray:
        """Return where terms are, `(m,)` int64, of those that are there."""
        hashes, order = self._hashed
        wanted = np.fromiter(map(hash, names), dtype=np.int64, count=len(names))
        near = np.searchsorted(hashes, wanted)
        near[near == len(hashes)] = 0
        (same,) = (hashes[near] == wanted).nonzero() if len(hashes) else (near[:0],)
        found = []
        for number, at in zip(same.tolist(), order[near[same]].tolist(), strict=True):
            # Another term may have the same hash.
            place = at if self[at] == names[number] else self.position(names[number])
            if place is not None:
                found.append(place)
        return np.array(found, dtype=np.int64)

    @functools.cached_property
    def _hashed(self) -> tuple[np.ndarray, np.ndarray]:
        """The hashes of all terms in rising order, `(n,)` int64, and which is whose; only of this process."""
        hashes = np.fromiter(map(hash, map(self.__getitem__, range(len(self)))), dtype=np.int64, count=len(self))
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        return hashes[order], order


def load_columns(path: Path) -> dict[str, StoredColumn]:
    """Read what `Columns.save` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        keys = msgspec.json.decode(stored["keys"].tobytes(), type=list[str])
        return {
            # Columns of an earlier edition do not say which rows hold the key.
            key: StoredColumn(
                {name: stored[each] for name in _ARRAYS if (each := f"{position}.{name}") in stored.files}
            )
            for position, key in enumerate(keys)
        }


_ARRAYS = (
    "term_bytes",
    "term_ends",
    "term_starts",
    "term_rows",
    "numbers",
    "number_rows",
    "places",
    "place_rows",
    "held",
)
_FIRST = np.ones(1, dtype=bool)
_NONE = np.empty(0, dtype=np.int32)
_NONE.flags.writeable = False


def _sorted_form(column: GrowingColumn) -> dict[str, np.ndarray]:
    names = sorted(column.terms)
    lists = [column.terms[name].view() for name in names]
    numbers = column.numbers.view()
    # A stable sort keeps equal numbers in row order, so the file is the same for the same rows.
    order = np.argsort(numbers, kind="stable")
    held_rows = column.held_rows.view()
    held = np.zeros(int(held_rows[-1]) + 1 if len(held_rows) else 0, dtype=bool)
    held[held_rows] = True
    return {
        "term_bytes": np.frombuffer(b"".join(names), dtype=np.uint8),
        "term_ends": np.cumsum([len(name) for name in names], dtype=np.int64),
        "term_starts": np.cumsum([0, *(len(rows) for rows in lists)], dtype=np.int64),
        "term_rows": np.concatenate(lists) if lists else _NONE,
        "numbers": numbers[order],
        "number_rows": column.number_rows.view()[order],
        "places": column.places.view(),
        "place_rows": column.place_rows.view(),
        "held": np.packbits(held),
    }


def _near_enough(places: np.ndarray, lat: float, lon: float, within_km: float) -> np.ndarray:
    """Return which places, `(n, 2)` degrees, lie within a great-circle distance: `(n,)` bool."""
    # Nothing is nearer than its distance along the meridian; what that leaves is a small part. A latitude off the globe
    # is any number and goes around.
    band = math.degrees(within_km / filters.EARTH_RADIUS_KM) + _DEGREES_SLACK
    near: np.ndarray = (np.abs(places[:, 0] - lat) <= band) | (np.abs(places[:, 0]) > 90)
    inside = np.flatnonzero(near)
    near[inside] = _distances_km(places[inside], lat, lon) <= within_km
    return near


def _distances_km(places: np.ndarray, lat: float, lon: float) -> np.ndarray:
    phi, there = np.radians(lat), np.radians(places[:, 0])
    across = np.radians(places[:, 1] - lon)
    chord = np.sin((there - phi) / 2) ** 2 + np.cos(phi) * np.cos(there) * np.sin(across / 2) ** 2
    distances: np.ndarray = 2 * filters.EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(1.0, chord)))
    return distances
