"""How much of what two demands say agrees, beside the role: count, start, shift, certifications.

The same demand in other words says the same in all of them, and another demand of the same client hardly ever does. So
they decide which of many equally near entries comes first, and lend weight to a title that alone would leave the role
in doubt.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import NamedTuple

from lakehouse.staffing.demand import Demand


class Likeness(NamedTuple):
    """How many facts two demands have in common, and in how many one says something else than the other."""

    agreeing: int
    differing: int

    @property
    def order(self) -> int:
        """More is more alike."""
        return self.agreeing - self.differing


def facts_of(demand: Demand) -> list[str]:
    """Return what a demand says beside role, place and client, as `kind=value`; one person is the same as no number.

    >>> facts_of(Demand(count=3, certs=["OSHA-30", "CDL-A"], start="Monday 06:00"))
    ['count=3', 'start=Monday 06:00', 'certs=CDL-A|OSHA-30']
    """
    said = {
        "count": str(demand.count) if demand.count > 1 else "",
        "start": demand.start or "",
        "shift": demand.shift or "",
        "certs": "|".join(sorted(demand.certs)),
    }
    return [f"{kind}={value}" for kind, value in said.items() if value]


def likeness(ours: Collection[str], theirs: Collection[str]) -> Likeness:
    """Compare the facts of two demands.

    >>> likeness(["count=3", "shift=night"], ["count=3", "start=Monday"])
    Likeness(agreeing=1, differing=2)
    """
    return _likeness(tuple(ours), tuple(theirs))


@functools.lru_cache(10_000)
def _likeness(ours: tuple[str, ...], theirs: tuple[str, ...]) -> Likeness:
    agreeing = sum(fact in theirs for fact in ours)
    kinds = {fact.partition("=")[0] for fact in (*ours, *theirs)}
    return Likeness(agreeing, len(kinds) - agreeing)
