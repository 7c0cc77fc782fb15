"""What one search finds in the index of a namespace, and whether a later one would find the same."""

from __future__ import annotations

import bisect
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lakehouse.memory.base import NEAREST_FIRST, Change, Recall, Remembered
from lakehouse.vectors._kept_near import Words
from lakehouse.vectors.base import Condition, Filter, Finder

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.memory.keys import Demanded
    from lakehouse.vectors._kept_near import Brought, Word
    from lakehouse.vectors._shelves import Shelves
    from lakehouse.vectors.service import Vectors


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
        change: What is different from the recollection before, None when there was none or that is not known.
    """

    recalls: Sequence[Recall]
    still: Callable[[], bool]
    found: Mapping[str, Found]
    change: Change | None = None


class Step(NamedTuple):
    """One look-up: what was looked for, how many at most, and what there was."""

    words: Words
    most: int
    near: list[Recall]


# Where more than that came or went, all of it is put in order anew.
_MOST_CHANGES = 64


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

    Attributes:
        recalls: What was found, nearest first, ties by id; once it is watched.
        change: In what that is different from what was found before, None when that is not known.
        explained: Whether entries of other roles were looked up, too.
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
        self._shelves: Shelves
        if before is not None and before._meaning is meaning and vectors.has_shelves(name, before._shelves):
            self._shelves = before._shelves
        else:
            self._shelves = vectors.shelves(name, meaning)
        self._writes = self._shelves.writes
        self._lookup: Finder | None = None
        self._before = before
        self._has: tuple[Word, bool] | None = None
        self._steps: list[Step] = []
        # How many of them the people follow from of whom everything is looked up.
        self._of_people: int | None = None
        self.recalls: Sequence[Recall] = ()
        self.change: Change | None = None
        self.explained = False

    def has(self, word: Word) -> bool:
        """Tell whether any entry holds a word; what is found depends on it."""
        found = self._shelves.holds(word)
        self._has = word, found
        return found

    @property
    def items(self) -> int:
        """How many items the index has."""
        return self._shelves.items

    def people(self) -> list[str]:
        """Return the answers found so far, some of them several times."""
        self._of_people = len(self._steps)
        return self._answers(self._steps)

    def take(self, most: int, words: Callable[[], Iterable[Word]]) -> int:
        """Look up those that hold one of some words, and return how many there were, at most `most`.

        Args:
            most: At least 1.
            words: Gives the words, which follow from the demand and from what was found so far.
        """
        at = len(self._steps)
        before = self._before
        as_before = before is not None and at < len(before._steps) and self._is_as(before)
        known = before._steps[at].words if before is not None and as_before else Words(words())
        if not known:
            return 0
        near = self._shelves.nearest(self._meaning, known, most, _noted, _recall)
        if near is None:
            near = self._by_filter(known, most)
        self._steps.append(Step(known, most, near))
        return len(near)

    def follow(self) -> bool:
        """Look up again what was found before, as far as it was written since; False when other words are to be asked.

        Nothing is found then.
        """
        before = self._before
        if before is None or (before._has is not None and self.has(before._has[0]) != before._has[1]):
            return False
        brought = self._shelves.follow(self._meaning, before._steps, _noted, _recall)
        if brought is None:
            return False
        steps = [Step(old.words, old.most, each.found) for old, each in zip(before._steps, brought, strict=True)]
        if any(_is_full(step) != _is_full(old) for step, old in zip(steps[:1], before._steps, strict=False)):
            # Where there are few, less is looked for.
            return False
        if before._of_people is not None and any(_are_others(each) for each in brought[: before._of_people]):
            asked, old = steps[: before._of_people], before._steps[: before._of_people]
            if {*self._answers(asked)} != {*self._answers(old)}:
                return False
        self._steps, self._of_people = steps, before._of_people
        gone = [recall for each in brought for recall in each.gone]
        came = [recall for each in brought for recall in each.came]
        self._change(before.recalls, gone, came)
        return True

    def watch(self) -> Callable[[], bool]:
        """Put in order what was found; return what tells whether surely nothing was written since that would be found.

        Nothing is looked up any more after this.
        """
        shelves = self._shelves
        asked: list[Sequence[Word]] = [step.words for step in self._steps]
        if self._has is not None:
            asked.append([self._has[0]])
        since = shelves.settled(self._writes)
        self._before = None
        if self.change is None:
            self.recalls = self._in_order()

        def unchanged() -> bool:
            return (
                since is not None
                and self._vectors.has_shelves(self._name, shelves)
                and all(shelves.unchanged(words, since) for words in asked)
            )

        return unchanged

    def _answers(self, steps: Sequence[Step]) -> list[str]:
        corpora = self._corpora
        return [near.answer[1] for step in steps for near in step.near if near.answer[0] in corpora]

    def _is_as(self, before: Found) -> bool:
        pairs = zip(self._steps, before._steps, strict=False)
        as_before = (step.words == earlier.words and step.near is earlier.near for step, earlier in pairs)
        return self._has == before._has and all(as_before)

    def _in_order(self) -> list[Recall]:
        by_id: dict[str, Recall] = {}
        corpora = self._corpora
        for step in self._steps:
            for recall in step.near:
                if recall.answer[0] in corpora:
                    by_id.setdefault(recall.id, recall)
        return sorted(by_id.values(), key=NEAREST_FIRST)

    def _change(self, before: Sequence[Recall], gone: list[Recall], came: list[Recall]) -> None:
        """Put what came and went where it belongs; nothing is noted when all must be put in order anew."""
        if len(gone) + len(came) > _MOST_CHANGES:
            return
        recalls, change = list(before), Change([], [])
        for id, (places, new) in self._places(gone, came).items():
            old = [recalls[at] for place in places if (at := _at(recalls, place)) >= 0]
            if len(old) != 1 and any(recall.id == id for recall in recalls):
                # Written with another meaning while it was looked up.
                return
            if new is None and old and any(_at(step.near, NEAREST_FIRST(old[0])) >= 0 for step in self._steps):
                # Only crowded out of one look-up.
                continue
            if old == [new]:
                continue
            for recall in old:
                del recalls[_at(recalls, NEAREST_FIRST(recall))]
                change.gone.append(recall)
            if new is not None:
                bisect.insort(recalls, new, key=NEAREST_FIRST)
                change.came.append(new)
        self.recalls, self.change = recalls, change

    def _places(
        self, gone: Sequence[Recall], came: Sequence[Recall]
    ) -> dict[str, tuple[set[tuple[float, str]], Recall | None]]:
        """Return of each id that came or went the places it had or has, and what stands for it now."""
        found: dict[str, tuple[set[tuple[float, str]], Recall | None]] = {}
        for recall in came:
            if recall.answer[0] in self._corpora:
                found.setdefault(recall.id, ({NEAREST_FIRST(recall)}, recall))
        for recall in gone:
            found.setdefault(recall.id, (set(), None))[0].add(NEAREST_FIRST(recall))
        return found

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


def nearer(recalls: Sequence[Recall], within: float) -> Sequence[Recall]:
    """Return those of some recalls, nearest first, that are at most so far away."""
    if not recalls or recalls[-1].distance <= within:
        return recalls
    return recalls[: bisect.bisect_right(recalls, within, key=_distance)]


def joined(changes: Sequence[Change | None], within: float) -> Change | None:
    """Return all changes as one, of what is at most so far away; None when one is not known."""
    known = [change for change in changes if change is not None]
    if len(known) < len(changes):
        return None
    gone = [recall for change in known for recall in change.gone if recall.distance <= within]
    return Change(gone, [recall for change in known for recall in change.came if recall.distance <= within])


def _is_full(step: Step) -> bool:
    return len(step.near) == step.most


def _are_others(brought: Brought) -> bool:
    """Tell whether what came is of other answers than what went."""
    gone, came = brought.gone, brought.came
    if not gone and not came:
        return False
    return {recall.answer for recall in gone} != {recall.answer for recall in came}


def _at(recalls: Sequence[Recall], place: tuple[float, str]) -> int:
    """Return where an entry stands among others in order, -1 when it does not."""
    at = bisect.bisect_left(recalls, place, key=NEAREST_FIRST)
    return at if at < len(recalls) and NEAREST_FIRST(recalls[at]) == place else -1


_distance = operator.attrgetter("distance")


def _noted(encoded: Any) -> tuple[Remembered, tuple[str, str]]:
    entry = _decode(encoded).entry
    return entry, (entry.corpus, entry.answer_id)


def _recall(distance: float, id: str, noted: tuple[Remembered, tuple[str, str]]) -> Recall:
    return Recall(id, noted[0], distance, noted[1])
