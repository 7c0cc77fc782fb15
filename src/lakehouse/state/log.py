"""Append-only logs: one JSON object a line, durable by group commit, shared by threads and processes.

A log is a file `NAME.jsonl` that takes the appends and, once that has grown past a limit, sealed files
`NAME-000001.jsonl`, `NAME-000002.jsonl`, ... beside it, oldest first. A line is written by one call under a
file lock, so lines of several writers never interleave. What a crash leaves of a line that was never
acknowledged is cut off by the next one who opens the log.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lakehouse.errors import InternalError, Unavailable
from lakehouse.state.folder import disk_error, fsync_dir

MAX_BYTES = 64 * 1024 * 1024
_TAIL = 64 * 1024

_log = logging.getLogger(__name__)


class Log:
    """One log, open for appending. Thread-safe; several processes may have the same log open.

    Args:
        path: The file that takes the appends, `NAME.jsonl`; it and its folder are made when absent.
        max_bytes: Size from which the file is sealed and a new one begun; 0 means never.

    Raises:
        PermissionDenied, Unavailable: The file cannot be written; the message names it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     log = Log(Path(scratch) / "ops.jsonl")
    ...     log.write([b'{"n":1}', b'{"n":2}'])
    ...     [line for _, _, line in lines(log.path)]
    ...     log.close()
    [b'{"n":1}', b'{"n":2}']
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._written = 0
        self._synced = 0
        self._broken = ""
        self._append_lock = threading.Lock()
        self._commit_lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = _open(path)
            with _locked(self._handle):
                self._cut_torn_tail()
        except OSError as error:
            raise disk_error(error, path) from error

    def write(self, rows: Sequence[bytes]) -> None:
        """Append rows and return when they survive a power cut; all of them or none. Raises as `append`."""
        self.commit(self.append(rows))

    def append(self, rows: Sequence[bytes]) -> int:
        """Append rows in order, not yet safe; readers see them at once.

        Args:
            rows: One JSON object each, without a line break inside.

        Returns:
            The position to `commit`.

        Raises:
            PermissionDenied, Unavailable: The disk refused; nothing of the rows is left.
        """
        data = b"\n".join([*rows, b""])
        if data.count(b"\n") != len(rows):
            raise InternalError("a row of a log holds a line break")
        with self._append_lock:
            if self._broken:
                raise Unavailable(f"log {self.path} failed and takes no rows: {self._broken}; open it anew")
            try:
                self._append(data)
            except OSError as error:
                raise disk_error(error, self.path) from error
            self._written += len(data)
            return self._written

    def commit(self, position: int) -> None:
        """Return when everything up to `position` survives a power cut; those who wait together share one sync.

        Raises:
            Unavailable: It may not; the log takes no more rows until it is opened anew.
        """
        with self._commit_lock:
            if self._synced >= position:
                return
            # The handle cannot be exchanged meanwhile: sealing takes this lock as well.
            written = self._written
            try:
                os.fdatasync(self._handle)
            except OSError as error:
                # What the kernel dropped after a failed sync cannot be known; only a new start can tell.
                self._broken = str(error)
                raise disk_error(error, self.path) from error
            self._synced = written

    def close(self) -> None:
        """Close the log; what was appended is safe. Idempotent."""
        with self._append_lock, self._commit_lock:
            if self._handle >= 0:
                os.fsync(self._handle)
                os.close(self._handle)
                self._handle, self._broken = -1, "it was closed"
                self._synced = self._written

    def _append(self, data: bytes) -> None:
        while True:
            with _locked(self._handle):
                if _is_at(self._handle, self.path):
                    size = os.fstat(self._handle).st_size
                    if not self._max_bytes or size < self._max_bytes:
                        try:
                            _write_all(self._handle, data)
                        except OSError:
                            os.ftruncate(self._handle, size)
                            raise
                        return
                    os.fsync(self._handle)
                    self.path.rename(sealed(self.path, _next(self.path)))
                    fsync_dir(self.path.parent)
            # Sealed, by this process or another one.
            with self._commit_lock:
                os.fsync(self._handle)
                self._synced = self._written
                fresh = _open(self.path)
                os.close(self._handle)
                self._handle = fresh

    def _cut_torn_tail(self) -> None:
        size = os.fstat(self._handle).st_size
        end = size
        while end:
            start = max(0, end - _TAIL)
            found = os.pread(self._handle, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end != size:
            _log.warning("%s ended in %d bytes of a row that was never acknowledged; cut off", self.path, size - end)
            os.ftruncate(self._handle, end)
            os.fsync(self._handle)


def sealed(path: Path, number: int) -> Path:
    """Return the name of the sealed file of that number, from 1."""
    return path.with_name(f"{path.stem}-{number:06d}{path.suffix}")


def files(path: Path) -> list[Path]:
    """Return the files of the log at `path` that exist, oldest first."""
    found = _sealed(path)
    return [*found, path] if path.exists() else found


def _sealed(path: Path) -> list[Path]:
    digits = "[0-9]" * 6
    return sorted(path.parent.glob(f"{path.stem}-{digits}{path.suffix}"))


def numbers(path: Path) -> list[int]:
    """Return the numbers of the log's files that exist, ascending; some lack when old files were removed."""
    found = list(map(_number, _sealed(path)))
    return [*found, _next(path)] if path.exists() else found


def _number(path: Path) -> int:
    return int(path.stem[-6:])


def _next(path: Path) -> int:
    """Return the number under which the file that takes the appends will be sealed."""
    found = _sealed(path)
    return _number(found[-1]) + 1 if found else 1


def lines(path: Path, *, start: int = 0) -> Iterator[tuple[Path, int, bytes]]:
    """Read the rows of the log at `path`, oldest first; a row still being written is left out.

    Args:
        path: As of the log.
        start: Offset in the oldest file to begin at, the start of a row.

    Yields:
        File, offset of the row in it in bytes, and the row without its line break.
    """
    for file in files(path):
        with file.open("rb") as handle:
            handle.seek(start)
            offset, start = start, 0
            for line in handle:
                if line.endswith(b"\n"):
                    yield file, offset, line[:-1]
                offset += len(line)


class Stretch(NamedTuple):
    """Rows of one file of a log, safe on disk.

    Attributes:
        rows: Whole lines, each with its end.
        last: No whole line follows in the file.
        sealed: The file takes no more rows.
    """

    rows: bytes
    last: bool
    sealed: bool


def stretch(path: Path, number: int, start: int, most: int) -> Stretch | None:
    """Read rows of one file of the log at `path`, and see to it that no power cut takes them away again.

    Args:
        path: As of the log.
        number: Of the file, from 1: that under which it is or will be sealed.
        start: Offset in it to begin at, the start of a row.
        most: Bytes at most; a row that is longer is given by itself.

    Returns:
        As many rows as there are and fit, or None while there is no such file.

    Raises:
        PermissionDenied, Unavailable: The disk refused.
    """
    try:
        opened = _numbered(path, number)
        if opened is None:
            return None
        handle, is_sealed = opened
        try:
            with _locked(handle):
                size = os.fstat(handle).st_size
            os.fdatasync(handle)
            rows = _rows(handle, start, size, most)
            return Stretch(rows, not _rows(handle, start + len(rows), size, 1), is_sealed)
        finally:
            os.close(handle)
    except OSError as error:
        raise disk_error(error, path) from error


def _numbered(path: Path, number: int) -> tuple[int, bool] | None:
    """Open a file of a log by its number, and tell whether it is sealed."""
    while True:
        name = sealed(path, number)
        with suppress(FileNotFoundError):
            return os.open(name, os.O_RDONLY | os.O_CLOEXEC), True
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # Between two names while it is being sealed, or never begun.
            if name.exists():
                continue
            return None
        its = _next(path)
        if _is_at(handle, path):
            if its == number:
                return handle, False
            os.close(handle)
            return None
        os.close(handle)


def _rows(handle: int, start: int, size: int, most: int) -> bytes:
    data = os.pread(handle, max(0, min(most, size - start)), start)
    end = data.rfind(b"\n") + 1
    while data and not end:
        # The first row is longer, or not whole.
        more = os.pread(handle, min(_TAIL, size - start - len(data)), start + len(data))
        if not more:
            break
        found = more.find(b"\n") + 1
        end = len(data) + found if found else 0
        data += more
    return data[:end]


def _open(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    fsync_dir(path.parent)
    return handle


@contextmanager
def _locked(handle: int) -> Iterator[None]:
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


def _is_at(handle: int, path: Path) -> bool:
    """Tell whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
