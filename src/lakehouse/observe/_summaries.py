"""Ops counted: for whoever asks now, and as counters that only rise."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from lakehouse.observe.base import OK, KindStats, Op, OpStats, Source

# Number, time, source, kind, status, milliseconds, trace, summary, detail: cheaper to make than an object, and made in
# the caller's time.
Row = tuple[int, datetime, Source, str, str, float | None, str, str, Mapping[str, Any]]

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
                took = self.took.get(kind)
                if took is None:
                    took = self.took[kind] = Histogram([0] * (len(BOUNDS_MS) + 1))
                took.counts[bisect_left(BOUNDS_MS, elapsed_ms)] += 1
                took.sum_ms += elapsed_ms


def written(moment: datetime) -> str:
    """Return a time as ops have it: RFC 3339, UTC."""
    # Six digits, or no point at all, and a "Z": a quarter of the time that `isoformat` takes.
    text: str = msgspec.to_builtins(moment if moment.tzinfo is UTC else moment.astimezone(UTC))
    return text if moment.microsecond else f"{text[:-1]}.000000Z"


class Fact(NamedTuple):
    """What is counted of one op; `key` is its id, or its number in this process."""

    key: str | int
    source: Source
    kind: str
    status: str
    hour: str
    elapsed_ms: float | None


class Tally:
    """Ops counted as they come and go, so that asking again costs what is new and not what is there.

    Keeps nothing of an op but what is counted. Not thread-safe.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._counted: deque[Fact] = deque()
        self._facts: Counter[tuple[Source, str, str]] = Counter()
        self._hours: Counter[str] = Counter()
        self._took: dict[str, list[float]] = {}
        # The latest minute whose hour was worked out: ops that follow one another mostly are of one.
        self._minute: tuple[datetime, datetime, str] | None = None

    def bring(self, earlier: Sequence[Op], rows: Sequence[Row]) -> None:
        """Count ops of an earlier process and rows of this one, each oldest first; they follow those counted before."""
        entries: list[Op | Row] = [*earlier, *rows]
        first = _key(entries[0]) if entries else None
        while self._counted and self._counted[0].key != first:
            self._remove(self._counted.popleft())
        done = len(self._counted)
        if done > len(entries) or (done and _key(entries[done - 1]) != self._counted[-1].key):
            self._clear()
            done = 0
        new = [self._fact(entry) for entry in entries[done:]]
        self._counted.extend(new)
        self._add(new)

    def stats(self, *, oldest: str, newest: str, recorded: int, dropped: int, spans_dropped: int) -> OpStats:
        """Return the counts, with percentiles of the time each kind took."""
        sources: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for (source, kind, status), count in self._facts.items():
            sources[source] += count
            kinds[kind] += count
            failed[kind] += 0 if status == OK else count
        frequent = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
        return OpStats(
            total=kinds.total(),
            errors=failed.total(),
            by_source=dict(sources),
            by_kind={kind: _of_kind(count, failed[kind], self._took.get(kind, [])) for kind, count in frequent},
            by_hour=dict(sorted(self._hours.items())),
            oldest=oldest,
            newest=newest,
            recorded=recorded,
            dropped=dropped,
            spans_dropped=spans_dropped,
        )

    def _add(self, new: Sequence[Fact]) -> None:
        self._facts.update([fact[1:4] for fact in new])
        self._hours.update([fact.hour for fact in new])
        longer = set()
        for fact in new:
            if fact.elapsed_ms is not None:
                self._took.setdefault(fact.kind, []).append(fact.elapsed_ms)
                longer.add(fact.kind)
        for kind in longer:
            self._took[kind].sort()

    def _remove(self, fact: Fact) -> None:
        _less(self._facts, fact[1:4])
        _less(self._hours, fact.hour)
        if fact.elapsed_ms is not None:
            took = self._took[fact.kind]
            del took[bisect_left(took, fact.elapsed_ms)]

    def _fact(self, entry: Op | Row) -> Fact:
        if isinstance(entry, Op):
            return Fact(entry.op_id, entry.source, entry.kind, entry.status, entry.time[:13], entry.elapsed_ms)
        number, moment, source, kind, status, elapsed_ms, *_ = entry
        return Fact(number, source, kind, status, self._hour(moment), elapsed_ms)

    def _hour(self, moment: datetime) -> str:
        if self._minute is None or not self._minute[0] <= moment < self._minute[1]:
            begun = moment.replace(second=0, microsecond=0)
            self._minute = (begun, begun + _MINUTE, written(moment)[:13])
        return self._minute[2]


def _key(entry: Op | Row) -> str | int:
    return entry.op_id if isinstance(entry, Op) else entry[0]


def _less(counts: Counter[Any], name: Any) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


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
