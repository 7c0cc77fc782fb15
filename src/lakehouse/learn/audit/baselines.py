"""Baselines: what audits found, one row each, only ever appended; and how far now is from the first and the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from lakehouse.learn.audit.base import AuditReport, Change
from lakehouse.observe.lines import json_line
from lakehouse.state.log import Log, files, lines

SCHEMA = "audit_baseline.v1"
WARN_ABOVE = 0.20
COLUMNS = {
    "schema": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "version": "VARCHAR",
    "verdict": "VARCHAR",
    "metrics": "JSON",
}


def path_of(lake: Path) -> Path:
    """Return the file of baselines of a lake."""
    return lake / "logs" / "audit_baselines.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    """Return all rows, oldest first, with every key they have, also those that nobody here knows.

    A line that is no JSON object is left out: it was none of ours, and it stays where it is.
    """
    found = []
    for _, _, line in lines(path) if files(path) else ():
        try:
            row = msgspec.json.decode(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found


def append(path: Path, report: AuditReport, version: str) -> None:
    """Add a row; what is there already is not touched.

    Raises:
        PermissionDenied, Unavailable: The disk refused.
    """
    row = {
        "schema": SCHEMA,
        "time": report.time,
        "version": version,
        "verdict": report.verdict,
        "metrics": metrics_of(report),
    }
    _end_last_line(path)
    # Never sealed: it is one file, and it grows by a line an audit.
    log = Log(path, max_bytes=0)
    try:
        log.write([json_line(msgspec.json.encode(row))])
    finally:
        log.close()


def metrics_of(report: AuditReport) -> dict[str, float]:
    """Return the metrics of all phases."""
    return {name: value for phase in report.phases for name, value in phase.metrics.items()}


def changes(baselines: Sequence[Mapping[str, Any]], now: Mapping[str, float]) -> list[Change]:
    """Compare metrics with the first and the last baseline.

    More than 20 % warns, and so does what was zero and is not any more.

    >>> [(each.against, each.change, each.verdict) for each in changes([{"metrics": {"p2_rows": 12}}], {"p2_rows": 82})]
    [('first', 583.333333, 'warn'), ('last', 583.333333, 'warn')]
    """
    if not baselines:
        return []
    found: list[Change] = []
    sides: tuple[tuple[Literal["first", "last"], Mapping[str, Any]], ...] = (
        ("first", baselines[0]),
        ("last", baselines[-1]),
    )
    for against, row in sides:
        before = _numbers(row.get("metrics"))
        found += [_change(name, against, before.get(name), now.get(name)) for name in dict.fromkeys((*before, *now))]
    return found


def _change(metric: str, against: Literal["first", "last"], before: float | None, now: float | None) -> Change:
    change: float | None = None
    verdict: Literal["ok", "warn", "new", "gone"]
    if before is None:
        verdict = "new"
    elif now is None:
        verdict = "gone"
    elif before == 0:
        verdict = "warn" if now else "ok"
    else:
        change = round((now - before) / abs(before) * 100, 6)
        verdict = "warn" if abs(change) > WARN_ABOVE * 100 else "ok"
    return Change(metric=metric, against=against, baseline=before, now=now, change=change, verdict=verdict)


def _numbers(metrics: Any) -> dict[str, float]:
    if not isinstance(metrics, Mapping):
        return {}
    return {
        str(name): value
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _end_last_line(path: Path) -> None:
    """End a last line that another program left without its end, when it is a whole one; the log would cut it off."""
    if not path.exists():
        return
    last = path.read_bytes().rpartition(b"\n")[2]
    try:
        msgspec.json.decode(last)
    except ValueError:
        return
    with path.open("ab") as file:
        file.write(b"\n")
