"""Items of an index by the words that their metadata holds, kept in memory for words that are asked for.

A word is a metadata key with one string among its values. Its shelf has the ids that hold it, grouped by their vector,
each group in order; so the nearest items of many words cost one distance a vector and what is taken, not what there
is. Words that are not asked for often are looked up all together, which costs hardly more than one of them alone; of
those only is kept when something was written about them. A write changes only the shelves of its own words, and a build
that takes the writes in changes none: shelves name items, not places.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lakehouse.vectors import _scoring
from lakehouse.vectors._kept_near import Brought, KeptNear, Name, Near, Word, Words
from lakehouse.vectors._shelf import Group, Shelf, first
from lakehouse.vectors.journal import Entry, Put

if TYPE_CHECKING:
    from lakehouse.vectors._parts import Parts

# By id: what names the vector, and the words.
Before = Mapping[str, tuple[bytes, set[Word]]]

# A word whose items have more vectors than that is looked up by scoring them; so is whatever is asked together with it.
MOST_GROUPS = 500
# Ids on all shelves, and vectors; what was asked for longest ago goes first.
_MOST_IDS = 8_000_000
_MOST_VECTORS = 20_000
# Shelves, also of words that nothing holds.
_MOST_SHELVES = 200_000
_LEFT = 0.75
# Look-ups of a word until it gets a shelf of its own.
_OFTEN = 8
# Distances kept of all queries together, those of the latest ones.
MOST_DISTANCES = 1_000_000
_NOTES_KEPT = 50_000
_MADE_KEPT = 2_000

# Of an item that was not there before a write.
_NOWHERE: tuple[bytes, None] = b"", None
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Shelves:
    """The shelves of one index. Thread-safe; a write waits for a look-up and the other way round.

    Args:
        parts: Gives the index as it is.
        most_groups: Vectors that a shelf may have.
        most_distances: Distances to vectors that are kept, of all queries but the last together.

    Attributes:
        writes: How many writes there were.
    """

    def __init__(
        self, parts: Callable[[], Parts], *, most_groups: int = MOST_GROUPS, most_distances: int = MOST_DISTANCES
    ) -> None:
        self._parts = parts
        self._most_distances = most_distances
        self._most_groups = most_groups
        self._lock = threading.Lock()
        self._used = False
        self.writes = 0
        self._time = itertools.count(1)
        # When anything was written last.
        self._written = 0
        self._shelves: OrderedDict[Word, Shelf] = OrderedDict()
        self._ids = 0
        self._notes: OrderedDict[str, Any] = OrderedDict()
        self._kept = KeptNear()
        # What was given out last, for one vector and until the next write: look-ups of one search find much the same.
        self._made: dict[str, Any] = {}
        self._made_for: tuple[bytes, int] = b"", 0
        self._empty_vectors()

    @property
    def items(self) -> int:
        """How many items the index has."""
        return len(self._parts())

    def nearest(
        self,
        vector: np.ndarray,
        words: Sequence[Word],
        k: int,
        note: Callable[[Any], Any],
        near: Callable[[float, str, Any], Any] = Near,
    ) -> list[Any] | None:
        """Return the `k` nearest items that hold any of these words, nearest first, ties by id.

        Args:
            vector: `(d,)` float32, checked; compared by cosine.
            words: Looked for.
            k: At least 1.
            note: Makes of an item's metadata, as JSON, what the caller wants of it; kept until the item is written
                again. All callers of one index give the same function.
            near: Makes of a distance, an id and the note what stands for the item: it has the former two as `distance`
                and `id`, is not changed, and is given out again as long as the item is not written. The same for all
                callers, too.

        Returns:
            None when a word has too many vectors for this to be quick.
        """
        with self._lock:
            self._used = True
            if len(self._vectors) > _MOST_VECTORS:
                self._clear()
            words = words if isinstance(words, Words) else Words(words)
            name = (_scoring.digest(vector), words.name, k)
            made = self._maker(name[0], note, near)

            def distances(numbers: set[int]) -> Mapping[int, float]:
                return self._distances(name[0], vector, numbers)

            found = self._kept.again(name, words, distances, made)
            return found if found is not None else self._anew(name, words, distances, made)

    def follow(
        self,
        vector: np.ndarray,
        asked: Sequence[tuple[Words, int, list[Any]]],
        note: Callable[[Any], Any],
        near: Callable[[float, str, Any], Any] = Near,
    ) -> list[Brought] | None:
        """Bring look-ups up to date that `nearest` answered before; with its arguments.

        Args:
            vector: Of all of them.
            asked: Of each the words, `k`, and what it found.
            note: As before.
            near: As before.

        Returns:
            One for each; None when one of them has to be done anew.
        """
        with self._lock:
            digest = _scoring.digest(vector)
            made = self._maker(digest, note, near)

            def distances(numbers: set[int]) -> Mapping[int, float]:
                return self._distances(digest, vector, numbers)

            found = []
            for words, k, before in asked:
                brought = self._kept.bring((digest, words.name, k), words, before, distances, made)
                if brought is None:
                    return None
                found.append(brought)
            return found

    def _maker(
        self, digest: bytes, note: Callable[[Any], Any], near: Callable[[float, str, Any], Any]
    ) -> Callable[[float, str], Any]:
        """Return what makes what is given out of a distance and an id."""
        if self._made_for != (digest, self.writes) or len(self._made) > _MADE_KEPT:
            self._made_for, self._made = (digest, self.writes), {}
        known = self._made

        def made(distance: float, id: str) -> Any:
            one = known.get(id)
            if one is None:
                noted = self._notes.get(id)
                if noted is None:
                    noted = self._noted(id, note)
                if noted is None:
                    return None
                one = known[id] = near(distance, id, noted)
            return one

        return made

    def _anew(
        self,
        name: Name,
        words: Sequence[Word],
        distances_of: Callable[[set[int]], Mapping[int, float]],
        made: Callable[[float, str], Any],
    ) -> list[Any] | None:
        k = name[2]
        shelves = self._found(words)
        if shelves is None:
            return None
        by_distance: dict[float, list[Group]] = {}
        distances = distances_of({number for groups in shelves for number in groups})
        for groups in shelves:
            for number, group in groups.items():
                by_distance.setdefault(distances[number], []).append(group)
        found: list[Any] = []
        # To make room the shelf of a word may have gone already, and writes no longer tell of it.
        whole = all(map(self._shelves.__contains__, words))
        for distance in sorted(by_distance):
            missing = k - len(found)
            nearest = first([ids for group in by_distance[distance] for ids in group.heads(missing)], missing)
            self._parts().read_ahead(id for id in nearest if id not in self._notes)
            for id in nearest:
                one = made(distance, id)
                if one is None:
                    # On a shelf still, but gone from the index: so it is for a moment only.
                    whole = False
                else:
                    found.append(one)
            if len(found) >= k:
                break
        if whole:
            self._kept.keep(name, found)
        return found

    def holds(self, word: Word) -> bool:
        """Tell whether any item holds a word."""
        with self._lock:
            self._used = True
            shelf = self._shelves.get(word)
            if shelf is not None and shelf.made:
                self._shelves.move_to_end(word)
                return shelf.groups is None or bool(shelf.groups)
            shelves = self._apart([word])
            return shelves is None or bool(shelves)

    def settled(self, writes: int) -> int | None:
        """Return a time for `unchanged`, None when something was written since `writes` had that value."""
        with self._lock:
            return next(self._time) if self.writes == writes else None

    def unchanged(self, words: Iterable[Word], since: int) -> bool:
        """Tell whether surely nothing that holds one of these words was written since a time that `settled` gave."""
        with self._lock:
            if self._written < since:
                return True
            shelves = self._shelves
            return all((shelf := shelves.get(word)) is not None and shelf.changed < since for word in words)

    def before(self, entry: Entry) -> Before | None:
        """Return where the items of a write are now, to be given to `apply` once it is done; None when unused."""
        if not self._used:
            return None
        found: dict[str, tuple[bytes, set[Word]]] = {}
        parts = self._parts()
        for id in entry.ids:
            item = parts.item(id)
            if item is not None:
                found[id] = _scoring.digest(item[0]), _words(item[1])
        return found

    def apply(self, entry: Entry, before: Before | None) -> None:
        """Take in a write that the index has."""
        with self._lock:
            self.writes += 1
            self._made = {}
            now = self._written = next(self._time)
            if not self._used:
                return
            if before is None:
                # The first look-up began during this write.
                self._clear()
                return
            for id in entry.ids:
                self._notes.pop(id, None)
            self._take_out(before, now)
            if isinstance(entry, Put):
                self._bring_in(entry, before, now)
            else:
                # What is removed for good must not stay in memory either, and that is rare.
                self._kept.forget()

    def clear(self) -> None:
        """Forget everything, after all items were exchanged."""
        with self._lock:
            self.writes += 1
            self._written = next(self._time)
            self._clear()

    def _clear(self) -> None:
        self._shelves.clear()
        self._kept.forget()
        self._notes.clear()
        self._made = {}
        self._ids = 0
        self._empty_vectors()

    def _empty_vectors(self) -> None:
        self._vectors: dict[bytes, int] = {}
        self._matrix = np.empty((0, 0), dtype=np.float32)
        self._measured: OrderedDict[bytes, dict[int, float]] = OrderedDict()
        self._distances_kept = 0

    def _take_out(self, before: Before, now: int) -> None:
        for id, (vector, words) in before.items():
            number = self._vectors.get(vector, -1)
            for word in words:
                shelf = self._shelves.get(word)
                if shelf is not None:
                    shelf.changed = now
                    self._ids -= shelf.take_out(number, id)

    def _bring_in(self, entry: Put, before: Before, now: int) -> None:
        vectors = np.frombuffer(entry.vectors, dtype=np.float32).reshape(len(entry.ids), -1)
        more: dict[tuple[Word, int], list[str]] = {}
        for id, encoded, vector in zip(entry.ids, entry.metadata, vectors, strict=True):
            words, (earlier, held_before) = _words(encoded), before.get(id, _NOWHERE)
            held = [word for word in words if word in self._shelves]
            number = self._number(vector) if held else -1
            moved = held_before != words or earlier != _scoring.digest(vector)
            self._kept.write(id, number, frozenset(held), moved=moved)
            for word in held:
                more.setdefault((word, number), []).append(id)
        for (word, number), ids in more.items():
            shelf = self._shelves[word]
            shelf.changed = now
            self._ids += shelf.bring_in(number, ids)
            if shelf.groups is not None and len(shelf.groups) > self._most_groups:
                self._ids -= shelf.count
                self._shelves[word] = Shelf(None, now)
                # Whoever asks for it has to score now.
                self._kept.forget()
        self._make_room()

    def _found(self, words: Sequence[Word]) -> list[dict[int, Group]] | None:
        """Return groups that hold what the words hold, made where they are missing; None when a word has too many."""
        apart = dict.fromkeys(words)
        # One alone costs no more with a shelf of its own.
        found = self._together(apart) if len(apart) > 1 else []
        more = self._apart(apart)
        return None if more is None else found + more

    def _apart(self, words: Iterable[Word]) -> list[dict[int, Group]] | None:
        """Return what each word holds that holds anything; None when one has too many vectors."""
        found = []
        now = next(self._time)
        for word in words:
            shelf = self._shelves.get(word)
            if shelf is None or not shelf.made:
                changed = now if shelf is None else shelf.changed
                shelf = self._shelves[word] = Shelf(self._groups([word]), changed)
                self._ids += shelf.count
            self._shelves.move_to_end(word)
            if shelf.groups is None:
                return None
            if shelf.groups:
                found.append(shelf.groups)
        self._make_room()
        return found

    def _together(self, words: dict[Word, None]) -> list[dict[int, Group]]:
        """Take those out of `words` that are not asked for often, and return what they hold, all as one."""
        rare = []
        for word in words:
            shelf = self._shelves.get(word)
            if _OFTEN if shelf is None else not shelf.made and shelf.asked < _OFTEN:
                rare.append(word)
        groups = self._groups(rare) if rare else None
        if groups is None:
            return []
        now = next(self._time)
        for word in rare:
            del words[word]
            shelf = self._shelves.get(word)
            if shelf is None:
                shelf = self._shelves[word] = Shelf(None, now, made=False)
            shelf.asked += 1
            self._shelves.move_to_end(word)
        return [groups]

    def _make_room(self) -> None:
        if self._ids <= _MOST_IDS and len(self._shelves) <= _MOST_SHELVES:
            return
        # Writes no longer tell of what goes.
        self._kept.forget()
        # More than must be, so that not every look-up has to.
        while len(self._shelves) > 1 and (self._ids > _MOST_IDS or len(self._shelves) > _LEFT * _MOST_SHELVES):
            self._ids -= self._shelves.popitem(last=False)[1].count

    def _groups(self, words: Collection[Word]) -> dict[int, Group] | None:
        """Return what holds any of these words, by vector; None when there are too many vectors."""
        groups: dict[int, Group] = {}
        for vector, ids in self._parts().by_vector(words):
            if len(groups) > self._most_groups:
                return None
            number = self._number(vector)
            if number not in groups:
                groups[number] = Group()
            groups[number].add(ids)
        return groups if len(groups) <= self._most_groups else None

    def _number(self, vector: np.ndarray) -> int:
        name = _scoring.digest(vector)
        number = self._vectors.get(name)
        if number is None:
            number = self._vectors[name] = len(self._vectors)
            if number >= len(self._matrix):
                larger = np.empty((max(64, 2 * number), len(vector)), dtype=np.float32)
                if number:
                    larger[:number] = self._matrix
                self._matrix = larger
            self._matrix[number] = vector
        return number

    def _distances(self, name: bytes, vector: np.ndarray, numbers: set[int]) -> dict[int, float]:
        known = self._measured.setdefault(name, {})
        self._measured.move_to_end(name)
        new = [number for number in numbers if number not in known]
        if new:
            precise = _scoring.Query(vector, "cosine").precise(self._matrix[new])
            known.update(zip(new, precise.tolist(), strict=True))
            self._distances_kept += len(new)
            while self._distances_kept > self._most_distances and len(self._measured) > 1:
                self._distances_kept -= len(self._measured.popitem(last=False)[1])
        return known

    def _noted(self, id: str, note: Callable[[Any], Any]) -> Any:
        item = self._parts().item(id)
        if item is None:
            # Dropped, by a write that is about to take it from the shelves.
            return None
        while len(self._notes) >= _NOTES_KEPT:
            self._notes.popitem(last=False)
        noted = self._notes[id] = note(item[1])
        return noted


def _words(encoded: Any) -> set[Word]:
    found: set[Word] = set()
    for key, value in _decode(encoded).items():
        for single in value if isinstance(value, list) else (value,):
            if isinstance(single, str):
                found.add((key, single))
    return found
