"""What the session log says of late, and the alarm, without prompts and artifacts."""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from pathlib import Path

import msgspec

from lakehouse.state import log
from lakehouse.validate.base import ArtifactKind
from lakehouse.validate.session import Status

MOST = 200
_MOST_ALARMS = 100


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    session_id: str
    time: str
    kind: ArtifactKind
    model: str
    provider: str
    status: Status
    grounded_in_roster: bool | None
    fill_id: str


class SessionLine(_Told, frozen=True, kw_only=True):
    """One iterate, without what was asked and what was made.

    Attributes:
        session_id: The trace id of the call.
        time: RFC 3339, UTC, when it ended.
        kind: What was to be made.
        attempts: How often the model was asked, and `latency_ms`, how long it took to answer in all.
        grounded_in_roster: Of an accepted fill, whether everybody in it is in the roster; null for all else.
        fill_id: Of an accepted fill, empty otherwise.
    """

    attempts: int
    latency_ms: float


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """Iterates, and the alarm.

    Attributes:
        kept: Whether there is a session log; without one nothing is known.
        total: Rows of the log; `by_status` counts them by their end.
        phantoms: Accepted fills with somebody who is not in the roster. Any is an alarm: it went round the validators.
        alarms: The newest of these, at most 100, newest first.
        sessions: The newest of all, newest first.
    """

    kept: bool
    total: int
    by_status: dict[str, int]
    phantoms: int
    alarms: list[SessionLine]
    sessions: list[SessionLine]


class _Attempt(msgspec.Struct, frozen=True):
    latency_ms: float = 0.0


class _Row(_Told, frozen=True, kw_only=True):
    attempts: list[_Attempt]


class SessionReader:
    """Reads a session log as it grows: each row once. Thread-safe.

    Args:
        path: The log; None when none is kept.

    >>> SessionReader(None).list(10).kept
    False
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._decode = msgspec.json.Decoder(_Row).decode
        self._begin()

    def list(self, limit: int) -> SessionList:
        """Return the newest sessions with the counts of all.

        Args:
            limit: At most this many, 200 at most.
        """
        with self._lock:
            if self._path is not None:
                self._read_on(self._path)
            return SessionList(
                kept=self._path is not None,
                total=self._statuses.total(),
                by_status=dict(sorted(self._statuses.items())),
                phantoms=self._phantoms,
                alarms=[*self._alarms],
                sessions=[*self._latest][:limit],
            )

    def _begin(self) -> None:
        # How far each file was read, by its number on the disk: sealing gives it another name.
        self._read: dict[int, int] = {}
        self._statuses: Counter[str] = Counter()
        self._phantoms = 0
        self._alarms: deque[SessionLine] = deque(maxlen=_MOST_ALARMS)
        self._latest: deque[SessionLine] = deque(maxlen=MOST)

    def _read_on(self, path: Path) -> None:
        found = [(file, file.stat()) for file in log.files(path)]
        gone = set(self._read) - {at.st_ino for _, at in found}
        if gone or any(at.st_size < self._read.get(at.st_ino, 0) for _, at in found):
            # Written anew, as an erasure or a restored backup does.
            self._begin()
        for file, at in found:
            if at.st_size > self._read.get(at.st_ino, 0):
                self._read_file(file)

    def _read_file(self, file: Path) -> None:
        with file.open("rb") as handle:
            number = os.fstat(handle.fileno()).st_ino
            offset = self._read.get(number, 0)
            handle.seek(offset)
            for line in handle:
                if not line.endswith(b"\n"):
                    # Still being written.
                    break
                offset += len(line)
                self._take(line)
            self._read[number] = offset

    def _take(self, line: bytes) -> None:
        try:
            row = self._decode(line)
        except msgspec.MsgspecError:
            # A later edition's, or a line that an erasure wrote over.
            return
        told = {name: getattr(row, name) for name in _Told.__struct_fields__}
        took = round(sum(attempt.latency_ms for attempt in row.attempts), 1)
        session = SessionLine(**told, attempts=len(row.attempts), latency_ms=took)
        self._statuses[row.status] += 1
        self._latest.appendleft(session)
        if row.kind == "fill" and row.status == "accepted" and row.grounded_in_roster is not True:
            self._phantoms += 1
            self._alarms.appendleft(session)
