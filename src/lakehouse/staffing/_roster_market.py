"""Where people of which occupation live: branch offices, real demands, and the whole country behind them."""

from __future__ import annotations

import csv
import gzip
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Generic, NamedTuple, TypeVar

from lakehouse.staffing import _roster_tables as tables
from lakehouse.staffing._gazetteer import City, read_cities
from lakehouse.staffing._role_files import occupations
from lakehouse.staffing._roster_jobs import Job, Jobs
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.places import Places
from lakehouse.staffing.roles import Roles
from lakehouse.staffing.shipped import shipped

# Share of people from a branch office; of those from the place of a real demand; the rest is spread out.
_FROM_BRANCH, _FROM_DEMAND = 0.36, 0.26
_RARE = 0.1
_SMALLEST_CITY = 3_000
# A demand for hundreds of people weighs as much as one for this many.
_MOST_WANTED = 40

Value = TypeVar("Value")


class Weighted(Generic[Value]):
    """Values to draw from by weight, in a fixed order."""

    def __init__(self, values: Sequence[Value], weights: Sequence[float]) -> None:
        self._values = values
        self._sums = [*accumulate(weights)]

    def draw(self, random: Random) -> Value:
        """Draw one value."""
        at = bisect_right(self._sums, random.random() * self._sums[-1])
        return self._values[min(at, len(self._values) - 1)]


class Demand(NamedTuple):
    """A real demand: occupation, the city it was for, the title as written, people wanted."""

    code: str
    city: City
    title: str
    wanted: int


class Market:
    """The labour market that rosters are drawn from. Reading the shipped files takes about a second."""

    def __init__(self) -> None:
        roles, places = Roles.shipped(), Places.shipped()
        codes = [occupation.code for occupation in occupations()]
        demands = _demands(roles, places, frozenset(codes))
        wanted = Counter((each.code, each.title) for each in demands)
        self._jobs = Jobs(roles, Certifications.shipped(), [(*key, count) for key, count in wanted.items()])
        self._demands = Weighted(
            [(each.code, each.city) for each in demands], [min(each.wanted, _MOST_WANTED) for each in demands]
        )
        cities = _cities(places)
        self._cities = Weighted(cities, [city.population for city in cities])
        branches = _branches(places)
        self._branches = Weighted([pair for pair, _ in branches], [weight for _, weight in branches])
        self._common = Weighted([*tables.COMMON], [*tables.COMMON.values()])
        self._rare = [code for code in codes if code.startswith(tables.RARE)]

    def job(self, code: str) -> Job | None:
        """Return an occupation, null when nobody can be invented for it."""
        return self._jobs.job(code)

    def draw(self, random: Random) -> tuple[Job, City]:
        """Draw an occupation and the city that somebody of it lives in."""
        while True:
            code, city = self._pair(random)
            job = self._jobs.job(code)
            if job is not None and not (code.startswith(tables.AFLOAT) and city.state not in tables.COAST):
                return job, city

    def _pair(self, random: Random) -> tuple[str, City]:
        source = random.random()
        if source < _FROM_BRANCH:
            return self._branches.draw(random)
        if source < _FROM_BRANCH + _FROM_DEMAND:
            return self._demands.draw(random)
        if random.random() < _RARE:
            return self._rare[int(random.random() * len(self._rare))], self._cities.draw(random)
        return self._common.draw(random), self._cities.draw(random)


def _demands(roles: Roles, places: Places, codes: frozenset[str]) -> list[Demand]:
    """Read the shipped sample; where title and SOC code disagree, the code decides and the title is not used."""
    found = []
    with gzip.open(shipped("h2b_demands_sample.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            city = places.city(row["worksite_city"], row["worksite_state"])
            match = roles.resolve(row["job_title"])
            stated = row["soc_code"] + ".00"
            code = stated if stated in codes else match.code if match else ""
            if city is not None and code:
                title = row["job_title"] if match and match.code == code else ""
                found.append(Demand(code, city, title, max(1, int(row["workers_requested"] or 1))))
    return found


def _cities(places: Places) -> list[City]:
    """Return the cities people live in, each under one name: what a look-up of the name finds."""
    seen: set[tuple[str, int]] = set()
    found = []
    for city in read_cities(shipped("us_cities.csv.gz")):
        key = (city.state, city.population)
        large = city.population >= 100_000
        if (
            city.population >= _SMALLEST_CITY
            and places.city(city.name, city.state) == city
            and not (large and key in seen)
        ):
            seen.add(key)
            found.append(city)
    return found


def _branches(places: Places) -> list[tuple[tuple[str, City], float]]:
    found = []
    for name, state, kinds, weight in tables.BRANCHES:
        city = places.city(name, state)
        if city is not None:
            found += [((code, city), weight) for kind in kinds for code in kind]
    return found
