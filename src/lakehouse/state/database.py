"""Everything that changes in place: SQLite in the lake folder by default, Postgres by URL.

A room hands in its tables and its migrations with `prepare`, then reads and writes them through
SQLAlchemy Core connections. What a `write` block did is on disk when the block is left, or never was.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import InternalError, InvalidInput, LakehouseError, Unavailable
from lakehouse.state.folder import fsync_dir

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData

BUSY_TIMEOUT_MS = 10_000
_SCRUBS = 50
_SCRUB_EVERY_S = 0.02
_SQLITE = "sqlite"


class Migration(msgspec.Struct, frozen=True):
    """One numbered step from the layout before to layout `version`, run inside the write transaction."""

    version: int
    apply: Callable[[Connection], None]


class Database:
    """A database shared by several rooms; safe to use from any number of threads.

    Attributes:
        put_back: Whether a server has been put back to an earlier state, from which it counts on, and this process has
            not taken that in yet: what it knows of may be there no more.

    >>> import tempfile
    >>> from sqlalchemy import Column, Integer, MetaData, Table, insert, select
    >>> tables = MetaData()
    >>> seen = Table("seen", tables, Column("id", Integer, primary_key=True))
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     database = Database.open(Path(scratch) / "state.db")
    ...     database.prepare("example", tables)
    ...     with database.write() as connection:
    ...         _ = connection.execute(insert(seen).values(id=7))
    ...     with database.read() as connection:
    ...         print(connection.scalars(select(seen.c.id)).all())
    ...     database.close()
    [7]
    """

    def __init__(self, engine: Engine, path: str) -> None:
        from lakehouse.state._sharing import Sharing

        self._engine = engine
        self._path = path
        self._lock = threading.Lock()
        self._writer: int | None = None
        self._sharing = Sharing(engine) if engine.dialect.name != _SQLITE else None
        self._seen = -1
        self.put_back = False
        self._layouts: dict[str, int] = {}

    @classmethod
    def open(cls, url_or_path: str | os.PathLike[str]) -> Database:
        """Open a database, creating the file when `url_or_path` is a path.

        Args:
            url_or_path: A file path, or an SQLAlchemy URL (`postgresql+psycopg://...`).

        Raises:
            InvalidInput: The URL is malformed.
            NotInstalled: The URL's driver is missing.
            PermissionDenied, Unavailable: The file or server cannot be used; the message names it.
            IntegrityError: The file is not a database.
        """
        from lakehouse.state import _engine

        place = os.fspath(url_or_path)
        engine, shown = _engine.create(place, busy_timeout_ms=BUSY_TIMEOUT_MS)
        database = cls(engine, shown)
        try:
            if database._sharing is not None:
                with database._mapped():
                    database._sharing.prepare()
            with database.write() as connection:
                _engine.create_version_table(connection)
            if "://" not in place:
                fsync_dir(Path(place).absolute().parent)
        except BaseException:
            engine.dispose()
            raise
        return database

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def shared(self) -> bool:
        """Whether other processes may write to it meanwhile: a server, never a file of a lake folder."""
        return self._sharing is not None

    @property
    def seen(self) -> int:
        """The number up to which this process knows of all writes; its own, one after another, count as known."""
        return self._seen

    def saw(self, number: int) -> None:
        """Note that this process has taken in all there was when `number` was asked for."""
        self._seen = number if self.put_back else max(self._seen, number)
        self.put_back = False

    def number(self) -> int:
        """Return what every write changes, by whichever process: one statement on a server, 0 for a file.

        Raises:
            Unavailable: The server is out of reach.
        """
        if self._sharing is None:
            return 0
        with self._mapped():
            return self._sharing.number()

    @contextmanager
    def alone(self, room: str) -> Iterator[None]:
        """Keep other processes out of blocks of the same room; nothing is done for a file, which has none.

        Not re-entrant, and to be entered before a write block, never inside one; see `turn.Turn`.

        Raises:
            Unavailable: The server is out of reach.
        """
        if self._sharing is None:
            yield
            return
        with self._sharing.alone(room, self._mapped):
            yield

    def prepare(self, room: str, tables: MetaData, migrations: Sequence[Migration] = ()) -> None:
        """Bring a room's tables to their newest layout, all steps in one transaction.

        A new database gets `tables` as they are now; an older one runs the migrations above its
        version, in order. Doing it again changes nothing.

        Args:
            room: Name under which the version is recorded.
            tables: The newest layout. Layout 1 is what stood there before any migration.
            migrations: Versions 2, 3, ... without gaps.

        Raises:
            InvalidInput: The database was written by a newer version; the message names both.
        """
        from lakehouse.state import _engine

        newest = 1 + len(migrations)
        if [step.version for step in migrations] != list(range(2, newest + 1)):
            raise InternalError(f"migrations of {room!r} must be numbered 2, 3, ... without gaps")
        with self.write() as connection:
            found = _engine.version_of(connection, room)
            if found is not None and found > newest:
                raise InvalidInput(
                    f"{self._path}: tables of {room!r} have layout {found}, this version reads up to layout"
                    f" {newest}; install a newer lakehouse or open another lake",
                    room=room,
                    found=found,
                    supported=newest,
                )
            if found is None:
                tables.create_all(connection)
            for step in migrations[(found or newest) - 1 :]:
                step.apply(connection)
            if found != newest:
                _engine.record_version(connection, room, newest)
        self._layouts[room] = newest

    def check_layouts(self) -> None:
        """Refuse to go on where a newer edition has changed tables since they were prepared; never so for a file.

        Raises:
            Unavailable: It has. What this one would read or write there may mean something else by now.
        """
        if self._sharing is not None:
            with self.read() as connection:
                self._check_layouts(connection)

    def _check_layouts(self, connection: Connection) -> None:
        from lakehouse.state import _engine

        found = _engine.versions(connection)
        newer = sorted(room for room, version in self._layouts.items() if found.get(room, version) > version)
        if newer:
            raise Unavailable(
                f"a newer lakehouse has changed tables of {', '.join(newer)} in {self._path}; stop this one, install"
                " what the other replicas run and start it again: it answers nothing until then",
                rooms=newer,
            )

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state and refuses to write.

        Raises:
            Unavailable: The file or server is out of reach or busy for longer than the time limit.
        """
        with self._mapped(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection whose changes are committed when the block ends, rolled back when it raises.

        One writer at a time, on a server among all processes that share it; not re-entrant. Constraint violations
        come through as SQLAlchemy's own `IntegrityError`, for the room that knows what they mean.

        Raises:
            PermissionDenied: The file is read-only.
            Unavailable: The disk is full, another process holds the database, or a newer edition has changed its
                tables.
            Conflict: The server found a concurrent writer (Postgres only); try again.
        """
        me = threading.get_ident()
        if self._writer == me:
            raise InternalError("a write block was opened inside a write block of the same thread")
        with self._lock:
            self._writer = me
            try:
                with self._mapped(), self._engine.connect() as plain:
                    connection = plain.execution_options(lakehouse_write=True)
                    number = None
                    with connection.begin():
                        if self._sharing is not None:
                            self._sharing.wait_for_others(connection)
                        yield connection
                        if self._sharing is not None:
                            number = self._sharing.count(connection)
                            if number != self._seen + 1:
                                self._check_layouts(connection)
                    if number == self._seen + 1:
                        # Nobody else has written in between, so there is nothing to take in.
                        self._seen = number
            finally:
                self._writer = None

    def scrub(self) -> None:
        """Leave nothing of deleted rows in the files of SQLite; without effect on a server.

        Deleted bytes are overwritten as they are deleted; what is left are copies in the write-ahead log. While
        somebody reads that began before, those cannot go; a second is waited for them.
        """
        if self.dialect != "sqlite":
            return
        with self._mapped(), self._engine.connect() as connection:
            plain = connection.connection.driver_connection
            if plain is None:
                return
            plain.execute("PRAGMA query_only=OFF")
            for _ in range(_SCRUBS):
                busy, _, _ = plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return
                time.sleep(_SCRUB_EVERY_S)

    def rewrite(self, change: Callable[[Sequence[str]], Sequence[str] | None], *, skip: Collection[str] = ()) -> None:
        """Offer the texts of every row to `change` and keep what it returns, see `state.rewriting`; all or nothing.

        Args:
            change: Gets the texts of one row; returns them changed, or None to leave them.
            skip: Names of tables that are left alone.

        Raises:
            PermissionDenied, Unavailable: As `write`.
        """
        from lakehouse.state import rewriting

        with self.write() as connection:
            rewriting.rewrite(connection, change, skip=skip)
        self.scrub()

    def close(self) -> None:
        """Close every connection; on SQLite the write-ahead log is folded into the file."""
        if self._sharing is not None:
            self._sharing.close()
        self._engine.dispose()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        from sqlalchemy import exc

        try:
            yield
        except (exc.DBAPIError, exc.TimeoutError) as error:
            mapped = database_error(error, self._path, setting="state.url")
            if mapped is None:
                raise
            raise mapped from error


def database_error(error: Exception, path: str, *, setting: str = "its URL") -> LakehouseError | None:
    """Name a database error in the product's words; null when it is the caller's own to handle.

    Args:
        error: What a database raised.
        path: Of the file, or URL without its password.
        setting: What names a server, and is to be mended.
    """
    from lakehouse.state import _engine

    return _engine.mapped(error, path, setting)


def check_url(url: str) -> None:
    """Refuse a database URL that cannot be used.

    Raises:
        InvalidInput: It is malformed.
        NotInstalled: Its driver is missing.
    """
    from lakehouse.state import _engine

    _engine.url_of(url)


def look(url: str, *, setting: str) -> str:
    """Say what a database is that can be used; nothing is changed there.

    Raises:
        LakehouseError: It cannot; the message says what to do.
    """
    from sqlalchemy import exc, make_url

    from lakehouse.state import servers

    check_url(url)
    try:
        return servers.look(url)
    except exc.DBAPIError as error:
        raise database_error(error, make_url(url).render_as_string(), setting=setting) or error from error
