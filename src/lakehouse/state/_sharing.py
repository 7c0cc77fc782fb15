"""Several processes on one database server: writers one after another, and a number that tells that one has written."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from lakehouse.state import servers

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_TABLE = "state_writes"
# A stop does not wait longer for a server that does not answer.
_LAST_S = 1.0


class Sharing:
    """The turns that processes take on one server. Thread-safe.

    Args:
        engine: Of the server.
    """

    def __init__(self, engine: Engine) -> None:
        # One statement is one round trip then, and sees what is committed at that moment.
        self._plain = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lock = threading.Lock()
        self._asking: Connection | None = None

    def prepare(self) -> None:
        """Make the number that every write changes, unless it is there."""
        with self._held("prepare") as connection:
            connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {_TABLE} (number BIGINT NOT NULL)")
            connection.exec_driver_sql(
                f"INSERT INTO {_TABLE} SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM {_TABLE})"  # noqa: S608 - a constant
            )

    def wait_for_others(self, connection: Connection) -> None:
        """Wait at the beginning of a transaction until no other writes; readers do not wait.

        `LOCK TABLE` comes before the snapshot of a transaction is taken, so it sees all that those before it wrote, and
        no two writers ever overlap and fail each other.
        """
        _rested(connection).exec_driver_sql(f"LOCK TABLE {_TABLE} IN EXCLUSIVE MODE")

    def count(self, connection: Connection) -> int:
        """Change the number, at the end of a transaction, and return it."""
        changed = connection.exec_driver_sql(f"UPDATE {_TABLE} SET number = number + 1 RETURNING number")  # noqa: S608
        return int(changed.scalar_one())

    def number(self) -> int:
        """Return the number as it is committed now."""
        with self._lock:
            if self._asking is None:
                self._asking = _rested(self._plain.connect())
                # Nothing holds this statement up, and every request waits for it.
                servers.wait_at_most(self._asking.connection.driver_connection, servers.CONNECT_S)
            try:
                return int(self._asking.exec_driver_sql(f"SELECT number FROM {_TABLE}").scalar_one())  # noqa: S608
            except BaseException:
                # The next one asks on a new connection: this one may be cut off.
                self._asking.invalidate()
                self._asking.close()
                self._asking = None
                raise

    @contextmanager
    def alone(self, room: str, mapped: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """Hold the lock of a room against every other process; errors of the server go through `mapped`."""
        held = self._held(room)
        with mapped():
            held.__enter__()
        try:
            yield
        finally:
            with mapped():
                held.__exit__(None, None, None)

    def close(self) -> None:
        """Close the connection, unless somebody waits for an answer on it for too long; idempotent."""
        if not self._lock.acquire(timeout=_LAST_S):
            return
        try:
            asking, self._asking = self._asking, None
            if asking is not None:
                # To give it back would ask the server once more, which may be gone.
                asking.invalidate()
                asking.close()
        finally:
            self._lock.release()

    @contextmanager
    def _held(self, name: str) -> Iterator[Connection]:
        number = int.from_bytes(hashlib.sha256(f"lakehouse {name}".encode()).digest()[:8], "big", signed=True)
        with self._plain.connect() as plain:
            connection = _rested(plain)
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({number})")
            try:
                yield connection
            finally:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({number})")


def _rested(connection: Connection) -> Connection:
    """Return a connection of the pool outside of any transaction: the pool's own question may have begun one."""
    driver = connection.connection.driver_connection
    if driver is not None:
        driver.rollback()
    return connection
