"""The session log: one row per iterate, whatever its end (docs/session-log.md)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from lakehouse.errors import LakehouseError
from lakehouse.observe.lines import json_line
from lakehouse.state.log import Log
from lakehouse.validate.base import ArtifactKind

SCHEMA = "session.iterate.v1"
DAEMON = "validatord"
MOST_PROMPT = 2_000

Status = Literal["accepted", "max_iter_exhausted", "infra_error"]
AttemptVerdict = Literal["accepted", "validation_failed", "no_json", "infra_error"]

# DuckDB types of the table `sessions`.
COLUMNS: Mapping[str, str] = {
    "schema": "VARCHAR",
    "session_id": "VARCHAR",
    "daemon": "VARCHAR",
    "time": "TIMESTAMP",
    "kind": "VARCHAR",
    "model": "VARCHAR",
    "provider": "VARCHAR",
    "namespace": "VARCHAR",
    "prompt": "VARCHAR",
    "status": "VARCHAR",
    "attempts": "STRUCT(n INTEGER, verdict VARCHAR, error VARCHAR, codes VARCHAR[], prompt_tokens BIGINT,"
    " completion_tokens BIGINT, latency_ms DOUBLE)[]",
    "artifact": "VARCHAR",
    "grounded_in_roster": "BOOLEAN",
    "roster": "VARCHAR",
    "snapshot_id": "VARCHAR",
    "fill_id": "VARCHAR",
}

_log = logging.getLogger("lakehouse.validate")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of an iterate.

    Attributes:
        n: From 1.
        verdict: How it ended.
        error: What was wrong, null when it was accepted.
        codes: Of the findings that refused it.
    """

    n: int
    verdict: AttemptVerdict
    error: str | None = None
    codes: list[str] = []
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: float = 0.0


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Every field is always written.

    Attributes:
        session_id: The trace id of the call.
        daemon: Which program wrote it.
        time: RFC 3339, UTC, when the iterate ended.
        kind: What was to be made.
        prompt: The caller's words, at most 2,000 characters.
        artifact: What was accepted; null at the other ends, as what was refused may hold what must not be kept.
        grounded_in_roster: Whether everybody in an accepted fill is in the roster; null when it is no accepted fill.
        roster, snapshot_id, fill_id: Of an accepted fill, empty otherwise.
    """

    session_id: str
    time: str
    kind: ArtifactKind
    model: str
    status: Status
    attempts: list[Attempt]
    prompt: str = ""
    provider: str = ""
    namespace: str = "default"
    artifact: dict[str, Any] | None = None
    grounded_in_roster: bool | None = None
    roster: str = ""
    snapshot_id: str = ""
    fill_id: str = ""
    daemon: str = DAEMON


def row(session: Session) -> bytes:
    """Return the line of a session, without its end."""
    fields = msgspec.structs.asdict(session)
    fields["prompt"] = session.prompt[:MOST_PROMPT]
    ordered = {name: SCHEMA if name == "schema" else fields[name] for name in COLUMNS}
    return json_line(msgspec.json.encode(ordered))


class SessionLog:
    """Appends rows; several threads and processes may share the file. A row that cannot be written is told, not raised.

    Args:
        path: The file; None keeps no log.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._opened: Log | None = None
        _log.info("session log: %s", path or "off")

    def append(self, session: Session) -> bool:
        """Write one row, durable on return; false when it was not written."""
        if self.path is None:
            return False
        try:
            self._file(self.path).write([row(session)])
        except (LakehouseError, UnicodeEncodeError) as error:
            _log.error("session %s is not in the log: %s", session.session_id, error)
            return False
        return True

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _file(self, path: Path) -> Log:
        with self._lock:
            if self._opened is None:
                self._opened = Log(path)
            return self._opened
