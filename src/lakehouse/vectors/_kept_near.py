"""Look-ups done before, brought up to date by what was written since instead of being done again.

A look-up of a few hundred words costs what those words have in common, however little of it has changed. A write moves
one item among the nearest `k` at most: it is taken out, and put in where it belongs now.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
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
    """A look-up: what it found, and how many writes there had been."""

    found: list[Any]
    writes: int


# What a look-up is known by: its vector, its words in order, and how many are looked for.
Name = tuple[bytes, Hashable, int]


class Words(tuple[Word, ...]):  # noqa: SLOT001 - the name is kept
    """Words to look up.

    Attributes:
        name: Stands for them in their order.

    >>> Words([("key", "a"), ("key", "b")]) == (("key", "a"), ("key", "b"))
    True
    """

    name: Hashable

    def __init__(self, _: Iterable[Word] = ()) -> None:
        # One text is compared much faster than hundreds of pairs. With the separator in a word it would not be clear.
        text = "\0".join(itertools.chain.from_iterable(self))
        self.name = text if text.count("\0") == 2 * len(self) - 1 else tuple(self)


class KeptNear:
    """The latest look-ups. The caller holds a lock around every call.

    What a look-up found has a `distance` and an `id`.
    """

    def __init__(self) -> None:
        self._done: OrderedDict[Name, _Done] = OrderedDict()
        # The latest write of each item by number, the numbers of each word in rising order, and that of each item.
        self._written: dict[int, _Written] = {}
        self._of_word: dict[Word, dict[int, None]] = {}
        self._of_item: dict[str, int] = {}
        self._writes = 0

    def forget(self) -> None:
        """Drop every look-up: something changed that no write tells, or must not stay in memory."""
        self._done.clear()
        # Nobody is behind any more, so no write need be told of; what was written may be what must not stay.
        self._written.clear()
        self._of_word.clear()
        self._of_item.clear()

    def write(self, id: str, number: int, words: frozenset[Word]) -> None:
        """Note that an item was written; of its words those that anybody has looked for are enough."""
        at = self._writes
        self._writes += 1
        if id in self._of_item:
            # It is as it was written last.
            self._leave_out(self._of_item[id])
        self._written[at] = _Written(id, number, words)
        self._of_item[id] = at
        for word in words:
            self._of_word.setdefault(word, {})[at] = None
        if at >= _MOST_BEHIND:
            self._leave_out(at - _MOST_BEHIND)

    def keep(self, name: Name, found: list[Any]) -> None:
        """Keep what a look-up found now."""
        self._done[name] = _Done(found, self._writes)
        while len(self._done) > _MOST_KEPT:
            self._done.popitem(last=False)

    def again(
        self,
        name: Name,
        words: Iterable[Word],
        distances: Callable[[set[int]], Mapping[int, float]],
        made: Callable[[float, str], Any],
    ) -> list[Any] | None:
        """Return what a look-up finds now; None when that is not known.

        Args:
            name: Of the look-up.
            words: Its words.
            distances: Gives the distances of vectors by number.
            made: Makes what is found of a distance and an id, None when there is no such item any more.
        """
        done = self._done.get(name)
        if done is None:
            return None
        self._done.move_to_end(name)
        if self._writes == done.writes:
            return done.found
        if self._writes - done.writes > _MOST_BEHIND:
            return None
        into = self._since(words, done.writes)
        newest = self._of_item
        stay = [near for near in done.found if newest.get(near.id, -1) < done.writes]
        if into or len(stay) < len(done.found):
            measured = distances({each.number for each in into})
            new = [made(measured[each.number], each.id) for each in into]
            found = _merged(done.found, stay, new, name[2])
        else:
            found = done.found
        if found is not None:
            self._done[name] = _Done(found, self._writes)
        return found

    def _since(self, words: Iterable[Word], writes: int) -> list[_Written]:
        """Return what was written last of each item that holds one of some words and was written since."""
        numbers: set[int] = set()
        for word in words:
            of_word = self._of_word.get(word)
            if of_word is not None:
                numbers.update(itertools.takewhile(lambda at: at >= writes, reversed(of_word)))
        return [self._written[at] for at in numbers]

    def _leave_out(self, at: int) -> None:
        """Forget a write, unless that is done."""
        old = self._written.pop(at, None)
        if old is None:
            return
        del self._of_item[old.id]
        for word in old.words:
            of_word = self._of_word[word]
            del of_word[at]
            if not of_word:
                del self._of_word[word]


def _merged(before: list[Any], stay: list[Any], new: list[Any], k: int) -> list[Any] | None:
    """Return the first `k` of those that stay and new ones; None when that cannot be told, and `stay` is spent."""
    if any(near is None for near in new):
        return None
    for near in new:
        bisect.insort(stay, near, key=_place)
    if len(before) < k:
        return stay[:k]
    # Whoever was not found came behind the last one, and may still be nearer than what was put in behind that.
    sure = bisect.bisect_right(stay, _place(before[-1]), key=_place)
    return stay[:k] if sure >= k else None


_place = operator.attrgetter("distance", "id")
