"""Under which words an entry is found in the index of its namespace.

A demand's near entries are mostly ties: everybody who ever needed a forklift operator has the same meaning. So they are
looked up by occupation and place first and compared by distance second. The words of an entry:

    =<hash>       its very text
    <role>@       its role: an O*NET-SOC code, else the title as text
    <role>@OH     with the state, of the person and of the demand
    <role>@83,-163   with the cell of half a degree, of the person and of the demand
    <role>@?      when neither has a place
    @83,-163      the cell alone, which is where entries of other roles are found to say that they were left out
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from lakehouse.staffing.demand import Location
from lakehouse.staffing.titles import role_key

_CELL_DEGREES = 0.5
_KM_PER_DEGREE = 111.2
_MOST_CELLS = 60


def text_key(query_text: str) -> str:
    """Return the word of a text, the same for another case and other spaces."""
    return "=" + hashlib.sha256(" ".join(query_text.casefold().split()).encode()).hexdigest()[:16]


def client_key(client: str | None) -> str:
    """Return a client's name without case, commas and final stop, for comparing."""
    return " ".join((client or "").casefold().replace(",", " ").split()).rstrip(".")


def role_word(role: str, role_code: str) -> str:
    """Return the code, else the title; empty when there is neither."""
    return role_code or (f"~{role_key(role)}" if role else "")


def entry_keys(query_text: str, role: str, role_code: str, places: list[Location]) -> list[str]:
    """Return the words of an entry.

    Args:
        query_text, role, role_code: Of the entry.
        places: Where the demand is for and where the person lives, as far as known.
    """
    word = role_word(role, role_code)
    states = sorted({place.state for place in places if place.state})
    cells = sorted({_cell(place.lat, place.lon) for place in places if place.lat is not None and place.lon is not None})
    tails = [*states, *cells] or ["?"]
    return [text_key(query_text), f"{word}@", *(f"{word}@{tail}" for tail in tails), *(f"@{cell}" for cell in cells)]


def demand_keys(role: str, role_code: str, place: Location | None, near_km: float) -> tuple[list[str], list[str]]:
    """Return the words to look for: those of the demand's role at its place, and those of any role there."""
    word = role_word(role, role_code)
    tails, cells = [""], list[str]()
    if place is not None and place.lat is not None and place.lon is not None:
        cells = _around(place.lat, place.lon, near_km)
        tails = [*cells, "?"] if cells else [place.state or ""]
    elif place is not None and place.state:
        tails = [place.state, "?"]
    return [f"{word}@{tail}" for tail in tails], [f"@{cell}" for cell in cells]


def home(person: Mapping[str, Any]) -> Location:
    """Return where a person lives, as far as their metadata says."""
    point = person.get("location")
    lat, lon = (point.get("lat"), point.get("lon")) if isinstance(point, Mapping) else (None, None)
    if not (isinstance(lat, int | float) and isinstance(lon, int | float)):
        lat = lon = None
    state = person.get("state")
    return Location(None, str(state) if state else None, lat, lon)


def _cell(lat: float, lon: float) -> str:
    return f"{math.floor(lat / _CELL_DEGREES)},{math.floor(lon / _CELL_DEGREES)}"


def _around(lat: float, lon: float, near_km: float) -> list[str]:
    """Return the cells that a circle touches; none when they are too many to be worth listing."""
    up = near_km / _KM_PER_DEGREE
    aside = up / max(0.05, math.cos(math.radians(min(89.0, abs(lat) + up))))
    rows = range(math.floor((lat - up) / _CELL_DEGREES), math.floor((lat + up) / _CELL_DEGREES) + 1)
    columns = range(math.floor((lon - aside) / _CELL_DEGREES), math.floor((lon + aside) / _CELL_DEGREES) + 1)
    if len(rows) * len(columns) > _MOST_CELLS:
        return []
    return [f"{row},{column}" for row in rows for column in columns]
