"""The trace of the work at hand: its id, and the span that is open in this context.

Both are carried through threads and services by context variables. A span is opened by whoever does something worth
seeing (`with tracing.span("embed", texts=3) as span`); it costs a fraction of a microsecond while nobody records, and
a few when somebody does. Who records, and what becomes of the spans, is decided at the top: see `observe.traces`.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal, Protocol, Self

HEADER = "X-Lakehouse-Trace-Id"
# The W3C form, which also says under which span of the caller the callee's belong.
PARENT_HEADER = "traceparent"

Kind = Literal["internal", "server", "client"]

_HEX = frozenset("0123456789abcdef")
_IDS_AT_ONCE = 256

_current: ContextVar[str] = ContextVar("lakehouse_trace_id", default="")
_caller: ContextVar[str] = ContextVar("lakehouse_calling_span", default="")


class Recorder(Protocol):
    """Takes spans that have ended; must not block and must not raise."""

    def take(self, span: Span) -> None:
        """Take one span."""


class Span:
    """Something that began, may still run, and belongs below another span of its trace.

    Attributes:
        trace_id: The trace, as in `X-Lakehouse-Trace-Id`.
        span_id: 16 hexadecimal digits.
        parent_id: Of the span above, also one of another service; empty for the root.
        name, kind: What it is, and whether it crosses a service boundary.
        started_ns, ended_ns: Nanoseconds since the epoch; `ended_ns` is 0 while it runs.
        attributes: Facts without personal data: names of operations and models, counts, distances.
        content: What went in and came out, which may be personal; left behind unless a setting says otherwise.
        error: Name of the error that ended it, empty when none did.
        ahead: It was opened before the call that it is for, and waits to be taken up by that.
    """

    __slots__ = (
        "_clock_ns",
        "_recorder",
        "_token",
        "ahead",
        "attributes",
        "content",
        "ended_ns",
        "error",
        "kind",
        "name",
        "parent_id",
        "span_id",
        "started_ns",
        "trace_id",
    )

    def __init__(
        self, recorder: Recorder, name: str, *, trace_id: str, parent_id: str, kind: Kind, attributes: dict[str, Any]
    ) -> None:
        self._recorder = recorder
        self._token: Token[Span | None] | None = None
        self.trace_id = trace_id
        self.span_id = f"{random.getrandbits(64) or 1:016x}"
        self.parent_id = parent_id
        self.name = name
        self.kind = kind
        self.attributes = attributes
        self.content: dict[str, Any] = {}
        self.error = ""
        self.ahead = False
        # The duration is that of the steady clock: the other one may be set while the span runs.
        self.started_ns = time.time_ns()
        self._clock_ns = time.perf_counter_ns()
        self.ended_ns = 0

    @property
    def recorder(self) -> Recorder:
        """Who takes this span and those below it."""
        return self._recorder

    def set(self, **attributes: Any) -> None:
        """Add facts without personal data."""
        self.attributes.update(attributes)

    def put(self, **content: Any) -> None:
        """Add what went in or came out."""
        self.content.update(content)

    def end(self, error: BaseException | None = None) -> None:
        """End it, as a block around it would, and hand it over."""
        if error is not None:
            self.error = type(error).__name__
        self.ended_ns = self.started_ns + time.perf_counter_ns() - self._clock_ns
        self._recorder.take(self)

    def __enter__(self) -> Self:
        self._token = _span.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _span.reset(self._token)
        self.end(error)


class _Nobody:
    """The span of a context in which nobody records."""

    __slots__ = ()

    def set(self, **attributes: Any) -> None:
        """Do nothing."""

    def put(self, **content: Any) -> None:
        """Do nothing."""

    def end(self, error: BaseException | None = None) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


_NOBODY = _Nobody()
_span: ContextVar[Span | None] = ContextVar("lakehouse_span", default=None)


def current() -> str:
    """Return the trace id of this context, empty outside of any traced call."""
    return _current.get()


def current_span() -> Span | None:
    """Return the span that is open in this context, None when nobody records."""
    return _span.get()


def new_id() -> str:
    """Return a fresh 32-digit hexadecimal trace id (the W3C Trace Context form)."""
    return _new_id()


class _Ids:
    """Random ids, made many at a time: to ask the system for each costs as much as all else that a call's trace does.

    Thread-safe, and a process that was forked makes its own.
    """

    def __init__(self) -> None:
        self._spare: list[str] = []
        self._of = 0

    def __call__(self) -> str:
        if self._of != os.getpid():
            self._of, self._spare = os.getpid(), []
        try:
            # One step in CPython.
            return self._spare.pop()
        except IndexError:
            made = os.urandom(16 * _IDS_AT_ONCE).hex()
            self._spare = [made[at : at + 32] for at in range(32, len(made), 32)]
            return made[:32]


_new_id = _Ids()


class trace:  # noqa: N801 - opened like a function: `with tracing.trace(id)`
    """Run the block under a trace, and give it the trace's id.

    Args:
        trace_id: Of the trace; empty joins the one at hand or starts a new one.
        caller: Span of another service under which the block's spans belong.
    """

    __slots__ = ("_caller", "_calling", "_id", "_token")

    def __init__(self, trace_id: str = "", *, caller: str = "") -> None:
        self._id = trace_id
        self._caller = caller
        self._calling: Token[str] | None = None

    def __enter__(self) -> str:
        chosen = self._id or _current.get() or new_id()
        self._token = _current.set(chosen)
        if self._caller:
            self._calling = _caller.set(self._caller)
        return chosen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)
        if self._calling is not None:
            _caller.reset(self._calling)


def span(name: str, *, calls: bool = False, **attributes: Any) -> Span | _Nobody:
    """Open a span below the one at hand; without one, nobody records and this does nothing.

    Args:
        name: What begins: `embed`, `search workers`.
        calls: Whether it calls another service.
        **attributes: Facts without personal data.
    """
    above = _span.get()
    if above is None:
        return _NOBODY
    return Span(
        above._recorder,
        name,
        trace_id=above.trace_id,
        parent_id=above.span_id,
        kind="client" if calls else "internal",
        attributes=attributes,
    )


def begin(recorder: Recorder, name: str, *, kind: Kind = "internal", **attributes: Any) -> Span:
    """Open a span that `recorder` takes: below the one at hand, below the caller's, or as the root of its trace."""
    above = _span.get()
    trace_id = _current.get() or (above.trace_id if above else "") or new_id()
    if above is not None and above.trace_id == trace_id:
        parent = above.span_id
    else:
        parent = _caller.get()
        if parent and kind == "internal":
            kind = "server"
    return Span(recorder, name, trace_id=trace_id, parent_id=parent, kind=kind, attributes=attributes)


