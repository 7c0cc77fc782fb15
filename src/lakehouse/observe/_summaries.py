"""Ops counted: for whoever asks now, and as counters that only rise."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from lakehouse.observe.base import OK, KindStats, Op, OpStats, Source

# Number, time, source, kind, status, milliseconds, trace, summary, detail: cheaper to make than an object, and made in
# the caller's time.
Row = tuple[int, datetime, Source, str, str, float | None, str, str, Mapping[str, Any]]

# Where source, kind and status stand in a row.
_FACTS = (2, 3, 4)
_MINUTE = timedelta(minutes=1)

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


def written(moment: datetime) -> str:
    """Return a time as ops have it: RFC 3339, UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def summarised(
    earlier: Sequence[Op], rows: Sequence[Row], *, recorded: int, dropped: int, spans_dropped: int
) -> OpStats:
    """Count ops of an earlier process and rows of this one, each given oldest first."""
    took: dict[str, list[float]] = defaultdict(list)
    facts: Counter[tuple[Source, str, str]] = Counter(map(itemgetter(*_FACTS), rows))
    facts.update(map(attrgetter("source", "kind", "status"), earlier))
    hours = _hours(rows)
    hours.update([op.time[:13] for op in earlier])
    for op in earlier:
        if op.elapsed_ms is not None:
            took[op.kind].append(op.elapsed_ms)
    for row in rows:
        if row[5] is not None:
            took[row[3]].append(row[5])
    sources: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for (source, kind, status), count in facts.items():
        sources[source] += count
        kinds[kind] += count
        failed[kind] += 0 if status == OK else count
    frequent = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    first = earlier[0].time if earlier else written(rows[0][1]) if rows else ""
    return OpStats(
        total=kinds.total(),
        errors=failed.total(),
        by_source=dict(sources),
        by_kind={kind: _of_kind(count, failed[kind], sorted(took[kind])) for kind, count in frequent},
        by_hour=dict(sorted(hours.items())),
        oldest=first,
        newest=written(rows[-1][1]) if rows else earlier[-1].time if earlier else "",
        recorded=recorded,
        dropped=dropped,
        spans_dropped=spans_dropped,
    )


def _hours(rows: Sequence[Row]) -> Counter[str]:
    """Count rows by hour. Rows that follow one another mostly are of one minute, which is worked out once."""
    found: Counter[str] = Counter()
    hour, first, last = "", None, None
    for row in rows:
        moment = row[1]
        if first is None or last is None or not first <= moment < last:
            hour = written(moment)[:13]
            first = moment.replace(second=0, microsecond=0)
            last = first + _MINUTE
        found[hour] += 1
    return found


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of the ascending values do not exceed, None of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _of_kind(count: int, failed: int, took: Sequence[float]) -> KindStats:
    p50, p95, p99 = (percentile(took, share) for share in (0.50, 0.95, 0.99))
    longest = took[-1] if took else None
    return KindStats(
        count=count, errors=failed, p50_ms=_as_op(p50), p95_ms=_as_op(p95), p99_ms=_as_op(p99), max_ms=_as_op(longest)
    )


def _as_op(ms: float | None) -> float | None:
    """Return milliseconds as an op has them."""
    return None if ms is None else round(ms, 4)
