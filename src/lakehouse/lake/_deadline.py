"""Statements that end: when their time is over, and when nobody waits for them any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lakehouse.errors import DeadlineExceeded, LakehouseError
from lakehouse.progress import abandoned

_INTERRUPT_EVERY_S = 0.02
_LOOK_EVERY_S = 0.1


@contextmanager
def deadline(interrupt: Callable[[], None], allowed_ms: int) -> Iterator[list[LakehouseError]]:
    """Stop what runs once its time is over or nobody waits for it; the list given then holds the reason."""
    done = threading.Event()
    stopped: list[LakehouseError] = []
    gone = abandoned()
    ends = time.monotonic() + allowed_ms / 1000

    def watch() -> None:
        while not gone() and (left := ends - time.monotonic()) > 0:
            if done.wait(min(left, _LOOK_EVERY_S)):
                return
        if gone():
            stopped.append(DeadlineExceeded("the caller hung up, so the statement was stopped"))
        else:
            reason = f"the statement took longer than {allowed_ms} ms and was stopped; narrow it"
            stopped.append(DeadlineExceeded(reason, timeout_ms=allowed_ms))
        # Again and again: an interrupt that comes between two steps of a statement is lost.
        while not done.wait(_INTERRUPT_EVERY_S):
            interrupt()

    watcher = threading.Thread(target=watch, name="sql-deadline", daemon=True)
    watcher.start()
    try:
        yield stopped
    finally:
        done.set()
        watcher.join()
