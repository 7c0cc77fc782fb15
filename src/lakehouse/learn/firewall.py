"""What may never become training data: a closed set of reasons, and the look at each row that finds them.

The set is pinned by a test. Whoever changes it changes what models may learn, which is a decision of its own
(docs/decisions/0080-what-may-never-be-learnt.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, get_args

from lakehouse.learn import near
from lakehouse.learn.base import EvidenceRecord
from lakehouse.observe.scoring import Outcome

Never = Literal[
    "held_out", "evaluation_set", "rejected", "needs_human", "judge_only", "erased_subject", "personal_data"
]
SFT_NEVER: frozenset[str] = frozenset(get_args(Never))

# Free text names people by their first names alone.
_FREE_TEXT = frozenset({"iterate.email", "iterate.sms", "validate.check", "chat.complete"})
_LONGEST_VALUE = 8
_LEAST_DIGITS = 5
_LEAST_PART = 3
_CONTACT = re.compile(
    r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w/.-])(?:\+?\d{1,2}[\s.-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.-])\d{3}[\s.-]?\d{4}(?![\w-])"
    r"|(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)"
    r"|\[(?:email|phone|ssn)\]"
)


class People:
    """Knows the names and contact data of everybody in the lake.

    Args:
        values: Column and value of each personal column of each row.

    >>> people = People([("name", "Maria Lopez"), ("phone", "555-0101")])
    >>> people.named_in("ask LOPEZ, Maria"), people.named_in("ask for two welders")
    (True, False)
    """

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self._values: set[str] = set()
        self._parts: set[str] = set()
        for column, value in values:
            found = near.words(value)
            if not found:
                continue
            if "name" in column.casefold():
                self._take_name(found)
            elif "@" in value or sum(map(str.isdigit, value)) >= _LEAST_DIGITS or len(found) > 2:
                self._values.add(" ".join(found[:_LONGEST_VALUE]))

    def named_in(self, text: str, *, parts: bool = False) -> bool:
        """Tell whether a text names anybody; `parts` takes a first or last name alone for a name too."""
        found = near.words(text)
        if parts and not self._parts.isdisjoint(found):
            return True
        return any(
            " ".join(found[at : at + size]) in self._values
            for size in range(1, _LONGEST_VALUE + 1)
            for at in range(len(found) - size + 1)
        )

    def _take_name(self, found: list[str]) -> None:
        self._parts.update(part for part in found if len(part) >= _LEAST_PART and not part.isdecimal())
        # One word is too little to tell a name from a place or a trade; whole names are looked for in both orders.
        if len(found) > 1:
            first, last = found[0], found[-1]
            self._values |= {" ".join(found[:_LONGEST_VALUE]), f"{first} {last}", f"{last} {first}"}


class Firewall:
    """Looks at evidence before it may be exported.

    Args:
        held_out: Tells whether a demand is one of those that memory is kept from, to measure its effect.
        evaluation: Texts of evaluation sets.
        erased: Ids of people who were erased.
        people: Names and contact data.
    """

    def __init__(
        self, *, held_out: Callable[[str], bool], evaluation: Iterable[str], erased: Iterable[str], people: People
    ) -> None:
        self._held_out = held_out
        self._evaluation = frozenset(run for text in evaluation for run in near.ngrams(text))
        self._sizes = sorted({run.count(" ") + 1 for run in self._evaluation})
        self._erased = frozenset(erased)
        self._people = people

    def category(self, record: EvidenceRecord, outcome: Outcome | None, texts: Sequence[str]) -> Never | None:
        """Return why a record may never be exported, null when nothing stands against it.

        Args:
            record: The evidence.
            outcome: Its verdict.
            texts: All that would be written of it.
        """
        if outcome == "rejected" or record.grounded_in_roster is False:
            return "rejected"
        checks: Mapping[Never, Callable[[], bool]] = {
            "needs_human": lambda: outcome == "needs_human",
            "judge_only": lambda: _only_judged(record, outcome),
            "erased_subject": lambda: not self._erased.isdisjoint(record.subjects),
            "held_out": lambda: bool(record.input) and self._held_out(record.input),
            "evaluation_set": lambda: any(self._overlaps(text) for text in (record.input, *texts)),
            "personal_data": lambda: self._is_personal(record, texts),
        }
        return next((category for category, applies in checks.items() if applies()), None)

    def _overlaps(self, text: str) -> bool:
        found = near.words(text)
        return any(
            " ".join(found[at : at + size]) in self._evaluation
            for size in self._sizes
            for at in range(len(found) - size + 1)
        )

    def _is_personal(self, record: EvidenceRecord, texts: Sequence[str]) -> bool:
        from lakehouse.validate import secrets

        whole = "\n".join(texts)
        parts = record.task in _FREE_TEXT
        return (
            _CONTACT.search(whole) is not None
            or bool(secrets.find(whole))
            or any(self._people.named_in(text, parts=parts) for text in texts)
        )


def _only_judged(record: EvidenceRecord, outcome: Outcome | None) -> bool:
    """Tell whether nobody but a judge vouches for a record; nobody at all is not enough either."""
    return set(record.labels) == {"judge"} or (not record.labels and outcome == "accepted")
