"""The process that gathers spans and sends them to a collector; see `_sender.py` for the other side of its pipe."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO

import msgspec

from lakehouse.child import NICENESS
from lakehouse.observe import _conventions, _sender
from lakehouse.observe._drain import Drain
from lakehouse.observe._otlp import Exporter
from lakehouse.observe._sender import Collector, EndedSpan, Report

_BATCH = 256


class _Answers(logging.Handler):
    """Writes frames to the parent, and there what is logged here."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(logging.WARNING)
        self._pipe = pipe
        self._writing = threading.Lock()

    def put(self, kind: bytes, body: bytes = b"") -> None:
        """Write one frame."""
        with self._writing:
            _sender.put(self._pipe, kind, body)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a line on."""
        self.put(_sender.LINE, record.getMessage().encode("utf-8", "replace"))


class _Counted:
    """Sends batches and counts what becomes of their spans."""

    def __init__(self, exporter: Exporter, answers: _Answers) -> None:
        self._exporter = exporter
        self._answers = answers
        self._lock = threading.Lock()
        self._done = self._dropped = 0

    def send(self, batch: Sequence[EndedSpan]) -> None:
        """Send a batch; raises what `Exporter.send` raises."""
        lost = len(batch)
        try:
            lost = self._exporter.send(batch)
        finally:
            self.count(len(batch), lost)

    def count(self, done: int, dropped: int) -> None:
        """Add to the counts, and tell the parent."""
        with self._lock:
            self._done += done
            self._dropped += dropped
            report = Report(self._done, self._dropped)
            self._answers.put(_sender.REPORT, msgspec.msgpack.encode(report))


def serve(frames: Iterator[tuple[bytes, bytes]], answers: _Answers) -> None:
    """Do what a parent says, until it has ended."""
    _, first = next(frames, (b"", b""))
    if not first:
        return
    collector = msgspec.msgpack.decode(first, type=Collector)
    exporter = Exporter(
        collector.endpoint,
        headers=collector.headers,
        service=collector.service,
        version=collector.version,
        timeout_ms=collector.timeout_ms,
        attributes=functools.partial(
            _conventions.attributes, langfuse=collector.langfuse, session=collector.session, tags=collector.tags
        ),
    )
    counted = _Counted(exporter, answers)
    waiting = Drain(counted.send, name="otlp", most=collector.queue, every_ms=collector.send_every_ms, batch=_BATCH)
    answers.put(_sender.READY)
    for kind, body in frames:
        if kind == _sender.SPANS:
            spans = msgspec.msgpack.decode(body, type=list[EndedSpan])
            full = sum(not waiting.put(span) for span in spans)
            if full:
                counted.count(full, full)
        elif kind == _sender.FLUSH:
            waiting.flush()
            answers.put(_sender.REACHED)
        else:
            exporter.hurry()
            waiting.close(within_ms=msgspec.msgpack.decode(body, type=float))
            answers.put(_sender.REACHED)


def main() -> None:
    """Be the process that sends, until its parent ends."""
    # A terminal interrupts all its processes; what the parent still has to send goes out first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    answers = _Answers(os.fdopen(os.dup(1), "wb"))
    # Whatever a library prints must not end up between the answers.
    os.dup2(2, 1)
    logging.getLogger().addHandler(answers)
    # The parent may end in the middle of something.
    with contextlib.suppress(BrokenPipeError):
        serve(_sender.frames(sys.stdin.buffer), answers)
    # Without waiting for what is under way: nobody would hear of it.
    os._exit(0)


if __name__ == "__main__":
    main()
