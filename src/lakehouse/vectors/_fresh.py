"""The fresh part of an index: what was written since the last build, in memory, scored exactly.

Every write takes a new slot; a slot is never changed, only marked as gone. There is one writer at a time (the index'
write lock) and any number of readers without a lock: a reader takes the marks first and the number of slots second, so
that it sees an item's old slot or its new one, or both, but never neither.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lakehouse.vectors import _scoring, columns
from lakehouse.vectors._conditions import Conditions
from lakehouse.vectors._shelf import Pile, key_of

if TYPE_CHECKING:
    from lakehouse.vectors._scoring import Query
    from lakehouse.vectors._sketch import Sketch
    from lakehouse.vectors.base import Filter

# Of fewer slots than this share only they are scored, not all.
_FEW = 0.3
# Of fewer slots all are scored; of more, those that their sketches do not rule out.
_SKETCHED_FROM = 300
# Notes for so many purposes, two for each demand of a day, and about so many places; what came first is forgotten.
_NOTES_KEPT = 1_024
_NOTES_ON_PLACES = 500
_NO_SLOTS = np.empty(0, dtype=np.int64)
_NOBODY = np.empty(0, dtype=bool)

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Fresh:
    """Slots numbered from 0 in the order of the writes.

    Args:
        dimension: Length of the vectors.
        sketch: Of the built part beside it, None when that has none.
    """

    def __init__(self, dimension: int, sketch: Sketch | None = None) -> None:
        self.ids: list[str] = []
        self.metadata: list[bytes] = []
        self.slot_of: dict[str, int] = {}
        self._vectors = np.empty((0, dimension), dtype=np.float32)
        self._lengths = np.empty(0, dtype=np.float32)
        self._gone = np.empty(0, dtype=bool)
        self._sketch = sketch
        self._sketches = np.empty((0, sketch.numbers if sketch is not None else 0), dtype=np.float32)
        # By slot, a number that slots of the same vector share.
        self._kind_of = np.empty(0, dtype=np.int32)
        self._kinds: dict[bytes, int] = {}
        # By slot, the beginning of its id.
        self._keys = np.empty(0, dtype=np.uint64)
        self._longest = 0.0
        self._columns = columns.Columns()
        self._conditions: tuple[int, Conditions] | None = None
        self._count = 0
        self._notes: dict[Hashable, dict[int, Any]] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def gone_slots(self) -> int:
        """How many slots hold what was written again or removed since."""
        return self._count - len(self.slot_of)

    def without_gone(self) -> Fresh:
        """Return the same items in slots of their own, in the order of the writes."""
        slots = sorted(self.slot_of.values())
        tidy = Fresh(self._vectors.shape[1], self._sketch)
        if slots:
            tidy.put([self.ids[slot] for slot in slots], self._vectors[slots], [self.metadata[slot] for slot in slots])
        return tidy

    def sketch_by(self, sketch: Sketch | None) -> None:
        """Take the sketch of another built part, that this one comes to lie beside; while nobody searches here."""
        self._sketch = sketch
        self._sketches = np.zeros((len(self._gone), sketch.numbers if sketch is not None else 0), dtype=np.float32)
        if sketch is not None:
            count = self._count
            self._sketches[:count] = sketch.of(self._vectors[:count], self._lengths[:count])

    def put(self, ids: Sequence[str], vectors: np.ndarray, metadata: Sequence[bytes]) -> None:
        """Store items in new slots; earlier slots of the same ids are gone afterwards."""
        first = self._count
        self._reserve(first + len(ids))
        self._vectors[first : first + len(ids)] = vectors
        lengths = _scoring.lengths_of(vectors)
        self._lengths[first : first + len(ids)] = lengths
        if self._sketch is not None:
            self._sketches[first : first + len(ids)] = self._sketch.of(vectors, lengths)
        self._gone[first : first + len(ids)] = False
        self._longest = max(self._longest, float(lengths.max(initial=0.0)))
        self._keys[first : first + len(ids)] = [key_of(id) for id in ids]
        self.ids += ids
        self.metadata += metadata
        self._kind_of[first : first + len(ids)] = [
            self._kinds.setdefault(_scoring.digest(vector), len(self._kinds)) for vector in vectors
        ]
        for slot, encoded in enumerate(metadata, first):
            self._columns.add(slot, _decode(encoded))
        # From here on readers see them.
        self._count = first + len(ids)
        for slot, id in enumerate(ids, first):
            earlier = self.slot_of.get(id)
            self.slot_of[id] = slot
            if earlier is not None:
                self._gone[earlier] = True

    def drop(self, id: str) -> bool:
        """Remove an item; False when it is not here."""
        slot = self.slot_of.pop(id, None)
        if slot is None:
            return False
        self._gone[slot] = True
        return True

    def vector(self, slot: int) -> np.ndarray:
        """Return the vector in a slot, `(d,)` float32."""
        vector: np.ndarray = self._vectors[slot]
        return vector

    def notes(self, about: Hashable) -> dict[int, Any]:
        """Return what was worked out for one purpose about places that these slots go with; see `Lookup.notes`."""
        found = self._notes.get(about)
        if found is None or len(found) > _NOTES_ON_PLACES:
            found = {}
            while len(self._notes) >= _NOTES_KEPT:
                self._notes.pop(next(iter(list(self._notes))), None)
            self._notes[about] = found
        return found

    def sight(self, query: Query, exclude: Collection[str]) -> Sight:
        """Return what a query sees here: the slots up to now, less those that are gone or excluded."""
        gone = self._gone
        if not len(gone):
            return Sight(self, query, _NOBODY)
        out = gone.copy()
        count = self._count
        out = _fitted(out, count)
        if exclude and count:
            out[self._slots_of(exclude, count)] = True
        return Sight(self, query, out)

    def conditions(self, count: int) -> Conditions:
        """Return what answers filters for the first `count` slots; the same one until something is written."""
        known = self._conditions
        if known is None or known[0] != count:
            known = self._conditions = (count, Conditions(self._columns, count))
        return known[1]

    def holding(self, words: Iterable[tuple[str, str]]) -> np.ndarray:
        """Return the slots that hold any of these strings under their metadata keys, in rising order.

        An item that is just being written again may be there with its old slot and its new one.
        """
        gone = self._gone
        slots = columns.holding(self._columns, words, self._count)
        if not len(slots) or not len(gone):
            return slots
        # Slots that came after the marks were taken are not gone.
        left: np.ndarray = slots[(slots >= len(gone)) | ~gone[np.minimum(slots, len(gone) - 1)]]
        return left

    def newest(self, slots: np.ndarray) -> np.ndarray:
        """Return slots, given in rising order, with the newest of each item only, in rising order."""
        newest = {self.ids[slot]: slot for slot in slots.tolist()}
        return np.array(sorted(newest.values()), dtype=np.int64)

    def piles(self, slots: np.ndarray) -> Iterator[tuple[int, Pile]]:
        """Part slots of different items by their vector; yields one of each and their ids."""
        if not len(slots):
            return
        kinds = self._kind_of[slots]
        order = np.argsort(kinds, kind="stable")
        slots, kinds = slots[order], kinds[order]
        keys = self._keys[slots]
        ends = [0, *(np.flatnonzero(kinds[1:] != kinds[:-1]) + 1).tolist(), len(slots)]
        for begin, end in itertools.pairwise(ends):
            yield int(slots[begin]), Pile(self.ids, keys[begin:end], slots[begin:end])

    def rough(self, query: Query, count: int) -> np.ndarray:
        """Return the rough scores of the first `count` slots."""
        return query.rough(self._vectors[:count], self._lengths[:count])

    def rough_of(self, query: Query, slots: np.ndarray) -> np.ndarray:
        """Return the rough scores of some slots, in their order."""
        return query.rough(self._vectors[slots], self._lengths[slots])

    def likely(self, query: Query, slots: np.ndarray, limit: float) -> np.ndarray:
        """Return those of some slots, given in rising order, whose rough scores may be as low as `limit`."""
        if self._sketch is None or len(slots) < _SKETCHED_FROM:
            return slots
        left: np.ndarray = slots[self._sketch.least(query, slots, self._sketches) <= limit]
        return left

    def precise(self, query: Query, slots: np.ndarray) -> list[float]:
        """Return the distances to some slots, in their order."""
        distances: list[float] = query.precise(self._vectors[slots]).tolist()
        return distances

    @property
    def longest(self) -> float:
        """The norm of the longest vector."""
        return self._longest

    def _slots_of(self, ids: Collection[str], count: int) -> list[int]:
        if len(ids) > count:
            return [slot for slot, id in enumerate(self.ids[:count]) if id in ids]
        return [slot for id in ids if (slot := self.slot_of.get(id)) is not None and slot < count]

    def _reserve(self, count: int) -> None:
        if count <= len(self._gone):
            return
        size = max(64, count, 2 * len(self._gone))
        # Readers that hold the old arrays go on with them; each new array has at least the same beginning.
        self._vectors = _larger(self._vectors, size, self._count)
        self._lengths = _larger(self._lengths, size, self._count)
        self._sketches = _larger(self._sketches, size, self._count)
        self._kind_of = _larger(self._kind_of, size, self._count)
        self._keys = _larger(self._keys, size, self._count)
        self._gone = _larger(self._gone, size, self._count)


class Sight:
    """The slots that one query sees, whatever is written meanwhile. For one thread.

    Args:
        fresh: Where they are.
        query: The vector.
        out: `(n,)` bool, the slots that do not count.
    """

    def __init__(self, fresh: Fresh, query: Query, out: np.ndarray) -> None:
        self._fresh = fresh
        self._query = query
        self._out = out
        self._scores: np.ndarray | None = None
        # The filter that was asked for last, and what passes.
        self._asked: tuple[Filter | None, np.ndarray] | None = None

    def nearest(self, k: int, filter: Filter | None, within: float = math.inf) -> list[tuple[float, str, int]]:
        """Return the nearest slots as (distance, id, ~slot), sorted; at least `k` when so many items pass.

        The slot's complement is negative, so that it is never taken for a row of the built part. Ties at the end are
        complete. An item written while the marks were taken appears in its old form or its new one.

        Args:
            k: How many are wanted.
            filter: What they must pass, well formed.
            within: Those at a greater distance may be left out.
        """
        slots = self._passing(filter)
        if within < math.inf and len(slots) > k:
            limit = self._query.limit(within, self._fresh.longest)
            slots = self._fresh.likely(self._query, slots, limit)
            slots = slots[self._rough(slots) <= limit]
        if not len(slots):
            return []
        wanted = k
        while True:
            near = self._smallest(slots, wanted)
            numbers = near.tolist()
            ids = self._fresh.ids
            newest = {ids[slot]: at for at, slot in enumerate(numbers)}
            # Items that were written while the marks were taken are here twice, in rising order of their slots.
            if len(newest) == len(numbers) or len(newest) >= k or len(numbers) < wanted:
                distances = self._fresh.precise(self._query, near)
                return sorted((distances[at], id, ~numbers[at]) for id, at in newest.items())
            wanted += len(numbers) - len(newest)

    def may_be_undecided(self, steps: Sequence[Filter | None], within: float) -> bool:
        """Tell whether any slot within a distance may be one that steps cannot decide."""
        if self.blank:
            return False
        slots = self._fresh.conditions(len(self._out)).undecided(steps)
        if slots is None:
            return True
        limit = self._query.limit(within, self._fresh.longest)
        slots = self._fresh.likely(self._query, slots[~self._out[slots]], limit)
        return len(slots) > 0 and min(self._fresh.precise(self._query, slots)) <= within

    def undecided_of(self, steps: Sequence[Filter | None], places: Sequence[int]) -> list[int]:
        """Return those of some places, complements of slots, that steps cannot decide, in their order."""
        if not places:
            return []
        slots = self._fresh.conditions(len(self._out)).undecided_of(steps, ~np.array(places, dtype=np.int64))
        undecided: list[int] = (~slots).tolist()
        return undecided

    @property
    def blank(self) -> bool:
        """Whether there are no slots at all."""
        return not len(self._out)

    def holds_any(self, filter: Filter | None) -> bool:
        """Tell whether any slot passes."""
        return len(self._out) > 0 and len(self._passing(filter)) > 0

    def ranked(self, places: list[int]) -> list[tuple[float, str, int]]:
        """Return places (complements of slots) with distances and ids, sorted; of an item that has two, the newer."""
        ids = self._fresh.ids
        newest = {ids[~place]: place for place in sorted(places, reverse=True)}
        distances = self._fresh.precise(self._query, ~np.array(list(newest.values())))
        return sorted((distance, *item) for distance, item in zip(distances, newest.items(), strict=True))

    def _passing(self, filter: Filter | None) -> np.ndarray:
        if not len(self._out):
            return _NO_SLOTS
        if self._asked is None or self._asked[0] is not filter:
            if filter is None:
                left = np.flatnonzero(~self._out)
            else:
                slots = self._fresh.conditions(len(self._out)).passing(filter)
                left = slots[~self._out[slots]]
            self._asked = (filter, left)
        return self._asked[1]

    def _smallest(self, slots: np.ndarray, count: int) -> np.ndarray:
        if len(slots) <= count:
            return slots
        near: np.ndarray = slots[
            _scoring.smallest(self._rough(slots), count, self._query.tolerance(self._fresh.longest))
        ]
        return near

    def _rough(self, slots: np.ndarray) -> np.ndarray:
        """Return the rough scores of some slots, given in rising order."""
        if self._scores is None and len(slots) < _FEW * len(self._out):
            return self._fresh.rough_of(self._query, slots)
        if self._scores is None:
            self._scores = self._fresh.rough(self._query, len(self._out))
        scores: np.ndarray = self._scores if len(slots) == len(self._scores) else self._scores[slots]
        return scores


def _larger(array: np.ndarray, size: int, count: int) -> np.ndarray:
    larger = np.zeros((size, *array.shape[1:]), dtype=array.dtype)
    larger[:count] = array[:count]
    return larger


def _fitted(marks: np.ndarray, count: int) -> np.ndarray:
    """Return the first `count` marks; slots that came after the marks were taken are not gone."""
    fitted = np.zeros(count, dtype=bool)
    fitted[: len(marks)] = marks[:count]
    return fitted
