"""What two namespaces remember of one answer, joined so that no outcome counts twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

import msgspec

from lakehouse.memory.base import PastOutcome, Playbook
from lakehouse.memory.evidence import WEIGHTS, fading

# Differences of evidence below it come of rounding.
_NOISE = 1e-6


def missing(given: Iterable[PastOutcome], had: Iterable[PastOutcome]) -> list[PastOutcome]:
    """Return the outcomes that are not among those that are there already, in their order."""
    there = Counter(had)
    found = []
    for outcome in given:
        if there[outcome]:
            there[outcome] -= 1
        else:
            found.append(outcome)
    return found


def joined(
    had: tuple[Playbook, Sequence[PastOutcome]],
    given: tuple[Playbook, Sequence[PastOutcome]],
    half_life_days: float,
) -> Playbook | None:
    """Return an entry with what another one of the same id says, None when that is nothing new.

    Text, score and reason are those of the later one. Evidence is that of all outcomes that either has, faded to the
    later day. Evidence that no outcome of its entry tells of was imported from an edition that carried none: as far as
    the other one has outcomes for it, it is taken for those, and of what is left the larger counts, since both may come
    of one export.

    Args:
        had: The entry, with its outcomes.
        given: The other, with its outcomes.
        half_life_days: How fast evidence fades.
    """
    (entry, has), (other, told) = had, given
    on = max(entry.evidence_on, other.evidence_on)
    new = missing(told, has)
    ours = _untold(*had, new, on, half_life_days)
    theirs = _untold(*given, missing(has, told), on, half_life_days)
    if not new and all(there - here <= _NOISE for here, there in zip(ours, theirs, strict=True)):
        return None
    good, bad = _weights([*has, *new], on, half_life_days)
    return msgspec.structs.replace(
        entry if entry.updated_at > other.updated_at else other,
        created_at=min(entry.created_at, other.created_at),
        good=round(good + max(ours[0], theirs[0]), 9),
        bad=round(bad + max(ours[1], theirs[1]), 9),
        evidence_on=on,
        helped=max(entry.helped, other.helped),
        overridden=max(entry.overridden, other.overridden),
    )


def _untold(
    entry: Playbook, outcomes: Sequence[PastOutcome], others: Sequence[PastOutcome], on: str, half_life_days: float
) -> tuple[float, float]:
    """Return evidence of an entry that neither its outcomes tell of nor those that only the other one has."""
    left = fading(entry.evidence_on, _day(on), half_life_days)
    good, bad = _weights([*outcomes, *others], on, half_life_days)
    return max(0.0, entry.good * left - good), max(0.0, entry.bad * left - bad)


def _weights(outcomes: Iterable[PastOutcome], on: str, half_life_days: float) -> tuple[float, float]:
    good = bad = 0.0
    for outcome in outcomes:
        left = fading(outcome.at, _day(on), half_life_days)
        for_it, against = WEIGHTS[outcome.outcome]
        good, bad = good + for_it * left, bad + against * left
    return good, bad


def _day(on: str) -> date:
    return date.fromisoformat(on)
