"""The chains of all subjects in one append-only log, `rows.jsonl`.

A file for each person would cost a sync for each person shown; one log costs a sync for an answer, and answers that
wait at the same time share it. Where each chain stands (its count, tip and head) is held in memory. `heads.bin` keeps
it as of some byte of the log, so that a start reads only what came after; it is derived and may be deleted.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from lakehouse.decoding import ready
from lakehouse.errors import IntegrityError, LakehouseError
from lakehouse.ledger import rows
from lakehouse.ledger.keys import Keyring
from lakehouse.ledger.rows import Accessor, Event, Head, Prepared
from lakehouse.state.folder import atomic_write
from lakehouse.state.gathered import GatheredLog
from lakehouse.state.log import Log, files

LOG = "rows.jsonl"
_SNAPSHOT = "heads.bin"
_CHUNK = 512 * 1024
# Reading so many rows again takes less time than writing all heads down.
_ROWS_BETWEEN_SNAPSHOTS = 5_000

_log = logging.getLogger(__name__)


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A point of the log between two rows: rows and bytes before it."""

    rows: int
    size: int


@ready
class _Snapshot(msgspec.Struct, frozen=True, array_like=True):
    place: Place
    heads: dict[str, Head]


class Chains:
    """Every subject's chain, open for appending. Thread-safe.

    Args:
        folder: Of the ledger.
        ring: Keys; the active one writes.
        signed: Place up to which checkpoints speak of the log, as far as is known.

    Raises:
        IntegrityError: The log is shorter than what was signed.
        PermissionDenied, Unavailable: The log cannot be written.
    """

    def __init__(self, folder: Path, ring: Keyring, signed: Place) -> None:
        self._folder = folder
        self._ring = ring
        self._key = rows.Key(ring.keys[ring.active])
        self._lock = threading.Lock()
        self._log = GatheredLog(Log(folder / LOG))
        self._size = sum(path.stat().st_size for path in files(self._log.path))
        if self._size < signed.size:
            raise IntegrityError(
                f"{self._log.path} has {self._size} bytes, but {signed.size} were signed: the ledger was cut off;"
                " restore it from a backup",
                path=str(self._log.path),
            )
        self._rows = 0
        self._heads: dict[str, Head] = {}
        self._changed: set[str] = set()
        self._snapshot_at = 0
        self._load(signed)

    @property
    def rows(self) -> int:
        """Rows in the log."""
        return self._rows

    @property
    def ring(self) -> Keyring:
        """The keys in use."""
        return self._ring

    def use(self, ring: Keyring) -> None:
        """Write with other keys from now on."""
        with self._lock:
            self._ring = ring
            self._key = rows.Key(ring.keys[ring.active])

    def append(self, events: Sequence[Event] | Prepared, accessor: Accessor, now: datetime) -> int:
        """Add a row for each event, in order, all or none; not yet safe, see `commit`.

        Returns:
            The position to `commit`.

        Raises:
            InvalidInput: A text is no valid Unicode; nothing was written.
            PermissionDenied, Unavailable: The disk refused rows before these and still does; nothing was added.
        """
        time, prepared = rows.timestamp(now), rows.prepare(events)
        with self._lock:
            writer = rows.Writer(self._key, self._ring.active, accessor, time)
            lines, moved = writer.chained(prepared, self._heads)
            position = self._log.append(lines)
            self._heads.update(moved)
            self._changed.update(moved)
            self._rows += len(lines)
            self._size += sum(map(len, lines)) + len(lines)
        return position

    def commit(self, position: int) -> None:
        """Return when everything up to `position` survives a power cut. Raises as `Log.commit`."""
        self._log.commit(position)

    def head(self, subject: str) -> Head | None:
        """Return where a subject's chain stands, None when it has no rows."""
        return self._heads.get(subject)

    def changed(self) -> tuple[Place, dict[str, Head]]:
        """Take the heads that have moved since the last call, as of a place of the log that is safe."""
        with self._lock:
            position = self._log.append([])
            place = Place(self._rows, self._size)
            heads = {subject: self._heads[subject] for subject in sorted(self._changed)}
            self._changed = set()
        try:
            self.commit(position)
        except LakehouseError:
            self.put_back(list(heads))
            raise
        return place, heads

    def put_back(self, subjects: Sequence[str]) -> None:
        """Undo `changed`, when what was to be done with it failed."""
        with self._lock:
            self._changed.update(subjects)

    def digest(self, before: bytes, start: int, end: int) -> bytes:
        """Return the SHA-256 of 32 bytes and the log from byte `start` to `end`."""
        running = hashlib.sha256(before)
        for chunk in self._bytes(start, end):
            running.update(chunk)
        return running.digest()

    def lines(self, subject: str) -> Iterator[bytes]:
        """Yield the lines of one subject, oldest first: their chain, byte for byte."""
        needle = rows.needle(subject)
        for path in files(self._log.path):
            with path.open("rb") as handle:
                rest = b""
                while chunk := handle.read(_CHUNK):
                    whole, _, rest = (rest + chunk).rpartition(b"\n")
                    yield from _with(whole, needle)

    def snapshot(self) -> None:
        """Write the heads down, when reading their rows again would take longer."""
        with self._lock:
            if self._rows - self._snapshot_at < max(_ROWS_BETWEEN_SNAPSHOTS, len(self._heads) // 4):
                return
            state = _Snapshot(Place(self._rows, self._size), dict(self._heads))
            position = self._log.append([])
        # Heads of rows that are not on disk must not be either.
        self.commit(position)
        data = msgspec.msgpack.encode(state)
        atomic_write(self._folder / _SNAPSHOT, hashlib.sha256(data).digest() + data)
        self._snapshot_at = state.place.rows

    def close(self) -> None:
        """Close the log; what was appended is safe. Idempotent."""
        self._log.close()

    def _load(self, signed: Place) -> None:
        snapshot = self._read_snapshot()
        at = Place(0, 0)
        if snapshot is not None and snapshot.place.size <= self._size:
            at, self._heads = snapshot.place, snapshot.heads
            self._snapshot_at = at.rows
        rest = b""
        size = at.size
        self._rows = at.rows
        for chunk in self._bytes(at.size, self._size):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                size += len(line) + 1
                self._replay(line, changed=size > signed.size)

    def _replay(self, line: bytes, *, changed: bool) -> None:
        self._rows += 1
        try:
            link = rows.link(line)
        except msgspec.DecodeError as error:
            raise IntegrityError(
                f"row {self._rows} of {self._log.path} is damaged ({error}); `lakehouse audit verify` says more",
                path=str(self._log.path),
                row=self._rows,
            ) from None
        before = self._heads.get(link.subject, rows.NEW)
        self._heads[link.subject] = Head(link.seq, link.hmac, rows.advance(before.head, line))
        if changed:
            self._changed.add(link.subject)

    def _read_snapshot(self) -> _Snapshot | None:
        try:
            raw = (self._folder / _SNAPSHOT).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(raw[32:]).digest() != raw[:32]:
            _log.warning("%s is damaged; the heads are read from the rows instead", self._folder / _SNAPSHOT)
            return None
        return msgspec.msgpack.decode(raw[32:], type=_Snapshot)

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        """Read the log, which is all its files one after the other."""
        passed = 0
        for path in files(self._log.path):
            size = path.stat().st_size
            if passed + size > start and passed < end:
                with path.open("rb") as handle:
                    at = max(start - passed, 0)
                    handle.seek(at)
                    left = min(end - passed, size) - at
                    while left > 0 and (chunk := handle.read(min(_CHUNK, left))):
                        left -= len(chunk)
                        yield chunk
            passed += size


def _with(block: bytes, needle: bytes) -> Iterator[bytes]:
    """Yield the lines of a block that hold the needle."""
    at = block.find(needle)
    while at >= 0:
        start = block.rfind(b"\n", 0, at) + 1
        end = block.find(b"\n", at)
        end = len(block) if end < 0 else end
        yield block[start:end]
        at = block.find(needle, end)
