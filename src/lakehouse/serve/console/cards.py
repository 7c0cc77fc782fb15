"""A match as a card: every fact in words, nothing assumed about a person that the roster does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from lakehouse.matrix.base import Match, MemoryUse
from lakehouse.serve.console.form import Person
from lakehouse.serve.console.words import age
from lakehouse.staffing.demand import Location
from lakehouse.staffing.places import distance_km

RATINGS = {
    5: "fits all",
    4: "fits nearly all",
    3: "fits in part",
    2: "falls short",
    1: "wrong role",
}
NOT_RATED = "not rated"

# A result nearer than this looks like a hit; rated 1 or 2 all the same, it must not pass for one.
_TIGHT = 0.35
_WRONG = 2

_PHONE = re.compile(r"[+0-9(][0-9 ().+/x-]{4,}")
_EMAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")


class Certificate(msgspec.Struct, frozen=True):
    """A certification held. `expiry` is an ISO date, empty when the roster has none."""

    name: str
    expiry: str
    expired: bool


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One match, ready to be shown.

    Attributes:
        person: Value of its buttons.
        distance: With three decimals; `before` the same without memory, empty when memory changed nothing.
        tight_but_wrong: Near in meaning, and yet not what was asked for.
        facts: Label and value of everything else worth a line.
        effect: What memory did, and `memory` in words; both empty when it knows nothing.
        phone, email: With an address to call or write to, empty when the value cannot be one.
    """

    number: int
    id: str
    corpus: str
    person: str
    name: str
    role: str
    place: str
    away: str
    rating: int | None
    words: str
    distance: str
    before: str
    tight_but_wrong: bool
    reasons: list[str]
    certificates: list[Certificate]
    facts: list[tuple[str, str]]
    effect: str
    memory: str
    phone: str
    call: str
    email: str
    write: str
    resume: str


def card(match: Match, *, number: int, place: Location | None, now: datetime) -> Card:
    """Put a match into words.

    Args:
        match: From a search.
        number: Its place in the answer, from 1.
        place: Where the demand wants people, for the way there.
        now: Time of looking, with a zone; tells what has expired and how old a memory is.
    """
    person = match.metadata
    name = _text(person.get("name")) or match.id
    memory = match.memory
    phone, email = _text(person.get("phone")), _text(person.get("email"))
    return Card(
        number=number,
        id=match.id,
        corpus=match.corpus,
        person=Person(match.corpus, match.id, name).value,
        name=name,
        role=_text(person.get("role")),
        place=", ".join(filter(None, (_text(person.get("city")), _text(person.get("state"))))),
        away=_away(person, place),
        rating=match.rating,
        words=NOT_RATED if match.rating is None else RATINGS.get(match.rating, ""),
        distance=f"{match.distance:.3f}",
        before=f"{memory.base_distance:.3f}" if memory and memory.effect == "boost" else "",
        tight_but_wrong=match.rating is not None and match.rating <= _WRONG and match.distance < _TIGHT,
        reasons=match.reasons,
        certificates=_certificates(person, now.date()),
        facts=_facts(person, now.date()),
        effect=memory.effect if memory else "",
        memory=_memory(memory, now) if memory else "",
        phone=phone,
        call="tel:" + re.sub(r"[^0-9+]", "", phone) if _PHONE.fullmatch(phone) else "",
        email=email,
        write="mailto:" + quote(email, safe="@") if _EMAIL.fullmatch(email) else "",
        resume=_text(person.get("resume")),
    )


def _memory(memory: MemoryUse, now: datetime) -> str:
    effect = {"boost": "boosted", "inject": "brought in", "none": "known"}[memory.effect]
    try:
        recorded = datetime.fromisoformat(memory.recorded_at)
    except ValueError:
        when, old = memory.recorded_at, ""
    else:
        when, old = f"{recorded:%Y-%m-%d}", f" ({age(recorded, now)})"
    return f"{effect}: worked out for a like demand on {when}, recorded by {memory.namespace}{old}"


def _certificates(person: Mapping[str, Any], today: date) -> list[Certificate]:
    names, dates = _list(person.get("certs")), _list(person.get("cert_expiry"))
    dates += [""] * (len(names) - len(dates))
    # ISO dates are in order as text.
    return [
        Certificate(name, expiry, bool(expiry) and expiry < today.isoformat())
        for name, expiry in zip(names, dates, strict=False)
    ]


def _facts(person: Mapping[str, Any], today: date) -> list[tuple[str, str]]:
    available = _text(person.get("available_from"))
    years, pay = _text(person.get("years")), person.get("pay_hourly")
    facts = [
        ("Available", "now" if available and available <= today.isoformat() else available and f"from {available}"),
        ("Shifts", ", ".join(_list(person.get("shifts")))),
        ("Experience", years and f"{years} {'year' if years == '1' else 'years'}"),
        ("Pay", f"${pay:.2f} an hour" if isinstance(pay, (int, float)) else _text(pay)),
        ("Skills", ", ".join(_list(person.get("skills")))),
    ]
    return [(label, value) for label, value in facts if value]


def _away(person: Mapping[str, Any], place: Location | None) -> str:
    point = person.get("location")
    if place is not None and _lives_in(person, place):
        return "in town"
    if place is None or not isinstance(point, Mapping):
        return ""
    lat, lon = point.get("lat"), point.get("lon")
    if not isinstance(lat, (int, float)) or not isinstance(lon, (int, float)):
        return ""
    km = distance_km(place, Location(None, None, lat, lon))
    return "" if km is None else f"{max(km, 1):,.0f} km away"


def _lives_in(person: Mapping[str, Any], place: Location) -> bool:
    """Tell whether the town is the same by name; its coordinates differ from one list of places to another."""
    if not place.city or place.city.casefold() != _text(person.get("city")).casefold():
        return False
    return not place.state or place.state == _text(person.get("state"))


def _text(value: Any) -> str:
    if value is None or isinstance(value, (list, dict)):
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value).strip()


def _list(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_text(item) for item in value]
    return [item.strip() for item in _text(value).split(";") if item.strip()]
