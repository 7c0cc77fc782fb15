"""One query in one index, for as many filters as it takes.

A demand asks an index several times with the same vector: for those who meet all of it, for those who meet less, for
anybody. A lookup sees the index as it was when it began, works out no distance twice and decodes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lakehouse.vectors.base import Collected

if TYPE_CHECKING:
    from lakehouse.vectors._built import Built
    from lakehouse.vectors._fresh import Sight
    from lakehouse.vectors._groups import Groups
    from lakehouse.vectors._parts import Parts
    from lakehouse.vectors._scoring import Query
    from lakehouse.vectors.base import Filter

# Distance, id, and the row of the built part or the complement of the slot of the fresh part.
Place = tuple[float, str, int]

# Rows fetched beyond k: the graph orders by int8 codes, and some may turn out deleted, excluded or tied.
_MARGIN = 1.25
_SPARE = 16
# Of many excluded ids, so many rows are fetched in addition; those further away mostly do not matter.
_MOST_EXCLUDED = 400
# What a graph costs, in rows scored one by one from all over the part: so much for the walk, so much for a row fetched.
_WALK = 400
_FETCH = 10
# What it costs to choose groups among rows that pass, in rows that are ruled out by their sketches.
_GROUPS = 5_000
# A row scored in its place costs so much of one that was gathered; both from measurements at 20,000 and 44,000 rows.
_IN_PLACE = 0.3
# So few rows get their distances at once: to score them roughly first costs as much.
_FEW = 64


class Lookup:
    """The nearest items of an index to one vector, under any filters. For one thread.

    Args:
        parts: The index as it is now.
        query: The vector.
        ef: Candidates that a walk through the graph keeps.
        exclude: Ids left out; a set.
        exact: Score every item.
    """

    def __init__(self, parts: Parts, query: Query, *, ef: int, exclude: Collection[str], exact: bool) -> None:
        built = parts.built
        self._exclude = exclude
        self._metadata = built.metadata if built is not None else None
        # The built part first: what moves meanwhile is then seen in both, not in neither.
        self._built = _Rows(built, query, ef=ef, exclude=exclude, exact=exact) if built is not None else None
        self._slots = parts.fresh
        self._fresh: Sight = self._slots.sight(query, exclude)

    def nearest(self, k: int, filter: Filter | None, *, surely: bool = True) -> list[Place]:
        """Return at most `k` places of items that pass a well-formed filter, nearest first, ties by id.

        Args:
            k: At least 1.
            filter: What they must pass.
            surely: Whether to look further where a walk may have got lost.
        """
        near = self._built.nearest(k, filter, surely=surely) if self._built is not None else []
        # What is farther than k of the built part is not wanted.
        newer = self._fresh.nearest(k, filter, near[k - 1][0] if len(near) >= k else math.inf)
        if newer:
            # An item put back while this search began may have slipped past the exclusion of its old slot.
            newer = [place for place in newer if place[1] not in self._exclude]
            near = _merged(near, newer) if near else newer
        return near[:k]

    def among(self, steps: Sequence[Filter | None], enough: int, k: int) -> Collected:
        """Collect the nearest by several filters, each less strict than those before it; see `Finder.among`."""
        if self._built is not None and self._fresh.blank:
            return self._built.among(steps, enough, k)
        places: set[int] = set()
        for position, step in enumerate(steps[:-1]):
            places.update(self._chosen(enough, step))
            if len(places) >= enough:
                found = self._ranked(places)
                if self._may_be_undecided(steps, found[min(k, len(found)) - 1][0]):
                    last = set(self._chosen(k, steps[-1], surely=False)) - places
                    found = self._ranked(places.union(self._undecided_of(steps, last)))
                return Collected(found, position)
        places.update(self._chosen(k, steps[-1]))
        return Collected(self._ranked(places), len(steps) - 1)

    def _ranked(self, places: set[int]) -> list[Place]:
        rows = [place for place in places if place >= 0]
        found = self._built.ranked(rows) if self._built is not None and rows else []
        slots = [place for place in places if place < 0]
        return _merged(found, self._fresh.ranked(slots)) if slots else found

    def _may_be_undecided(self, steps: Sequence[Filter | None], within: float) -> bool:
        built = self._built is not None and self._built.may_be_undecided(steps, within)
        return built or self._fresh.may_be_undecided(steps, within)

    def _undecided_of(self, steps: Sequence[Filter | None], places: set[int]) -> list[int]:
        rows = [place for place in places if place >= 0]
        found = self._built.undecided_of(steps, rows) if self._built is not None and rows else []
        return found + self._fresh.undecided_of(steps, [place for place in places if place < 0])

    def _chosen(self, k: int, filter: Filter | None, *, surely: bool = True) -> list[int]:
        """Return where the k nearest are, in no order."""
        if self._built is None or self._fresh.holds_any(filter):
            return [place for _, _, place in self.nearest(k, filter, surely=surely)]
        return self._built.chosen(k, filter, surely=surely)

    def encoded(self, place: int) -> Any:
        """Return the metadata at a place as its JSON text, bytes or a view of them."""
        if place < 0 or self._metadata is None:
            return self._slots.metadata[~place]
        return self._metadata[place]

    def notes(self, about: Hashable) -> dict[int, Any]:
        """Return what was worked out about places, to be added to.

        What lies at a place never changes, so notes hold as long as there are places of that number; they are gone
        when the index is built anew or its fresh part is tidied up, and may be gone earlier.

        Args:
            about: What is noted; two callers that say the same share the notes.
        """
        return self._slots.notes(about)


class _Rows:
    """The built part of an index, looked at with one query."""

    def __init__(self, built: Built, query: Query, *, ef: int, exclude: Collection[str], exact: bool) -> None:
        self._built = built
        self._query = query
        self._ef = ef
        self._exact = exact or not built.has_graph
        self._excluded = min(len(exclude), _MOST_EXCLUDED)
        self._out: np.ndarray | None = built.gone.copy() if built.gone_rows else None
        if exclude:
            rows = [row for row in map(built.row_of.get, exclude) if row is not None]
            if rows:
                self._out = self._out if self._out is not None else np.zeros(len(built), dtype=bool)
                self._out[rows] = True
        self._distances: dict[int, float] = {}
        self._scores: np.ndarray | None = None

    def nearest(self, k: int, filter: Filter | None, *, surely: bool = True) -> list[Place]:
        """Return the nearest rows, sorted; at least `k` when so many pass, ties at the end complete."""
        return self.ranked(self._near(k, filter, surely=surely))

    def chosen(self, k: int, filter: Filter | None, *, surely: bool = True) -> list[int]:
        """Return the first `k` rows of `nearest`, in no order."""
        return self._first(k, self._near(k, filter, surely=surely))

    def among(self, steps: Sequence[Filter | None], enough: int, k: int) -> Collected:
        """Do what `Lookup.among` does."""
        chosen: set[int] = set()
        for position, step in enumerate(steps[:-1]):
            near = self._near(enough, step)
            if len(near) > enough:
                # One pass over the vectors of all that may be chosen.
                self._measure(chosen.union(near))
                near = self._first(enough, near)
            chosen.update(near)
            if len(chosen) >= enough:
                self._measure(chosen)
                nearest = sorted(map(self._distances.__getitem__, chosen))
                if self.may_be_undecided(steps, nearest[min(k, len(nearest)) - 1]):
                    last = set(self.chosen(k, steps[-1], surely=False)) - chosen
                    chosen.update(self.undecided_of(steps, [*last]))
                    self._measure(chosen)
                return Collected(self._placed(chosen), position)
        passing = self._passing(steps[-1])
        walked, settled = self._walked(k, passing, surely=True)
        # In one pass, too.
        self._measure(chosen.union(walked))
        if not (settled or self._settled(k, walked)):
            walked = self._by_scoring(k, passing)
            self._measure(walked)
        chosen.update(self._first(k, walked))
        return Collected(self._placed(chosen), len(steps) - 1)

    def may_be_undecided(self, steps: Sequence[Filter | None], within: float) -> bool:
        """Tell whether any row within a distance may be one that steps cannot decide."""
        rows = self._built.undecided(steps)
        if rows is not None and self._out is not None:
            rows = rows[~self._out[rows]]
        if rows is None or (len(rows) and self._built.cost(len(rows)) > _WALK):
            return True
        near = self._built.likely(self._query, rows, within).tolist()
        self._measure(near)
        return any(self._distances[row] <= within for row in near)

    def undecided_of(self, steps: Sequence[Filter | None], rows: Sequence[int]) -> list[int]:
        """Return those of some rows that steps cannot decide, in their order."""
        return self._built.undecided_of(steps, rows)

    def ranked(self, rows: Collection[int]) -> list[Place]:
        """Return rows with their distances and ids, sorted."""
        self._measure(rows)
        placed = self._placed(rows)
        placed.sort()
        return placed

    def _placed(self, rows: Iterable[int]) -> list[Place]:
        known, ids = self._distances, self._built.ids
        return [(known[row], ids[row], row) for row in rows]

    def _measure(self, rows: Collection[int]) -> None:
        known = self._distances
        new = [row for row in rows if row not in known] if known else list(rows)
        if new:
            known.update(zip(new, self._built.precise(self._query, new), strict=True))

    def _first(self, k: int, rows: list[int]) -> list[int]:
        """Return the first `k` of some rows, in no order."""
        if len(rows) <= k:
            return rows
        self._measure(rows)
        known = self._distances
        nearest = sorted(rows, key=known.__getitem__)
        if known[nearest[k - 1]] == known[nearest[k]]:
            # Ties are decided by id.
            return [row for _, _, row in self.ranked(rows)[:k]]
        return nearest[:k]

    def _passing(self, filter: Filter | None) -> np.ndarray | None:
        return self._built.passing(filter) if filter is not None else None

    def _near(self, k: int, filter: Filter | None, *, surely: bool = True) -> list[int]:
        """Return the `k` nearest rows, whatever may tie with the last of them, and perhaps others."""
        passing = self._passing(filter)
        walked, settled = self._walked(k, passing, surely=surely)
        if settled or self._settled(k, walked):
            return walked
        return self._by_scoring(k, passing)

    def _settled(self, k: int, walked: list[int]) -> bool:
        """Tell whether what a walk found has the first `k` and a farther row.

        Without a farther row after the k-th, a tie with it may go on beyond what was fetched.
        """
        if len(walked) <= k:
            return False
        self._measure(walked)
        distances = sorted(map(self._distances.__getitem__, walked))
        return distances[-1] > distances[k - 1]

    def _walked(self, k: int, passing: np.ndarray | None, *, surely: bool) -> tuple[list[int], bool]:
        """Search without scoring all rows for more than `k`, and tell whether those found are surely enough.

        Of many rows only those are returned that may be among the first `k`; none when scoring costs less.

        Args:
            k: At least 1.
            passing: The rows that count, None for all.
            surely: Whether to look further where a walk may have got lost.
        """
        count = self._worth_walking(k, passing)
        if not count:
            return [], False
        built = self._built
        groups = built.groups if surely else None
        if groups is not None and groups.is_far(self._query):
            return self._around(groups, k, passing)
        found, last = built.walk(self._query, count, self._ef)
        if groups is not None and found and self._ends_far(found):
            return self._around(groups, k, passing)
        if passing is None and self._out is None and len(found) <= _FEW:
            return found, False
        rows = np.array(found, dtype=np.int64)
        rows.sort()
        if passing is not None:
            at = np.minimum(np.searchsorted(passing, rows), len(passing) - 1)
            rows = rows[passing[at] == rows]
        if self._out is not None:
            rows = rows[~self._out[rows]]
        if last:
            # Beyond where the walk through one graph ended, others may have rows while that one has nearer ones.
            rows = built.within(self._query, rows, last)
        if len(rows) <= max(k, _FEW):
            return rows.tolist(), False
        near = built.best(self._query, rows, k)
        return near.tolist(), len(near) < len(rows)

    def _ends_far(self, walked: list[int]) -> bool:
        """Tell whether the nearest of what a walk found is farther than where walks are known not to get lost."""
        # The distances of few are wanted anyway, and one by one they cost more.
        self._measure(walked if len(walked) <= _FEW else walked[:1])
        return self._distances[walked[0]] > self._built.trusted

    def _around(self, groups: Groups, k: int, passing: np.ndarray | None) -> tuple[list[int], bool]:
        """Do what `_walked` does, by the groups around the query."""
        # Who is excluded was found before and is likely near.
        count = len(self._built) if passing is None else len(passing)
        wanted = groups.wanted(k, count / len(self._built)) + self._excluded
        # Rows that are gone lie in the groups still.
        wanted = wanted * len(self._built) // max(1, self._built.live)
        if count <= wanted + _GROUPS:
            return [], False
        rows, likely = groups.around(self._query, wanted, passing)
        if self._out is not None:
            left = ~self._out[rows]
            rows, likely = rows[left], likely[left]
        if len(rows) <= k:
            return [], False
        near = self._built.likely_best(self._query, rows, likely, groups.scored(k), k)
        return near.tolist(), len(near) < len(rows)

    def _worth_walking(self, k: int, passing: np.ndarray | None) -> int:
        """Return how many rows to ask the graphs for, 0 when scoring what passes costs less."""
        if self._exact or (passing is not None and len(passing) <= _WALK):
            return 0
        rows = len(self._built)
        count = math.ceil(_MARGIN * k) + _SPARE
        cost = _IN_PLACE * rows
        if passing is not None:
            # The share of rows that pass is an average; near this query it may be lower.
            count = math.ceil(_MARGIN * (k + _SPARE // 2) * rows / len(passing))
            cost = min(cost, self._built.cost(len(passing)))
        # Who is excluded was found before and is likely near.
        count += math.ceil(_MARGIN * self._excluded)
        if _WALK + _FETCH * count > cost:
            return 0
        # Where nobody around the query passes, a walk would only come before the scoring.
        return count if passing is None or self._built.some_near(self._query, passing) else 0

    def _by_scoring(self, k: int, passing: np.ndarray | None) -> list[int]:
        built, query, out = self._built, self._query, self._out
        if not len(built if passing is None else passing):
            return []
        if passing is None and built.has_runs:
            passing = np.arange(len(built))
        if passing is not None and (built.has_runs or built.scores_likely or len(passing) < _IN_PLACE * len(built)):
            rows = built.thinned(passing if out is None else passing[~out[passing]], k)
            if len(rows) > max(k, _FEW):
                rows = built.best(query, rows, k, exact=self._exact)
            few: list[int] = rows.tolist()
            return few
        if self._scores is None:
            self._scores = built.all_rough(query)
        if passing is None:
            scores = self._scores.copy()
        else:
            scores = np.full(len(built), np.inf, dtype=np.float32)
            scores[passing] = self._scores[passing]
        if out is not None:
            scores[out] = np.inf
        near: list[int] = built.smallest(query, scores, k).tolist()
        return near


def _merged(older: list[Place], newer: list[Place]) -> list[Place]:
    """Return both in order; an item that moved while they were looked at counts as it is now."""
    moved = {place[1] for place in newer}
    return sorted([*newer, *(place for place in older if place[1] not in moved)])
