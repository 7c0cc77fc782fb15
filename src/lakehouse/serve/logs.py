"""Logs of a running stack: one JSON object a line on standard error, or in a file that is put aside when it is full."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from lakehouse import tracing
from lakehouse.errors import InvalidInput
from lakehouse.settings import Logging
from lakehouse.state.folder import disk_error

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


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at the moment, which a caller in this process may exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def configure(config: Logging, stream: TextIO | None = None) -> None:
    """Send the logs of this product and of its server as JSON lines to `config.file`, else to standard error.

    Args:
        config: Section `[logging]`.
        stream: Where they go instead.

    Raises:
        InvalidInput: `level` is not `debug`, `info`, `warning` or `error`.
        PermissionDenied, Unavailable: The file cannot be written.
    """
    level = config.level.lower()
    if level not in _LEVELS:
        raise InvalidInput(f"logging.level {config.level!r} is not one of {', '.join(_LEVELS)}", field="logging.level")
    handler = (
        _to_file(config) if config.file and stream is None else (logging.StreamHandler(stream) if stream else _Stderr())
    )
    handler.setFormatter(JsonLines())
    for name, least in (("lakehouse", _LEVELS[level]), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        for old in logger.handlers:
            old.close()
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False


def _to_file(config: Logging) -> logging.Handler:
    try:
        return logging.handlers.RotatingFileHandler(
            config.file, maxBytes=config.max_bytes, backupCount=config.keep_files, encoding="utf-8"
        )
    except OSError as error:
        raise disk_error(error, config.file) from error
