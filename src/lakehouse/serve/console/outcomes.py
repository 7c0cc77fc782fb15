"""What can come of a proposal, as coordinators say it."""

from __future__ import annotations

from typing import cast

from lakehouse.memory.evidence import WEIGHTS, Outcome

OUTCOMES = (
    ("accepted", "accepted"),
    ("showed_up", "showed up"),
    ("completed", "completed"),
    ("asked_back", "asked back"),
    ("worked", "worked out"),
    ("rejected", "not them"),
    ("no_show", "no-show"),
)


def words_of(outcome: str) -> str:
    """Return an outcome in words."""
    return dict(OUTCOMES).get(outcome, outcome)


def score_of(outcome: str) -> float:
    """Return the score that goes with an outcome: 1 for one that speaks for the person, 0 for one against."""
    good, _bad = WEIGHTS[cast(Outcome, outcome)]
    return 1.0 if good else 0.0
