"""Whether a record of work done may teach: accepted, partially accepted, rejected, or for a human to decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from lakehouse.errors import InvalidInput

Outcome = Literal["accepted", "partially_accepted", "rejected", "needs_human"]

# Changes with every change of `RULES`, and stands in every row that was scored.
VERSION = "rules.v1"

_WELL = frozenset("accepted succeeded success ok worked passed approved".split())
_BADLY = frozenset("rejected failed failure max_iter_exhausted invalid declined".split())
_GOOD_RATING = 4
_POOR_RATING = 2


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a piece of work; fields beyond these are allowed and not looked at.

    Attributes:
        status: How it ended, in the words of whoever logged it.
        attempts: How many tries it took, as a number or as the list of them.
        grounded_in_roster: For a proposal of people: whether each of them exists; null when it proposes none.
        rating: 1 to 5, null when not rated.
        output: What was made.
    """

    status: str = ""
    attempts: int | list[Any] | None = None
    grounded_in_roster: bool | None = None
    rating: int | None = None
    output: Any = None

    @property
    def tries(self) -> int:
        """How many tries it took, 1 when nobody says."""
        return len(self.attempts) if isinstance(self.attempts, list) else self.attempts or 1

    @property
    def ended_well(self) -> bool:
        """Whether the status says so, or a good rating where the status says nothing known."""
        return self.status.casefold() in _WELL or (self.rating is not None and self.rating >= _GOOD_RATING)


class Scored(msgspec.Struct, frozen=True):
    """A verdict with its reasons, the deciding one first, the rule that decided and the version of the rules."""

    outcome: Outcome
    reasons: list[str]
    rule: str = ""
    version: str = VERSION


class Rule(msgspec.Struct, frozen=True):
    """One line of the table: what it gives to the records it applies to, and the reason in words."""

    name: str
    outcome: Outcome
    applies: Callable[[Record], bool]
    reason: Callable[[Record], str]


# The first that applies decides; the last one always does.
RULES: tuple[Rule, ...] = (
    Rule(
        "phantom",
        "rejected",
        lambda record: record.grounded_in_roster is False,
        lambda _: "names somebody who is not in the roster",
    ),
    Rule(
        "ended_badly",
        "rejected",
        lambda record: record.status.casefold() in _BADLY,
        lambda record: f"ended {record.status}",
    ),
    Rule(
        "rated_poor",
        "rejected",
        lambda record: record.rating is not None and record.rating <= _POOR_RATING,
        lambda record: f"rated {record.rating}",
    ),
    Rule(
        "unsaid",
        "needs_human",
        lambda record: not record.ended_well,
        lambda record: f"ended {record.status}" if record.status else "nothing says how it ended",
    ),
    Rule(
        "several_tries",
        "partially_accepted",
        lambda record: record.tries > 1,
        lambda record: f"took {record.tries} attempts",
    ),
    Rule(
        "rated_middling",
        "partially_accepted",
        lambda record: record.rating is not None and record.rating < _GOOD_RATING,
        lambda record: f"rated {record.rating}",
    ),
    Rule(
        "ended_well",
        "accepted",
        lambda _: True,
        lambda record: f"ended {record.status}" if record.status.casefold() in _WELL else f"rated {record.rating}",
    ),
)


def scored(record: Record) -> Scored:
    """Judge one record by the table of rules.

    A proposal with somebody who is not in the roster is rejected, whatever else is said of it. What ended well at the
    first try is accepted, at a later one or with a middling rating partially. What nothing is said of needs a human.

    Raises:
        InvalidInput: The record says nothing at all.

    >>> scored(Record(status="accepted", attempts=1)).outcome
    'accepted'
    """
    if record == Record():
        raise InvalidInput("the record is empty; it says neither how it ended nor what was made", field="record")
    rule = next(rule for rule in RULES if rule.applies(record))
    return Scored(rule.outcome, [rule.reason(record)], rule.name, VERSION)
