"""The trace id of the work at hand, carried through threads and services by a context variable."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "X-Lakehouse-Trace-Id"

_current: ContextVar[str] = ContextVar("lakehouse_trace_id", default="")


def current() -> str:
    """Return the trace id of this context, empty outside of any traced call."""
    return _current.get()


def new_id() -> str:
    """Return a fresh 32-digit hexadecimal trace id (the W3C Trace Context form)."""
    return secrets.token_hex(16)


@contextmanager
def trace(trace_id: str = "") -> Iterator[str]:
    """Run the block under `trace_id`; an empty one joins the trace at hand or starts a new one."""
    chosen = trace_id or current() or new_id()
    token = _current.set(chosen)
    try:
        yield chosen
    finally:
        _current.reset(token)
