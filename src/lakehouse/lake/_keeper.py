"""Looks after the datasets from time to time, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from lakehouse.errors import LakehouseError

_log = logging.getLogger(__name__)


class Keeper:
    """Calls a function again and again until stopped; what it raises is logged and does not end it.

    Args:
        work: What to do.
        every_s: Time before the first call, and between two.
    """

    def __init__(self, work: Callable[[], object], every_s: float) -> None:
        self._work = work
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lake-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the call under way finish and make no other."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self._work()
            except LakehouseError as error:
                _log.warning("datasets could not be looked after: %s", error)
