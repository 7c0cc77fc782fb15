"""Ops counted: for whoever asks now, and as counters that only rise."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from lakehouse.observe.base import OK, KindStats, Op, OpStats, Source

# Number, time, source, kind, status, milliseconds, trace, summary, detail: cheaper to make than an object, and made in
# the caller's time.
Row = tuple[int, datetime, Source, str, str, float | None, str, str, Mapping[str, Any]]

BOUNDS_MS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 5_000.0, 30_000.0)


class Histogram(msgspec.Struct):
    """Durations of one kind: how many fell below each of `BOUNDS_MS` and above the one before, and their sum."""

    counts: list[int]
    sum_ms: float = 0.0


class Counters:
    """What only rises while a process lives: ops by source, kind and status, and how long each kind took."""

    def __init__(self) -> None:
        self.ops: Counter[tuple[str, str, str]] = Counter()
        self.took: dict[str, Histogram] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Count rows; called by one thread."""
        for _, _, source, kind, status, elapsed_ms, *_ in rows:
            self.ops[source, kind, status] += 1
            if elapsed_ms is not None:
                took = self.took.setdefault(kind, Histogram([0] * (len(BOUNDS_MS) + 1)))
                at = next((nth for nth, bound in enumerate(BOUNDS_MS) if elapsed_ms <= bound), len(BOUNDS_MS))
                took.counts[at] += 1
                took.sum_ms += elapsed_ms


def summarised(ops: Sequence[Op], *, recorded: int, dropped: int, spans_dropped: int) -> OpStats:
    """Count ops, given oldest first."""
    by_kind: dict[str, list[Op]] = defaultdict(list)
    for op in ops:
        by_kind[op.kind].append(op)
    hours = Counter(op.time[:13] for op in ops)
    frequent = sorted(by_kind.items(), key=lambda item: (-len(item[1]), item[0]))
    return OpStats(
        total=len(ops),
        errors=sum(op.status != OK for op in ops),
        by_source=dict(Counter(op.source for op in ops)),
        by_kind={kind: _of_kind(alike) for kind, alike in frequent},
        by_hour=dict(sorted(hours.items())),
        oldest=ops[0].time if ops else "",
        newest=ops[-1].time if ops else "",
        recorded=recorded,
        dropped=dropped,
        spans_dropped=spans_dropped,
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of the ascending values do not exceed, None of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _of_kind(alike: Sequence[Op]) -> KindStats:
    took = sorted(op.elapsed_ms for op in alike if op.elapsed_ms is not None)
    return KindStats(
        count=len(alike),
        errors=sum(op.status != OK for op in alike),
        p50_ms=percentile(took, 0.50),
        p95_ms=percentile(took, 0.95),
        p99_ms=percentile(took, 0.99),
        max_ms=took[-1] if took else None,
    )
