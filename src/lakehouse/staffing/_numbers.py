"""How many people are asked for, in digits or in words."""

from __future__ import annotations

import re
from typing import NamedTuple

from lakehouse.staffing._tokens import folded

MOST = 100_000

_TEENS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fourty fifty sixty seventy eighty ninety".split()
_WORTH = {word: value for value, word in enumerate(_TEENS, 1)}
_WORTH |= {"twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70}
_WORTH |= {"eighty": 80, "ninety": 90, "a": 1, "an": 1}
_SETS = {"dozen": 12, "score": 20, "hundred": 100, "couple": 2, "pair": 2}

_ONE = "|".join(sorted(_TEENS, key=len, reverse=True))
_UNDER_100 = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-]+(?:{'|'.join(_TEENS[:9])}))?|{_ONE})"
# "A couple of roofers", but not "a couple of the roofers", who are known.
_OF = r"(?:\s+of\b(?!\s+(?:the|our|my|your|these|those|them|us)\b))?"
_NUMBER = re.compile(
    rf"""(?:
        (?P<digits>\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}})(?!\d|[.:/]\d|-\d+-|[^\W\d_x\u00d7]|x\w)
            (?:\s*(?:-|\u2013|\bto\b|\bor\b)\s*(?P<upper>\d{{1,4}})(?![\w:/]|[.,]\d))?
            (?:[\s-]+(?P<dozens>dozen)\b)?
      | (?P<half>half(?:\s+a|\s+an|[\s-])\s*dozen)\b{_OF}
      | (?P<sets>(?:an?|{_UNDER_100})[\s-]+(?:dozen|score|couple|pair)|dozen|(?:couple|pair)(?=\s+of\b))\b{_OF}
      | (?P<hundreds>an?|{_ONE})[\s-]+hundred\b(?:\s+(?:and\s+)?(?P<rest>{_UNDER_100})\b)?
      | (?P<spelled>{_UNDER_100})\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_WORD = re.compile(r"[a-z]+")


class Number(NamedTuple):
    """A number of people with its half-open span in the text."""

    value: int
    start: int
    end: int


def number_at(text: str, start: int) -> Number | None:
    """Read the number that begins at an offset: "3", "1,200", "twenty-five", "a dozen", "a hundred and ten".

    Of a range ("2-3", "2 to 3") the greater number is returned: that many would be taken. A date, time,
    price or ordinal is no number of people. Null when none begins there or it is 0 or out of reason.
    """
    found = _NUMBER.match(text, start)
    if found is None:
        return None
    value = _digits(found) if found["digits"] else _spelled(found)
    return Number(value, found.start(), found.end()) if 0 < value <= MOST else None


def _digits(found: re.Match[str]) -> int:
    value = max(int(found["digits"].replace(",", "")), int(found["upper"] or 0))
    return value * 12 if found["dozens"] else value


def _spelled(found: re.Match[str]) -> int:
    if found["half"]:
        return 6
    if found["sets"]:
        *many, each = _WORD.findall(folded(found["sets"]))
        return (_sum(" ".join(many)) or 1) * _SETS[each]
    if found["hundreds"]:
        return _sum(found["hundreds"]) * 100 + _sum(found["rest"] or "")
    return _sum(found["spelled"])


def _sum(words: str) -> int:
    return sum(_WORTH[word] for word in _WORD.findall(folded(words)))