@contextmanager
def ahead(recorder: Recorder, name: str) -> Iterator[None]:
    """Open the span of a call before the call: what the block does for it belongs below it as well.

    The call takes it up with `taken_up`; a span that no call took up ends with the block.
    """
    span = begin(recorder, name)
    span.ahead = True
    token = _span.set(span)
    error: BaseException | None = None
    try:
        yield
    except BaseException as failed:
        error = failed
        raise
    finally:
        _span.reset(token)
        if span.ahead:
            span.end(error)


def taken_up(name: str) -> Span | None:
    """Return the span that was opened ahead of a call of that name, None when none was."""
    span = _span.get()
    if span is None or not span.ahead or span.name != name:
        return None
    span.ahead = False
    return span


def otel_trace_id(trace_id: str) -> str:
    """Return the 32 hexadecimal digits that stand for a trace id of any form where only those are allowed.

    An id of that form stands for itself, any other for the beginning of its SHA-256: the same on every service.
    """
    if len(trace_id) == 32 and _HEX.issuperset(trace_id) and trace_id.strip("0"):
        return trace_id
    return hashlib.sha256(trace_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def parent_header(trace_id: str) -> str:
    """Return the `traceparent` that puts the callee's spans below the one at hand, empty when there is none.

    Where nobody records here, they belong below the caller's.
    """
    open_span = _span.get()
    if open_span is not None and open_span.trace_id == trace_id:
        above = open_span.span_id
    else:
        above = _caller.get() if trace_id == _current.get() else ""
    return f"00-{otel_trace_id(trace_id)}-{above}-01" if above else ""


def headers() -> dict[str, str]:
    """Return what a request to another service carries, so that what it does belongs to this trace."""
    trace_id = current() or new_id()
    found = {HEADER: trace_id}
    if above := parent_header(trace_id):
        found[PARENT_HEADER] = above
    return found


def parent_of(header: str) -> tuple[str, str]:
    """Return trace id and span id of a `traceparent`, both empty when it is not one."""
    parts = header.split("-")
    if len(parts) < 4 or len(parts[0]) != 2 or (len(parts[1]), len(parts[2])) != (32, 16):
        return "", ""
    if not _HEX.issuperset(parts[1] + parts[2]) or not parts[1].strip("0") or not parts[2].strip("0"):
        return "", ""
    return parts[1], parts[2]
