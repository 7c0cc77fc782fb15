"""A demand's requirements as index filters, strictest first, and how many of them a person meets.

    standing   role   certifications   place             shift, free
    0          yes    yes              the city itself   yes
    1          yes    yes              near              yes
    2          yes    yes              near              no
    3          yes    yes              same state
    4          yes    no               near
    5          yes
    6          (anyone)

Where no code stands for the role, people cannot be looked up by it, and hardly anybody's title is the very same. Those
of other titles then follow in the order of the others: 6 to 11 are 0 to 5 without the role.

A requirement the demand does not state holds for everybody. One that cannot be checked, because the
person's metadata lacks the key, counts as met: nobody is hidden for what is not known of them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

import msgspec

from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.demand import Demand, Location
from lakehouse.staffing.places import distance_from, place_key
from lakehouse.staffing.rate import day_of, expiry
from lakehouse.staffing.titles import role_equal
from lakehouse.vectors.base import Condition, Filter, Place

ANYONE = 6
LAST_GOOD = 1


class Steps(NamedTuple):
    """The searches that find people by standing.

    Attributes:
        filters: Strictest first, each once; the last asks for nothing but what the caller does.
        standings: Of each, the first row of the table above that it stands for.
    """

    filters: list[Filter | None]
    standings: list[int]


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a demand asks of a person. Empty values are not asked for.

    Each entry of `certs` holds the names that satisfy one wanted certification, valid `on` a day.
    """

    role: str
    role_code: str
    certs: tuple[tuple[str, ...], ...]
    shift: str
    place: Location | None
    near_km: float
    on: date | None = None

    @property
    def stated(self) -> bool:
        """Whether anything is asked for at all."""
        return bool(self.role or self.certs or self.shift or self.place)

    @property
    def by_title(self) -> bool:
        """Whether a role is asked for that no code stands for, so that no filter finds those who have it."""
        return bool(self.role) and not self.role_code

    def steps(self, extra: Filter | None) -> Steps:
        """Return the searches that find people by standing; not to be written on.

        Args:
            extra: The caller's own filter, joined to each.
        """
        return _unfiltered(self) if extra is None else _steps(self, extra)

    def standing(self, person: Mapping[str, Any]) -> int:
        """Return the row of the table above that `person`'s metadata meets."""
        return Standings(self).of(person)


class Standings:
    """Tells the standing of many people: what all of them are compared with is worked out once."""

    def __init__(self, wanted: Requirements) -> None:
        self._wanted = wanted
        place = wanted.place
        self._city = place_key(place.city) if place is not None and place.city else ""
        self._from = distance_from(place) if place is not None else None

    def of(self, person: Mapping[str, Any]) -> int:
        """Return the row of the table above that `person`'s metadata meets."""
        if self._has_role(person):
            return self._but_for_role(person)
        return ANYONE if self._wanted.role_code else ANYONE + self._but_for_role(person)

    def _but_for_role(self, person: Mapping[str, Any]) -> int:
        certified = self._has_certs(person)
        city, near, state = self._is_near(person)
        if certified and near:
            if not (self._works_shift(person) and self._is_free(person)):
                return 2
            return 0 if city else 1
        if certified and state:
            return 3
        return 4 if near else 5

    def _has_role(self, person: Mapping[str, Any]) -> bool:
        wanted, code = self._wanted, person.get("role_code")
        if wanted.role_code and code:
            return bool(code == wanted.role_code)
        title = person.get("role")
        return not (wanted.role and title) or role_equal(wanted.role, str(title))

    def _has_certs(self, person: Mapping[str, Any]) -> bool:
        if not self._wanted.certs or person.get("certs") is None:
            return True
        held = person.get("certs")
        if isinstance(held, list) and not any(name in held for names in self._wanted.certs for name in names):
            return False
        until = expiry(person)
        return all(
            any(name in until and not self._is_over(until[name]) for name in names) for names in self._wanted.certs
        )

    def _is_over(self, until: date | None) -> bool:
        on = self._wanted.on
        return until is not None and on is not None and until < on

    def _works_shift(self, person: Mapping[str, Any]) -> bool:
        shifts = person.get("shifts")
        return not self._wanted.shift or shifts is None or self._wanted.shift in shifts

    def _is_free(self, person: Mapping[str, Any]) -> bool:
        # ISO dates compare as text.
        on = self._wanted.on
        return on is None or str(person.get("available_from") or "")[:10] <= on.isoformat()

    def _is_near(self, person: Mapping[str, Any]) -> tuple[bool, bool, bool]:
        """Return whether the person is in the city, near it, in its state."""
        place = self._wanted.place
        if place is None:
            return True, True, True
        home_state, home_city = person.get("state"), person.get("city")
        state = not (place.state and home_state) or place.state == home_state
        if place.city is None:
            return state, state, state
        city = state and (not home_city or place_key(str(home_city)) == self._city)
        if city and place.state is not None:
            # Whatever the distance is.
            return True, True, True
        point = person.get("location")
        km = self._from(point["lat"], point["lon"]) if point and self._from is not None else None
        if km is None:
            return city, city, state
        # Without a state in the demand, a town of the same name elsewhere is not the one that is meant.
        near = km <= self._wanted.near_km
        if place.state is None:
            return city and near, near, near
        return city, near or city, state or near


