"""Whether a difference between two samples is more than chance, with no table but the formulas.

Of two samples of the same distribution, in k buckets with n and m values, the population stability index is about
(1/n + 1/m) times a chi-square variable of k - 1 degrees of freedom. That holds where no bucket is nearly empty, so
neighbours are put together first.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

# How often chance alone may raise an alarm. Real samples are not asymptotic; this leaves room to stay below 5 %.
ALPHA = 0.01
# Values of both samples together that a bucket needs, scaled to the smaller one.
_LEAST_EXPECTED = 5.0
_LEAST_VALUES = 30


class Difference(msgspec.Struct, frozen=True):
    """The index over buckets that were put together, and what it exceeds by chance; null where there is too little."""

    psi: float
    critical: float | None


def difference(old: Sequence[int], new: Sequence[int], alpha: float = ALPHA) -> Difference:
    """Return the index of two histograms over the same buckets, with its critical value.

    >>> difference([50, 50], [50, 50]).psi
    0.0
    """
    n, m = sum(old), sum(new)
    pairs = _merged(old, new, n, m)
    if min(n, m) < _LEAST_VALUES or len(pairs) < 2:
        return Difference(0.0, None)
    psi = 0.0
    for was, is_ in pairs:
        # Half a value, where one side has none: the logarithm must exist, and no more than that.
        before, after = max(was, 0.5) / n, max(is_, 0.5) / m
        psi += (after - before) * math.log(after / before)
    return Difference(psi, (1 / n + 1 / m) * chi_square(alpha, len(pairs) - 1))


def chi_square(alpha: float, degrees: int) -> float:
    """Return what a chi-square variable exceeds with probability `alpha`.

    >>> round(chi_square(0.05, 9), 3)
    16.919
    """
    low, high = 0.0, 10.0 * degrees + 100.0
    for _ in range(100):
        middle = (low + high) / 2
        if _exceeds(middle, degrees) > alpha:
            low = middle
        else:
            high = middle
    return high


def kolmogorov_smirnov(old: Sequence[float], new: Sequence[float]) -> tuple[float, float]:
    """Return the two-sample statistic and its asymptotic p-value, with Stephens' correction for small samples."""
    one, two = sorted(old), sorted(new)
    n, m = len(one), len(two)
    gap = max(abs(bisect_right(one, value) / n - bisect_right(two, value) / m) for value in {*one, *two})
    root = math.sqrt(n * m / (n + m))
    scaled = (root + 0.12 + 0.11 / root) * gap
    if scaled < 0.2:
        return gap, 1.0
    series = sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return gap, min(1.0, max(0.0, 2 * series))


def _exceeds(value: float, degrees: int) -> float:
    """Return the probability that a chi-square variable of whole degrees exceeds a value, by its closed form."""
    half = value / 2
    if degrees % 2 == 0:
        term = total = math.exp(-half)
        for k in range(1, degrees // 2):
            term *= half / k
            total += term
        return total
    total = math.erfc(math.sqrt(half))
    term = math.exp(-half) * math.sqrt(half / math.pi) * 2
    for k in range(1, (degrees - 1) // 2 + 1):
        total += term
        term *= half / (k + 0.5)
    return total


def _merged(old: Sequence[int], new: Sequence[int], n: int, m: int) -> list[tuple[int, int]]:
    """Put neighbours together until the smaller sample may expect enough in each."""
    share = min(n, m) / (n + m) if n + m else 0.0
    pairs: list[tuple[int, int]] = []
    was = is_ = 0
    for before, after in zip(old, new, strict=True):
        was, is_ = was + before, is_ + after
        if (was + is_) * share >= _LEAST_EXPECTED:
            pairs.append((was, is_))
            was = is_ = 0
    if was + is_:
        before, after = pairs.pop() if pairs else (0, 0)
        pairs.append((before + was, after + is_))
    return pairs
