"""The fields of a demand as a coordinator sees and edits them, and the line that says them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from lakehouse.serve.console.marks import Segment, segments
from lakehouse.staffing.demand import Demand
from lakehouse.staffing.need import NAMES, Fields, fields_of, need_line, understood

State = Literal["read", "edited", "unsaid", "missing", "unclear"]

# Which part of a parsed demand each chip shows; a place is one part with two chips.
PART = {name: "location" if name in {"city", "state"} else name for name in NAMES}


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
    shown, lost = understood(typed, parse)
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


def _same(a: str, b: str) -> bool:
    return " ".join(a.split()) == " ".join(b.split())
