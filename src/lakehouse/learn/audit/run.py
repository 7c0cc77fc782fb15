"""The full audit: twelve phases over a live lake, one after the other, each whatever the others found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from lakehouse import progress
from lakehouse.learn.audit import baselines, data, promises, training
from lakehouse.learn.audit.base import ORDER, AuditReport, Found, Lake, Look, Phase

_SHOWN = 20

# Name, what looks, and what to do about what it finds.
PHASES: tuple[tuple[str, Look, str], ...] = (
    ("store", data.store, "stop the stack and restore a backup: `lakehouse restore`"),
    ("catalog", data.catalog, "ingest the dataset again, or restore a backup: `lakehouse restore`"),
    ("ingest receipts", data.receipts, "ingest the dataset again from its file: `lakehouse ingest`"),
    ("index findability", data.findability, "build the corpus again: `lakehouse corpus build`"),
    ("embedding parity", data.parity, "build the corpus again: `lakehouse corpus build`"),
    (
        "evidence",
        training.evidence,
        "remove learn/evidence and run `lakehouse materialize`; look at the rejected lines",
    ),
    ("scoring", training.verdicts, "remove learn/scored-runs and run `lakehouse score`"),
    ("sft firewall", training.firewall, "throw the export away, train nothing on it, run `lakehouse export-sft`"),
    ("replay", training.replays, "look at the rows named; a search that differs from itself is a defect"),
    ("memory", promises.memory, "look at the entries with `lakehouse playbook list`; delete those of a wrong role"),
    (
        "sessions",
        promises.sessions,
        "stop sending fills: something gets past the fill validator; see the sessions table",
    ),
    ("ledger", promises.ledger, "keep the folder as it is and run `lakehouse audit verify`; restore from an anchor"),
)


def run(
    lake: Lake, *, clock: Callable[[], datetime], append_baseline: bool, version: str, phases: Sequence[int] = ()
) -> AuditReport:
    """Run the phases, compare with the baselines, and append one if asked to.

    Args:
        lake: The rooms.
        clock: The time, with its zone.
        append_baseline: Adds a row to `logs/audit_baselines.jsonl`.
        version: Of this program.
        phases: Only these numbers; all when empty.

    Raises:
        PermissionDenied, Unavailable: The baseline could not be written.
    """
    started = time.perf_counter()
    chosen = [number for number in range(1, len(PHASES) + 1) if not phases or number in phases]
    told, done = progress.stage("phases"), []
    for at, number in enumerate(chosen):
        told(at, len(chosen))
        done.append(_phase(number, lake))
    told(len(chosen), len(chosen))
    path = baselines.path_of(lake.folder)
    before = baselines.read(path)
    report = AuditReport(
        time=clock().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        verdict=max((phase.verdict for phase in done), key=ORDER.index, default="skipped"),
        phases=done,
        changes=[],
        baselines=len(before) + append_baseline,
        elapsed_ms=round((time.perf_counter() - started) * 1000, 3),
    )
    changes = baselines.changes(before, baselines.metrics_of(report))
    if phases:
        changes = [each for each in changes if each.verdict != "gone"]
    if append_baseline:
        baselines.append(path, report, version)
    return msgspec.structs.replace(report, changes=changes)


def _phase(number: int, lake: Lake) -> Phase:
    name, look, mend = PHASES[number - 1]
    started = time.perf_counter()
    try:
        found = look(lake)
    except Exception as error:  # noqa: BLE001 - a lake that is broken in any way must not end its audit
        found = Found(metrics={}, wrong=[getattr(error, "message", "") or f"{type(error).__name__}: {error}"])
    said = [*found.wrong, *found.doubtful, *([found.skipped] if found.verdict == "skipped" else [])]
    more = [f"and {len(said) - _SHOWN} more"] if len(said) > _SHOWN else []
    return Phase(
        number=number,
        name=name,
        verdict=found.verdict,
        metrics=found.metrics,
        findings=said[:_SHOWN] + more,
        mend=mend if found.wrong or found.doubtful else "",
        elapsed_ms=round((time.perf_counter() - started) * 1000, 3),
    )
