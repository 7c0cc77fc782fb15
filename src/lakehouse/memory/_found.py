"""What one search finds in the index of a namespace, and whether a later one would find the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lakehouse.errors import NotFound
from lakehouse.memory.base import Filed, Recall, Remembered
from lakehouse.vectors.base import Condition, Filter, Finder

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.vectors._kept_near import Word
    from lakehouse.vectors.service import Vectors

_decode = msgspec.json.Decoder(Filed).decode


class Recollection(NamedTuple):
    """Entries near a demand, nearest first, ties by id.

    Attributes:
        recalls: The entries.
        still: Tells whether the same are surely found again; False when that is not known.
    """

    recalls: Sequence[Recall]
    still: Callable[[], bool]


class Found:
    """Entries found so far, each once.

    Args:
        vectors: Holds the index.
        name: Of the index.
        meaning: What is asked for, `(d,)` float32.
        corpora: Only answers of these.
    """

    def __init__(self, vectors: Vectors, name: str, meaning: np.ndarray, corpora: Collection[str]) -> None:
        self._vectors = vectors
        self._name = name
        self._meaning = meaning
        self._corpora = corpora
        self._shelves = vectors.shelves(name, meaning)
        self._writes = self._shelves.writes
        self._lookup: Finder | None = None
        self._words: list[Word] = []
        self.by_id: dict[str, Recall] = {}

    def take(self, words: Sequence[Word], most: int) -> int:
        """Look up those that hold one of these words, and return how many there were, at most `most`."""
        if not words:
            return 0
        self._words += words
        near: Sequence[tuple[float, str, Remembered]] | None
        near = self._shelves.nearest(self._meaning, words, most, _entry)
        if near is None:
            near = self._by_filter(words, most)
        for distance, id, entry in near:
            if id not in self.by_id and entry.corpus in self._corpora:
                self.by_id[id] = Recall(id, entry, distance)
        return len(near)

    def watch(self) -> Callable[[], bool]:
        """Return what tells whether surely nothing was written since that would be found now."""
        shelves, words = self._shelves, frozenset(self._words)
        since = shelves.settled(self._writes)

        def unchanged() -> bool:
            try:
                same = self._vectors.shelves(self._name, self._meaning) is shelves
            except NotFound:
                return False
            return same and since is not None and shelves.unchanged(words, since)

        return unchanged

    def _by_filter(self, words: Sequence[Word], most: int) -> list[tuple[float, str, Remembered]]:
        """Score what holds the words: where hardly two entries mean the same, that is less than to sort them first."""
        if self._lookup is None:
            self._lookup = self._vectors.lookup(self._name, self._meaning)
        by_key: dict[str, list[str | int]] = {}
        for key, value in words:
            by_key.setdefault(key, []).append(value)
        either = [Condition(key=key, any=values) for key, values in by_key.items()]
        lookup = self._lookup
        places = lookup.nearest(most, Filter(should=either))
        return [(distance, id, _entry(lookup.encoded(place))) for distance, id, place in places]


def _entry(encoded: Any) -> Remembered:
    return _decode(encoded).entry
