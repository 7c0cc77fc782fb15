"""The same demand in other words: other clauses in another order, another title of the occupation, abbreviations.

No model and no look at the product's own parser: a paraphrase is made from what the line is known to say.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from lakehouse.evals._wordings import WORDINGS
from lakehouse.evals.demand_lines import Line
from lakehouse.staffing._role_files import titles
from lakehouse.staffing.titles import role_key

Kind = Literal["reordered", "synonym", "model"]

_FORMS = (
    "{client_first}{count} {role} needed in {place}{start}{shift}{certs}",
    "Could you find {count} {role}{for_client} in {place}{shift}{start}{certs}?",
    "We are looking for {count} {role} in {place}{for_client}{certs}{start}{shift}",
    "{count} {role}, {place}{start}{shift}{for_client}{certs}",
    "Please send {count} {role} to {place}{for_client}{start}{certs}{shift}",
    "Requesting {count} {role} in {place}{certs}{for_client}{shift}{start}",
)
_SHIFTS = {
    "day": (", first shift", ", day shift"),
    "night": (", third shift", ", night shift"),
    "evening": (", second shift", ", evening shift"),
    "weekend": (", weekends", ", weekend shift"),
    "swing": (", swing shift",),
    "rotating": (", rotating shifts",),
}
_CERTS = WORDINGS["second"].certs
_NUMBERS = "zero one two three four five six seven eight nine ten".split()
_LONGEST_TITLE = 4
_EXPERIENCE = re.compile(r"(\d+) years experience", re.IGNORECASE)
_YEARS = ("{years}+ years of experience", "{years} yrs experience", "with {years} years experience")
_PROMPT = (
    "Rewrite this staffing request in other words. Keep role, number, place, client, certifications, shift and start "
    "exactly as they are meant. Answer with the rewritten request only.\n\n{text}"
)


class Paraphrase(msgspec.Struct, frozen=True):
    """A line in other words. `role` is the title it uses."""

    text: str
    kind: Kind
    role: str


class Paraphraser:
    """Says lines in other words; the same line, seed and kind give the same words.

    Args:
        states: Names of states by code.
        model: Prompt to text, for paraphrases by a chat model; None for none.
    """

    def __init__(self, states: Mapping[str, str], model: Callable[[str], str] | None = None) -> None:
        self._states = states
        self._model = model
        self._titles: dict[str, list[str]] = defaultdict(list)
        for title in titles():
            codes = title.codes.split()
            if len(codes) == 1 and len(title.text.split()) <= _LONGEST_TITLE and title.reported:
                self._titles[codes[0]].append(title.text)

    def synonyms(self, code: str) -> list[str]:
        """Return the titles that O*NET gives to this occupation alone and that its own workers reported."""
        return self._titles.get(code, [])

    def all(self, line: Line, code: str, seed: int) -> list[Paraphrase]:
        """Return the paraphrases of a line, one of each kind there is.

        Args:
            line: What it says is known.
            code: O*NET-SOC code of its role; empty when that is not sure, and then there is no synonym.
            seed: Of the choice of words.
        """
        draw = random.Random(seed)
        found = [Paraphrase(self._said(line, line.role, draw), "reordered", line.role)]
        others = [title for title in self.synonyms(code) if not _kind_of(title, line.role)]
        if others:
            role = draw.choice(others)
            found.append(Paraphrase(self._said(line, role, draw), "synonym", role))
        if self._model is not None:
            text = " ".join(self._model(_PROMPT.format(text=line.text)).split())
            if text:
                found.append(Paraphrase(text, "model", line.role))
        return found

    def _said(self, line: Line, role: str, draw: random.Random) -> str:
        count = _NUMBERS[line.count] if line.count < len(_NUMBERS) and draw.random() < 0.4 else str(line.count)
        state = self._states[line.state] if draw.random() < 0.4 else line.state
        said = draw.choice(_FORMS).format(
            count=count,
            role=_plural(role) if line.count > 1 else role,
            place=f"{line.city}, {state}" if draw.random() < 0.7 else f"{line.city} {state}",
            client_first=f"{line.client}: " if line.client else "",
            for_client=f" for {line.client}" if line.client else "",
            start=f", starting {line.start}" if line.start else "",
            shift=draw.choice(_SHIFTS[line.shift]) if line.shift else "",
            certs=f", must have {' and '.join(draw.choice(_CERTS[name]) for name in line.certs)}" if line.certs else "",
        )
        asked = _EXPERIENCE.search(line.text)
        return f"{said}, {draw.choice(_YEARS).format(years=asked[1])}" if asked else said


def _kind_of(one: str, other: str) -> bool:
    """Tell whether a title is the other, or the other with more or fewer words.

    That makes it a kind of the job, or the job in general, and not another word for it.
    """
    said, others = (set(role_key(title).split()) for title in (one, other))
    return said <= others or others <= said


def _plural(role: str) -> str:
    last = role[-1:]
    if not last.isalpha() or last in "sSyYhH":
        return role
    return role + ("S" if role.isupper() else "s")
