"""One shelf: the ids that hold one word, by the number of their vector."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

import numpy as np


class Run:
    """The ids of some rows of a built part, in order; read when somebody looks, so that many cost no more than few.

    Args:
        ids: Of all rows.
        rows: `(n,)` numbers of rows whose ids are in order.

    >>> import numpy as np
    >>> run = Run(["a", "b", "c", "d"], np.array([0, 2, 3]))
    >>> len(run), run.first(2), run.without("c").first(5)
    (3, ['a', 'c'], ['a', 'd'])
    """

    __slots__ = ("_head", "_ids", "_rows")

    def __init__(self, ids: list[str], rows: np.ndarray) -> None:
        self._ids = ids
        self._rows = rows
        self._head: list[str] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        ids = self._ids
        return (ids[row] for row in self._rows.tolist())

    def first(self, k: int) -> list[str]:
        """Return the first `k` ids, not to be changed."""
        head = self._head
        if len(head) < k and len(head) < len(self._rows):
            head = self._head = [self._ids[row] for row in self._rows[:k].tolist()]
        return head if len(head) <= k else head[:k]

    def without(self, id: str) -> Run:
        """Return the run without an id; itself when it has none such."""
        rows, ids = self._rows, self._ids
        at = bisect.bisect_left(range(len(rows)), id, key=lambda place: ids[rows[place]])
        if at == len(rows) or ids[rows[at]] != id:
            return self
        return Run(ids, np.delete(rows, at))


class Pile:
    """The ids of some slots of a fresh part, in no order; put in order as far as somebody looks.

    Args:
        ids: Of all slots.
        keys: `(n,)` uint64, the beginnings of these slots' ids; see `key_of`.
        slots: `(n,)` numbers of slots of different items.

    >>> import numpy as np
    >>> ids = ["d", "a", "c"]
    >>> pile = Pile(ids, np.array([key_of(id) for id in ids], dtype=np.uint64), np.arange(3))
    >>> len(pile), pile.first(2), pile.without("c").first(5)
    (3, ['a', 'c'], ['a', 'd'])
    """

    __slots__ = ("_head", "_ids", "_keys", "_slots")

    def __init__(self, ids: list[str], keys: np.ndarray, slots: np.ndarray) -> None:
        self._ids = ids
        self._keys = keys
        self._slots = slots
        self._head: list[str] = []

    def __len__(self) -> int:
        return len(self._slots)

    def first(self, k: int) -> list[str]:
        """Return the first `k` ids, not to be changed."""
        if len(self._head) < min(k, len(self._slots)):
            self._head = self._ordered(k)
        return self._head if len(self._head) <= k else self._head[:k]

    def without(self, id: str) -> Pile:
        """Return the pile without an id; itself when it has none such."""
        ids = self._ids
        (same,) = (self._keys == key_of(id)).nonzero()
        for at in same.tolist():
            if ids[self._slots[at]] == id:
                return Pile(ids, np.delete(self._keys, at), np.delete(self._slots, at))
        return self

    def _ordered(self, k: int) -> list[str]:
        """Return the first `k` ids, or more when that is no more work."""
        slots, keys = self._slots, self._keys
        if len(slots) > k:
            # Whoever has the same beginning as the last of them may come before it.
            slots = slots[keys <= np.partition(keys, k - 1)[k - 1]]
        ids = self._ids
        return sorted([ids[slot] for slot in slots.tolist()])


def key_of(id: str) -> int:
    """Return the beginning of an id as a number of 64 bits: of two ids the one that comes first has no greater one."""
    # UTF-8 sorts as the text does.
    return int.from_bytes(id[:8].encode("utf-8", "surrogatepass")[:8].ljust(8, b"\0"))


class Group:
    """The ids of one vector on a shelf: those it was made of, and those that came since.

    An id may be among both for a moment, while it is written.
    """

    __slots__ = ("_more", "_runs")

    def __init__(self) -> None:
        self._runs: list[Run | Pile] = []
        self._more: list[str] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs)) + len(self._more)

    def add(self, ids: Run | Pile | Sequence[str]) -> int:
        """Put ids in, each once; returns how many were new."""
        if isinstance(ids, Run | Pile):
            self._runs.append(ids)
            return len(ids)
        return _insert(self._more, ids)

    def remove(self, id: str) -> int:
        """Take an id out; returns how many there were."""
        before = len(self)
        at = bisect.bisect_left(self._more, id)
        if at < len(self._more) and self._more[at] == id:
            del self._more[at]
        if self._runs:
            self._runs = [left for run in self._runs if len(left := run.without(id))]
        return before - len(self)

    def heads(self, k: int) -> Iterator[list[str]]:
        """Yield the first `k` ids of each part, in order, not to be changed."""
        for run in self._runs:
            yield run.first(k)
        if self._more:
            yield self._more if len(self._more) <= k else self._more[:k]


class Shelf:
    """What one word has.

    Attributes:
        made: Whether its ids are here; else nothing is kept of them but when they changed.
        asked: How often it was looked up before it was made.
        groups: By the number of the vector; None when they were too many, or not made.
        count: Ids.
        changed: When.
    """

    __slots__ = ("asked", "changed", "count", "groups", "made")

    def __init__(self, groups: dict[int, Group] | None, changed: int, *, made: bool = True) -> None:
        self.made = made
        self.asked = 0
        self.groups = groups
        self.count = sum(map(len, groups.values())) if groups is not None else 0
        self.changed = changed

    def take_out(self, number: int, id: str) -> int:
        """Remove an id from a group; returns how many there were."""
        group = self.groups.get(number) if self.groups is not None else None
        if self.groups is None or group is None:
            return 0
        removed = group.remove(id)
        if not len(group):
            del self.groups[number]
        self.count -= removed
        return removed

    def bring_in(self, number: int, ids: Sequence[str]) -> int:
        """Put ids into a group; returns how many were new."""
        if self.groups is None:
            return 0
        group = self.groups.get(number)
        if group is None:
            group = self.groups[number] = Group()
        added = group.add(ids)
        self.count += added
        return added


def first(heads: Sequence[list[str]], k: int) -> list[str]:
    """Return the `k` first of what sorted lists hold, each once, sorted; of each list its first `k` are enough.

    >>> first([["a", "c", "e"], ["b", "c", "d"]], 3)
    ['a', 'b', 'c']
    """
    if len(heads) == 1:
        return heads[0][:k]
    # So many of each list surely hold a bound, unless they have too much in common.
    few = 1 + k // len(heads)
    sample = sorted({id for ids in heads for id in ids[:few]})
    if len(sample) > k:
        last = sample[k - 1]
        cut = (ids[: bisect.bisect_right(ids, last, 0, min(k, len(ids)))] for ids in heads)
    else:
        cut = (ids[:k] for ids in heads)
    return sorted(set().union(*cut))[:k]


def _insert(ids: list[str], new: Sequence[str]) -> int:
    """Put ids, each once, into a sorted list, where they may be already; returns how many were new."""
    before = len(ids)
    if len(new) == 1:
        at = bisect.bisect_left(ids, new[0])
        if at == len(ids) or ids[at] != new[0]:
            ids.insert(at, new[0])
    else:
        # In place: sorted stretches are merged, not sorted again.
        ids[:] = dict.fromkeys(sorted([*ids, *new])) if ids else sorted(new)
    return len(ids) - before
