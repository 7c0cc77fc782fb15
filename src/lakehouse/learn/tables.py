"""The logs of a lake: those that are tables in SQL, and those that evidence is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lakehouse.lake.query import LogTable
from lakehouse.learn.audit import baselines
from lakehouse.learn.base import EVIDENCE_COLUMNS, SCORED_COLUMNS
from lakehouse.learn.outputs import STATE, partitions
from lakehouse.learn.replay import COLUMNS as REPLAY_COLUMNS
from lakehouse.learn.replay import log_path
from lakehouse.ledger.erasure import Gone, Purge
from lakehouse.observe.base import OP_COLUMNS, SPAN_COLUMNS
from lakehouse.validate.session import COLUMNS as SESSION_COLUMNS

LOGS = "logs"
FOLDER = "learn"
EVIDENCE = "evidence"
SCORED = "scored-runs"
SFT = "sft"


class _Partitions:
    """The files of day partitions; looked for anew when the note beside them has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, list[Path]] = (-1, [])

    def __call__(self) -> list[Path]:
        try:
            now = (self._folder / STATE).stat().st_mtime_ns
        except FileNotFoundError:
            return []
        if self._seen[0] != now:
            self._seen = (now, partitions(self._folder))
        return self._seen[1]


def log_tables(lake: Path, sessions: Path | None) -> list[LogTable]:
    """Return the logs that are tables in SQL.

    Args:
        lake: Its folder.
        sessions: Path of the log of sessions, null when none is kept.
    """
    evidence, scored = lake / FOLDER / EVIDENCE, lake / FOLDER / SCORED
    return [
        *([LogTable("sessions", sessions, dict(SESSION_COLUMNS))] if sessions else []),
        LogTable("ops", lake / LOGS / "ops.jsonl", OP_COLUMNS),
        LogTable("spans", lake / LOGS / "spans.jsonl", SPAN_COLUMNS),
        LogTable("replay_runs", log_path(lake), REPLAY_COLUMNS),
        LogTable("audit_baselines", baselines.path_of(lake), baselines.COLUMNS),
        LogTable("evidence", evidence, EVIDENCE_COLUMNS, _Partitions(evidence)),
        LogTable("scored_runs", scored, SCORED_COLUMNS, _Partitions(scored)),
    ]


def learnt_logs(lake: Path, sessions: Path | None) -> dict[str, Path]:
    """Return the logs that evidence is made of, by the names that transforms know them by."""
    return {
        "ops": lake / LOGS / "ops.jsonl",
        "spans": lake / LOGS / "spans.jsonl",
        **({"sessions": sessions} if sessions else {}),
        "replay_runs": log_path(lake),
        "ledger": lake / "ledger" / "rows.jsonl",
    }


def purge(lake: Path) -> Purge:
    """Return what removes people from the exports of training data: every export that has a row about one of them."""

    def removed(people: Sequence[Gone]) -> Mapping[str, int]:
        from lakehouse.learn import sft

        return sft.forget(lake / FOLDER / SFT, [gone.subject for gone in people])

    return removed
