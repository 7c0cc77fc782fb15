"""People on the way to an answer: their order, and their rating against the ask."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, cast

import msgspec

from lakehouse.matrix.base import MemoryUse
from lakehouse.memory.base import Recall
from lakehouse.staffing.rate import Rating, day_of, rate

if TYPE_CHECKING:
    from lakehouse.memory.asks import Ask, Asks


class Facts(msgspec.Struct, gc=False):
    """What standing and rating look at in a person's metadata, read without building the rest of it."""

    role: Any = None
    role_code: Any = None
    certs: Any = None
    cert_expiry: Any = None
    shifts: Any = None
    available_from: Any = None
    years: Any = None
    city: Any = None
    state: Any = None
    location: Any = None

    def get(self, key: str, default: Any = None) -> Any:
        """Return a fact, as a mapping would."""
        found = getattr(self, key, None)
        return default if found is None else found


_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode
_decode_facts = msgspec.json.Decoder(Facts).decode


def facts(encoded: Any) -> Mapping[str, Any]:
    """Read what standing and rating look at from encoded metadata."""
    return cast("Mapping[str, Any]", _decode_facts(encoded))


class Candidate(msgspec.Struct, gc=False):
    """A person on the way to the answer.

    Attributes:
        stored: The metadata, or what gives its JSON text for the `place`: most candidates do not end in the answer, and
            nothing of them is looked up or decoded.
        ratings: Where this person's rating against the same ask may be known already, under `place`.
    """

    id: str
    corpus: str
    distance: float
    stored: dict[str, Any] | Callable[[int], Any]
    standing: int
    place: int = 0
    ratings: dict[int, Rating] | None = None
    memory: MemoryUse | None = None
    rejected_by: Recall | None = None
    rating: Rating | None = None

    @property
    def order(self) -> tuple[bool, int, float, str]:
        """Turned down before last, then who meets more of the demand, then nearer, then by id."""
        return self.rejected_by is not None, self.standing, self.distance, self.id

    @property
    def metadata(self) -> dict[str, Any]:
        """What is kept beside the person's vector."""
        stored = self.stored
        if not isinstance(stored, dict):
            stored = self.stored = _decode_metadata(stored(self.place))
        return stored

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a rating looks at."""
        return self.stored if isinstance(self.stored, dict) else facts(self.stored(self.place))


_standing, _distance = operator.attrgetter("standing"), operator.attrgetter("distance")
_place = operator.attrgetter("standing", "distance", "id")


def sort(candidates: list[Candidate]) -> None:
    """Put those whom memory has not turned down into their `order`."""
    if len(set(map(_distance, candidates))) < len(candidates):
        candidates.sort(key=_place)
        return
    # By plain numbers, one after the other: a quarter of the time.
    candidates.sort(key=_distance)
    candidates.sort(key=_standing)


class Rater:
    """Rates candidates once each against one ask."""

    def __init__(self, ask: Ask, today: date, near_km: float, asks: Asks) -> None:
        self._demand = ask.demand
        self._years = ask.years
        self._today = today
        self._near_km = near_km
        self._related = asks.roles.related
        self._covers = asks.certifications.covers

    @property
    def asked(self) -> tuple[Any, ...]:
        """All that a rating depends on beside the person: asks that agree in it rate everybody alike."""
        demand = self._demand
        return (
            "rating",
            demand.role,
            demand.role_code,
            tuple(demand.certs),
            demand.location,
            demand.shift,
            self._years,
            day_of(demand, self._today),
            self._near_km,
        )

    def of(self, candidate: Candidate) -> Rating:
        """Return the candidate's rating."""
        if candidate.rating is None and candidate.ratings is not None:
            candidate.rating = candidate.ratings.get(candidate.place)
        if candidate.rating is None:
            candidate.rating = rate(
                self._demand,
                candidate.facts,
                related=self._related,
                covers=self._covers,
                on=self._today,
                near_km=self._near_km,
                years=self._years,
            )
            if candidate.ratings is not None:
                candidate.ratings[candidate.place] = candidate.rating
        return candidate.rating

    def rate(self, candidates: Iterable[Candidate]) -> None:
        """Rate all of them."""
        for candidate in candidates:
            self.of(candidate)
