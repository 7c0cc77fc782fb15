"""A moment of quiet in a lake: changes wait at a gate while somebody else looks at its files.

Two lock files in the lake folder, so that it works between processes. Whoever changes something passes the gate and
then counts as under way. Whoever wants quiet closes the gate, so that nobody new comes through, and waits for those
under way; both are undone when its process ends, however that comes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.state.folder import disk_error

GATE_FILE = ".gate"
CHANGES_FILE = ".changes"
_PAUSE_S = 0.002


class Gate:
    """What changes of one lake pass. Thread-safe; some microseconds a change.

    Args:
        folder: The lake.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Gate(folder).passing():
    ...     with quiet(folder, within_s=0) as nobody_under_way:
    ...         print(nobody_under_way)
    False
    """

    def __init__(self, folder: Path) -> None:
        self._gate = folder / GATE_FILE
        self._changes = folder / CHANGES_FILE

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Change something; waits while the gate is closed.

        Raises:
            PermissionDenied, Unavailable: The lock files cannot be opened.
        """
        gate = _opened(self._gate)
        try:
            fcntl.flock(gate, fcntl.LOCK_SH)
            under_way = _opened(self._changes)
        finally:
            os.close(gate)
        try:
            # Nobody holds it against us: who closes the gate comes here after that, and we came through before.
            fcntl.flock(under_way, fcntl.LOCK_SH)
            yield
        finally:
            os.close(under_way)


@contextmanager
def quiet(folder: Path, *, within_s: float) -> Iterator[bool]:
    """Close the gate of a lake for a block.

    Args:
        folder: The lake.
        within_s: How long to wait for changes under way.

    Yields:
        Whether none is under way any more. Where one is, such as a call to a model that records its answer at the
        end, it goes on; no other begins.

    Raises:
        PermissionDenied, Unavailable: The lock files cannot be opened.
    """
    gate = _opened(folder / GATE_FILE)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        under_way = _opened(folder / CHANGES_FILE)
        try:
            yield _alone(under_way, within_s)
        finally:
            os.close(under_way)
    finally:
        os.close(gate)


def _alone(under_way: int, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(under_way, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(error, path) from error
