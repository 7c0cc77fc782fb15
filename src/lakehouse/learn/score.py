"""Scoring: a verdict on every evidence record, in files beside the evidence's, day by day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lakehouse import progress
from lakehouse.errors import InvalidInput
from lakehouse.learn.base import EvidenceRecord, ScoredRow, Scoring
from lakehouse.learn.outputs import Outputs, partitions, read_state
from lakehouse.observe import scoring
from lakehouse.observe.lines import json_line
from lakehouse.observe.scoring import Record

# That a call returned says nothing of how good its answer was.
_MERE_CALLS = frozenset({"ops", "inbox", "parses", "searches", "chats", "audits"})

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EvidenceRecord).decode


def score(evidence: Path, folder: Path) -> Scoring:
    """Score the evidence that is new since the last run; all of it when the rules have changed.

    Args:
        evidence: Folder of the evidence.
        folder: Of the verdicts, one row per record, partitioned by day as the evidence is.

    Raises:
        PermissionDenied, Unavailable: The disk refused; the next run goes on from there.
    """
    started = time.perf_counter()
    made_by = read_state(evidence)
    outputs = Outputs(folder, f"{scoring.VERSION}/{made_by.version if made_by else ''}")
    sizes = {str(path.relative_to(evidence)): path.stat().st_size for path in partitions(evidence)}
    # Evidence that was made anew is scored anew.
    if any(sizes.get(name, 0) < done for name, done in outputs.state.cursor.items()):
        outputs.start_over()
    new = refused = 0
    told, total = progress.stage("scoring bytes"), sum(sizes.values())
    before = 0
    for name, size in sizes.items():
        for record, end in _records(evidence / name, outputs.state.cursor.get(name, 0)):
            new += 1
            row = scored_row(record)
            if row is None:
                refused += 1
                outputs.count("refused")
            else:
                outputs.add(name, json_line(_encode(row)))
                outputs.count(f"outcome.{row.outcome}")
                outputs.count(f"rule.{row.rule}")
            outputs.state.cursor[name] = end
            if outputs.full:
                told(before + end, total)
                outputs.commit()
        before += size
        told(before, total)
    if new or outputs.started_over:
        outputs.commit()
    counts = outputs.state.counts
    return Scoring(
        scored=new,
        refused=refused,
        outcomes=_under("outcome.", counts),
        by_rule=_under("rule.", counts),
        rules_version=scoring.VERSION,
        rescored=outputs.started_over,
        elapsed_ms=round((time.perf_counter() - started) * 1000, 3),
    )


def scored_row(record: EvidenceRecord) -> ScoredRow | None:
    """Judge one evidence record; null when it says nothing at all."""
    said = Record(
        status="returned" if record.kind in _MERE_CALLS and record.status == "ok" else record.status,
        attempts=record.attempts,
        grounded_in_roster=record.grounded_in_roster,
        rating=record.rating,
        output=record.output or None,
    )
    try:
        verdict = scoring.scored(said)
    except InvalidInput:
        return None
    return ScoredRow(
        evidence_id=record.evidence_id,
        kind=record.kind,
        task=record.task,
        time=record.time,
        outcome=verdict.outcome,
        reasons=verdict.reasons,
        rule=verdict.rule,
        rules_version=verdict.version,
    )


def _records(path: Path, start: int) -> Iterator[tuple[EvidenceRecord, int]]:
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            start += len(line)
            yield _decode(line), start


def _under(prefix: str, counts: dict[str, int]) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in sorted(counts.items()) if name.startswith(prefix)}
