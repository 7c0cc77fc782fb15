"""The line that every request leaves in the log."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.types import Scope

_access = logging.getLogger("lakehouse.access")

# Method, path, status, milliseconds, trace, and when it was answered.
_Answered = tuple[str, str, int, float, str, float]


class AccessLog:
    """Writes a line for each request that was answered, in the next round of the loop.

    The answer is on its way by then and does not wait for the log; those that were answered in one round are written
    together. For one thread, that of the loop.
    """

    def __init__(self) -> None:
        self._waiting: list[_Answered] = []

    def note(self, scope: Scope, status: int, took_ms: float, trace_id: str) -> None:
        """Have a line written soon."""
        if not _access.isEnabledFor(logging.INFO):
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append((scope["method"], scope["path"], status, took_ms, trace_id, time.time()))

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        left = len(waiting)
        for method, path, status, took_ms, trace_id, moment in waiting:
            # What `Logger.info` does besides takes twice as long, most of it to find out who calls.
            record = logging.LogRecord(_access.name, logging.INFO, __file__, 0, "request", (), None)
            record.created, record.msecs = moment, moment % 1 * 1000
            record.facts = {"method": method, "path": path, "status": status, "ms": took_ms, "trace_id": trace_id}
            left -= 1
            record.more = left > 0
            _access.handle(record)
