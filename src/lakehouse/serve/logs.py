"""Logs of a running stack: one JSON object a line on standard error, or in a file that is put aside when it is full."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from lakehouse import tracing
from lakehouse.errors import InvalidInput
from lakehouse.observe.lines import json_line
from lakehouse.settings import Logging
from lakehouse.state.folder import disk_error

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_encode = msgspec.json.Encoder().encode


class JsonLines(logging.Formatter):
    """Formats a record as `{"time", "level", "logger", "message", "trace_id", ...}`.

    A record's `facts` (`extra={"facts": {...}}`) stand beside the message. Whatever a reader may take for the end of a
    line is escaped, so that no text from outside can start one of its own.
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
        try:
            return json_line(_encode(facts)).decode()
        except UnicodeEncodeError:
            # Half a surrogate pair, which UTF-8 does not have: every sign that is not ASCII is escaped then.
            return json.dumps(facts, default=str)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes to a stream; records that say that there are `more` go out together with the next that does not."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._held: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self._held.append(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 - the way of all handlers: logging must break nothing
            self.handleError(record)
        if getattr(record, "more", False):
            return
        lines, self._held = "".join(self._held), []
        try:
            self.stream.write(lines)
            self.flush()
        except Exception:  # noqa: BLE001 - as above
            self.handleError(record)


@contextlib.contextmanager
def configured(config: Logging, stream: TextIO | None = None) -> Iterator[None]:
    """Send the logs of this product and of its server as JSON lines to `config.file`, else to standard error.

    When the block ends, logging is what it was before, so that a program that has served a lake and goes on gets
    nothing more on its standard error.

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
    handler = _to_file(config) if config.file and stream is None else _Lines(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    least = {logging.getLogger("lakehouse"): _LEVELS[level], logging.getLogger("uvicorn"): logging.WARNING}
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in least]
    for logger, lowest in least.items():
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(lowest)
    try:
        yield
    finally:
        for logger, handlers, lowest, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(lowest)
        handler.close()


def _to_file(config: Logging) -> logging.Handler:
    try:
        return logging.handlers.RotatingFileHandler(
            config.file, maxBytes=config.max_bytes, backupCount=config.keep_files, encoding="utf-8"
        )
    except OSError as error:
        raise disk_error(error, config.file) from error
