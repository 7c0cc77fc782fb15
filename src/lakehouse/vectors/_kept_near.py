"""Look-ups done before, brought up to date by what was written since instead of being done again.

A look-up of a few hundred words costs what those words have in common, however little of it has changed. A write moves
one item among the nearest `k` at most: it is taken out, and put in where it belongs now.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# Metadata key and value.
Word = tuple[str, str]
# Look-ups kept, and writes that one may be behind.
_MOST_KEPT = 1_000
_MOST_BEHIND = 512


class Near(NamedTuple):
    """An item: its distance, its id, and what the caller made of its metadata."""

    distance: float
    id: str
    note: Any


class _Written(NamedTuple):
    """An item as it was written: the number of its vector, and its words."""

    id: str
    number: int
    words: frozenset[Word]


class _Done(NamedTuple):
    """A look-up: its words, what it found, and how many writes there had been."""

    words: frozenset[Word]
    found: list[Near]
    writes: int


# What a look-up is known by: its vector, its words in order, and how many are looked for.
Name = tuple[bytes, tuple[Word, ...], int]


class KeptNear:
    """The latest look-ups. The caller holds a lock around every call."""

    def __init__(self) -> None:
        self._done: OrderedDict[Name, _Done] = OrderedDict()
        self._written: deque[_Written] = deque(maxlen=_MOST_BEHIND)
        self._writes = 0

    def forget(self) -> None:
        """Drop every look-up: something changed that no write tells, or must not stay in memory."""
        self._done.clear()

    def write(self, id: str, number: int, words: frozenset[Word]) -> None:
        """Note that an item was written; of its words those that anybody has looked for are enough."""
        self._writes += 1
        self._written.append(_Written(id, number, words))

    def keep(self, name: Name, found: list[Near]) -> None:
        """Keep what a look-up found now."""
        self._done[name] = _Done(frozenset(name[1]), found, self._writes)
        while len(self._done) > _MOST_KEPT:
            self._done.popitem(last=False)

    def again(
        self,
        name: Name,
        distances: Callable[[set[int]], Mapping[int, float]],
        noted: Callable[[str], Any],
    ) -> list[Near] | None:
        """Return what a look-up finds now; None when that is not known.

        Args:
            name: Of the look-up.
            distances: Gives the distances of vectors by number.
            noted: Gives the note of an item, None when there is no such item any more.
        """
        done = self._done.get(name)
        if done is None:
            return None
        self._done.move_to_end(name)
        behind = self._writes - done.writes
        if not behind:
            return done.found
        if behind > len(self._written):
            return None
        # An item that was written several times is as it was written last.
        latest: dict[str, _Written] = {}
        for each in itertools.islice(reversed(self._written), behind):
            latest.setdefault(each.id, each)
        found = _brought_up(done, latest, name[2], distances, noted)
        if found is not None:
            self._done[name] = _Done(done.words, found, self._writes)
        return found


def _brought_up(
    done: _Done,
    latest: Mapping[str, _Written],
    k: int,
    distances: Callable[[set[int]], Mapping[int, float]],
    noted: Callable[[str], Any],
) -> list[Near] | None:
    into = [each for each in latest.values() if not done.words.isdisjoint(each.words)]
    stay = [near for near in done.found if near.id not in latest]
    if not into and len(stay) == len(done.found):
        return done.found
    measured = distances({each.number for each in into})
    merged = stay
    for each in into:
        note = noted(each.id)
        if note is None:
            return None
        merged.append(Near(measured[each.number], each.id, note))
    merged.sort(key=_place)
    if len(done.found) < k:
        return merged[:k]
    # Whoever was not found came behind the last one, and may still be nearer than what was put in behind that.
    end = _place(done.found[-1])
    sure = [near for near in merged if _place(near) <= end]
    return sure[:k] if len(sure) >= k else None


def _place(near: Near) -> tuple[float, str]:
    return near.distance, near.id