def requirements(
    demand: Demand, *, role: str, role_code: str, certifications: Certifications, near_km: float, today: date
) -> Requirements:
    """Collect what `demand` asks for; `role` and its code may come from the caller instead."""
    return Requirements(
        role=role,
        role_code=role_code,
        certs=tuple(_satisfying(certifications, wanted) for wanted in demand.certs),
        shift=demand.shift or "",
        place=demand.location if demand.location and (demand.location.city or demand.location.state) else None,
        near_km=near_km,
        on=day_of(demand, today),
    )


@functools.lru_cache(maxsize=256)
def _satisfying(certifications: Certifications, wanted: str) -> tuple[str, ...]:
    """Return a certification and all that cover it."""
    covering = (held for held in certifications.names if held != wanted and certifications.covers(held, wanted))
    return (wanted, *covering)


@functools.lru_cache(maxsize=512)
def _unfiltered(wanted: Requirements) -> Steps:
    # Demands differ in their clients and numbers more often than in what they require.
    return _steps(wanted, None)


def _steps(wanted: Requirements, extra: Filter | None) -> Steps:
    role = [Condition(key="role_code", match=wanted.role_code)] if wanted.role_code else []
    certs = [Condition(key="certs", any=[*names]) for names in wanted.certs]
    shift = [Condition(key="shifts", match=wanted.shift)] if wanted.shift else []
    city, near, state = _place_conditions(wanted.place, wanted.near_km)
    steps = [
        role + certs + city + shift,
        role + certs + near + shift,
        role + certs + near,
        role + certs + state,
        role + near,
        role,
    ]
    first = ANYONE if wanted.by_title else 0
    found = Steps([], [])
    for standing, conditions in [*enumerate(steps, first), (first + ANYONE, [])]:
        joined = _join(extra, conditions)
        if joined not in found.filters:
            found.filters.append(joined)
            found.standings.append(standing)
    return found


def _place_conditions(
    place: Location | None, near_km: float
) -> tuple[list[Condition], list[Condition], list[Condition]]:
    if place is None:
        return [], [], []
    state = [Condition(key="state", match=place.state)] if place.state else []
    if place.city is None:
        return state, state, state
    city = [Condition(key="city", match=place.city)]
    if place.lat is None or place.lon is None:
        return state + city, state + city, state
    near = [Condition(key="location", within_km=near_km, of=Place(place.lat, place.lon))]
    return (state or near) + city, near, state or near


def _join(extra: Filter | None, conditions: list[Condition]) -> Filter | None:
    if not conditions:
        return extra
    if extra is None:
        return Filter(must=conditions)
    return msgspec.structs.replace(extra, must=[*extra.must, *conditions])
