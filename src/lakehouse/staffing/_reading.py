"""A text as a demand's reader sees it: sentences, and marks where something is already recognised."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from lakehouse.staffing import _when, shifts
from lakehouse.staffing._companies import is_company
from lakehouse.staffing._letters import CONTACTS, Segment, segments
from lakehouse.staffing._scan import Needing, Said
from lakehouse.staffing._tokens import Casing, Token, tokens
from lakehouse.staffing.certifications import CertificationMatch, Certifications
from lakehouse.staffing.places import PlaceMatch, Places

Kind = Literal["place", "cert", "shift", "when", "pay", "time", "contact"]

PAY = re.compile(
    r"""(?:(?:pay(?:ing|s|\s+rate)?|rate|wages?|salary|up\s+to|@)[\s:]*(?:is\s+|of\s+)?)?
        (?:(?:USD|US\$|\$)\s?\d[\d,]*(?:\.\d+)?(?:\s*(?:-|\u2013|to)\s*\$?\s?\d[\d,]*(?:\.\d+)?)?
            (?:\s*(?:/|per\b|an?\b)\s*(?:hr|hour|h|day|week|wk|year|yr|month|mo)\b\.?)?(?:\s*hourly\b)?
          | (?<![\w.])\d+(?:\.\d+)?\s*(?:/\s*(?:hr|hour|h)|per\s+hour|an\s+hour)\b\.?)
      | \b(?:doe|dow)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_PAYS = Needing(PAY, words=["doe", "dow"], signs=["$", "/", "hour", "usd"])
