"""Items and filters in Qdrant's own JSON.

A point's id is made of the item's, because Qdrant takes numbers and UUIDs only. Its payload has the item's own id, its
vector as it was put (Qdrant keeps those for cosine at length 1) and its metadata as text, and what filters look at, see
`_projection`: terms `t`, numbers `n`, places `g`.
"""

from __future__ import annotations

import base64
import hashlib
import math
import uuid
from collections.abc import Collection
from typing import Any

import msgspec
import numpy as np

from lakehouse.vectors._projection import Near, Range, Terms, Test, Tests, project
from lakehouse.vectors._server import Row

# What of a payload makes a row.
WHOLE = ["id", "v", "m"]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def point_id(id: str) -> str:
    """Return the id of the point that keeps an item."""
    return str(uuid.UUID(bytes=hashlib.blake2b(id.encode(), digest_size=16).digest()))


def payload_of(row: Row) -> dict[str, Any]:
    """Return the payload of a row's point."""
    found = project(_decode(row.metadata))
    return {
        "id": row.id,
        "v": base64.b64encode(row.vector.astype("<f4").tobytes()).decode(),
        "m": row.metadata.decode(),
        "t": found.terms,
        "n": {f"f{name}": numbers for name, numbers in found.numbers.items()},
        "g": {f"f{name}": [{"lat": lat, "lon": lon} for lat, lon in at] for name, at in found.places.items()},
    }


def row_of(point: Any) -> Row:
    """Return the row that a point keeps."""
    payload = point.payload
    vector = np.frombuffer(base64.b64decode(payload["v"]), dtype="<f4").astype(np.float32, copy=False)
    return Row(payload["id"], vector, payload["m"].encode())


def filter_of(tests: Tests | None, exclude: Collection[str]) -> dict[str, Any]:
    """Return a filter in Qdrant's own JSON, empty when everything passes."""
    found: dict[str, Any] = {}
    must_not = [_condition(test) for test in tests.must_not] if tests is not None else []
    if exclude:
        must_not.append({"has_id": [point_id(id) for id in sorted(exclude)]})
    if must_not:
        found["must_not"] = must_not
    if tests is not None and tests.must:
        found["must"] = [_condition(test) for test in tests.must]
    if tests is not None and tests.should:
        found["should"] = [_condition(test) for test in tests.should]
    return found


def _condition(test: Test) -> dict[str, Any]:
    if isinstance(test, Terms):
        return {"key": "t", "match": {"any": test.any_of}}
    if isinstance(test, Range):
        bounds = {"gte": test.gte, "gt": test.gt, "lte": test.lte, "lt": test.lt}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        return {"key": f"n.f{test.field}", "range": given}
    return _circle(test)


def _circle(test: Near) -> dict[str, Any]:
    key = f"g.f{test.field}"
    if math.isinf(test.km):
        return {"must_not": [{"is_empty": {"key": key}}]}
    return {"key": key, "geo_radius": {"center": {"lat": test.lat, "lon": test.lon}, "radius": 1_000 * test.km}}
