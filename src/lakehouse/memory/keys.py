"""Under which words an entry is found in the index of its namespace.

A demand's near entries are mostly ties: everybody who ever needed a forklift operator has the same meaning. So they are
looked up by occupation and place first and compared by distance second. The words of an entry:

    =<hash>       its very text
    <role>@       its role: an O*NET-SOC code, else the title as text
    <role>@OH     with the state, of the person and of the demand
    <role>@83,-163   with the cell of half a degree, of the person and of the demand
    <role>@?      when neither has a place
    <role>&<hash>    with the city of the demand, and again with its city and client
    <role>#w-17   with the person, wherever that was
    @83,-163      the cell alone, which is where entries of other roles are found to say that they were left out
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lakehouse.memory.base import Playbook
from lakehouse.staffing.demand import Demand, Location
from lakehouse.staffing.folding import client_key, folded_words
from lakehouse.staffing.places import place_key
from lakehouse.staffing.titles import role_key

_CELL_DEGREES = 0.5
_KM_PER_DEGREE = 111.2
_MOST_CELLS = 60
# Demands of a day are for few roles at few places.
_REMEMBERED = 1_024


def text_key(query_text: str) -> str:
    """Return the word of a text, the same in another case, with other spaces and in another Unicode normal form."""
    return "=" + hashlib.sha256(folded_words(query_text).encode()).hexdigest()[:16]


def role_word(role: str, role_code: str) -> str:
    """Return the code, else the title; empty when there is neither."""
    return role_code or (f"~{role_key(role)}" if role else "")


class Demanded(NamedTuple):
    """The words to look for.

    Attributes:
        text: That of the very text.
        near: Those of the demand's role at its place.
        nearer: That of its role, client and city, and that of its role and city, as far as it says them.
        others: Those of any role at its place.
    """

    text: str
    near: Sequence[str]
    nearer: Sequence[str]
    others: Sequence[str]


def entry_keys(entry: Playbook, places: list[Location]) -> list[str]:
    """Return the words of an entry.

    Args:
        entry: What is remembered.
        places: Where its demand is for and where the person lives, as far as known.
    """
    word = role_word(entry.role, entry.role_code)
    states = sorted({place.state for place in places if place.state})
    cells = sorted({_cell(place.lat, place.lon) for place in places if place.lat is not None and place.lon is not None})
    tails = [*states, *cells] or ["?"]
    return [
        text_key(entry.query_text),
        f"{word}@",
        *(f"{word}@{tail}" for tail in tails),
        *_city_keys(word, place_key(entry.city), entry.client),
        f"{word}#{entry.answer_id}",
        *(f"@{cell}" for cell in cells),
    ]


def demand_keys(text: str, role: tuple[str, str], demand: Demand, near_km: float) -> Demanded:
    """Return the words to look for.

    Args:
        text: The demand as it was asked.
        role: Its title and code, empty when unknown.
        demand: What it says.
        near_km: How far around its place is looked.
    """
    word, place = role_word(*role), demand.location
    near, others = _placed(word, place, near_km)
    city, client = (place.city or "") if place is not None else "", client_key(demand.client)
    # Entries filed by earlier editions have the city as it was written.
    spellings = dict.fromkeys([place_key(city), city.casefold()])
    nearer = [key for name in spellings for key in _city_keys(word, name, client)[::-1]]
    return Demanded(text=text_key(text), near=near, nearer=nearer, others=others)


@functools.lru_cache(_REMEMBERED)
def _placed(word: str, place: Location | None, near_km: float) -> tuple[Sequence[str], Sequence[str]]:
    """Return the words of a role at a place, and those of any role there."""
    tails, cells = [""], list[str]()
    if place is not None and place.lat is not None and place.lon is not None:
        cells = _around(place.lat, place.lon, near_km)
        tails = [*cells, "?"] if cells else [place.state or ""]
    elif place is not None and place.state:
        tails = [place.state, "?"]
    return [f"{word}@{tail}" for tail in tails], [f"@{cell}" for cell in cells]


# What every entry of an unknown role has.
UNKNOWN_ROLE = "@"


def person_keys(role: tuple[str, str], answers: Sequence[str], *, unknown: bool = True) -> list[str]:
    """Return the words of what is remembered of people for a role, or for a role that is not known.

    Args:
        role: A title and its code, empty when unknown.
        answers: Ids of people.
        unknown: Whether there is any entry of a role that is not known.
    """
    word = role_word(*role)
    return [f"{word}#{answer}" for answer in answers] + [f"#{answer}" for answer in answers if word and unknown]


def _city_keys(word: str, city: str, client: str) -> list[str]:
    if not city:
        return []
    names = [city, *([f"{city}\x00{client}"] if client else [])]
    return [f"{word}&{hashlib.sha256(name.encode()).hexdigest()[:12]}" for name in names]


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
