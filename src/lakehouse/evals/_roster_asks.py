"""Who in a roster truly fits a demand, worked out from the roster file alone, and demands of which that is known.

Nothing here goes through parsing, resolving or searching: a person fits when their role code, certifications (held, and
valid on the day), place (within the near distance) and shift are those of the ask, and they are available on the day.
Being available is nothing that these asks state, so who is not yet may be shown, but need not be.
"""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec

from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.demand import Location
from lakehouse.staffing.places import Places, distance_km
from lakehouse.staffing.worker import SEPARATOR

Constraint = Literal["role", "certs", "place", "shift"]

_CLIENTS = (
    "Beacon Freight",
    "Lakeside Hospitality LLC",
    "Harbor Point Builders",
    "Summit Packaging Inc",
    "Meridian Foods",
)
_FORMS = {
    "need": (
        "Need {count} {role} in {city} {state}{shift}{certs}",
        "We need {count} {role} in {city}, {state}{certs}{shift}",
    ),
    "client_first": (
        "{client} needs {count} {role} in {city}, {state}{shift}{certs}",
        "{client} is looking for {count} {role} in {city} {state}{certs}{shift}",
    ),
    "looking": (
        "Looking for {count} {role} in {city}, {state}{certs}{shift}",
        "Looking for {count} {role} at {client} in {city} {state}{shift}{certs}",
    ),
    "shorthand": (
        "{count} {role} {city} {state}{shift}{certs}",
        "{count} {role}, {city} {state}{certs}{shift}",
    ),
}
# Said with the word that makes it one: "Forklift required" may ask for a truck.
_SAID_CERTIFIED = (", {certs} certified", ", {certs} certification required", ", must have {certs} certification")
_SAID_SHIFT = (", {shift} shift", " for {shift} shift")
# A demand names a certification or a shift this often.
_CERTIFIED, _SHIFTED = 0.4, 0.3
_TRIES_PER_ASK = 200


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a roster.

    `certs` maps each certification to the ISO date it expires on, "" when it does not.
    """

    id: str
    role: str
    role_code: str
    certs: dict[str, str]
    place: Location
    shifts: frozenset[str]
    available_from: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A demand in words, and what it states.

    `fitting` are the ids of all who meet everything and are available, `later` of those who will be.
    """

    text: str
    role_code: str
    certs: tuple[str, ...]
    place: Location
    shift: str | None
    fitting: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a roster CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_people(path: Path, prefix: str) -> list[Person]:
    """Read a roster CSV as people; ids get the corpus prefix."""
    return [_person(row, prefix) for row in read_rows(path)]


def _person(row: Mapping[str, str], prefix: str) -> Person:
    names, dates = _parts(row["certs"]), _parts(row["cert_expiry"])
    return Person(
        id=prefix + row["id"],
        role=row["role"],
        role_code=row["role_code"],
        certs=dict(zip(names, dates or [""] * len(names), strict=True)),
        place=Location(row["city"], row["state"], float(row["lat"]), float(row["lon"])),
        shifts=frozenset(_parts(row["shifts"])),
        available_from=row["available_from"],
    )


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(SEPARATOR.strip()) if part.strip()]


