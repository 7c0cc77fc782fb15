"""Keeps what a process has derived from a shared database up with what other processes write to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lakehouse.state.database import Database

# Whether the next call of a context need not look, or none, because the context is that of taking in.
_spared: ContextVar[Literal["", "once", "all"]] = ContextVar("lakehouse_spared", default="")


class Following:
    """What a process must take in before it answers. Thread-safe.

    Args:
        state: The database; a file has no other writers, and nothing is ever asked or done.
        rooms: Each takes in what others wrote to its rows since it last did, and may do so once too often. They are
            called one after another; what raises is done again before the next answer.

    Attributes:
        taking_in: Whether the rooms are at it now.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from lakehouse.state.database import Database
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     database = Database.open(Path(scratch) / "state.db")
    ...     Following(database, [lambda: print("never called for a file")]).catch_up()
    ...     database.close()
    """

    def __init__(self, state: Database, rooms: Sequence[Callable[[], None]]) -> None:
        self._state = state
        self._rooms = rooms
        self._lock = threading.Lock()
        self.taking_in = False

    @property
    def needed(self) -> bool:
        """Whether others may write."""
        return self._state.shared

    def catch_up(self) -> None:
        """Take in everything that was committed before this call; costs one statement when that is nothing.

        Raises:
            Unavailable: The server is out of reach, a room cannot be brought up to it now, or a newer edition has
                changed its tables.
        """
        if not self.needed or _is_spared():
            return
        if self._state.number() == self._state.seen:
            return
        with self._lock:
            seen = self._state.seen
            number = self._state.number()
            # Until that has been taken in, whatever it counts meanwhile.
            self._state.put_back |= number < seen
            if number != self._state.seen:
                self._state.check_layouts()
                # What is taken in may call operations, which must not wait for this.
                token = _spared.set("all")
                self.taking_in = True
                try:
                    for take_in in self._rooms:
                        take_in()
                finally:
                    self.taking_in = False
                    _spared.reset(token)
                self._state.saw(number)


def note_looked() -> None:
    """Spare the next call of this context its look: it was done when the request came.

    The next one alone: what that call starts may go on for hours.
    """
    _spared.set("once")


def _is_spared() -> bool:
    spared = _spared.get()
    if spared == "once":
        _spared.set("")
    return bool(spared)
