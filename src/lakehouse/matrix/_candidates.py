"""People on the way to an answer: their order, and their rating against the ask."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.matrix.base import MemoryUse
from lakehouse.memory.base import Recall
from lakehouse.staffing.rate import Rating, rate

if TYPE_CHECKING:
    from lakehouse.memory.asks import Ask, Asks


class Candidate(msgspec.Struct):
    """A person on the way to the answer."""

    id: str
    corpus: str
    distance: float
    metadata: dict[str, Any]
    standing: int
    memory: MemoryUse | None = None
    rejected_by: Recall | None = None
    rating: Rating | None = None

    @property
    def order(self) -> tuple[bool, int, float, str]:
        """Turned down before last, then who meets more of the demand, then nearer, then by id."""
        return self.rejected_by is not None, self.standing, self.distance, self.id


class Rater:
    """Rates candidates once each against one ask."""

    def __init__(self, ask: Ask, today: date, near_km: float, asks: Asks) -> None:
        self._demand = ask.demand
        self._today = today
        self._near_km = near_km
        self._related = asks.roles.related
        self._covers = asks.certifications.covers

    def of(self, candidate: Candidate) -> Rating:
        """Return the candidate's rating."""
        if candidate.rating is None:
            candidate.rating = rate(
                self._demand,
                candidate.metadata,
                related=self._related,
                covers=self._covers,
                on=self._today,
                near_km=self._near_km,
            )
        return candidate.rating

    def rate(self, candidates: Iterable[Candidate]) -> None:
        """Rate all of them."""
        for candidate in candidates:
            self.of(candidate)
