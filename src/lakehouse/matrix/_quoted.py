"""Who a long description was copied from: nearness compares meanings, and many people of one trade mean the same."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

# So many of the nearest are read again.
AMONG = 50
# Before everybody whom a demand could fit best.
STANDING = -1
_SAME = 0.9
# Who somebody is never ranks them.
_PERSONAL = frozenset({"name", "phone", "email"})
_WORD = re.compile(r"\w+")


def quotes(text: str, person: Mapping[str, Any]) -> bool:
    """Tell whether 9 of 10 word pairs of a description stand in one text of a person's metadata, such as the resume."""
    asked = _pairs(text)
    told = (value for key, value in person.items() if key not in _PERSONAL)
    texts = (value for value in told if isinstance(value, str) and len(value) * 2 > len(text))
    return bool(asked) and any(len(asked & _pairs(value)) >= _SAME * len(asked) for value in texts)


def _pairs(text: str) -> set[tuple[str, str]]:
    return set(itertools.pairwise(_WORD.findall(text.casefold())))
