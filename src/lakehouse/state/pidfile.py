"""Pid files that cannot lie: a process counts as running while it holds its file's lock, and not a moment longer."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from pathlib import Path

from lakehouse.errors import Conflict
from lakehouse.state.folder import disk_error

# Somebody who looks whether the file is held has it for a moment.
_PATIENCE_S = 1.0
_PAUSE_S = 0.02


class PidFile:
    """A pid file held by this process until `release`, or until it ends however that comes.

    Args:
        path: Made when absent; its folder exists.

    Raises:
        Conflict: Another process holds it; `detail.pid` names it.
        PermissionDenied, Unavailable: The file cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "stack.pid"
    >>> held = PidFile(path)
    >>> holder(path) == os.getpid()
    True
    >>> held.release()
    >>> holder(path) is None
    True
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise disk_error(error, path) from error
        try:
            if not _locked(handle, patience_s=_PATIENCE_S):
                pid = _written(handle)
                raise Conflict(f"{path} is held by process {pid or 'unknown'}, which runs already", pid=pid)
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        except BaseException:
            os.close(handle)
            raise
        self._handle: int | None = handle

    def release(self) -> None:
        """Let go of the file; idempotent. It stays where it is, so that nobody locks a file without a name."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def holder(path: Path) -> int | None:
    """Return the process that holds a pid file, None when nobody does."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        return None if _locked(handle) else _written(handle)
    finally:
        os.close(handle)


def send(path: Path, number: signal.Signals) -> int | None:
    """Send a signal to the process that holds a pid file, and to no other that may have got its number since.

    Returns:
        The process, None when nobody holds the file.
    """
    pid = holder(path)
    if pid is None:
        return None
    try:
        # From here on the handle means this very process; whoever holds the lock now is still the one asked for.
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        if holder(path) != pid:
            return None
        signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return None
    finally:
        os.close(process)
    return pid


def wait_released(path: Path, *, within_s: float) -> bool:
    """Wait until nobody holds a pid file, and tell whether that came in time."""
    until = time.monotonic() + within_s
    while holder(path) is not None:
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE_S)
    return True


def _locked(handle: int, *, patience_s: float = 0.0) -> bool:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def _written(handle: int) -> int | None:
    text = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
