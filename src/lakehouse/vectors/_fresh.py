"""The fresh part of an index: what was written since the last build, in memory, scored exactly.

Every write takes a new slot; a slot is never changed, only marked as gone. There is one writer at a time (the index'
write lock) and any number of readers without a lock: a reader takes the marks first and the number of slots second, so
that it sees an item's old slot or its new one, or both, but never neither.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lakehouse.vectors import _scoring, columns

if TYPE_CHECKING:
    from lakehouse.vectors._scoring import Query
    from lakehouse.vectors.base import Filter

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Fresh:
    """Slots numbered from 0 in the order of the writes."""

    def __init__(self, dimension: int) -> None:
        self.ids: list[str] = []
        self.metadata: list[bytes] = []
        self.slot_of: dict[str, int] = {}
        self._vectors = np.empty((0, dimension), dtype=np.float32)
        self._lengths = np.empty(0, dtype=np.float32)
        self._gone = np.empty(0, dtype=bool)
        self._longest = 0.0
        self._columns = columns.Columns()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, ids: Sequence[str], vectors: np.ndarray, metadata: Sequence[bytes]) -> None:
        """Store items in new slots; earlier slots of the same ids are gone afterwards."""
        first = self._count
        self._reserve(first + len(ids))
        self._vectors[first : first + len(ids)] = vectors
        lengths = _scoring.lengths_of(vectors)
        self._lengths[first : first + len(ids)] = lengths
        self._gone[first : first + len(ids)] = False
        self._longest = max(self._longest, float(lengths.max(initial=0.0)))
        self.ids += ids
        self.metadata += metadata
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

    def search(
        self, query: Query, k: int, *, filter: Filter | None, exclude: Collection[str]
    ) -> list[tuple[float, str, int]]:
        """Return the nearest slots as (distance, id, ~slot), sorted; at least `k` when so many items pass.

        The slot's complement is negative, so that it is never taken for a row of the built part. Deleted and excluded
        items are left out; ties at the end are complete. An item written during the call appears in its old form or
        its new one.
        """
        out = self._gone.copy()
        count = self._count
        if not count:
            return []
        out = _fitted(out, count)
        scores = query.rough(self._vectors[:count], self._lengths[:count])
        if filter is not None:
            out |= ~columns.mask(self._columns, filter, count)
        if exclude:
            out[self._slots_of(exclude, count)] = True
        scores[out] = np.inf
        return self._nearest(query, scores, k)

    def _slots_of(self, ids: Collection[str], count: int) -> list[int]:
        if len(ids) > count:
            return [slot for slot, id in enumerate(self.ids[:count]) if id in ids]
        return [slot for id in ids if (slot := self.slot_of.get(id)) is not None and slot < count]

    def _nearest(self, query: Query, scores: np.ndarray, k: int) -> list[tuple[float, str, int]]:
        wanted = k
        while True:
            near = _scoring.smallest(scores, wanted, query.tolerance(self._longest))
            slots = near.tolist()
            distances = query.precise(self._vectors[near]).tolist()
            newest = {self.ids[slot]: at for at, slot in enumerate(slots)}
            # Items that were written while the marks were taken are here twice, in rising order of their slots.
            if len(newest) == len(slots) or len(newest) >= k or len(slots) < wanted:
                return sorted((distances[at], id, ~slots[at]) for id, at in newest.items())
            wanted += len(slots) - len(newest)

    def _reserve(self, count: int) -> None:
        if count <= len(self._gone):
            return
        size = max(64, count, 2 * len(self._gone))
        # Readers that hold the old arrays go on with them; each new array has at least the same beginning.
        self._vectors = _larger(self._vectors, size, self._count)
        self._lengths = _larger(self._lengths, size, self._count)
        self._gone = _larger(self._gone, size, self._count)


def _larger(array: np.ndarray, size: int, count: int) -> np.ndarray:
    larger = np.zeros((size, *array.shape[1:]), dtype=array.dtype)
    larger[:count] = array[:count]
    return larger


def _fitted(marks: np.ndarray, count: int) -> np.ndarray:
    """Return the first `count` marks; slots that came after the marks were taken are not gone."""
    fitted = np.zeros(count, dtype=bool)
    fitted[: len(marks)] = marks[:count]
    return fitted