class Truth:
    """Who fits what.

    Args:
        people: Everybody in the corpora that are searched.
        on: The day on which certifications must be valid.
        near_km: What counts as near.
    """

    def __init__(self, people: Iterable[Person], *, on: date, near_km: float) -> None:
        self.people = {person.id: person for person in people}
        self._on = on.isoformat()
        self._near_km = near_km
        self._certifications = Certifications.shipped()
        self._by_role: dict[str, list[Person]] = defaultdict(list)
        for person in self.people.values():
            self._by_role[person.role_code].append(person)

    def unmet(self, person: Person, ask: Ask) -> list[Constraint]:
        """Return what of the ask a person does not meet."""
        checks: dict[Constraint, bool] = {
            "role": person.role_code == ask.role_code,
            "certs": all(self.certified(person, name) for name in ask.certs),
            "place": self._near(person, ask.place),
            "shift": ask.shift is None or ask.shift in person.shifts,
        }
        return [name for name, met in checks.items() if not met]

    def certified(self, person: Person, name: str) -> bool:
        """Tell whether a person holds a certification, or one that covers it, and it is valid on the day."""
        return any(
            self._certifications.covers(held, name) and (not until or until >= self._on)
            for held, until in person.certs.items()
        )

    def _near(self, person: Person, place: Location) -> bool:
        km = distance_km(person.place, place)
        return km is not None and km <= self._near_km

    def complete(self, ask: Ask) -> Ask:
        """Return the ask with who fits it."""
        met = [person for person in self._by_role[ask.role_code] if not self.unmet(person, ask)]
        now = frozenset(person.id for person in met if person.available_from <= self._on)
        return msgspec.structs.replace(ask, fitting=now, later=frozenset(person.id for person in met) - now)


def asks(truth: Truth, places: Mapping[tuple[str, str], Location], *, number: int, seed: int) -> dict[str, list[Ask]]:
    """Make demands of three kinds, `number` each: `plenty` (10 or more fit), `few` (1 to 9), `none` (not even later).

    A demand takes its role from one person of the roster and its place, certification and shift from that person or,
    half of the time, from others: from one of the same occupation what is held, from anybody the place. A kind that
    the roster does not give often enough comes out shorter. The same roster and seed give the same demands.

    Args:
        truth: The roster.
        places: City and state to the point a demand that names them means; other cities are not asked for.
        number: Demands of each kind.
        seed: Of the drawing.
    """
    draw = random.Random(seed)
    people = [person for _, person in sorted(truth.people.items()) if _city(person) in places]
    found: dict[str, list[Ask]] = {"plenty": [], "few": [], "none": []}
    seen: set[str] = set()
    for _ in range(_TRIES_PER_ASK * number):
        if not people or all(len(kind) == number for kind in found.values()):
            break
        ask = truth.complete(_ask(draw, truth, draw.choice(people), draw.choice(people), places))
        if not ask.fitting and ask.later:
            continue
        kind = found["none" if not ask.fitting else "few" if len(ask.fitting) < 10 else "plenty"]
        if len(kind) < number and ask.text not in seen:
            seen.add(ask.text)
            kind.append(ask)
    return found


def _ask(
    draw: random.Random, truth: Truth, person: Person, other: Person, places: Mapping[tuple[str, str], Location]
) -> Ask:
    home = person if draw.random() < 0.5 else other
    valid = sorted(name for name in person.certs if truth.certified(person, name))
    certs = (draw.choice(valid),) if valid and draw.random() < _CERTIFIED else ()
    shift = draw.choice(sorted(person.shifts)) if person.shifts and draw.random() < _SHIFTED else None
    form = draw.choice(_FORMS[draw.choice(sorted(_FORMS))])
    text = form.format(
        count=draw.choice((2, 3, 5, 8, 12, 20)),
        role=person.role,
        city=home.place.city,
        state=home.place.state,
        client=draw.choice(_CLIENTS),
        certs=draw.choice(_SAID_CERTIFIED).format(certs=certs[0]) if certs else "",
        shift=draw.choice(_SAID_SHIFT).format(shift=shift) if shift else "",
    )
    return Ask(
        text=text,
        role_code=person.role_code,
        certs=certs,
        place=places[_city(home)],
        shift=shift,
    )


def _city(person: Person) -> tuple[str, str]:
    return person.place.city or "", person.place.state or ""


def known_places(people: Iterable[Person]) -> dict[tuple[str, str], Location]:
    """Return the point of each city that people live in, from the gazetteer."""
    gazetteer = Places.shipped()
    found = {}
    for city, state in sorted({_city(person) for person in people}):
        place = gazetteer.lookup(city, state)
        if place is not None:
            found[city, state] = place
    return found
