"""A lock between threads, and on a server between all processes that share it."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from lakehouse.state.database import Database


class Turn:
    """The turn of those who read rows in order to write what follows from them. Re-entrant in a thread.

    Args:
        state: Where the rows are.
        room: Whose turn it is.

    Attributes:
        here: The lock between threads alone, for what other processes cannot disturb.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from lakehouse.state.database import Database
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     database = Database.open(Path(scratch) / "state.db")
    ...     with Turn(database, "example") as turn, turn:
    ...         print("alone")
    ...     database.close()
    alone
    """

    def __init__(self, state: Database, room: str) -> None:
        self._state = state
        self._room = room
        self._depth = 0
        self._held = ExitStack()
        self.here = threading.RLock()

    def __enter__(self) -> Self:
        self.here.acquire()
        try:
            if self._depth == 0:
                self._held.enter_context(self._state.alone(self._room))
            self._depth += 1
        except BaseException:
            self.here.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._depth -= 1
            if self._depth == 0:
                self._held.close()
        finally:
            self.here.release()
