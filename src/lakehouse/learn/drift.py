"""Drift of a lake: whether the rules still judge as they did, and whether the numbers are still spread as they were."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from lakehouse.errors import NotFound
from lakehouse.learn import reading
from lakehouse.learn.base import EvidenceRecord
from lakehouse.learn.score import scored_row
from lakehouse.observe import drift
from lakehouse.observe.drift import Distribution, Drift, Verdict, Verdicts

# Values kept of one measure and side; more are sampled.
MOST_VALUES = 50_000
_ORDER: tuple[Verdicts, ...] = ("insufficient_data", "stable", "minor", "major")


def _top_distance(record: EvidenceRecord) -> float | None:
    distance = record.metadata.get("top_distance")
    return float(distance) if isinstance(distance, int | float) and distance >= 0 else None


MEASURES: Mapping[str, Callable[[EvidenceRecord], float | None]] = {
    "latency_ms": lambda record: record.latency_ms,
    "rating": lambda record: record.rating,
    "attempts": lambda record: record.attempts,
    "completion_tokens": lambda record: record.completion_tokens,
    "top_distance": _top_distance,
}


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """What changed.

    Attributes:
        since: First day of the newer side, `2026-01-31`.
        before, after: Evidence records on either side.
        scorer: Verdicts as they were written against those of the rules now, over the same records; null when nothing
            is scored.
        distributions: By task and measure (`matrix.search latency_ms`), where both sides have values.
        verdict: The worst of all; `insufficient_data` instead of `stable` where one side has no records.
    """

    since: str
    before: int
    after: int
    scorer: Drift | None
    distributions: dict[str, Distribution]
    verdict: Verdicts


class _Sample:
    """At most `MOST_VALUES` values, each of all that came with the same chance, the same ones in every run."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._seen = 0
        self._random = random.Random(0)  # nosec B311 - a sample, not a secret

    def add(self, value: float) -> None:
        self._seen += 1
        if len(self.values) < MOST_VALUES:
            self.values.append(value)
        elif (at := self._random.randrange(self._seen)) < MOST_VALUES:
            self.values[at] = value


def report(evidence: Path, scored: Path, *, since: str = "") -> DriftReport:
    """Compare the evidence of the days before with that from `since` on, and old verdicts with those of the rules now.

    Args:
        evidence, scored: Folders.
        since: A day, `2026-01-31`; the newest one of the evidence when empty.

    Raises:
        NotFound: There is no evidence.
        IntegrityError: A row cannot be read.
    """
    since = since or _newest_day(evidence)
    old_verdicts = reading.verdicts(scored)
    pairs: list[Verdict] = []
    samples: dict[str, tuple[_Sample, _Sample]] = defaultdict(lambda: (_Sample(), _Sample()))
    counts = [0, 0]
    for record in reading.evidence(evidence):
        side = int(record.time[:10] >= since)
        counts[side] += 1
        for name, measure in MEASURES.items():
            value = measure(record)
            if value is not None:
                samples[f"{record.task} {name}"][side].add(value)
        old = old_verdicts.get(record.evidence_id)
        new = scored_row(record) if old else None
        if old and new:
            pairs.append(Verdict(record.evidence_id, old.outcome, new.outcome))
    spread = {
        name: drift.distribution(old.values, new.values)
        for name, (old, new) in sorted(samples.items())
        if old.values and new.values
    }
    scorer = drift.compared(pairs) if pairs else None
    said = [each.verdict for each in spread.values()] + ([scorer.verdict] if scorer else [])
    verdict: Verdicts = max(said, key=_ORDER.index, default="insufficient_data")
    if verdict == "stable" and not all(counts):
        # The rules have not moved; whether the evidence has, cannot be told from one side.
        verdict = "insufficient_data"
    return DriftReport(
        since=since,
        before=counts[0],
        after=counts[1],
        scorer=scorer,
        distributions=spread,
        verdict=verdict,
    )


def _newest_day(evidence: Path) -> str:
    from lakehouse.learn.outputs import partitions

    files = partitions(evidence)
    if not files:
        raise NotFound("there is no evidence yet; run `lakehouse materialize` first")
    return "-".join(files[-1].relative_to(evidence).parts[:3])
