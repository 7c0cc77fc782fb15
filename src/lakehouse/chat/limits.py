"""Calls at once per provider."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.chat.base import Deadline, Failed
from lakehouse.errors import LimitExceeded


class Gate:
    """Lets a number of calls through at once; others wait for as long as their deadline allows.

    Args:
        name: Of the provider.
        at_once: Calls at once.
        waiting: Calls that may wait beside them.
    """

    def __init__(self, name: str, at_once: int, waiting: int) -> None:
        self._name = name
        self._at_once = at_once
        self._most = at_once + waiting
        self._room = threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self._inside = 0

    @contextmanager
    def passed(self, deadline: Deadline) -> Iterator[None]:
        """Run the block as one of the calls at once.

        Raises:
            Failed: Too many wait already, or the turn did not come in time.
        """
        with self._lock:
            if self._inside >= self._most:
                raise Failed(self._full(f"{self._most} calls to {self._name} run or wait"), again=False)
            self._inside += 1
        try:
            if not self._room.acquire(timeout=deadline.remaining()):
                raise Failed(self._full(f"{self._at_once} calls to {self._name} kept this one waiting"), again=False)
            try:
                yield
            finally:
                self._room.release()
        finally:
            with self._lock:
                self._inside -= 1

    def _full(self, what: str) -> LimitExceeded:
        return LimitExceeded(f"{what}; try again in a moment", provider=self._name, limit=self._at_once)
