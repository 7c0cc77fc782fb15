"""What a filter means: the check that it is well formed, and the plain reading of it.

`passes` is the definition. The columns of an index (`columns.py`) answer the same question for all rows at once and
are tested against it. Numbers are compared as IEEE doubles, so `2` equals `2.0`; `true` is not a number; a null or
missing value passes no condition; a list passes when any of its elements does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lakehouse.errors import InvalidInput
from lakehouse.vectors.base import Condition, Filter, Place

EARTH_RADIUS_KM = 6371.0088

_RANGE = ("gte", "gt", "lte", "lt")
_KINDS = "match, any, a range (gte, gt, lte, lt) or within_km with of"


def check(filter: Filter) -> None:
    """Refuse a filter that has no single meaning.

    Raises:
        InvalidInput: A condition has no test or several kinds, an empty key, `within_km` without `of` or the
            reverse, a negative radius or a place off the globe; the message names `filter.must[i]`.
    """
    for group in ("must", "must_not", "should"):
        for position, condition in enumerate(getattr(filter, group)):
            _check_condition(condition, f"filter.{group}[{position}]")


def passes(filter: Filter, metadata: Mapping[str, Any]) -> bool:
    """Return whether an item with `metadata` passes `filter` (which must be well formed, see `check`)."""
    if not all(meets(condition, metadata) for condition in filter.must):
        return False
    if any(meets(condition, metadata) for condition in filter.must_not):
        return False
    return not filter.should or any(meets(condition, metadata) for condition in filter.should)


def meets(condition: Condition, metadata: Mapping[str, Any]) -> bool:
    """Return whether `metadata` meets one condition."""
    return any(_value_meets(condition, value) for value in values_of(metadata.get(condition.key)))


class Tested(NamedTuple):
    """What steps test an item by: filters of which each gives up something that those before it ask.

    Attributes:
        keys: Metadata keys of all tests that are given up sooner or later, sorted.
        common: The tests that only the last step gives up.
    """

    keys: list[str]
    common: list[Condition]


def tested(steps: Sequence[Filter | None]) -> Tested:
    """Return what steps ask that the last of them does not."""
    always = steps[-1].must if steps[-1] is not None else []
    given_up = [[test for test in step.must if test not in always] if step is not None else [] for step in steps[:-1]]
    keys = {test.key for tests in given_up for test in tests}
    first = given_up[0] if given_up else []
    return Tested(sorted(keys), [test for test in first if all(test in tests for tests in given_up)])


def undecided(steps: Sequence[Filter | None], metadata: Mapping[str, Any]) -> bool:
    """Tell whether steps cannot say how much of what they ask an item meets, because it lacks a key.

    One that fails for certain what all steps but the last ask is decided, whatever it lacks.
    """
    keys, common = tested(steps)
    return any(metadata.get(key) is None for key in keys) and all(
        metadata.get(test.key) is None or meets(test, metadata) for test in common
    )


def values_of(value: Any) -> Iterator[Any]:
    """Yield the single values that stand under a key: the elements of a list, else the value; never null."""
    for single in value if isinstance(value, list | tuple) else (value,):
        if single is not None:
            yield single


def number(value: Any) -> float | None:
    """Return a JSON number as a double, None for anything else (also for a boolean)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return double(value)


def double(value: float) -> float:
    """Return a number as a double, infinite when it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def place(value: Any) -> tuple[float, float] | None:
    """Return (lat, lon) in degrees of a `{"lat", "lon"}` value, None for anything else."""
    if not isinstance(value, Mapping):
        return None
    lat, lon = number(value.get("lat")), number(value.get("lon"))
    if lat is None or lon is None or not (math.isfinite(lat) and math.isfinite(lon)):
        return None
    return lat, lon


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the great-circle distance between two (lat, lon) in degrees, by the haversine formula."""
    phi_a, phi_b = math.radians(a[0]), math.radians(b[0])
    across = math.radians(b[1] - a[1])
    chord = math.sin((phi_b - phi_a) / 2) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(across / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))


def wanted(condition: Condition) -> list[str | int | bool]:
    """Return the values one of which an item must equal, for a `match` or `any` condition."""
    if condition.match is not None:
        return [condition.match]
    return list(condition.any or ())


def is_range(condition: Condition) -> bool:
    """Return whether the condition is a numeric range."""
    return any(getattr(condition, bound) is not None for bound in _RANGE)


def _value_meets(condition: Condition, value: Any) -> bool:
    if condition.within_km is not None and condition.of is not None:
        there = place(value)
        return there is not None and distance_km((condition.of.lat, condition.of.lon), there) <= condition.within_km
    if is_range(condition):
        return _in_range(condition, number(value))
    return any(_equal(value, choice) for choice in wanted(condition))


def _in_range(condition: Condition, value: float | None) -> bool:
    if value is None:
        return False
    return (
        (condition.gte is None or value >= condition.gte)
        and (condition.gt is None or value > condition.gt)
        and (condition.lte is None or value <= condition.lte)
        and (condition.lt is None or value < condition.lt)
    )


def _equal(value: Any, choice: str | int | bool) -> bool:
    if isinstance(choice, str) or isinstance(value, str):
        return isinstance(choice, str) and isinstance(value, str) and value == choice
    if isinstance(choice, bool) or isinstance(value, bool):
        return value is choice
    there = number(value)
    return there is not None and there == number(choice)


def _check_condition(condition: Condition, where: str) -> None:
    if not condition.key:
        raise InvalidInput(f"{where} has an empty key", field=f"{where}.key")
    kinds = [
        condition.match is not None,
        condition.any is not None,
        is_range(condition),
        condition.within_km is not None or condition.of is not None,
    ]
    if sum(kinds) == 0:
        raise InvalidInput(f"{where} tests nothing; give {_KINDS}", field=where)
    if sum(kinds) > 1:
        raise InvalidInput(f"{where} has several kinds of test; give one of {_KINDS}", field=where)
    if kinds[-1]:
        _check_place(condition, where)


def _check_place(condition: Condition, where: str) -> None:
    if condition.within_km is None or condition.of is None:
        lacking = "of" if condition.of is None else "within_km"
        raise InvalidInput(f"{where} needs both within_km and of; {lacking} is missing", field=f"{where}.{lacking}")
    if not condition.within_km >= 0:
        raise InvalidInput(
            f"{where}.within_km is {condition.within_km}; it must be at least 0", field=f"{where}.within_km"
        )
    if not _on_globe(condition.of):
        raise InvalidInput(
            f"{where}.of is not a place: lat must be within -90 and 90, lon within -180 and 180", field=f"{where}.of"
        )


def _on_globe(of: Place) -> bool:
    return -90 <= of.lat <= 90 and -180 <= of.lon <= 180
