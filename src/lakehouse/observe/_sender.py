"""Spans to a collector from a process of its own.

To put spans into OTLP and to post them is work for the interpreter, and a collector that refuses makes more of it. In
the process that answers searches that showed in one search out of fifty. Here it costs that process what it takes to
write spans into a pipe, a few at a time as they come. Batches are gathered and sent on the other side
(`_sender_process.py`), which tells how many spans got through; that process ends when the pipe closes, however its
parent ended.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import subprocess  # nosec B404 - starts only this interpreter with a module of this package
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import msgspec

from lakehouse import child
from lakehouse.decoding import ready
from lakehouse.tracing import Kind

if TYPE_CHECKING:
    from lakehouse.tracing import Span

# Frames: what it is, and the length of what follows.
_HEAD = struct.Struct("!cI")
# To the process: how to work, spans, "tell me when all are through", "give the rest so many milliseconds".
START, SPANS, FLUSH, CLOSE = b"o", b"s", b"f", b"c"
# From the process: it takes spans, `Report`, everything before was dealt with, a line for the log.
READY, REPORT, REACHED, LINE = b"y", b"r", b"a", b"l"

_CLOSE_WITHIN_MS = 2_000
_ANSWER_WITHIN_MS = 1_000
# Where the process has just begun: it loads what it needs first, on a busy machine for seconds.
_START_WITHIN_MS = 10_000
# One that ended before it was ready will do so again.
_NOT_AGAIN_FOR_S = 60.0

_log = logging.getLogger(__name__)


@ready
class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """Where spans go, and what is said of them; as in `settings.Traces`."""

    endpoint: str
    headers: dict[str, str]
    service: str
    version: str
    queue: int
    send_every_ms: int
    timeout_ms: int
    langfuse: bool
    session: str
    tags: tuple[str, ...]


@ready
class EndedSpan(NamedTuple):
    """A `tracing.Span` that has ended, as it goes through the pipe."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Kind
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    content: dict[str, Any]
    error: str


@ready
class Report(NamedTuple):
    """How many spans a process has dealt with since it began, and how many of them did not get through."""

    done: int
    dropped: int


