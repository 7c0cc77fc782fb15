"""What of a demand's text is compared with what people can do."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lakehouse.staffing._letters import CONTACT, Segment, segments
from lakehouse.staffing._reading import PAY
from lakehouse.staffing.demand import Demand

Span = tuple[int, int]

_REMOVED = ("count", "client", "location", "start")
_KEPT = ("role", "certs", "skills", "shift")

# What only led to something that is taken out. "With" and "must have" stay: they belong to what is asked for.
_LED = re.compile(
    r"(?:[\s,;:|(@\u2013-]|\b(?:in|at|near|for|from|on|by|to|starting|starts?|beginning|begins?|effective|around|of|our|client|"
    r"on\s+behalf\s+of|the|located|based|report|date|time|is|paying|pay)\b)+$",
    re.IGNORECASE,
)
_AFTER_ROLE = re.compile(
    r"\s+(?:(?:is|are|will\s+be)\s+)?(?:urgently\s+)?(?:needed|wanted|required)\b(?=[\s,.;|]*$)", re.IGNORECASE
)
_LOOSE_END = re.compile(
    r"(?:[\s,;:|(\u2013-]|\b(?:in|at|for|from|on|by|starting|starts?|beginning|please|thanks|and|asap|location|needed)\b)+$",
    re.IGNORECASE,
)
_LOOSE_START = re.compile(r"^[\s,;:|.)\u2013-]+")
_PRAISE = re.compile(r"\b(?:experienced|skilled|certified|licensed|bilingual)\s+$", re.IGNORECASE)
_LOOK_BACK = 80
_ZIP = re.compile(r"(?<![\w-])\d{5}(?:-\d{4})?(?![\w-])")
_COMMAS = re.compile(r"\s*(?:[,;:|]\s*)*([,;|])\s*")


def searchable_text(text: str, demand: Demand) -> str:
    """Return the part of a demand's text that says what the person must be able to do.

    Count, client, place, start, pay and contact data are taken out, and so are greeting, signature and the
    words of the style ("Need", "Looking for"); role, skills, certifications, shift and experience stay as
    written. It never holds the client's name or that of who signed. When no role was recognised, the whole
    text is returned without contact data.

    Args:
        text: What was parsed.
        demand: What `Parser.parse` made of it.
    """
    if demand.role is None or "role" not in demand.spans:
        return " ".join(CONTACT.sub(" ", text).split()) or text.strip()
    kept = [demand.spans[field] for field in _KEPT if field in demand.spans]
    if demand.style is None:
        return ", ".join(text[start:end] for start, end in kept)
    removed = [demand.spans[field] for field in _REMOVED if field in demand.spans]
    removed += [found.span() for pattern in (CONTACT, PAY, _ZIP) for found in pattern.finditer(text)]
    parts = (_part(text, segment, kept, removed) for segment in segments(text))
    said = ". ".join(filter(None, parts))
    if demand.client:
        said = re.sub(re.escape(demand.client), " ", said, flags=re.IGNORECASE)
    return " ".join(said.split()) or demand.role


def _part(text: str, segment: Segment, kept: Iterable[Span], removed: Iterable[Span]) -> str:
    """Return what a sentence says from its first kept field on, empty when it has none."""
    starts = [start for start, _ in kept if segment.start <= start < segment.end]
    if not starts:
        return ""
    begin = min(starts)
    praise = _PRAISE.search(text, segment.start, begin)
    part = _without(text, praise.start() if praise else begin, segment.end, removed)
    part = _LOOSE_START.sub("", _LOOSE_END.sub("", part))
    return " ".join(_COMMAS.sub(r"\1 ", part).split())


def _without(text: str, start: int, end: int, removed: Iterable[Span]) -> str:
    """Return a span of the text without the removed spans and the words that only led to them."""
    said = ""
    at = start
    for first, last in sorted(removed):
        if last <= at or first >= end:
            continue
        said += text[at : max(at, first)]
        tail = _AFTER_ROLE.sub("", _LED.sub("", said[-_LOOK_BACK:])) + " , "
        said = said[:-_LOOK_BACK] + tail
        at = max(at, last)
    return said + text[at:end]
