"""What outcomes say about a remembered answer: a Beta posterior that fades with age.

Each outcome adds its weight to `good` or `bad`. Both fade by half in `half_life_days`, counted in whole days so that
the same lake gives the same answers all day. The posterior is Beta(1 + good, 1 + bad), and

    trust = 6 * (mean - 1/2), held within -1 and 1

which is 1 after one fresh good outcome, 0 when good and bad are even or everything has faded, and -1 after one fresh
bad one.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec

from lakehouse.staffing.folding import folded_words

Outcome = Literal["worked", "accepted", "showed_up", "completed", "asked_back", "rejected", "no_show"]

# Weight for and against. Being asked back says more than having been there, not showing up more than a "no".
WEIGHTS: Mapping[str, tuple[float, float]] = {
    "worked": (1.0, 0.0),
    "accepted": (0.5, 0.0),
    "showed_up": (1.0, 0.0),
    "completed": (1.0, 0.0),
    "asked_back": (2.0, 0.0),
    "rejected": (0.0, 1.0),
    "no_show": (0.0, 2.0),
}
# At or below this trust an answer is barred for like demands, above it and below 0 only moved away.
BARRED = -0.5

_DIGITS = 9
# Entries recorded together weigh the same; every later outcome makes a pair of weights that no other entry has.
_REMEMBERED = 1_024


class Posterior(msgspec.Struct, frozen=True):
    """Beta(alpha, beta) over the chance that the answer works again, and its mean."""

    alpha: float
    beta: float
    mean: float

    @property
    def variance(self) -> float:
        """Of the Beta distribution."""
        total = self.alpha + self.beta
        return self.alpha * self.beta / (total * total * (total + 1))


def posterior(good: float, bad: float) -> Posterior:
    """Return the posterior after outcomes of these weights, starting from Beta(1, 1).

    >>> posterior(1, 0).mean
    0.666666667
    """
    alpha, beta = 1 + good, 1 + bad
    return Posterior(round(alpha, _DIGITS), round(beta, _DIGITS), round(alpha / (alpha + beta), _DIGITS))


def trust(found: Posterior) -> float:
    """Return how far to go by it: 1 fully, 0 not at all, below 0 against it."""
    return min(1.0, max(-1.0, round(6 * (found.mean - 0.5), 6)))


# By type as well: a whole number is written otherwise than the same one with a point.
@functools.lru_cache(_REMEMBERED, typed=True)
def believed(good: float, bad: float) -> tuple[Posterior, float]:
    """Return the `posterior` after outcomes of these weights, and the `trust` in it."""
    found = posterior(good, bad)
    return found, trust(found)


def fading(since: str, today: date, half_life_days: float) -> float:
    """Return what is left on `today` of a weight noted on the ISO date `since`: 1 when new, 1/2 after a half-life.

    A half-life of 0 means that nothing fades; so does a date that cannot be read.
    """
    if half_life_days <= 0 or not since:
        return 1.0
    try:
        days = (today - date.fromisoformat(since[:10])).days
    except ValueError:
        return 1.0
    return math.pow(0.5, max(0, days) / half_life_days)


def better(one: Posterior, other: Posterior) -> float:
    """Return the probability that `one` is the better of two, by the normal approximation of both."""
    spread = math.sqrt(one.variance + other.variance)
    return round(0.5 * (1 + math.erf((one.mean - other.mean) / (spread * math.sqrt(2)))), 4)


def held_out(query_text: str, share: float) -> bool:
    """Tell whether a demand belongs to the share that memory leaves alone; the same text always does or never does."""
    if share <= 0:
        return False
    digest = hashlib.sha256(b"holdout\x00" + folded_words(query_text).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
