"""The fields of a demand as a coordinator sees and edits them, and the line that says them again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import msgspec

from lakehouse.serve.console.marks import Segment, segments
from lakehouse.staffing.demand import Demand
from lakehouse.staffing.titles import singular

State = Literal["read", "edited", "unsaid", "missing", "unclear"]

MOST_PEOPLE = 100_000


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

# Which part of a parsed demand each chip shows; a place is one part with two chips.
PART = {name: "location" if name in {"city", "state"} else name for name in NAMES}
_LISTS = frozenset({"certs", "skills"})
_DIGITS = re.compile(r"[0-9]{1,9}")


class Chip(msgspec.Struct, frozen=True, kw_only=True):
    """One field on the page.

    Attributes:
        state: `read` from the text, `edited` by the coordinator, `unsaid`, `missing` (unsaid, and worth
            asking the client), or `unclear` (typed in, but not understood).
        written: What the text says, when the field was edited.
    """

    name: str
    value: str
    state: State
    written: str = ""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A text as it was understood, after the coordinator's edits.

    Attributes:
        pieces: The original text, cut at what fields were read from.
        line: What is searched for: the original text, or the line that says the edited fields.
        demand: What `line` asks for.
        edited: Whether `line` is not the original text.
    """

    pieces: list[Segment]
    chips: list[Chip]
    line: str
    demand: Demand
    edited: bool

    @property
    def edited_parts(self) -> frozenset[str]:
        """Parts of the text that no longer count, because their field was edited."""
        return frozenset(PART[chip.name] for chip in self.chips if chip.state in {"edited", "unclear"})


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
    ask = " ".join(filter(None, ("Need", count, _for(count, said["role"]), f"in {place}" if place else "")))
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


def whole_number(text: str) -> int | None:
    """Return the number that up to nine digits stand for, null for every other text."""
    return int(text) if _DIGITS.fullmatch(text) else None


def read(text: str, typed: Fields | None, *, parse: Callable[[str], Demand]) -> Reading:
    """Understand a text, with what the coordinator typed over its fields.

    Args:
        text: The demand as it came.
        typed: What stands in the chips; None when they do not belong to `text`.
        parse: Reads a demand; called once for the text and once more for edited fields.
    """
    demand = parse(text)
    written = fields_of(demand)
    typed = typed or written
    pieces = segments(text, demand.spans)
    if all(_same(getattr(typed, name), getattr(written, name)) for name in NAMES):
        chips = [_chip(name, written, demand) for name in NAMES]
        return Reading(pieces=pieces, chips=chips, line=text, demand=demand, edited=False)
    understood = fields_of(parse(need_line(typed)))
    if not _count(typed.count.strip()):
        # The line says "1" for a count that nobody has said.
        understood = msgspec.structs.replace(understood, count="")
    # What was not understood stays as typed, so that it can be corrected.
    lost = {name for name in NAMES if _number(name, understood) < _number(name, typed)}
    shown = Fields(**{name: getattr(typed if name in lost else understood, name) for name in NAMES})
    line = need_line(shown)
    chips = [_edited_chip(name, shown, written, demand, lost=name in lost) for name in NAMES]
    return Reading(pieces=pieces, chips=chips, line=line, demand=parse(line), edited=True)


def _chip(name: str, written: Fields, demand: Demand) -> Chip:
    value = getattr(written, name)
    if value:
        return Chip(name=name, value=value, state="read")
    return Chip(name=name, value="", state="missing" if PART[name] in demand.missing else "unsaid")


def _edited_chip(name: str, shown: Fields, written: Fields, demand: Demand, *, lost: bool) -> Chip:
    value, before = getattr(shown, name), getattr(written, name)
    if lost:
        return Chip(name=name, value=value, state="unclear", written=before)
    if _same(value, before):
        return _chip(name, written, demand)
    return Chip(name=name, value=value, state="edited", written=before)


def _number(name: str, fields: Fields) -> int:
    value = getattr(fields, name)
    return len(_items(value)) if name in _LISTS else bool(value.strip())


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _same(a: str, b: str) -> bool:
    return " ".join(a.split()) == " ".join(b.split())


def _count(text: str) -> str:
    number = whole_number(text)
    return str(number) if number is not None and 1 <= number <= MOST_PEOPLE else ""


def _for(count: str, role: str) -> str:
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
