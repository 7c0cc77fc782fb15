"""Vectors by the content of their text: on disk below the lake, and the recent ones in memory."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
# Files of shared vectors that are in it already.
_TAKEN_SCHEMA = "CREATE TABLE IF NOT EXISTS taken (name TEXT PRIMARY KEY) WITHOUT ROWID"
_BUSY_TIMEOUT_S = 30.0
# SQLite takes at most 32,766 parameters; far fewer keep each statement short.
_KEYS_A_STATEMENT = 500


def key(fingerprint: str, text: str) -> bytes:
    """Return the 32-byte key of a text under one model's fingerprint."""
    return hashlib.sha256(fingerprint.encode() + b"\0" + text.encode()).digest()


class DiskCache:
    """A SQLite file of float32 vectors by content key.

    Derived data: it may be deleted at any time. Safe to use from several threads and processes at once; a batch is
    kept whole or not at all. A damaged file reads as empty and is started anew by the next write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None

    def read(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Return the known ones of `keys`, each `(d,)` float32, read-only."""
        import numpy as np

        found: dict[bytes, np.ndarray] = {}
        with self._lock:
            for start in range(0, len(keys), _KEYS_A_STATEMENT):
                part = keys[start : start + _KEYS_A_STATEMENT]
                marks = ",".join("?" * len(part))
                # The only thing put into the statement is a row of question marks.
                statement = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608  # nosec B608
                rows = self._rows(statement, part)
                found.update((name, np.frombuffer(vector, dtype="<f4")) for name, vector in rows)
        return found

    def write(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep `vectors`; what is there already stays as it is.

        Raises:
            OSError: The disk is full or the folder read-only.
        """
        rows = [(name, vector.astype("<f4", copy=False).tobytes()) for name, vector in vectors.items()]
        try:
            self._insert(rows)
        except sqlite3.OperationalError as error:
            raise OSError(None, str(error), str(self._path)) from None
        except sqlite3.DatabaseError:
            self._discard()
            self._insert(rows)

    def taken(self) -> frozenset[str]:
        """Return the names that were given to `take`."""
        if not self._path.is_file():
            return frozenset()
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)) as connection:
                return frozenset(row[0] for row in connection.execute("SELECT name FROM taken"))
        except sqlite3.DatabaseError:
            return frozenset()

    def take(self, name: str) -> None:
        """Note that what is in a file of shared vectors is here.

        Raises:
            OSError: The disk is full or the folder read-only.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)) as connection, connection:
                connection.execute(_TAKEN_SCHEMA)
                connection.execute("INSERT OR IGNORE INTO taken VALUES (?)", (name,))
        except sqlite3.DatabaseError as error:
            raise OSError(None, str(error), str(self._path)) from None

    def forget(self, keys: Sequence[bytes]) -> int:
        """Remove vectors for good; returns how many there were.

        Raises:
            OSError: The disk is full or the folder read-only.
        """
        if not self._path.is_file():
            return 0
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)) as connection:
                # Without it the bytes would stay in pages that are free, or in the write-ahead log.
                connection.execute("PRAGMA secure_delete=ON")
                before = connection.total_changes
                with connection:
                    connection.executemany("DELETE FROM vectors WHERE key = ?", [(name,) for name in keys])
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return connection.total_changes - before
        except sqlite3.DatabaseError as error:
            raise OSError(None, str(error), str(self._path)) from None

    def close(self) -> None:
        """Close the file; idempotent, and the next read opens it again."""
        with self._lock:
            self._close_reader()

    def _rows(self, statement: str, parameters: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        if self._reader is None:
            if not self._path.is_file():
                return []
            self._reader = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.DatabaseError:
            # A cache that cannot be read costs time, not the answer.
            self._close_reader()
            return []

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _insert(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            with connection:
                connection.execute(_SCHEMA)
                connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    def _discard(self) -> None:
        with self._lock:
            self._close_reader()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)


class RecentVectors:
    """The last vectors asked for, by text, in memory. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._vectors: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()

    def get(self, fingerprint: str, text: str) -> np.ndarray | None:
        """Return the vector of `text` and count it as used."""
        name = (fingerprint, text)
        with self._lock:
            vector = self._vectors.get(name)
            if vector is not None:
                self._vectors.move_to_end(name)
            return vector

    def put(self, fingerprint: str, text: str, vector: np.ndarray) -> None:
        """Keep `vector`, dropping the longest unused one when full."""
        if self._capacity <= 0:
            return
        with self._lock:
            self._vectors[fingerprint, text] = vector
            if len(self._vectors) > self._capacity:
                self._vectors.popitem(last=False)

    def forget(self, fingerprint: str, text: str) -> None:
        """Drop the vector of `text`."""
        with self._lock:
            self._vectors.pop((fingerprint, text), None)
