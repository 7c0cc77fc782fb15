"""Where people live around a place of work, as a small map drawn here: rings of distance and a dot for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lakehouse.staffing.demand import Location
from lakehouse.staffing.places import distance_from

SIZE = 280
_EDGE = 22
_REACHES = (10, 25, 50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 20_100)
_RINGS = (0.5, 1.0)
_LEAST_COS = 0.01


class Dot(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on the map: pixels from the left and the top; `kind` is the class it is drawn with."""

    x: float
    y: float
    label: str
    kind: str


class Ring(msgspec.Struct, frozen=True):
    """A circle of one distance around the place of work."""

    radius: float
    km: str


class DistanceMap(msgspec.Struct, frozen=True, kw_only=True):
    """A map with the place of work in the middle, north above. `elsewhere` people have no known home."""

    title: str
    rings: list[Ring]
    dots: list[Dot]
    elsewhere: int
    size: int = SIZE


def km_of(place: Location | None, person: Mapping[str, Any]) -> float | None:
    """Return how far a person's home is from a place of work, null when either is not known."""
    point = _home(person)
    return distance_from(place)(*point) if place is not None and point is not None else None


def draw(place: Location | None, people: Sequence[tuple[str, Mapping[str, Any], str]]) -> DistanceMap | None:
    """Draw people around a place of work.

    Args:
        place: The middle.
        people: Name, metadata and kind of each.

    Returns:
        None when the place has no coordinates or nobody's home is known.
    """
    if place is None or place.lat is None or place.lon is None:
        return None
    measured = distance_from(place)
    found = [
        (name, km, home, kind)
        for name, person, kind in people
        if (home := _home(person)) and (km := measured(*home)) is not None
    ]
    if not found:
        return None
    reach = next((km for km in _REACHES if max(one[1] for one in found) <= km), _REACHES[-1])
    middle, radius = SIZE / 2, SIZE / 2 - _EDGE
    dots = []
    for name, km, (lat, lon), kind in found:
        east = (lon - place.lon) * max(math.cos(math.radians(place.lat)), _LEAST_COS)
        turn = math.atan2(east, lat - place.lat)
        far = radius * km / reach
        x, y = middle + far * math.sin(turn), middle - far * math.cos(turn)
        dots.append(Dot(x=round(x, 1), y=round(y, 1), label=f"{name}, {km:,.0f} km", kind=kind))
    rings = [Ring(round(radius * part, 1), f"{reach * part:g} km") for part in _RINGS]
    nearest = min(found, key=lambda one: one[1])
    where = place.city or place.state
    title = f"{len(found)} people around {where}; the nearest is {nearest[0]}, {nearest[1]:,.0f} km away"
    return DistanceMap(title=title, rings=rings, dots=dots, elsewhere=len(people) - len(found))


def _home(person: Mapping[str, Any]) -> tuple[float, float] | None:
    point = person.get("location")
    if not isinstance(point, Mapping):
        return None
    lat, lon = point.get("lat"), point.get("lon")
    if not isinstance(lat, (int, float)) or not isinstance(lon, (int, float)):
        return None
    return float(lat), float(lon)
