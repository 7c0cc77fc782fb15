"""Rows and conditions as Postgres takes them: values as texts, which it turns into its own types."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import numpy as np

from lakehouse.vectors._projection import Range, Terms, Test, Tests, flat, project
from lakehouse.vectors._server import Row
from lakehouse.vectors.filters import EARTH_RADIUS_KM

# The ids of `hexes` in a statement.
AS_IDS = "(SELECT decode(x, 'hex') FROM unnest(%s::text[]) AS x)"

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def written(row: Row) -> tuple[str, ...]:
    """Return the columns of a row as texts."""
    found = project(_decode(row.metadata))
    numbers, places = flat(found.numbers), flat(found.places)
    return (
        _hex(row.id),
        vector_of(row.vector),
        row.metadata.hex(),
        _array(found.terms),
        _array([_key(name) for name, _ in numbers]),
        _array([number for _, number in numbers]),
        _array([_key(name) for name, _ in places]),
        _array([at[0] for _, at in places]),
        _array([at[1] for _, at in places]),
    )


def where(tests: Tests | None, exclude: Collection[str]) -> tuple[str, tuple[Any, ...]]:
    """Return the conditions of a statement and their values."""
    parts: list[str] = []
    values: list[Any] = []

    def add(shape: str, group: Sequence[Test], between: str) -> None:
        if group:
            told = [_condition(test) for test in group]
            parts.append(shape.format(f" {between} ".join(sql for sql, _ in told)))
            values.extend(value for _, given in told for value in given)

    if tests is not None:
        add("{}", tests.must, "AND")
        add("NOT ({})", tests.must_not, "OR")
        add("({})", tests.should, "OR")
    if exclude:
        parts.append(f"id NOT IN {AS_IDS}")
        values.extend(hexes(sorted(exclude)))
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), tuple(values)


def _condition(test: Test) -> tuple[str, list[Any]]:
    if isinstance(test, Terms):
        return "terms && %s::bigint[]", [_array(test.any_of)]
    if isinstance(test, Range):
        bounds = ((">=", test.gte), (">", test.gt), ("<=", test.lte), ("<", test.lt))
        given = [(sign, float(bound)) for sign, bound in bounds if bound is not None]
        inside = "".join(f" AND v {sign} %s::float8" for sign, _ in given)
        sql = f"EXISTS (SELECT FROM unnest(number_keys, numbers) AS n(k, v) WHERE k = %s::bigint{inside})"
        return sql, [_key(test.field), *(bound for _, bound in given)]
    inside = "" if math.isinf(test.km) else f" AND {_KM} <= %s::float8"
    sql = f"EXISTS (SELECT FROM unnest(place_keys, lats, lons) AS p(k, lat, lon) WHERE k = %s::bigint{inside})"
    return sql, [_key(test.field), *([] if math.isinf(test.km) else [test.lat, test.lat, test.lon, test.km])]


# The haversine formula; takes lat, lat and lon.
_KM = (
    f"2 * {EARTH_RADIUS_KM} * asin(sqrt(least(1, sin(radians(lat - %s::float8) / 2) ^ 2 + cos(radians(lat)) * "
    "cos(radians(%s::float8)) * sin(radians(lon - %s::float8) / 2) ^ 2)))"
)


def row(found: Any) -> Row:
    """Return a row of a result."""
    id, vector, metadata = found
    return Row(text_of(id), np.fromstring(vector[1:-1], dtype=np.float32, sep=","), bytes(metadata))


def hexes(ids: Sequence[str]) -> tuple[list[str]]:
    """Return the values for `AS_IDS`."""
    return ([_hex(id) for id in ids],)


def _hex(id: str) -> str:
    return id.encode().hex()


def text_of(id: Any) -> str:
    """Return an id that was kept as bytes."""
    return bytes(id).decode()


def _key(field: str) -> int:
    return int.from_bytes(bytes.fromhex(field), "big", signed=True)


def vector_of(vector: np.ndarray) -> str:
    """Return a vector as text, exactly."""
    return f"[{','.join(map(repr, vector.tolist()))}]"


def _array(values: Sequence[float]) -> str:
    return f"{{{','.join(map(repr, values))}}}"
