"""One query in one index, for as many filters as it takes.

A demand asks an index several times with the same vector: for those who meet all of it, for those who meet less, for
anybody. A lookup sees the index as it was when it began, works out no distance twice and decodes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lakehouse.vectors._built import Built
    from lakehouse.vectors._fresh import Sight
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
# A row scored in its place costs so much of one that was gathered; both from measurements at 20,000 and 44,000 rows.
_IN_PLACE = 0.3

_NO_ROWS = np.empty(0, dtype=np.int64)


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

    def nearest(self, k: int, filter: Filter | None) -> list[Place]:
        """Return at most `k` places of items that pass a well-formed filter, nearest first, ties by id."""
        near = self._built.nearest(k, filter) if self._built is not None else []
        newer = self._fresh.nearest(k, filter)
        if newer:
            # An item put back while this search began may have slipped past the exclusion of its old slot.
            newer = [place for place in newer if place[1] not in self._exclude]
            near = _merged(near, newer) if near else newer
        return near[:k]

    def among(self, steps: Sequence[Filter | None], enough: int, k: int) -> list[Place]:
        """Collect the nearest by several filters, one after the other, until there are enough.

        Args:
            steps: Well-formed filters, strictest first; the last is asked in any case.
            enough: How many are taken of each step but the last, and how many end the steps before it.
            k: How many are taken of the last.

        Returns:
            Each item once, in no order.
        """
        places: dict[int, None] = {}
        for step in steps[:-1]:
            places.update(dict.fromkeys(self._chosen(enough, step)))
            if len(places) >= enough:
                break
        places.update(dict.fromkeys(self._chosen(k, steps[-1])))
        rows = [place for place in places if place >= 0]
        found = self._built.ranked(rows) if self._built is not None and rows else []
        slots = [place for place in places if place < 0]
        return _merged(found, self._fresh.ranked(slots)) if slots else found

    def _chosen(self, k: int, filter: Filter | None) -> list[int]:
        """Return where the k nearest are, in no order."""
        if self._built is None or self._fresh.holds_any(filter):
            return [place for _, _, place in self.nearest(k, filter)]
        return self._built.chosen(k, filter)

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

    def nearest(self, k: int, filter: Filter | None) -> list[Place]:
        """Return the nearest rows, sorted; at least `k` when so many pass, ties at the end complete."""
        return self.ranked(self._near(k, filter).tolist())

    def chosen(self, k: int, filter: Filter | None) -> list[int]:
        """Return the first `k` rows of `nearest`, in no order."""
        near: list[int] = self._near(k, filter).tolist()
        return near if len(near) <= k else [row for _, _, row in self.ranked(near)[:k]]

    def ranked(self, rows: list[int]) -> list[Place]:
        """Return rows with their distances and ids, sorted."""
        known, ids = self._distances, self._built.ids
        new = [row for row in rows if row not in known]
        if new:
            known.update(zip(new, self._built.precise(self._query, new), strict=True))
        return sorted([(known[row], ids[row], row) for row in rows])

    def _near(self, k: int, filter: Filter | None) -> np.ndarray:
        """Return the `k` nearest rows and whatever may tie with the last of them."""
        if not len(self._built):
            return _NO_ROWS
        passing = self._built.passing(filter) if filter is not None else None
        if passing is not None and not len(passing):
            return _NO_ROWS
        if not self._exact:
            found = self._by_graph(k, passing)
            if found is not None:
                return found
        return self._by_scoring(k, passing)

    def _by_graph(self, k: int, passing: np.ndarray | None) -> np.ndarray | None:
        """Search the graphs; None when that costs more than scoring, or too little of what they give counts."""
        built, query = self._built, self._query
        count = math.ceil(_MARGIN * k) + _SPARE
        cost = _IN_PLACE * len(built)
        if passing is not None:
            # The share of rows that pass is an average; near this query it may be lower.
            count = math.ceil(_MARGIN * (k + _SPARE // 2) * len(built) / len(passing))
            cost = min(cost, len(passing))
        # Who is excluded was found before and is likely near.
        count += math.ceil(_MARGIN * self._excluded)
        if _WALK + _FETCH * count > cost:
            return None
        rows = np.array(built.nearest_in_graph(query, count, self._ef), dtype=np.int64)
        rows.sort()
        if passing is not None:
            at = np.minimum(np.searchsorted(passing, rows), len(passing) - 1)
            rows = rows[passing[at] == rows]
        if self._out is not None:
            rows = rows[~self._out[rows]]
        if len(rows) <= k:
            return None
        near: np.ndarray = rows[built.smallest(query, built.rough(query, rows), k)]
        if len(near) < len(rows):
            return near
        # Without a farther row after the k-th, a tie with it may go on beyond what was fetched.
        found = self.ranked(rows.tolist())
        return rows if found[-1][0] > found[k - 1][0] else None

    def _by_scoring(self, k: int, passing: np.ndarray | None) -> np.ndarray:
        built, query, out = self._built, self._query, self._out
        if passing is None and built.has_runs:
            passing = np.arange(len(built))
        if passing is not None and (built.has_runs or len(passing) < _IN_PLACE * len(built)):
            rows = built.thinned(passing if out is None else passing[~out[passing]], k)
            return rows if len(rows) <= k else rows[built.smallest(query, built.rough(query, rows), k)]
        if self._scores is None:
            self._scores = built.all_rough(query)
        if passing is None:
            scores = self._scores.copy()
        else:
            scores = np.full(len(built), np.inf, dtype=np.float32)
            scores[passing] = self._scores[passing]
        if out is not None:
            scores[out] = np.inf
        near: np.ndarray = built.smallest(query, scores, k)
        return near


def _merged(older: list[Place], newer: list[Place]) -> list[Place]:
    """Return both in order; an item that moved while they were looked at counts as it is now."""
    moved = {place[1] for place in newer}
    return sorted([*newer, *(place for place in older if place[1] not in moved)])
