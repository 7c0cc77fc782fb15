"""A message as the parts in which a demand may stand: no greeting, signature, quotation or mail header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from lakehouse.staffing._scan import Needing, Said
from lakehouse.staffing._tokens import Casing

CONTACT = re.compile(
    r"""(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}
      | (?:https?://|www\.)\S+
      | (?<![\w/.-])(?:\+?1[\s.-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.-])\d{3}[\s.-]?\d{4}
          (?:\s*(?:x|ext\.?)\s*\d{1,6})?(?![\w-])
      | (?<![\w/.-])\+?\d{10,13}(?![\w-])
      | (?<![\w$./-])\d{3,6}\s+(?-i:(?:(?!(?:FOR|AT|IN|ON|STARTING)\b)[A-Z][\w'.]*\s+){1,4})
          (?:Street|St\.|St(?=,)|Avenue|Ave|Boulevard|Blvd|Road|Rd|Highway|Hwy|Parkway|Pkwy|Drive|Lane)\b\.?(?:,?\s+(?:Suite|Ste|Room|Rm|Apt|Unit|\#)\.?\s*[\w-]+)?""",
    re.VERBOSE | re.IGNORECASE,
)

CONTACTS = Needing(CONTACT, signs=("@", "http", "www."), number=True)

_SKIPPED_LINE = re.compile(
    r"\s*(?:>|(?:from|to|cc|bcc|sent|date|reply-to|importance|attachments?)\s*:|on\s.{4,80}\bwrote:\s*$|"
    r"-{2,}\s*original\s)",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"\s*(?:subject\s*:\s*)?(?:(?:re|fwd?|fw)\s*:\s*)*", re.IGNORECASE)
_GREETING = re.compile(
    r"\s*(?:hi|hello|hey|hiya|dear|good\s+(?:morning|afternoon|evening|day)|greetings|morning|afternoon|howdy)\b"
    r"(?:[ \t]+(?!(?:we|i|need|looking|please|can|could)\b)[a-z][\w.'-]*){0,4}[ \t]*(?:[,!:;.\n-]+|$)\s*"
    r"|\s*(?:team|all|folks)\s*[,!:]\s*",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:many\s+)?(?:thanks|thank\s+you|thx|tks|ty)\b(?![^.!\n]{0,40}\b(?:need|looking)\b)"
    r"|(?:(?:best|kind|warm|kindest|warmest)\s+)?(?:regards|wishes)\b|best\s*[,!]|sincerely\b|cheers\b|respectfully\b"
    r"|yours\s+(?:truly|sincerely)|cordially\b|sent\s+from\s+my\b|get\s+outlook\b|--\s*$|__+\s*$|confidentiality\s+notice",
    re.IGNORECASE,
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:inc|co|corp|ltd|llc|llp|lp|capt|sgt|rev|prof|supervs?|apt|bldg|rm|bros|assn|assoc|st|ste|ft|mt|no|"
    r"approx|jr|sr|mr|mrs|ms|dr|vs|etc|hrs?|yrs?|wks?|mos?|min|max|dept|"
    r"srvc|svcs?|intl|mfg|const|mgmt|ave|blvd|rd|e\.g|i\.e|lbs?|twp|spgs|hts|exp|cert|req|avail|pos|temp)|\b[a-z]|\.[a-z])$",
    re.IGNORECASE,
)
_COMPANY_END = re.compile(r"\b(?:inc|co|corp|ltd|l\.?\s?l\.?\s?c|jr|sr)$", re.IGNORECASE)
_CLAUSE = re.compile(
    r"\s*(?:must|they|please|call|contact|we|i|pay|shift|email|send|thanks|experience|no|all|should|site|location|osha|"
    r"cdl|forklift|text|urgent|asap|reply|position|candidates|requirements?|it|this|thx|start(?:s|ing)?)\b",
    re.IGNORECASE,
)
_BREAK = re.compile(
    r"(?P<line>[ \t]*\r?\n[ \t]*(?:[-*\u2022\u00b7\u2013]+[ \t]+|\d{1,2}[.)][ \t]+)?)"
    r"|(?P<stop>[.!?]+)(?=\s|$)(?!\s+(?:&|(?:of|and|or|inc|llc|corp|co|ltd)\b))|(?P<semicolon>;)\s",
    re.IGNORECASE,
)


_BREAKS = Needing(_BREAK, signs="\n.!?;")

# No sentence is longer; what comes with a text made to take long is bounded by it.
_LONGEST = 500


class Segment(NamedTuple):
    """One sentence or line, as half-open offsets."""

    start: int
    end: int


def segments(text: str, said: Said | None = None) -> list[Segment]:
    """Return the sentences and lines of the body, in order, without empty ones.

    Quoted lines, mail headers, the greeting and everything from the closing ("Thanks,") on are left out.
    """
    found: list[Segment] = []
    for piece in _pieces(text, said or Said(text)):
        if _SKIPPED_LINE.match(text[piece.start : piece.end]):
            continue
        start, end = _body(text, piece)
        if found and _CLOSING.match(text[start:end].lstrip()):
            break
        body = text[start:end]
        if body.strip():
            left = start + len(body) - len(body.lstrip())
            found.append(Segment(left, left + len(body.strip())))
    return found


def _body(text: str, piece: Segment) -> Segment:
    """Return a piece without "Re:" and without a greeting."""
    start = piece.start
    for opening in (_SUBJECT, _GREETING):
        found = opening.match(text, start, piece.end)
        start = found.end() if found else start
    return Segment(start, piece.end)


def _pieces(text: str, said: Said) -> list[Segment]:
    found: list[Segment] = []
    start = 0
    for stop in _BREAKS.found(text, said):
        if stop["stop"] and not _is_full_stop(text, start, stop):
            continue
        named = stop["stop"] == "." and _COMPANY_END.search(text[max(start, stop.start() - 12) : stop.start()])
        found.extend(_short(text, start, stop.end() if named else stop.start()))
        start = stop.end()
    found.extend(_short(text, start, len(text)))
    return found


def _short(text: str, start: int, end: int) -> Iterator[Segment]:
    """Yield a piece, or parts of one that is too long to be a sentence, parted between words."""
    while end - start > _LONGEST:
        gap = text.rfind(" ", start + 1, start + _LONGEST)
        stop = gap if gap > start else start + _LONGEST
        yield Segment(start, stop)
        start = stop
    yield Segment(start, end)


def _is_full_stop(text: str, start: int, stop: re.Match[str]) -> bool:
    if stop["stop"] != ".":
        return True
    before = text[max(start, stop.start() - 12) : stop.start()]
    if not _ABBREVIATION.search(before):
        return True
    after = _CLAUSE.match(text, stop.end())
    if after is None:
        return False
    return after[0].strip()[:1].isupper() or not Casing(text[max(start, stop.start() - 80) : after.end()]).at(0)
