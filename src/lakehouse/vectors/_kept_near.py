"""Look-ups done before, brought up to date by what was written since instead of being done again.

A look-up of a few hundred words costs what those words have in common, however little of it has changed. A write moves
one item among the nearest `k` at most: it is taken out, and put in where it belongs now.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

# Metadata key and value.
Word = tuple[str, str]
# Look-ups kept: up to six for each of the 500 demands of which `Matrix` keeps what memory says. With fewer, whoever
# has not been asked for a while is looked up anew. And writes that one may be behind.
_MOST_KEPT = 3_000
_MOST_BEHIND = 1_024
# So few writes are compared with a look-up one by one.
_FEW = 3


class Near(NamedTuple):
    """An item: its distance, its id, and what the caller made of its metadata."""

    distance: float
    id: str
    note: Any


class _Written(NamedTuple):
    """An item as it was written: the number of its vector, and whether that or its words are others now, and which."""

    id: str
    number: int
    words: frozenset[Word]
    moved: bool


class Brought(NamedTuple):
    """A look-up brought up to date: what it finds now, what it does not find any more, and what it did not before."""

    found: list[Any]
    gone: Sequence[Any]
    came: Sequence[Any]


class _Done(NamedTuple):
    """A look-up: what it found, how many writes there had been, and the ids of what it found once they were needed."""

    found: list[Any]
    writes: int
    ids: frozenset[str] | None = None


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

    def write(self, id: str, number: int, words: frozenset[Word], *, moved: bool) -> None:
        """Note that an item was written.

        Args:
            id: Of the item.
            number: Of its vector, -1 when nobody has looked for any of its words.
            words: Of its words those that anybody has looked for.
            moved: Whether its vector or its words are others than before, or it was not there before.
        """
        at = self._writes
        self._writes += 1
        if id in self._of_item:
            # It is as it was written last.
            moved = moved or self._written[self._of_item[id]].moved
            self._leave_out(self._of_item[id])
        # What stays where it was is found there; by its words is looked for what may belong somewhere else.
        words = words if moved else frozenset()
        self._written[at] = _Written(id, number, words, moved)
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
        brought = self.bring(name, words, None, distances, made)
        return brought.found if brought is not None else None

    def bring(
        self,
        name: Name,
        words: Iterable[Word],
        before: list[Any] | None,
        distances: Callable[[set[int]], Mapping[int, float]],
        made: Callable[[float, str], Any],
    ) -> Brought | None:
        """Return what a look-up finds now, and in what that differs from `before`, which it gave once; as `again`."""
        done = self._done.get(name)
        if done is None or self._writes - done.writes > _MOST_BEHIND:
            return None
        self._done.move_to_end(name)
        brought: Brought | None = Brought(done.found, (), ())
        if self._writes > done.writes:
            if done.ids is None and self._writes - done.writes > _FEW:
                done = done._replace(ids=frozenset(map(_id, done.found)))
            into = self._since(words, done.writes)
            again, gone = self._places(done, distances)
            if into or again or gone:
                brought = _merged(done.found, again, gone, into, name[2], distances, made)
            if brought is not None:
                self._done[name] = _Done(brought.found, self._writes, None if into or gone else done.ids)
        if brought is not None and before is not None and before is not done.found:
            # Somebody else asked for the same meanwhile.
            return Brought(brought.found, *_difference(before, brought.found))
        return brought

    def _since(self, words: Iterable[Word], writes: int) -> list[_Written]:
        """Return what was written last of each item that moved since and holds one of some words."""
        if not self._of_word:
            return []
        if self._writes - writes <= _FEW:
            few = map(self._written.get, range(writes, self._writes))
            return [each for each in few if each is not None and each.moved and not each.words.isdisjoint(words)]
        numbers: set[int] = set()
        for word in self._of_word.keys() & words:
            numbers.update(itertools.takewhile(lambda at: at >= writes, reversed(self._of_word[word])))
        return [self._written[at] for at in numbers]

    def _places(self, done: _Done, distances: Callable[[set[int]], Mapping[int, float]]) -> tuple[list[int], list[int]]:
        """Return where in what a look-up found that is which was written again where it was, and what moved."""
        writes, found = done.writes, done.found
        again, gone = list[int](), list[int]()
        if self._writes - writes > _FEW:
            written, newest = self._written, self._of_item
            # Most look-ups found nothing of what was written; that is seen without a step of the interpreter for each.
            ids = {id for id in newest.keys() & done.ids if newest[id] >= writes} if done.ids else set[str]()
            for at, near in enumerate(found) if ids else ():
                if near.id in ids:
                    (gone if written[newest[near.id]].moved else again).append(at)
            return again, gone
        for each in map(self._written.get, range(writes, self._writes)):
            if each is None:
                continue
            if each.moved:
                gone += [at for at, near in enumerate(found) if near.id == each.id]
            elif each.number >= 0:
                at = _at(found, (distances({each.number})[each.number], each.id))
                again += [at] if at >= 0 else []
        return again, gone

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


def _merged(
    before: list[Any],
    again: list[int],
    gone: list[int],
    into: list[_Written],
    k: int,
    distances: Callable[[set[int]], Mapping[int, float]],
    made: Callable[[float, str], Any],
) -> Brought | None:
    """Return the first `k` of what there was, without what is gone and with what was written; None when not known.

    Args:
        before: What there was.
        again: Where in that something was written again and stays.
        gone: Where in that something moved.
        into: What moved, as far as it has the words.
        k: As many were looked for.
        distances: As for `bring`.
        made: As for `bring`.
    """
    stay = [made(before[at].distance, before[at].id) for at in again]
    if not (into or gone) and None not in stay:
        found = before.copy()
        for at, near in zip(again, stay, strict=True):
            found[at] = near
        return Brought(found, [before[at] for at in again], stay)
    measured = distances({each.number for each in into}) if into else {}
    came = [made(measured[each.number], each.id) for each in into]
    if any(near is None for near in (*stay, *came)):
        return None
    found = before.copy()
    for at, near in zip(again, stay, strict=True):
        found[at] = near
    went = [before[at] for at in (*again, *gone)]
    for at in sorted(gone, reverse=True):
        del found[at]
    for near in came:
        bisect.insort(found, near, key=_place)
    # Whoever was not found came behind the last one, and may still be nearer than what was put in behind that.
    if len(before) >= k and bisect.bisect_right(found, _place(before[-1]), key=_place) < k:
        return None
    cut = {id(near) for near in found[k:]}
    came += stay
    if cut:
        news = {id(near) for near in came}
        went += [near for near in found[k:] if id(near) not in news]
        came = [near for near in came if id(near) not in cut]
    return Brought(found[:k], went, came)


def _difference(old: Sequence[Any], new: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the objects that only the one list has, and those that only the other has."""
    olds, news = {id(near) for near in old}, {id(near) for near in new}
    return [near for near in old if id(near) not in news], [near for near in new if id(near) not in olds]


def _at(found: Sequence[Any], place: tuple[float, str]) -> int:
    """Return where something stands among others in order, -1 when it does not."""
    at = bisect.bisect_left(found, place, key=_place)
    return at if at < len(found) and _place(found[at]) == place else -1


_place = operator.attrgetter("distance", "id")
_id = operator.attrgetter("id")
