"""US cities and states as rows: how their names are compared and what is known of them."""

from __future__ import annotations

import csv
import functools
import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from lakehouse.staffing._tokens import tokens
from lakehouse.staffing.demand import Location

# A city named without its state is taken for the largest of its name only when no other comes near it.
_DOMINANT = 5.0
# Demands and people of a day are of few cities.
_REMEMBERED = 8_192

_LIKE = {
    "saint": "st",
    "sainte": "st",
    "ste": "st",
    "fort": "ft",
    "mount": "mt",
    "mtn": "mountain",
    "hts": "heights",
    "hgts": "heights",
    "twp": "township",
    "spgs": "springs",
    "spg": "spring",
    "bch": "beach",
    "ctr": "center",
    "cntr": "center",
    "centre": "center",
    "jct": "junction",
    "vlg": "village",
    "pt": "point",
    "afb": "airforcebase",
    "isl": "island",
}
# Names that everybody uses of a city and no gazetteer has.
_ALSO = {
    "nyc": "newyork",
    "newyorkcity": "newyork",
    "philly": "philadelphia",
    "nola": "neworleans",
    "vegas": "lasvegas",
    "sf": "sanfrancisco",
    "kc": "kansascity",
    "mpls": "minneapolis",
    "indy": "indianapolis",
    "slc": "saltlakecity",
    "okc": "oklahomacity",
    "jax": "jacksonville",
}
_DIRECTIONS = {"n": "north", "s": "south", "e": "east", "w": "west", "no": "north", "so": "south"}


class City(msgspec.Struct, frozen=True, gc=False):
    """One place of the gazetteer; `population` is 0 when unknown."""

    name: str
    state: str
    lat: float
    lon: float
    population: int

    @property
    def location(self) -> Location:
        """The city as a place of work."""
        return Location(self.name, self.state, self.lat, self.lon)


def key_of_words(keys: Sequence[str]) -> str:
    """Return the comparison key of a place name given as token keys; empty for none."""
    if not keys:
        return ""
    first = _DIRECTIONS.get(keys[0], keys[0]) if len(keys) > 1 else keys[0]
    key = _LIKE.get(first, first) + "".join([_LIKE.get(key, key) for key in keys[1:]])
    return _ALSO.get(key, key)


@functools.lru_cache(_REMEMBERED)
def place_key(name: str) -> str:
    """Return the comparison key of a place name; empty when it has no letter or digit.

    "Saint Louis", "St. Louis" and "ST LOUIS" share one key, so do "La Vergne" and "LaVergne", "N. Chatham"
    and "North Chatham", "NYC" and "New York".
    """
    if name.isascii() and name.isalpha():
        low = name.lower()
        return _ALSO.get(low) or _LIKE.get(low, low)
    return key_of_words([token.key for token in tokens(name)])


def is_nickname(name: str) -> bool:
    """Tell whether a place is called by a short name that only people use: "NYC", "Philly"."""
    return " " not in name and "".join(token.key for token in tokens(name)) in _ALSO


class Gazetteer:
    """Cities by key and state, states by every spelling. Reading only.

    Args:
        cities: Largest first; among equal keys in one state the first wins.
        states: Code to `(name, abbreviations)`.
    """

    def __init__(self, cities: Iterable[City], states: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        self._state_words: dict[tuple[str, ...], str] = {}
        self._longest: dict[str, int] = {}
        self._abbreviations = frozenset(key_of_words([short.lower()]) for _, many in states.values() for short in many)
        for code, (name, abbreviations) in states.items():
            for spelling in (code, name, *abbreviations):
                words = tuple(token.key for token in tokens(spelling))
                self._state_words.setdefault(words, code)
                self._longest[words[0]] = max(self._longest.get(words[0], 0), len(words))
        self.begin_states = frozenset(self._longest)
        self._cities: dict[str, dict[str, City]] = {}
        for city in cities:
            self._cities.setdefault(place_key(city.name), {}).setdefault(city.state, city)

    def state(self, keys: Sequence[str]) -> str | None:
        """Return the postal code of the state spelled by these token keys."""
        return self._state_words.get(tuple(keys))

    def is_abbreviation(self, key: str) -> bool:
        """Tell whether a token key is a state's name cut short ("ill", "wash"), which may be a word as well."""
        return key in self._abbreviations

    def state_at(self, keys: Sequence[str], first: int) -> tuple[str, int] | None:
        """Return code and end of the longest state name that begins at `first`."""
        longest = self._longest.get(keys[first], 0)
        for last in range(min(len(keys), first + longest), first, -1):
            code = self._state_words.get(tuple(keys[first:last]))
            if code:
                return code, last
        return None

    def cities(self, key: str) -> Mapping[str, City]:
        """Return the cities of one `place_key` by state, largest first."""
        return self._cities.get(key, {})

    def dominant(self, key: str) -> City | None:
        """Return the city meant when no state is given: five times as large as the next, else null."""
        by_size = sorted(self.cities(key).values(), key=lambda city: -city.population)
        if len(by_size) > 1 and by_size[0].population < _DOMINANT * max(1, by_size[1].population):
            return None
        return by_size[0] if by_size else None


def read_cities(path: Path) -> list[City]:
    """Read a gazetteer file: gzipped CSV with the columns name, state, lat, lon, population."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [City(name, state, float(lat), float(lon), int(size)) for name, state, lat, lon, size in rows]


def read_states(path: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Read a state file: CSV with the columns code, name, abbreviations (joined by ";")."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["code"]: (row["name"], tuple(filter(None, row["abbreviations"].split(";"))))
            for row in csv.DictReader(file)
        }
