"""US cities and states: finding them in a text, looking them up, measuring between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from lakehouse.staffing._gazetteer import City, Gazetteer, place_key, read_cities, read_states
from lakehouse.staffing._place_mentions import Mentions, PlaceMatch, bare_city, narrowed
from lakehouse.staffing._tokens import Token, tokens
from lakehouse.staffing.demand import Location
from lakehouse.staffing.shipped import shipped

__all__ = ["City", "PlaceMatch", "Places", "distance_from", "distance_km", "place_key"]

EARTH_RADIUS_KM = 6371.0088


def distance_km(a: Location, b: Location) -> float | None:
    """Return the great-circle distance in kilometres, null when either place has no coordinates."""
    return distance_from(a)(b.lat, b.lon)


def distance_from(a: Location) -> Callable[[float | None, float | None], float | None]:
    """Return what measures as `distance_km` does from one place to many, given as latitude and longitude."""
    if a.lat is None or a.lon is None:
        return lambda *_: None
    lon_a, phi_a, cos_a = a.lon, math.radians(a.lat), math.cos(math.radians(a.lat))

    def measured(lat: float | None, lon: float | None) -> float | None:
        if lat is None or lon is None:
            return None
        phi_b = math.radians(lat)
        across = math.radians(lon - lon_a)
        chord = math.sin((phi_b - phi_a) / 2) ** 2 + cos_a * math.cos(phi_b) * math.sin(across / 2) ** 2
        return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))

    return measured


class Places:
    """The places of the United States. Reading only, so one object serves any number of threads.

    Args:
        cities: Largest first; among equal names in one state the first wins.
        states: Postal code to `(name, abbreviations)`.

    >>> places = Places([City("Cleveland", "OH", 41.4995, -81.6954, 361607)], {"OH": ("Ohio", ())})
    >>> [(match.location.city, match.location.state) for match in places.find("3 cooks in CLEVELAND, Ohio")]
    [('Cleveland', 'OH')]
    """

    def __init__(self, cities: Iterable[City], states: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        self.state_names = {code: name for code, (name, _) in states.items()}
        self._gazetteer = Gazetteer(cities, states)

    @classmethod
    def shipped(cls) -> Places:
        """Read the gazetteer that ships with the product.

        Raises:
            NotInstalled: The data files are missing.
        """
        return cls(read_cities(shipped("us_cities.csv.gz")), read_states(shipped("us_states.csv")))

    def state(self, text: str) -> str | None:
        """Return the postal code of a state given as code, name or abbreviation, null when it is none."""
        return self._gazetteer.state([token.key for token in tokens(text)])

    def city(self, name: str, state: str | None = None) -> City | None:
        """Return a city, null when it is unknown or, without a state, when several could be meant.

        Args:
            name: In any spelling that `place_key` unites.
            state: Code, name or abbreviation. Without it the largest city of that name is returned only if
                it has five times the people of the next one.
        """
        key = place_key(name)
        return self._gazetteer.cities(key).get(self.state(state) or "") if state else self._gazetteer.dominant(key)

    def lookup(self, city: str, state: str | None = None) -> Location | None:
        """Return a city with its coordinates, or null; see `city` for how a missing state is handled."""
        found = self.city(city, state)
        return found.location if found else None

    def find(self, text: str) -> list[PlaceMatch]:
        """Return the places named in a text, in order, without overlaps.

        A city with its state counts anywhere; a city or state alone only after a word like "in" or "near".
        What is not in the text stays null: "in Cleveland" has no state, but the coordinates of the one
        Cleveland that is meant when no other comes near it in size.
        """
        return self.mentions(text, tokens(text)).matches()

    def mentions(self, text: str, words: Sequence[Token]) -> Mentions:
        """Return one text, given with its tokens, read for places and for states wherever they stand."""
        return Mentions(self._gazetteer, text, words)

    def bare_city(self, text: str, start: int, end: int) -> PlaceMatch | None:
        """Return the city of 100,000 people or more that a stretch of text names and nothing else, else null.

        Its state is not said and stays null; coordinates as `find` gives them to a city alone.
        """
        return bare_city(self._gazetteer, text, start, end)

    def narrow(self, match: PlaceMatch, text: str, start: int) -> PlaceMatch:
        """Return a match in which the city begins later, at an offset into the text.

        With one of `match.starts` it is a shorter city; at or behind `match.city_end` the state alone is left.
        """
        return narrowed(self._gazetteer, match, text, start)
