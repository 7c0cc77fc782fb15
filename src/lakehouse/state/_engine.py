"""SQLAlchemy engines: how SQLite and Postgres are opened, and what their errors mean."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from lakehouse.errors import (
    Conflict,
    IntegrityError,
    InvalidInput,
    LakehouseError,
    NotInstalled,
    PermissionDenied,
    Unavailable,
)
from lakehouse.state import servers

_TABLES = MetaData()
_VERSIONS = Table(
    "schema_version",
    _TABLES,
    Column("room", String(100), primary_key=True),
    Column("version", Integer, nullable=False),
)

_READ_ONLY = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# Of the shared memory of a write-ahead log, which is made even to read.
_BESIDE_BYTES = 64 * 1024
# How long a writer waits for another process, and when the server ends the transaction of one that does nothing in it
# (frozen, or its machine gone), so that it holds up nobody for ever; all in seconds.
_LOCK_S = 30
_IDLE_S = 120
_KEEPALIVE = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}

# By the beginning of the code of the SQL standard: what it is here, and what to say.
_REFUSALS: tuple[tuple[str | tuple[str, ...], type[LakehouseError], str], ...] = (
    ("25006", PermissionDenied, "database {path} was opened for reading here; write inside a write block"),
    (("40001", "40P01"), Conflict, "database {path}: another writer was first; try again"),
    ("3D000", InvalidInput, "database {path}: {said}; create it, or mend {setting}"),
    ("28", PermissionDenied, "database {path} refuses this user or password: {said}; mend {setting}"),
    (
        "42501",
        PermissionDenied,
        "database {path}: {said}; its user makes tables: GRANT CREATE ON SCHEMA public TO that user",
    ),
    (
        "55P03",
        Unavailable,
        f"database {{path}}: another process has been writing for {_LOCK_S} s; try again in a moment",
    ),
    # Connections, resources, an administrator's hand: it may be otherwise in a moment.
    (("08", "53", "57"), Unavailable, "database {path} does not take this now: {said}; try again in a moment"),
)


def url_of(place: str) -> URL:
    """Return the URL of a path or URL, once its driver is known to be there.

    Raises:
        InvalidInput: It looks like a URL and is none, or names an unknown kind of database.
        NotInstalled: Its driver is missing.
    """
    if "://" not in place:
        return URL.create("sqlite", database=str(Path(place).absolute()))
    try:
        url = make_url(place)
        url.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError) as error:
        raise InvalidInput(f"not a database URL ({error}); write it as postgresql+psycopg://user@host/name") from None
    except ModuleNotFoundError as error:
        raise NotInstalled(f"the database driver {error.name!r} is missing; run: pip install {error.name}") from None
    return url


def create(place: str, *, busy_timeout_ms: int) -> tuple[Engine, str]:
    """Return an engine with our transaction rules, and how to name it in messages (no password)."""
    url = url_of(place)
    shown = url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            connect_args={"timeout": busy_timeout_ms / 1000, "check_same_thread": False},
            pool_size=8,
            max_overflow=-1,
        )
        _rule_sqlite(engine)
    else:
        # A write block must mean the same as on SQLite, where writers run one after another.
        engine = create_engine(url, isolation_level="SERIALIZABLE", pool_pre_ping=True, max_overflow=-1)
        _rule_server(engine)
        servers.bound(engine)
        _bound_waiting(engine)
    return engine, shown


def _rule_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Python's driver would open transactions by itself, and only before some statements.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = bool(connection.get_execution_options().get("lakehouse_write"))
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _rule_server(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        # Without a transaction there is none to set, and the server would write a warning to its log each time.
        if not options.get("lakehouse_write") and options.get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _bound_waiting(engine: Engine) -> None:
    limits = {"lock_timeout": _LOCK_S * 1000, "idle_in_transaction_session_timeout": _IDLE_S * 1000, **_KEEPALIVE}

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for name, value in limits.items():
            cursor.execute(f"SET {name} = {value}")
        cursor.close()
        connection.commit()


def create_version_table(connection: Connection) -> None:
    """Create `schema_version` when it is not there."""
    _TABLES.create_all(connection)


def version_of(connection: Connection, room: str) -> int | None:
    """Return the recorded layout of a room, null when it has none yet."""
    return connection.scalar(select(_VERSIONS.c.version).where(_VERSIONS.c.room == room))


def versions(connection: Connection) -> dict[str, int]:
    """Return the recorded layouts of all rooms."""
    return {row.room: row.version for row in connection.execute(select(_VERSIONS))}


def record_version(connection: Connection, room: str, version: int) -> None:
    """Record the layout of a room."""
    connection.execute(_VERSIONS.delete().where(_VERSIONS.c.room == room))
    connection.execute(_VERSIONS.insert().values(room=room, version=version))


def mapped(error: Exception, path: str, setting: str) -> LakehouseError | None:
    """Name a database error in the product's words; null when it is the caller's own to handle.

    Args:
        error: Of SQLAlchemy or SQLite.
        path: Of the file, or URL without its password.
        setting: What names a server, and is to be mended.
    """
    origin = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(origin, sqlite3.Error):
        return _mapped_sqlite(origin, path)
    state, said = servers.answer(origin)
    for states, kind, words in _REFUSALS:
        if state.startswith(states):
            return kind(words.format(path=path, said=said, setting=setting), path=path)
    if not isinstance(error, DBAPIError) or isinstance(error, InterfaceError | OperationalError):
        return Unavailable(
            f"database {path} is out of reach: {said}; see that it runs and can be reached from here,"
            f" or mend {setting}",
            path=path,
        )
    return None


def _mapped_sqlite(origin: sqlite3.Error, path: str) -> LakehouseError | None:
    # The low byte is the kind; the rest says more about it.
    code = getattr(origin, "sqlite_errorcode", 0) & 0xFF
    if code in _READ_ONLY:
        return PermissionDenied(f"cannot write database {path}: {origin}; check the folder's permissions", path=path)
    if code in _DAMAGED:
        return IntegrityError(f"database {path} is damaged: {origin}; restore it from a backup", path=path)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and is_full(Path(path).parent)):
        return Unavailable(f"no room left to write database {path}; free some space", path=path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"database {path} is held by another process; try again", path=path)
    if code == sqlite3.SQLITE_IOERR:
        return Unavailable(f"database {path} cannot be read or written: {origin}", path=path)
    return None


def is_full(folder: Path) -> bool:
    """Tell whether a disk has no room for what SQLite needs beside a database, which it calls an I/O error."""
    try:
        return shutil.disk_usage(folder).free < _BESIDE_BYTES
    except OSError:
        return False
