"""What a reader of an index looks at: a built part and a fresh part, as one.

No locks. A write puts an item into the fresh part first and drops it from the built part second; a lookup takes the
marks of the built part first and those of the fresh part second. So it finds an item as it was or as it is, never not
at all. When most of the fresh part is gone another one takes its place: whoever took the old one goes on with it, and
nothing is written to it any more.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lakehouse.vectors._fresh import Fresh
from lakehouse.vectors._lookup import Lookup
from lakehouse.vectors.base import StoredItem
from lakehouse.vectors.journal import Drop, Entry, Put

if TYPE_CHECKING:
    from lakehouse.vectors._built import Built
    from lakehouse.vectors._scoring import Query
    from lakehouse.vectors._shelf import Pile, Run

# Items that are brought to the state of their last entry together.
_AT_ONCE = 4_096
# Vectors that are read from disk together.
_AHEAD = 256
# Slots that may hold what nobody sees any more, besides as many as hold something.
_MOST_GONE = 8

_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


class Parts:
    """The two parts of an index; one writer at a time, any number of readers.

    Args:
        built: None before the first build.
        dimension: Length of the vectors.
        fresh: What is in the fresh part already, made for this built one; None when nothing is.
    """

    def __init__(self, built: Built | None, dimension: int, fresh: Fresh | None = None) -> None:
        self.built = built
        self.fresh = fresh if fresh is not None else Fresh(dimension, built.sketch if built is not None else None)
        self._dimension = dimension
        # Odd while something is being written.
        self._turn = 0
        # Slots that fresh parts before this one held besides.
        self._left_behind = 0

    def __len__(self) -> int:
        return (self.built.live if self.built is not None else 0) + len(self.fresh.slot_of)

    @property
    def changes(self) -> int:
        """How far this is from a built part alone: what was written since, and rows that are gone."""
        return len(self.fresh) + self._left_behind + (self.built.gone_rows if self.built is not None else 0)

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

    def apply_all(self, entries: Iterable[Entry]) -> None:
        """Do what entries say, one after the other, before anybody searches here; what is overwritten costs little."""
        puts: dict[str, tuple[Put, int]] = {}
        touched: dict[str, None] = {}
        written = 0
        for entry in entries:
            touched.update(dict.fromkeys(entry.ids))
            for id in entry.ids:
                # Again at the end, so that what is left is in the order of the writes.
                puts.pop(id, None)
            if isinstance(entry, Put):
                puts.update((id, (entry, at)) for at, id in enumerate(entry.ids))
                written += len(entry.ids)
            if len(touched) >= _AT_ONCE:
                self._apply_last(puts, touched, written)
                puts, touched, written = {}, {}, 0
        self._apply_last(puts, touched, written)

    def _apply_last(self, puts: dict[str, tuple[Put, int]], touched: dict[str, None], written: int) -> None:
        self.apply(Drop(list(touched)))
        if puts:
            metadata = [put.metadata[at] for put, at in puts.values()]
            size = 4 * self._dimension
            vectors = b"".join(put.vectors[at * size : (at + 1) * size] for put, at in puts.values())
            self.apply(Put(list(puts), metadata, vectors))
        self._left_behind += written - len(puts)

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
        if self.fresh.gone_slots > _MOST_GONE + len(self.fresh.slot_of):
            before = len(self.fresh)
            self.fresh = self.fresh.without_gone()
            self._left_behind += before - len(self.fresh)

    def beside(self, built: Built) -> Parts:
        """Lay what is fresh beside a built part made for it, and return both; nothing is written here any more."""
        self.fresh.sketch_by(built.sketch)
        both = Parts(built, self._dimension, self.fresh)
        both._left_behind = self._left_behind
        return both

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
        fresh = self.fresh
        slot = fresh.slot_of.get(id)
        if slot is not None:
            return fresh.vector(slot), fresh.metadata[slot]
        if built is not None and row is not None:
            return built.vectors[row], built.metadata[row]
        return None

    def read_ahead(self, ids: Iterable[str]) -> None:
        """Begin to read the metadata of items from disk, for whoever is going to look at each of them."""
        if self.built is not None:
            self.built.read_metadata_ahead(ids)

    def by_vector(self, words: Collection[tuple[str, str]]) -> Iterator[tuple[np.ndarray, Run | Pile | list[str]]]:
        """Yield the items that hold any of these strings under their metadata keys, each once, by their vector.

        Yields:
            A vector `(d,)` float32 and ids in order; a vector may come again with other ids.
        """
        built = self.built
        turn = self._turn
        # The built part first, as in a search.
        rows = built.holding(words) if built is not None else None
        fresh = self.fresh
        slots = fresh.holding(words)
        if turn % 2 or turn != self._turn:
            # Something was being written: it may be in both parts, and twice in the fresh one.
            slots = fresh.newest(slots)
            if built is not None and rows is not None:
                moved = [row for slot in slots.tolist() if (row := built.row_of.get(fresh.ids[slot])) is not None]
                rows = rows[~np.isin(rows, moved)]
        if built is not None and rows is not None:
            runs = built.runs(rows)
            # In portions: who asks gives up where there are too many.
            while portion := list(itertools.islice(runs, _AHEAD)):
                built.read_vectors_ahead([row for row, _ in portion])
                for row, run in portion:
                    yield built.vectors[row], run
        for slot, pile in fresh.piles(slots):
            yield fresh.vector(slot), pile

    def ids(self) -> list[str]:
        """Return all ids, sorted."""
        built_ids = self.built.live_ids() if self.built is not None else []
        return sorted({*built_ids, *list(self.fresh.slot_of)})

    def lookup(self, query: Query, *, ef: int, exclude: Collection[str], exact: bool) -> Lookup:
        """Return what finds the nearest items to one vector, as they are now; see `Lookup`."""
        return Lookup(self, query, ef=ef, exclude=exclude, exact=exact)


class Carried:
    """What is written during a build, taken in as it comes: when the build is done, nothing is left to catch up with.

    For one writer at a time; nobody searches here.

    Args:
        dimension: Length of the vectors.
    """

    def __init__(self, dimension: int) -> None:
        self._parts = Parts(None, dimension)
        self._touched: set[str] = set()

    def apply(self, entry: Entry) -> None:
        """Do what a journal entry says."""
        self._parts.apply(entry)
        self._touched.update(entry.ids)

    def beside(self, built: Built) -> Parts:
        """Lay what was written beside a built part that lacks it, and return both; nothing is applied here any more."""
        for id in self._touched:
            built.drop(id)
        return self._parts.beside(built)
