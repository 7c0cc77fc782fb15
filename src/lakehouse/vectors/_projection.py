"""Metadata and filters in a form that any server can answer, and never too narrowly.

A value's equality is a term: a 64-bit number made of its key and itself. Numbers are kept a second time for ranges,
places for radii. What a server finds by `tests_of` holds at least everything that passes the filter; `filters.passes`
then decides, so that an item passes on every engine or on none.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lakehouse.vectors import filters
from lakehouse.vectors.base import Condition, Filter
from lakehouse.vectors.columns import term

# Numbers farther from zero are kept as this one.
FARTHEST = 1e300
# Servers reckon with other radii of the earth and rounding; half the way around, a circle has no outside worth testing.
_SLACK = 1e-5
_SLACK_KM = 0.001
_EVERYWHERE_KM = 19_000.0


class Projection(NamedTuple):
    """What a server is given of an item's metadata beside its text.

    Attributes:
        terms: One for each single value that can be equal to another, each once.
        numbers, places: By `field`; places are (lat, lon) on the globe, in degrees.
    """

    terms: list[int]
    numbers: dict[str, list[float]]
    places: dict[str, list[tuple[float, float]]]


class Terms(NamedTuple):
    """The item has one of these terms."""

    any_of: list[int]


class Range(NamedTuple):
    """One of the field's numbers lies within all bounds that are given; all are finite."""

    field: str
    gte: float | None
    gt: float | None
    lte: float | None
    lt: float | None


class Near(NamedTuple):
    """One of the field's places is no farther than `km` from a place; infinite means that it has any place."""

    field: str
    lat: float
    lon: float
    km: float


Test = Terms | Range | Near


class Tests(NamedTuple):
    """All of `must`, none of `must_not` and, unless that is empty, at least one of `should`."""

    must: list[Test]
    must_not: list[Test]
    should: list[Test]


def project(metadata: Mapping[str, Any]) -> Projection:
    """Return what filters look at in metadata."""
    found = Projection([], {}, {})
    for key, value in metadata.items():
        for single in filters.values_of(value):
            number = filters.number(single)
            if number is not None:
                found.numbers.setdefault(field(key), []).append(_bounded(number))
            if number is not None or isinstance(single, str | bool):
                found.terms.append(_term(key, single))
            elif (place := filters.place(single)) is not None:
                found.places.setdefault(field(key), []).append(_on_globe(*place))
    return found._replace(terms=list(dict.fromkeys(found.terms)))


def field(key: str) -> str:
    """Return the name of a metadata key on a server, 16 hexadecimal digits: any text may be a key."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def tests_of(filter: Filter) -> Tests | None:
    """Return what a server asks for to find all that may pass a well-formed filter, None when surely nothing does."""
    must = _tests(filter.must, wide=True)
    should = _tests(filter.should, wide=True)
    if len(must) < len(filter.must) or (filter.should and not should):
        return None
    return Tests(must, _tests(filter.must_not, wide=False), should)


def _tests(conditions: Iterable[Condition], *, wide: bool) -> list[Test]:
    """Return the tests that can be met; `wide` ones are met by too many items rather than by too few."""
    return [test for condition in conditions if (test := _test(condition, wide=wide)) is not None]


def _test(condition: Condition, *, wide: bool) -> Test | None:
    if condition.within_km is not None and condition.of is not None:
        return _near(condition, condition.within_km, wide=wide)
    if filters.is_range(condition):
        return _range(condition, wide=wide)
    choices = [_term(condition.key, choice) for choice in filters.wanted(condition)]
    return Terms(list(dict.fromkeys(choices))) if choices else None


def _near(condition: Condition, km: float, *, wide: bool) -> Near | None:
    name, of = field(condition.key), condition.of
    if of is None or math.isnan(km):
        return None
    if wide:
        km = km * (1 + _SLACK) + _SLACK_KM if km < _EVERYWHERE_KM else math.inf
        return Near(name, of.lat, of.lon, km)
    km = km * (1 - _SLACK) - _SLACK_KM
    # Near the other end of the world what is left out is found all the same, and then looked at.
    return Near(name, of.lat, of.lon, km) if 0 < km < _EVERYWHERE_KM else None


def _range(condition: Condition, *, wide: bool) -> Range | None:
    given = [condition.gte, condition.gt, condition.lte, condition.lt]
    if any(bound is not None and math.isnan(bound) for bound in given):
        return None
    if all(bound is None or abs(bound) < FARTHEST for bound in given):
        return Range(field(condition.key), *given)
    if not wide:
        return None
    # A number beyond the farthest is kept as that one, so a bound out there must let it through.
    low = [bound for bound in given[:2] if bound is not None]
    high = [bound for bound in given[2:] if bound is not None]
    return Range(
        field(condition.key),
        _bounded(max(low)) if low else None,
        None,
        _bounded(min(high)) if high else None,
        None,
    )


def _bounded(number: float) -> float:
    return min(max(number, -FARTHEST), FARTHEST)


def _term(key: str, value: Any) -> int:
    number = filters.number(value)
    # Zero has one sign, as in a comparison.
    name = term(value) if number is None else b"n" + struct.pack(">d", number + 0.0)
    encoded = key.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(len(encoded).to_bytes(4, "big") + encoded + name, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _on_globe(lat: float, lon: float) -> tuple[float, float]:
    """Return the same place with a latitude within 90 and a longitude within 180 degrees."""
    if abs(lat) <= 90 and abs(lon) <= 180:
        return lat, lon
    phi, across = math.radians(lat), math.radians(lon)
    x, y = math.cos(phi) * math.cos(across), math.cos(phi) * math.sin(across)
    return math.degrees(math.atan2(math.sin(phi), math.hypot(x, y))), math.degrees(math.atan2(y, x))


def flat(by_field: Mapping[str, Sequence[Any]]) -> list[tuple[str, Any]]:
    """Return fields and their values one by one."""
    return [(name, value) for name, values in by_field.items() for value in values]
