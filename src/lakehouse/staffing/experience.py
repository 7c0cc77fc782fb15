"""How many years of experience a text asks for."""

from __future__ import annotations

import re

_WORDS = {word: number for number, word in enumerate("one two three four five six seven eight nine ten".split(), 1)}
_NUMBER = rf"(?P<years>\d{{1,2}}|{'|'.join(_WORDS)})"
# "3-5 years" asks for three.
_MORE = r"(?:\s*\+|\s+or\s+more|\s+plus|\s*(?:-|\u2013|to)\s*\d{1,2})?"
_ASKS = re.compile(
    rf"(?<![\w.$]){_NUMBER}{_MORE}[\s-]*(?:years?|yrs?)\b\.?['\u2019]?(?:\s+of)?(?:\s+[\w/-]+){{0,3}}?\s+exp(?:erience|\b)"
    rf"|\bexperience\s*(?:of|:)?\s*(?:at\s+least\s+|min(?:imum|\.)?\s+)?{_NUMBER.replace('years', 'after')}{_MORE}"
    r"[\s-]*(?:years?|yrs?)\b",
    re.IGNORECASE,
)


def years_wanted(text: str) -> int | None:
    """Return the years of experience that a text asks for, the first it names; None when it names none.

    >>> years_wanted("Need 3 welders in Tulsa OK, 2 years experience"), years_wanted("Need 3 welders in Tulsa OK")
    (2, None)
    """
    found = _ASKS.search(text)
    if found is None:
        return None
    said = (found["years"] or found["after"]).casefold()
    return int(said) if said.isdigit() else _WORDS[said]
