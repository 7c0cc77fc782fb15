"""Demands written as a form: "Role: Forklift Operator", one field a line or parted by bars."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from lakehouse.staffing._letters import Segment
from lakehouse.staffing._scan import Needing, Said

Field = Literal["role", "count", "location", "state", "client", "start"]

_KEYS: dict[Field, str] = {
    "role": r"role|position|job\s+title|title|job|classification|occupation|trade",
    "count": (
        r"qty|quantity|count|head\s?count|(?:number|no\.?)(?:\s+(?:of\s+\w+|needed|requested|required))?|openings|positions|"
        r"vacancies|(?:workers|people)(?:\s+(?:needed|requested|required))?|\#\s?(?:needed|of\s+\w+)|how\s+many"
    ),
    "location": (
        r"(?:job\s+|work\s+)?location|(?:job\s?site|work\s?site|site)(?:\s+(?:city|location))?|city(?:\s*(?:[/,&]|and)\s*state)?|"
        r"where|place"
    ),
    "state": r"(?:(?:job\s?site|work\s?site|site)\s+)?state",
    "client": r"client|company|customer|employer|account",
    "start": r"start(?:s|ing)?(?:\s+(?:date|time|day))?|date|when|report\s+time",
}
_OTHER = (
    r"shift|certs?|certifications?|requirements?|skills|pay(?:\s+rate)?|rate|hours|duration|contact|phone|email|notes?|"
    r"po|end\s+date|duties|zip(?:\s*code)?"
)
_KEY = re.compile(
    r"(?:^|(?<=[\n|;,]))[ \t*\u2022-]*(?:"
    + "|".join(f"(?P<{field}>{pattern})" for field, pattern in _KEYS.items())
    + rf"|(?P<other>{_OTHER}))[ \t]*[:=][ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_KEYS_WRITTEN = Needing(_KEY, signs=":=")
_VALUE_END = re.compile(r"[ \t]*(?:[\n|;]|$)")


class Entry(NamedTuple):
    """One filled field with the half-open span of its value."""

    field: Field
    start: int
    end: int


def entries(text: str, body: list[Segment], said: Said) -> list[Entry]:
    """Return the filled fields of a form, in order, each field once; empty when the text is no form.

    A text is a form when it names a role and at least one more field.
    """
    if not body:
        return []
    keys = [
        key for key in _KEYS_WRITTEN.found(text, said) if body[0].start <= key.start() + 1 and key.end() <= body[-1].end
    ]
    found: dict[Field, Entry] = {}
    for number, key in enumerate(keys):
        limit = keys[number + 1].start() if number + 1 < len(keys) else len(text)
        stop = _VALUE_END.search(text, key.end())
        end = min(limit, stop.start() if stop else limit)
        value = text[key.end() : end].rstrip(" \t,.;|")
        field = key.lastgroup
        if value and field in _KEYS:
            found.setdefault(field, Entry(field, key.end(), key.end() + len(value)))
    return list(found.values()) if "role" in found and len(keys) > 1 else []
