"""Logs of a running stack: one JSON object a line on standard error."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from lakehouse import tracing
from lakehouse.errors import InvalidInput

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_encode = msgspec.json.Encoder().encode


class JsonLines(logging.Formatter):
    """Formats a record as `{"time", "level", "logger", "message", "trace_id", ...}`.

    A record's `facts` (`extra={"facts": {...}}`) stand beside the message. Encoding escapes line breaks, so
    that no text from outside can start a line of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if tracing.current():
            facts["trace_id"] = tracing.current()
        facts.update(getattr(record, "facts", {}))
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return _encode(facts).decode()


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send the logs of this product and of its server as JSON lines to `stream`, standard error by default.

    Raises:
        InvalidInput: `level` is not `debug`, `info`, `warning` or `error`.
    """
    if level.lower() not in _LEVELS:
        raise InvalidInput(f"logging.level {level!r} is not one of {', '.join(_LEVELS)}", field="logging.level")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name, least in (("lakehouse", _LEVELS[level.lower()]), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False
