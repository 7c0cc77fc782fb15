"""What a reader of an index looks at: a built part and a fresh part, as one.

No locks. A write puts an item into the fresh part first and drops it from the built part second; a lookup takes the
marks of the built part first and those of the fresh part second. So it finds an item as it was or as it is, never not
at all.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lakehouse.vectors._fresh import Fresh
from lakehouse.vectors._lookup import Lookup
from lakehouse.vectors.base import StoredItem
from lakehouse.vectors.journal import Entry, Put

if TYPE_CHECKING:
    from lakehouse.vectors._built import Built
    from lakehouse.vectors._scoring import Query
    from lakehouse.vectors._shelf import Pile, Run

# For so many purposes about so many places; beyond that, what came first is forgotten.
_NOTES_KEPT = 128
_NOTES_ON_PLACES = 500

_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


class Parts:
    """The two parts of an index; one writer at a time, any number of readers.

    Args:
        built: None before the first build.
        dimension: Length of the vectors.
    """

    def __init__(self, built: Built | None, dimension: int) -> None:
        self.built = built
        self.fresh = Fresh(dimension, built.sketch if built is not None else None)
        self._dimension = dimension
        # Odd while something is being written.
        self._turn = 0
        self._notes: dict[Hashable, dict[int, Any]] = {}

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
        self._turn += 1
        try:
            self._apply(entry)
        finally:
            self._turn += 1

    def _apply(self, entry: Entry) -> None:
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
        found = self.item(id)
        return found and StoredItem(id=id, vector=found[0].tolist(), metadata=_decode_metadata(found[1]))

    def metadata(self, id: str) -> dict[str, Any] | None:
        """Return the metadata of the item under `id`, None when there is none."""
        found = self.item(id)
        return _decode_metadata(found[1]) if found is not None else None

    def item(self, id: str) -> tuple[np.ndarray, Any] | None:
        """Return the vector `(d,)` float32 and the encoded metadata of the item under `id`, None without one."""
        built = self.built
        # The built part first, as in a search.
        row = built.row_of.get(id) if built is not None and built.holds(id) else None
        slot = self.fresh.slot_of.get(id)
        if slot is not None:
            return self.fresh.vector(slot), self.fresh.metadata[slot]
        if built is not None and row is not None:
            return built.vectors[row], built.metadata[row]
        return None

    def by_vector(self, words: Collection[tuple[str, str]]) -> Iterator[tuple[np.ndarray, Run | Pile | list[str]]]:
        """Yield the items that hold any of these strings under their metadata keys, each once, by their vector.

        Yields:
            A vector `(d,)` float32 and ids in order; a vector may come again with other ids.
        """
        built = self.built
        turn = self._turn
        # The built part first, as in a search.
        rows = built.holding(words) if built is not None else None
        slots = self.fresh.holding(words)
        if turn % 2 or turn != self._turn:
            # Something was being written: it may be in both parts, and twice in the fresh one.
            slots = self.fresh.newest(slots)
            if built is not None and rows is not None:
                moved = [row for slot in slots.tolist() if (row := built.row_of.get(self.fresh.ids[slot])) is not None]
                rows = rows[~np.isin(rows, moved)]
        if built is not None and rows is not None:
            for row, run in built.runs(rows):
                yield built.vectors[row], run
        for slot, pile in self.fresh.piles(slots):
            yield self.fresh.vector(slot), pile

    def ids(self) -> list[str]:
        """Return all ids, sorted."""
        built_ids = self.built.live_ids() if self.built is not None else []
        return sorted({*built_ids, *list(self.fresh.slot_of)})

    def notes(self, about: Hashable) -> dict[int, Any]:
        """Return what was worked out about places for one purpose, to be added to; see `Lookup.notes`."""
        found = self._notes.get(about)
        if found is None or len(found) > _NOTES_ON_PLACES:
            found = {}
            while len(self._notes) >= _NOTES_KEPT:
                self._notes.pop(next(iter(list(self._notes))), None)
            self._notes[about] = found
        return found

    def lookup(self, query: Query, *, ef: int, exclude: Collection[str], exact: bool) -> Lookup:
        """Return what finds the nearest items to one vector, as they are now; see `Lookup`."""
        return Lookup(self, query, ef=ef, exclude=exclude, exact=exact)
