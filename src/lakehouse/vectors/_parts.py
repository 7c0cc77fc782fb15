"""What a reader of an index looks at: a built part and a fresh part, as one.

No locks. A write puts an item into the fresh part first and drops it from the built part second; a search looks at the
built part first and at the fresh part second. So it finds an item as it was or as it is, never not at all.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lakehouse.vectors._fresh import Fresh
from lakehouse.vectors.base import Filter, Hit, StoredItem
from lakehouse.vectors.journal import Entry, Put

if TYPE_CHECKING:
    from lakehouse.vectors._built import Built
    from lakehouse.vectors._scoring import Query

# Distance, id, and the row of the built part or the complement of the slot of the fresh part.
Place = tuple[float, str, int]

_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


class Parts:
    """The two parts of an index; one writer at a time, any number of readers.

    Args:
        built: None before the first build.
        dimension: Length of the vectors.
    """

    def __init__(self, built: Built | None, dimension: int) -> None:
        self.built = built
        self.fresh = Fresh(dimension)
        self._dimension = dimension

    def __len__(self) -> int:
        return (self.built.live if self.built is not None else 0) + len(self.fresh.slot_of)

    @property
    def changes(self) -> int:
        """How far this is from a built part alone: slots of the fresh part and rows that are gone."""
        return len(self.fresh) + (self.built.gone_rows if self.built is not None else 0)

    def holds(self, id: str) -> bool:
        """Return whether there is an item under `id`."""
        return id in self.fresh.slot_of or (self.built is not None and self.built.holds(id))

    def apply(self, entry: Entry) -> None:
        """Do what a journal entry says."""
        if isinstance(entry, Put):
            vectors = np.frombuffer(entry.vectors, dtype=np.float32).reshape(-1, self._dimension)
            self.fresh.put(entry.ids, vectors, entry.metadata)
        else:
            for id in entry.ids:
                self.fresh.drop(id)
        if self.built is not None:
            for id in entry.ids:
                self.built.drop(id)

    def find(self, id: str) -> StoredItem | None:
        """Return the item under `id`, None when there is none."""
        built = self.built
        # The built part first, as in a search.
        row = built.row_of.get(id) if built is not None and built.holds(id) else None
        slot = self.fresh.slot_of.get(id)
        if slot is not None:
            vector, encoded = self.fresh.vector(slot), self.fresh.metadata[slot]
        elif built is not None and row is not None:
            vector, encoded = built.vectors[row], bytes(built.metadata[row])
        else:
            return None
        return StoredItem(id=id, vector=vector.tolist(), metadata=_decode_metadata(encoded))

    def ids(self) -> list[str]:
        """Return all ids, sorted."""
        built_ids = self.built.live_ids() if self.built is not None else []
        return sorted({*built_ids, *list(self.fresh.slot_of)})

    def search(
        self, query: Query, k: int, *, ef: int, filter: Filter | None, exclude: Collection[str], exact: bool
    ) -> list[Hit]:
        """Return at most `k` hits, nearest first, ties by id; see `Vectors.nearest`."""
        built = self.built
        near: list[Place] = (
            built.search(query, k, ef=ef, filter=filter, exclude=exclude, exact=exact) if built is not None else []
        )
        newer = self.fresh.search(query, k, filter=filter, exclude=exclude)
        if newer:
            near = _merged(near, newer) if near else newer
        hits = []
        for distance, id, place in near:
            # An item put back while this search ran may have slipped past the exclusion of its old slot.
            if id in exclude:
                continue
            encoded: Any = self.fresh.metadata[~place] if place < 0 or built is None else built.metadata[place]
            hits.append(Hit(id, distance, _decode_metadata(encoded)))
            if len(hits) == k:
                break
        return hits


def _merged(older: list[Place], newer: list[Place]) -> list[Place]:
    """Return both in order; an item that moved while they were looked at counts as it is now."""
    moved = {place[1] for place in newer}
    return sorted([*newer, *(place for place in older if place[1] not in moved)])
