"""Whether a record of work done may teach: accepted, partially accepted, rejected, or for a human to decide."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from lakehouse.errors import InvalidInput

Outcome = Literal["accepted", "partially_accepted", "rejected", "needs_human"]

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


class Scored(msgspec.Struct, frozen=True):
    """A verdict with its reasons, the deciding one first."""

    outcome: Outcome
    reasons: list[str]


def scored(record: Record) -> Scored:
    """Judge one record by rules.

    A proposal with somebody who is not in the roster is rejected, whatever else is said of it. What ended well at the
    first try is accepted, at a later one or with a middling rating partially. What nothing is said of needs a human.

    Raises:
        InvalidInput: The record says nothing at all.

    >>> scored(Record(status="accepted", attempts=1)).outcome
    'accepted'
    """
    if record == Record():
        raise InvalidInput("the record is empty; it says neither how it ended nor what was made", field="record")
    if record.grounded_in_roster is False:
        return Scored("rejected", ["names somebody who is not in the roster"])
    status = record.status.casefold()
    if status in _BADLY:
        return Scored("rejected", [f"ended {record.status}"])
    if record.rating is not None and record.rating <= _POOR_RATING:
        return Scored("rejected", [f"rated {record.rating}"])
    good = record.rating is not None and record.rating >= _GOOD_RATING
    if status not in _WELL and not good:
        said = f"ended {record.status}" if record.status else "nothing says how it ended"
        return Scored("needs_human", [said])
    tries = len(record.attempts) if isinstance(record.attempts, list) else record.attempts
    if tries is not None and tries > 1:
        return Scored("partially_accepted", [f"took {tries} attempts"])
    if record.rating is not None and not good:
        return Scored("partially_accepted", [f"rated {record.rating}"])
    return Scored("accepted", [f"ended {record.status}" if status in _WELL else f"rated {record.rating}"])
