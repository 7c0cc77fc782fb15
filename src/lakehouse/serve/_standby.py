"""A process that has loaded what the parts of a divided stack load, and waits to become the next one that ended.

Most of what a part needs before it answers is to load modules and vocabularies, which are the same for all of them. The
process that waits has done that on an empty lake of its own, and what is left is to open the real one.
"""

from __future__ import annotations

import subprocess  # nosec B404 - starts only this interpreter with a module of this package
import sys
import tempfile
import threading
from collections.abc import Sequence

from lakehouse.child import environment

LOADED = "--standby"
# A part that has just become ready has work to make up for; the next process is loaded after that.
_REST_S = 2.0


class Standby:
    """Starts the processes of parts, and keeps one loaded for the next start. Thread-safe.

    Args:
        listeners: Sockets that a part may be told to listen on, by descriptor.
    """

    def __init__(self, listeners: Sequence[int]) -> None:
        self._listeners = tuple(listeners)
        self._lock = threading.Lock()
        self._waiting: subprocess.Popen[bytes] | None = None
        # Of this process, so that nothing is left of one that is ended while it loads.
        self._scratch = tempfile.TemporaryDirectory(prefix="lakehouse-standby-", ignore_cleanup_errors=True)
        self._closed = threading.Event()
        self._wanted = threading.Event()
        self._loader = threading.Thread(target=self._load, name="standby", daemon=True)
        self._loader.start()

    def take(self) -> subprocess.Popen[bytes]:
        """Return a process that waits for its order: the loaded one, else a new one."""
        with self._lock:
            process, self._waiting = self._waiting, None
        if process is not None:
            if process.poll() is None:
                return process
            _release(process)
        return started(self._listeners)

    def refill(self) -> None:
        """Have one loaded soon."""
        self._wanted.set()

    def close(self) -> None:
        """End the one that waits; none is loaded afterwards."""
        self._closed.set()
        self._wanted.set()
        self._loader.join()
        with self._lock:
            process, self._waiting = self._waiting, None
        if process is not None:
            process.kill()
            _release(process)
        self._scratch.cleanup()

    def _load(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closed.wait(_REST_S):
                return
            with self._lock:
                if self._waiting is None or self._waiting.poll() is not None:
                    self._waiting = started(self._listeners, LOADED, self._scratch.name)


def started(listeners: Sequence[int], *words: str) -> subprocess.Popen[bytes]:
    """Start a process that becomes the part it is told to be on its standard input, which stays open.

    It ends itself when that closes, however this process ended.
    """
    return subprocess.Popen(  # noqa: S603  # nosec B603 - fixed program, our own words
        [sys.executable, "-P", "-m", "lakehouse.serve._part", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=listeners,
        env=environment(),
    )


def rehearse(scratch: str) -> None:
    """Load what the parts load: open an empty lake in a folder below `scratch`, ask it something, close it."""
    from lakehouse import settings
    from lakehouse.app import connect
    from lakehouse.embed import _minilm
    from lakehouse.serve import run  # noqa: F401 - what serves

    _minilm.load()
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        connect(folder, config=settings.Settings()) as lake,
    ):
        lake.demand.parse("Need 2 Forklift Operators in Cleveland OH")


def _release(process: subprocess.Popen[bytes]) -> None:
    with process:
        return
