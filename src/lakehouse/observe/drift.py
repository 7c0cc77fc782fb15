"""Drift: whether the same inputs still get the same verdicts, and whether numbers are still spread as they were."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.observe import significance

Level = Literal["stable", "minor", "major"]
Verdicts = Literal["stable", "minor", "major", "insufficient_data"]

BUCKETS = 10
MINOR = 0.10
MAJOR = 0.25
# What an empty bucket counts as, so that the logarithm exists.
EPSILON = 1e-4


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input judged twice."""

    id: str
    old: str
    new: str


class Bucket(msgspec.Struct, frozen=True):
    """Values from `low` up to, but in the last bucket including, `high`; shares of all old and all new ones."""

    low: float
    high: float
    old: int
    new: int
    psi: float


class Distribution(msgspec.Struct, frozen=True):
    """How two samples of numbers differ.

    The index alone alarms on small samples of the very same distribution: its expectation there grows with the number
    of buckets and shrinks with the number of values. The verdict knows both.

    Attributes:
        psi: Population stability index over all buckets.
        level: What the index says by itself: below 0.10 `stable`, below 0.25 `minor`, else `major`.
        buckets: Of equal width over the combined range; none where one sample is empty.
        verdict: The level where chance cannot explain the index, else `stable`; `insufficient_data` where the samples
            are too small to tell.
        tested: The index over the buckets that were put together until each holds enough of both samples.
        critical: What `tested` exceeds by chance once in a hundred times, null where there is too little data.
        ks: Largest difference between the two distribution functions (Kolmogorov, Smirnov): a second opinion that needs
            no buckets.
        ks_p: Probability of at least that much by chance.
    """

    psi: float
    level: Level
    buckets: list[Bucket]
    verdict: Verdicts = "stable"
    tested: float = 0.0
    critical: float | None = None
    ks: float = 0.0
    ks_p: float = 1.0


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How two scorers differ.

    Attributes:
        total: Inputs judged twice.
        changed: Of these, those with another verdict; `share` of all.
        moves: `old -> new` to how often, most frequent first.
        ids: Inputs with another verdict, in order.
        level: The worse of that of the share (bounds as of the index) and that of the distribution.
        verdict: The same with the distribution's verdict; `insufficient_data` when nothing else can be said.
        distribution: Of the scores, where there are any.
    """

    total: int
    changed: int
    share: float
    moves: dict[str, int]
    ids: list[str]
    level: Level
    verdict: Verdicts
    distribution: Distribution | None = None


def compared(verdicts: Sequence[Verdict], old_scores: Sequence[float] = (), new_scores: Sequence[float] = ()) -> Drift:
    """Compare old and new verdicts of the same inputs, and old and new scores where there are any.

    Raises:
        InvalidInput: There is nothing to compare, or a score is not a finite number.
    """
    if not verdicts and not old_scores and not new_scores:
        raise InvalidInput("nothing to compare: give 'verdicts', or 'old_scores' and 'new_scores'", field="verdicts")
    changed = [verdict for verdict in verdicts if verdict.old != verdict.new]
    moves = Counter(f"{verdict.old} -> {verdict.new}" for verdict in changed)
    share = len(changed) / len(verdicts) if verdicts else 0.0
    spread = distribution(old_scores, new_scores) if old_scores or new_scores else None
    levels: list[Level] = [_level(share), *([spread.level] if spread else [])]
    said: list[Verdicts] = [*([_level(share)] if verdicts else []), *([spread.verdict] if spread else [])]
    return Drift(
        total=len(verdicts),
        changed=len(changed),
        share=round(share, 6),
        moves=dict(moves.most_common()),
        ids=[verdict.id for verdict in changed],
        level=max(levels, key=("stable", "minor", "major").index),
        verdict=max(said, key=("insufficient_data", "stable", "minor", "major").index),
        distribution=spread,
    )


def distribution(old: Sequence[float], new: Sequence[float], buckets: int = BUCKETS) -> Distribution:
    """Return the population stability index over equal buckets of the combined range; no value is lost.

    Args:
        old, new: Finite numbers in any order. Where one side has none there is nothing to compare: the index is 0, over
            no buckets, and the verdict `insufficient_data`.
        buckets: How many; fewer than one count as one.

    Raises:
        InvalidInput: A value is not a finite number.

    >>> distribution([1, 2, 3, 4], [1, 2, 3, 4]).level
    'stable'
    >>> distribution([], [1, 2, 3, 4]).verdict
    'insufficient_data'
    """
    if not all(math.isfinite(value) for value in (*old, *new)):
        raise InvalidInput("a score is not a finite number", field="old_scores")
    if not old or not new:
        return Distribution(psi=0.0, level="stable", buckets=[], verdict="insufficient_data")
    low, high = min(*old, *new), max(*old, *new)
    # A constant has no range, and everything falls into one bucket.
    count = max(1, buckets) if high > low else 1
    before, after = _counts(old, low, high, count), _counts(new, low, high, count)
    width = (high - low) / count
    found = [
        Bucket(
            low + nth * width,
            high if nth == count - 1 else low + (nth + 1) * width,
            was,
            is_,
            _part(was, old, is_, new),
        )
        for nth, (was, is_) in enumerate(zip(before, after, strict=True))
    ]
    psi = sum(bucket.psi for bucket in found)
    told = significance.difference(before, after)
    ks, ks_p = significance.kolmogorov_smirnov(old, new)
    level: Level = _level(psi)
    verdict: Verdicts = "stable"
    if told.critical is None and high > low:
        verdict = "insufficient_data"
    elif told.critical is not None and told.psi > told.critical:
        verdict = level
    return Distribution(
        psi=round(psi, 6),
        level=level,
        buckets=found,
        verdict=verdict,
        tested=round(told.psi, 6),
        critical=None if told.critical is None else round(told.critical, 6),
        ks=round(ks, 6),
        ks_p=round(ks_p, 6),
    )


def _counts(values: Sequence[float], low: float, high: float, count: int) -> list[int]:
    found = [0] * count
    for value in values:
        # Halves, because the difference of two large numbers may have no float.
        share = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.0
        found[min(count - 1, int(share * count))] += 1
    return found


def _part(was: int, old: Sequence[float], is_: int, new: Sequence[float]) -> float:
    before, after = max(was / len(old), EPSILON), max(is_ / len(new), EPSILON)
    return (after - before) * math.log(after / before)


def _level(value: float) -> Level:
    return "stable" if value < MINOR else "minor" if value < MAJOR else "major"
