"""Progress of long work, told to whoever listens in this context, and whether anybody still waits for it.

Rooms call `report`; a command line or console wraps the call in `listening`. With no listener a report costs
one look-up. A face whose caller may hang up wraps the call in `awaited`; long work asks `abandoned`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]

_gone: ContextVar[threading.Event | None] = ContextVar("lakehouse_gone", default=None)
_listener: ContextVar[Listener | None] = ContextVar("lakehouse_progress", default=None)


def report(stage: str, done: int, total: int) -> None:
    """Tell the listener, if any, that `done` of `total` units of `stage` are finished."""
    listener = _listener.get()
    if listener is not None:
        listener(stage, done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the reports of the block to `listener(stage, done, total)`, called in the working thread."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def stage(name: str) -> Callable[[int, int], None]:
    """Return `report` for one stage, bound to the listener of this context; usable from any thread."""
    listener = _listener.get()

    def tell(done: int, total: int) -> None:
        if listener is not None:
            listener(name, done, total)

    return tell


@contextmanager
def awaited(gone: threading.Event) -> Iterator[None]:
    """Let `abandoned` be true in the block's context once `gone` is set."""
    token = _gone.set(gone)
    try:
        yield
    finally:
        _gone.reset(token)


def abandoned() -> Callable[[], bool]:
    """Return a function, usable from any thread, that tells whether nobody waits for this call any more."""
    gone = _gone.get()
    return gone.is_set if gone is not None else lambda: False
