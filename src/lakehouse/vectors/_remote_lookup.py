"""One query in one index on a server, for as many filters as it takes.

The server finds candidates by its own arithmetic; they are then looked at and scored here as those of any other index
are, from the vectors as they were put. So distances, their rounding, order and ties are the same on every engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lakehouse.vectors import filters
from lakehouse.vectors._projection import tests_of
from lakehouse.vectors.base import Collected

if TYPE_CHECKING:
    from lakehouse.vectors._scoring import Query
    from lakehouse.vectors._server import Row, Table
    from lakehouse.vectors.base import Filter

# Rows fetched beyond k: some may not pass after all, and behind the last there must be one that is farther.
_MARGIN = 1.25
_SPARE = 16
# When that was not enough, so many times as many.
_MORE = 4
# A server's distance may be off by so much of the vectors' lengths, and two that are rounded to one by that much more.
_SLACK = 4e-6
_ROUNDED = 1e-6

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class RemoteLookup:
    """The nearest items of an index on a server to one vector, under any filters. For one thread.

    Unlike a look-up in files, each filter sees the index as it is when it is asked.

    Args:
        ask: Calls a function with the table and returns its result.
        query: The vector.
        exclude: Ids left out; a set.
        exact: Have every item scored.
    """

    def __init__(
        self, ask: Callable[[Callable[[Table], Any]], Any], query: Query, *, exclude: Collection[str], exact: bool
    ) -> None:
        self._ask = ask
        self._query = query
        self._exclude = exclude
        self._exact = exact
        self._metadata: list[bytes] = []
        self._notes: dict[Hashable, dict[int, Any]] = {}

    def nearest(self, k: int, filter: Filter | None) -> list[tuple[float, str, int]]:
        """Return at most `k` places of items that pass a well-formed filter, nearest first, ties by id."""
        tests = tests_of(filter) if filter is not None else None
        if filter is not None and tests is None:
            return []
        limit = math.ceil(_MARGIN * k) + _SPARE
        while True:

            def found(table: Table, limit: int = limit) -> list[Row]:
                return table.near(self._query.vector, limit, tests=tests, exclude=self._exclude, exact=self._exact)

            rows: list[Row] = self._ask(found)
            passing = self._passing(rows, filter)
            distances = self._query.precise(np.array([row.vector for row in rows])).tolist() if rows else []
            order = sorted((distances[at], rows[at].id, at) for at in passing)
            if len(rows) < limit or self._settled(order, k, distances, rows):
                return [(distance, id, self._place(rows[at])) for distance, id, at in order[:k]]
            limit *= _MORE

    def among(self, steps: Sequence[Filter | None], enough: int, k: int) -> Collected:
        """Collect the nearest by several filters, each less strict than those before it; see `Finder.among`."""
        places: dict[str, tuple[float, str, int]] = {}
        ended = len(steps) - 1
        for position, step in enumerate(steps[:-1]):
            places.update((place[1], place) for place in self.nearest(enough, step) if place[1] not in places)
            if len(places) >= enough:
                ended = position
                break
        last = [place for place in self.nearest(k, steps[-1]) if place[1] not in places]
        if ended < len(steps) - 1:
            last = [place for place in last if filters.undecided(steps, _decode(self._metadata[place[2]]))]
        return Collected([*places.values(), *last], ended)

    def encoded(self, place: int) -> bytes:
        """Return the metadata at a place as its JSON text."""
        return self._metadata[place]

    def notes(self, about: Hashable) -> dict[int, Any]:
        """Return what was worked out about places of this look-up, to be added to."""
        return self._notes.setdefault(about, {})

    def _passing(self, rows: list[Row], filter: Filter | None) -> list[int]:
        return [
            at
            for at, row in enumerate(rows)
            if row.id not in self._exclude and (filter is None or filters.passes(filter, _decode(row.metadata)))
        ]

    def _settled(
        self, order: list[tuple[float, str, int]], k: int, distances: list[float], rows: Sequence[Row]
    ) -> bool:
        """Tell whether nothing that was not fetched can be among the first k."""
        if len(order) < k:
            return False
        farthest = max(distances)
        slack = _ROUNDED + _SLACK * self._scale(rows)
        return order[k - 1][0] + 2 * slack < farthest

    def _scale(self, rows: Sequence[Row]) -> float:
        if self._query.distance == "cosine":
            return 1.0
        longest = max(float(np.linalg.norm(row.vector)) for row in rows)
        length = float(np.linalg.norm(self._query.vector))
        return length * longest if self._query.distance == "dot" else length + longest

    def _place(self, row: Row) -> int:
        self._metadata.append(row.metadata)
        return len(self._metadata) - 1
