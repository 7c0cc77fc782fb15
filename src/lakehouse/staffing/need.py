"""The fields of a demand as people type them, and the line that says them so that the parser reads the same."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from lakehouse.staffing.demand import Demand
from lakehouse.staffing.titles import singular

MOST_PEOPLE = 100_000
_LISTS = frozenset({"certs", "skills"})
_DIGITS = re.compile(r"[0-9]{1,9}")


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the chips: text as shown, lists joined by commas, empty when not said."""

    count: str = ""
    role: str = ""
    city: str = ""
    state: str = ""
    certs: str = ""
    skills: str = ""
    shift: str = ""
    start: str = ""
    client: str = ""


NAMES = Fields.__struct_fields__


def fields_of(demand: Demand) -> Fields:
    """Return what the chips of a parsed demand show. A count that the text does not say is empty."""
    place = demand.location
    return Fields(
        count=str(demand.count) if "count" in demand.spans else "",
        role=demand.role or "",
        city=(place.city or "") if place else "",
        state=(place.state or "") if place else "",
        certs=", ".join(demand.certs),
        skills=", ".join(demand.skills),
        shift=demand.shift or "",
        start=demand.start or "",
        client=demand.client or "",
    )


def need_line(fields: Fields) -> str:
    """Say the fields as one line that the parser reads the same fields from.

    A count that is no whole number from 1 to 100,000 is left out; so is one that was not said, which means
    one person.

    >>> need_line(Fields(count="3", role="Forklift Operator", city="Detroit", state="MI", skills="reach truck"))
    'Need 3 Forklift Operators in Detroit MI; skills: reach truck'
    """
    said = {name: " ".join(str(value).split()) for name, value in msgspec.structs.asdict(fields).items()}
    place = " ".join(filter(None, (said["city"], said["state"])))
    count = _count(said["count"]) or "1"
    ask = " ".join(filter(None, ("Need", count, in_number(count, said["role"]), f"in {place}" if place else "")))
    extras = [
        f"{said['shift']} shift" if said["shift"] else "",
        # Some names are certifications only beside the word ("Telehandler", "Red Card").
        *(f"{name} certified" for name in _items(said["certs"])),
        f"starting {said['start']}" if said["start"] else "",
        f"for {said['client']}" if said["client"] else "",
    ]
    line = ", ".join(filter(None, (ask, *extras)))
    skills = ", ".join(_items(said["skills"]))
    return f"{line}; skills: {skills}" if skills else line


def understood(typed: Fields, parse: Callable[[str], Demand]) -> tuple[Fields, frozenset[str]]:
    """Return typed fields as the parser reads them from their line, and the names of those it did not understand.

    What was not understood stays as it was typed, so that it can be corrected.
    """
    known = fields_of(parse(need_line(typed)))
    if not _count(typed.count.strip()):
        # The line says "1" for a count that nobody has said.
        known = msgspec.structs.replace(known, count="")
    lost = frozenset(name for name in NAMES if _number(name, known) < _number(name, typed))
    return Fields(**{name: getattr(typed if name in lost else known, name) for name in NAMES}), lost


def in_number(count: str, role: str) -> str:
    """Return the role in the number that goes with a count, where it is certain to be read back as it was."""
    if count == "1":
        return role
    low = role.lower()
    if low.endswith("man"):
        plural = role[:-2] + "en"
    elif low.endswith("y") and low[-2:-1] not in "aeiou":
        plural = role[:-1] + "ies"
    else:
        plural = role + ("es" if low.endswith(("s", "x", "z", "ch", "sh")) else "s")
    plural = plural.upper() if role.isupper() else plural
    return plural if singular(plural) == role else role


def whole_number(text: str) -> int | None:
    """Return the number that up to nine digits stand for, null for every other text."""
    return int(text) if _DIGITS.fullmatch(text) else None


def _number(name: str, fields: Fields) -> int:
    value = getattr(fields, name)
    return len(_items(value)) if name in _LISTS else bool(value.strip())


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _count(text: str) -> str:
    number = whole_number(text)
    return str(number) if number is not None and 1 <= number <= MOST_PEOPLE else ""
