"""How often drift is seen where there is none, and missed where there is some.

    python -m lakehouse.evals.drift_alarms --trials 1000

Both samples of a trial are drawn from the same distribution; whatever raises an alarm then is a false one. The plain
tier of the index (0.10 and above) stands beside the verdict that knows the size of the samples.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping

import msgspec

from lakehouse.observe import drift

SIZES = (100, 200, 500, 5_000)
SHIFT = 0.5

Draw = Callable[[random.Random], float]

DISTRIBUTIONS: Mapping[str, Draw] = {
    "normal": lambda drawn: drawn.gauss(0, 1),
    "uniform": lambda drawn: drawn.random(),
    "lognormal": lambda drawn: drawn.lognormvariate(0, 1),
    "five grades": lambda drawn: float(drawn.randint(1, 5)),
}


class Alarms(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of trials on samples of the same distribution that raised an alarm."""

    distribution: str
    n: int
    tier_alarms: float
    verdict_alarms: float
    insufficient: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """False alarms by distribution and size, and the share of shifts of half a deviation found at n = 500."""

    trials: int
    same: list[Alarms]
    found_at_500: float


def measure(trials: int = 1_000, seed: int = 1, sizes: tuple[int, ...] = SIZES) -> Measured:
    """Draw and compare pairs of samples; the same seed gives the same figures."""
    drawn = random.Random(seed)  # nosec B311 - a simulation
    same = [_same(name, draw, n, trials, drawn) for name, draw in DISTRIBUTIONS.items() for n in sizes]
    found = 0
    for _ in range(trials):
        old = [drawn.gauss(0, 1) for _ in range(500)]
        new = [drawn.gauss(SHIFT, 1) for _ in range(500)]
        found += drift.distribution(old, new).verdict in {"minor", "major"}
    return Measured(trials=trials, same=same, found_at_500=found / trials)


def _same(name: str, draw: Draw, n: int, trials: int, drawn: random.Random) -> Alarms:
    tier = verdict = insufficient = 0
    for _ in range(trials):
        old, new = ([draw(drawn) for _ in range(n)] for _ in range(2))
        found = drift.distribution(old, new)
        tier += found.level != "stable"
        verdict += found.verdict in {"minor", "major"}
        insufficient += found.verdict == "insufficient_data"
    return Alarms(
        distribution=name,
        n=n,
        tier_alarms=tier / trials,
        verdict_alarms=verdict / trials,
        insufficient=insufficient / trials,
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = measure(options.trials, options.seed)
    print("| distribution | n | plain tier alarms | verdict alarms | too little data |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for row in found.same:
        shares = (row.tier_alarms, row.verdict_alarms, row.insufficient)
        print(f"| {row.distribution} | {row.n:,} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    print(f"\nshifts of {SHIFT} deviations found at n = 500: {found.found_at_500:.1%} of {found.trials:,}")


if __name__ == "__main__":
    main()
