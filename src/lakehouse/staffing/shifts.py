"""Shifts: `day`, `evening`, `night`, `weekend`, `swing` and `rotating`, and how people write them.

A start time is not a shift: "starting at 06:00" says nothing about one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lakehouse.staffing._scan import Needing, Said
from lakehouse.staffing._tokens import folded

SHIFTS = ("day", "evening", "night", "weekend", "swing", "rotating")

# Each word before "shift" with the shift it means.
_BEFORE_SHIFT = {
    "day": "day",
    "days": "day",
    "daytime": "day",
    "morning": "day",
    "1st": "day",
    "first": "day",
    "evening": "evening",
    "evenings": "evening",
    "afternoon": "evening",
    "2nd": "evening",
    "second": "evening",
    "night": "night",
    "nights": "night",
    "nighttime": "night",
    "overnight": "night",
    "graveyard": "night",
    "grave yard": "night",
    "third": "night",
    "3rd": "night",
    "weekend": "weekend",
    "weekends": "weekend",
    "swing": "swing",
    "rotating": "rotating",
    "rotation": "rotating",
    "rotational": "rotating",
    "alternating": "rotating",
}
_HALVES = {"am": "day", "pm": "evening"}
# Words that name a shift on their own, where they stand apart from the words around them.
_ALONE = {
    "days": "day",
    "mornings": "day",
    "evenings": "evening",
    "afternoons": "evening",
    "nights": "night",
    "overnight": "night",
    "overnights": "night",
    "graveyard": "night",
    "graveyards": "night",
    "weekends": "weekend",
    "swings": "swing",
}


def _either(words: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


# "7 AM shift lead" has a time of day before a job.
_HALF = r"(?<!\d)(?<!\d\s)[ap]\.?m\.?"
_MENTION = re.compile(
    rf"""(?<![\w-])(?:
        (?P<before>{_HALF}|{_either(_BEFORE_SHIFT)})
            (?:\s*(?:/|&|,|\band\b|\bor\b)\s*(?:1st|2nd|3rd|first|second|third|night|evening|day))*
            [\s-]*shifts?\b(?:\s+schedule\b)?
      | (?P<weekend>weekend)\s+(?:work|hours|only|schedule)\b
      | shifts?\s*(?:[:=-]|is|will\s+be)\s*(?:the\s+)?(?P<after>{_HALF}|{_either(_BEFORE_SHIFT)})\b
      | (?:(?P<work>on|works?|working|available)\s+)?(?P<alone>{_either(_ALONE)})\b
            (?=\s*(?:[,;.()/&\n]|-\s|(?:only|and|or|with|must|on|at|in|for|from|who|starting)\b|$))
      | (?P<rotating>rotating\s+schedule|dupont\s+schedule|panama\s+schedule|2-2-3\s+schedule)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_SHIFTS = Needing(
    _MENTION, signs="shift weekend night days evenings mornings afternoons graveyard swings schedule".split()
)
_APART = re.compile(r"(?:^|[,;:(/&\n.-]|\band|\bor)\s*$", re.IGNORECASE)
_COUNTED = re.compile(
    r"(?:\d|\b(?:one|two|three|four|five|six|seven|ten|few|many|several|no|per|these|business|consecutive|hours?|hrs?))[\s-]*$",
    re.IGNORECASE,
)


class ShiftMatch(NamedTuple):
    """A shift found in a text, with the half-open span of the words that say so.

    `explicit` is true where the word "shift" or "schedule" stands beside it.
    """

    shift: str
    start: int
    end: int
    explicit: bool


def find(text: str, said: Said | None = None) -> list[ShiftMatch]:
    """Return the shifts a text names, in order of appearance.

    "2nd shift", "PM shift" and "evenings" are `evening`, "graveyard" and "overnight" are `night`; a word
    for a part of the day alone ("nights") counts only where it stands apart, never after a number.
    """
    found = []
    for mention in _SHIFTS.found(text, said or Said(text)):
        match = _read(mention, text)
        if match is not None:
            found.append(match)
    return found


def canonical(text: str) -> str | None:
    """Return the shift that a roster value such as "2nd" or "Night shift" names, null when it is none."""
    value = " ".join(text.casefold().replace("-", " ").split()).removesuffix(" shifts").removesuffix(" shift")
    return value if value in SHIFTS else (_BEFORE_SHIFT | _ALONE | _HALVES).get(value)


def _read(mention: re.Match[str], text: str) -> ShiftMatch | None:
    if mention["alone"]:
        before = text[max(0, mention.start() - 12) : mention.start()]
        apart = mention["work"] or _APART.search(before) or folded(mention["alone"]) != "days"
        if not apart or (not mention["work"] and _COUNTED.search(before)):
            return None
        return ShiftMatch(_ALONE[folded(mention["alone"])], mention.start("alone"), mention.end(), False)
    if mention["weekend"]:
        return ShiftMatch("weekend", mention.start(), mention.end(), False)
    if mention["rotating"]:
        return ShiftMatch("rotating", mention.start(), mention.end(), True)
    word = folded(mention["before"] or mention["after"])
    return ShiftMatch(_HALVES.get(word.replace(".", "")) or _BEFORE_SHIFT[word], mention.start(), mention.end(), True)
