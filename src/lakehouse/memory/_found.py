"""What one search finds in the index of a namespace, and whether a later one would find the same."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lakehouse.errors import NotFound
from lakehouse.memory.base import Recall, Remembered
from lakehouse.vectors._kept_near import Words
from lakehouse.vectors.base import Condition, Filter, Finder

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.memory.keys import Demanded
    from lakehouse.vectors._kept_near import Word
    from lakehouse.vectors.service import Vectors

# What orders recalls: nearer first, ties by entry id.
NEAREST_FIRST = operator.attrgetter("distance", "id")


class _Filed(msgspec.Struct):
    """Of a `Filed` what a search needs; the rest is passed over."""

    entry: Remembered


_decode = msgspec.json.Decoder(_Filed).decode


class Recollection(NamedTuple):
    """Entries near a demand, nearest first, ties by id.

    Attributes:
        recalls: The entries.
        still: Tells whether the same are surely found again; False when that is not known.
        found: How they were found, by namespace.
    """

    recalls: Sequence[Recall]
    still: Callable[[], bool]
    found: Mapping[str, Found]


class Step(NamedTuple):
    """One look-up: what was looked for, and what there was."""

    words: Words
    near: Sequence[Recall]


# Of a step that tells only whether there is anything.
_SOME: list[Recall] = []
_NONE: list[Recall] = []


class Found:
    """Entries found so far, each once.

    Args:
        vectors: Holds the index.
        name: Of the index.
        meaning: What is asked for, `(d,)` float32.
        corpora: Only answers of these.
        demanded: The words of what is asked for.
        before: What was found for the same demand, people and corpora; a look-up that follows from the same is not
            made up again.
    """

    def __init__(
        self,
        vectors: Vectors,
        name: str,
        meaning: np.ndarray,
        *,
        corpora: Collection[str],
        demanded: Demanded,
        before: Found | None,
    ) -> None:
        self._vectors = vectors
        self._name = name
        self._meaning = meaning
        self._corpora = corpora
        self.demanded = demanded
        self._shelves = vectors.shelves(name, meaning)
        self._writes = self._shelves.writes
        self._lookup: Finder | None = None
        self._before: Sequence[Step] = before._steps if before is not None else ()
        self._steps: list[Step] = []

    def has(self, word: Word) -> bool:
        """Tell whether any entry holds a word; what is found depends on it."""
        found = self._shelves.holds(word)
        self._steps.append(Step(Words([word]), _SOME if found else _NONE))
        return found

    @property
    def items(self) -> int:
        """How many items the index has."""
        return self._shelves.items

    @property
    def people(self) -> list[str]:
        """The answers found so far, some of them several times."""
        corpora = self._corpora
        return [near.answer[1] for step in self._steps for near in step.near if near.answer[0] in corpora]

    @property
    def recalls(self) -> list[Recall]:
        """What was found so far, nearest first, ties by id."""
        by_id: dict[str, Recall] = {}
        corpora = self._corpora
        for step in self._steps:
            for recall in step.near:
                if recall.answer[0] in corpora:
                    by_id.setdefault(recall.id, recall)
        return sorted(by_id.values(), key=NEAREST_FIRST)

    def take(self, most: int, words: Callable[[], Iterable[Word]]) -> int:
        """Look up those that hold one of some words, and return how many there were, at most `most`.

        Args:
            most: At least 1.
            words: Gives the words, which follow from the demand and from what was found so far.
        """
        at = len(self._steps)
        known = self._before[at].words if at < len(self._before) and self._is_as_before() else Words(words())
        if not known:
            return 0
        near = self._shelves.nearest(self._meaning, known, most, _noted, _recall)
        if near is None:
            near = self._by_filter(known, most)
        self._steps.append(Step(known, near))
        return len(near)

    def _is_as_before(self) -> bool:
        pairs = zip(self._steps, self._before, strict=False)
        return all(step.words == before.words and step.near is before.near for step, before in pairs)

    def watch(self) -> Callable[[], bool]:
        """Return what tells whether surely nothing was written since that would be found now."""
        shelves, steps = self._shelves, self._steps
        since = shelves.settled(self._writes)
        self._before = ()

        def unchanged() -> bool:
            try:
                same = self._vectors.shelves(self._name, self._meaning) is shelves
            except NotFound:
                return False
            return same and since is not None and all(shelves.unchanged(step.words, since) for step in steps)

        return unchanged

    def _by_filter(self, words: Sequence[Word], most: int) -> list[Recall]:
        """Score what holds the words: where hardly two entries mean the same, that is less than to sort them first."""
        if self._lookup is None:
            self._lookup = self._vectors.lookup(self._name, self._meaning)
        by_key: dict[str, list[str | int]] = {}
        for key, value in words:
            by_key.setdefault(key, []).append(value)
        either = [Condition(key=key, any=values) for key, values in by_key.items()]
        lookup = self._lookup
        places = lookup.nearest(most, Filter(should=either))
        return [_recall(distance, id, _noted(lookup.encoded(place))) for distance, id, place in places]


def _noted(encoded: Any) -> tuple[Remembered, tuple[str, str]]:
    entry = _decode(encoded).entry
    return entry, (entry.corpus, entry.answer_id)


def _recall(distance: float, id: str, noted: tuple[Remembered, tuple[str, str]]) -> Recall:
    return Recall(id, noted[0], distance, noted[1])