_LENGTH = re.compile(
    r"""(?<![\w.$])(?:\d+(?:\s*(?:-|\u2013|to)\s*\d+)?\s*\+?|(?:a|an|one|two|three|four|five|six|ten|several)(?=[\s-]))[\s-]*
        (?:(?:hours?|hrs?)[\s-]+(?:days?|shifts?)|hours?|hrs?|days?|weeks?|wks?|months?|mos?|years?|yrs?)\b\.?
        (?:\s*(?:/|per\b|an?\b|each\b)\s*(?:day|week|wk|month|shift)\b)?(?:\s+(?:of\s+)?(?:experience|exp)\b\.?)?
      | \b(?:full|part)[\s-]time\b(?=\s*(?:[,.;]|$))
      | \b(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\s*(?:-|\u2013|through|thru|to)\s*
            (?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_LENGTHS = Needing(
    _LENGTH,
    words="hour hours hr hrs day days week weeks wk wks month months mo mos year years yr yrs time".split(),
    signs="mon tue wed thu fri sat sun".split(),
)
_NAME_AFTER = re.compile(r" (?:[A-Z][\w'&]*(?: |,|\.|$))+")
_FIRM_AFTER = re.compile(
    r"(?: (?!(?:for|at|with|and|or|to|in|cert\w*|cards?|licen[cs]e\w*)\b)[\w&'-]+){1,5},? "
    r"(?:l\.?l\.?c|inc|ltd|corp|co)\b",
    re.IGNORECASE,
)
_AFTER_PLACE = re.compile(r"\)?(?:[\s,]*\d{5}(?:-\d{4})?\b)?(?:[\s,]*(?:USA|U\.S\.A\.|US|United States)\b)?")


class Mark(NamedTuple):
    """Something recognised at a half-open span; `nth` counts within its kind."""

    kind: Kind
    start: int
    end: int
    nth: int = 0


class Reading(msgspec.Struct, frozen=True):
    """One text with all that can be recognised in it without knowing what is asked for.

    `marks` are in order and do not overlap; a place wins over a date ("Friday Harbor"), and both win over
    shorter finds inside them. The mark of a place takes in its ZIP code. `starts` are theirs; `states` are
    all states named anywhere.
    """

    text: str
    said: Said
    casing: Casing
    words: list[Token]
    segments: list[Segment]
    places: list[PlaceMatch]
    certs: list[CertificationMatch]
    shifts: list[shifts.ShiftMatch]
    moments: list[_when.Moment]
    marks: list[Mark]
    starts: list[int]
    states: list[PlaceMatch]

    def between(self, start: int, end: int, *kinds: Kind) -> Iterator[Mark]:
        """Yield the marks that lie within a span, in order; of some kinds only, when any are named."""
        for mark in self.marks[bisect_left(self.starts, start) : bisect_left(self.starts, end)]:
            if mark.end <= end and (not kinds or mark.kind in kinds):
                yield mark

    def at(self, offset: int) -> Mark | None:
        """Return the mark that covers an offset."""
        before = bisect_right(self.starts, offset) - 1
        return self.marks[before] if before >= 0 and offset < self.marks[before].end else None

    def place_end(self, place: PlaceMatch) -> int:
        """Return where a place ends, its ZIP code included."""
        return _place_end(self.text, place)

    def blank(self, start: int, end: int) -> bool:
        """Tell whether nothing but space and punctuation stands in a span outside of marks."""
        at = start
        for mark in self.between(start, end):
            if _has_word(self.text[at : mark.start]):
                return False
            at = max(at, mark.end)
        return not _has_word(self.text[at:end])


def read(text: str, places: Places, certifications: Certifications) -> Reading:
    """Recognise places, certifications, shifts, times, pay and contact data in a text."""
    said = Said(text)
    words = tokens(text)
    mentions = places.mentions(text, words)
    found_places = mentions.matches()
    casing = Casing(text)
    certs = [cert for cert in certifications.find(text, said) if not _in_name(text, cert, casing)]
    shift_matches = shifts.find(text, said)
    moments = _when.moments(text, words, said)
    marks = _without_overlap(
        len(text),
        [
            *(Mark("contact", m.start(), m.end()) for m in CONTACTS.found(text, said)),
            *(Mark("place", p.start, _marked_end(text, p, certs), i) for i, p in enumerate(found_places)),
            *(Mark("cert", c.start, c.end, i) for i, c in enumerate(certs)),
            *(Mark("shift", s.start, s.end, i) for i, s in enumerate(shift_matches)),
            *(Mark("pay", m.start(), m.end()) for m in _PAYS.found(text, said)),
            *(Mark("when", m.start, m.end, i) for i, m in enumerate(moments)),
            *(Mark("time", m.start(), m.end()) for m in _LENGTHS.found(text, said)),
        ],
    )
    return Reading(
        text=text,
        said=said,
        casing=casing,
        words=words,
        segments=segments(text, said),
        places=found_places,
        certs=certs,
        shifts=shift_matches,
        moments=moments,
        marks=marks,
        starts=[mark.start for mark in marks],
        states=mentions.states(),
    )


def _in_name(text: str, cert: CertificationMatch, casing: Casing) -> bool:
    """Tell whether what could be a certificate begins a company's name ("MMC Land Management", "Nate's Farm, LLC")."""
    said = text[cert.start : cert.end]
    if not said.replace("'", "").replace("\u2019", "").isalpha():
        return False
    if _FIRM_AFTER.match(text, cert.end):
        return True
    after = _NAME_AFTER.match(text, cert.end)
    return after is not None and casing.at(cert.start) and said.isalpha() and is_company(after[0])


def _place_end(text: str, place: PlaceMatch) -> int:
    after = _AFTER_PLACE.match(text, place.end)
    return after.end() if after else place.end


def _marked_end(text: str, place: PlaceMatch, certs: Iterable[CertificationMatch]) -> int:
    """Return where a place ends: "Detroit MI, US Soccer coaching license" names no country."""
    end = _place_end(text, place)
    return place.end if any(place.end < cert.start < end for cert in certs) else end


def _without_overlap(length: int, marks: Iterable[Mark]) -> list[Mark]:
    kept: list[Mark] = []
    taken = bytearray(length)
    for mark in marks:
        if not any(taken[mark.start : mark.end]):
            taken[mark.start : mark.end] = b"\x01" * (mark.end - mark.start)
            kept.append(mark)
    return sorted(kept, key=lambda mark: mark.start)


def _has_word(text: str) -> bool:
    return any(map(str.isalnum, text))