class Sender:
    """Hands spans to a process that sends them; it begins at once, and another takes its place when it ends.

    Args:
        collector: Where to.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._lock = threading.Lock()
        self._closed = False
        # Of the processes before this one.
        self._lost = 0
        self._process = _Process(collector)

    @property
    def dropped(self) -> int:
        """Spans that were not delivered, as far as is known."""
        with self._lock:
            process = self._process
            return self._lost + process.report.dropped + (process.left if process.ended.is_set() else 0)

    def send(self, spans: Sequence[Span]) -> int:
        """Hand over a few spans; returns how many of them nobody took."""
        process = self._at_work()
        if process is None:
            return len(spans)
        # Where the process has ended, the next call counts these with what else it had.
        process.hand(spans)
        return 0

    def flush(self, *, within_ms: float = 10_000) -> bool:
        """Wait until what was handed over is delivered or dropped, and tell whether that was in time."""
        process = self._at_work()
        return process is None or process.ask(FLUSH, within_ms=within_ms)

    def close(self) -> bool:
        """Give what was handed over 2 s more, and tell whether that was enough; the rest is dropped. Idempotent."""
        with self._lock:
            if self._closed:
                return True
            self._closed = True
            process = self._process
        within_ms = _ANSWER_WITHIN_MS if process.ready.is_set() else _START_WITHIN_MS
        reached = process.ask(CLOSE, msgspec.msgpack.encode(_CLOSE_WITHIN_MS), within_ms=_CLOSE_WITHIN_MS + within_ms)
        process.end()
        return reached and not process.left

    def _at_work(self) -> _Process | None:
        """Return the process that takes spans, a new one if it has ended; None when there is none to be had now."""
        with self._lock:
            process = self._process
            if self._closed or not process.ended.is_set():
                return None if self._closed else process
            if not process.ready.is_set() and time.monotonic() - process.began < _NOT_AGAIN_FOR_S:
                return None
            # First: where the system gives no process now, the old one must not count twice.
            self._process = _Process(self._collector)
            process.end()
            self._lost += process.left + process.report.dropped
            return self._process


class _Process:
    """One process that sends.

    Attributes:
        ready: It takes spans.
        ended: It does not any more.
        report: The latest.
        began: Of the steady clock.
    """

    def __init__(self, collector: Collector) -> None:
        self.ready, self.ended = threading.Event(), threading.Event()
        self.report = Report(0, 0)
        self.began = time.monotonic()
        self._handed = 0
        self._asked: deque[threading.Event] = deque()
        self._writing = threading.Lock()
        self._popen = subprocess.Popen(  # nosec B603 - fixed program, module of this package
            [sys.executable, "-P", "-m", "lakehouse.observe._sender_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child.environment(),
        )
        self._write(START, msgspec.msgpack.encode(collector))
        self._reader = threading.Thread(target=self._listen, name="otlp reports", daemon=True)
        self._reader.start()

    @property
    def left(self) -> int:
        """Spans that were handed over and never heard of again."""
        return self._handed - self.report.done

    def hand(self, spans: Sequence[Span]) -> None:
        """Write spans; whether they got through is told by a later report."""
        body = _encoded(spans)
        self._handed += len(spans)
        self._write(SPANS, body)

    def ask(self, kind: bytes, body: bytes = b"", *, within_ms: float) -> bool:
        """Wait until all that was handed over is dealt with, or lost with the process; False when that takes longer."""
        answered = threading.Event()
        with self._writing:
            self._asked.append(answered)
            self._put(kind, body)
        until = time.monotonic() + within_ms / 1000
        while not answered.wait(min(0.05, max(0.0, until - time.monotonic()))):
            if self.ended.is_set():
                return True
            if time.monotonic() >= until:
                return False
        return True

    def end(self) -> None:
        """End it; nothing of it is left."""
        self._popen.kill()
        self._popen.wait()
        self._reader.join()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _write(self, kind: bytes, body: bytes) -> None:
        with self._writing:
            self._put(kind, body)

    def _put(self, kind: bytes, body: bytes) -> None:
        # Where it has ended the other pipe tells.
        with contextlib.suppress(OSError, ValueError):
            if self._popen.stdin is not None:
                put(self._popen.stdin, kind, body)

    def _listen(self) -> None:
        for kind, body in frames(self._popen.stdout):
            if kind == READY:
                self.ready.set()
            elif kind == REPORT:
                self.report = msgspec.msgpack.decode(body, type=Report)
            elif kind == REACHED:
                self._asked.popleft().set()
            else:
                _log.warning("%s", body.decode())
        self.ended.set()


def put(pipe: IO[bytes], kind: bytes, body: bytes = b"") -> None:
    """Write a frame."""
    pipe.write(_HEAD.pack(kind, len(body)) + body)
    pipe.flush()


def frames(pipe: IO[bytes] | None) -> Iterator[tuple[bytes, bytes]]:
    """Yield frames until the pipe closes; a torn one at its end is left out."""
    while pipe is not None and len(head := pipe.read(_HEAD.size)) == _HEAD.size:
        kind, size = _HEAD.unpack(head)
        body = pipe.read(size)
        if len(body) == size:
            yield kind, body


def _encoded(spans: Sequence[Span]) -> bytes:
    ended = [
        EndedSpan(
            span.trace_id,
            span.span_id,
            span.parent_id,
            span.name,
            span.kind,
            span.started_ns,
            span.ended_ns,
            span.attributes,
            span.content,
            span.error,
        )
        for span in spans
    ]
    try:
        return msgspec.msgpack.encode(ended, enc_hook=str)
    except (OverflowError, UnicodeEncodeError, TypeError, RecursionError):
        # What somebody told of a span is nothing to lose the other spans for.
        told = [
            each._replace(name=_sound(each.name), attributes=_told(each.attributes), content=_told(each.content))
            for each in ended
        ]
        return msgspec.msgpack.encode(told, enc_hook=str)


def _told(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts with everything that cannot be written as text that can."""
    return {_sound(key): _plain(value) for key, value in facts.items()}


def _plain(value: Any) -> Any:
    try:
        msgspec.msgpack.encode(value, enc_hook=str)
    except (OverflowError, UnicodeEncodeError, TypeError, RecursionError):
        return _sound(value if isinstance(value, str) else repr(value))
    return value


def _sound(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
