"""Database servers that hang, or are not there: how long they are waited for, and what became of a connection."""

from __future__ import annotations

import math
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lakehouse.errors import PermissionDenied

if TYPE_CHECKING:
    from sqlalchemy import Engine

# For a connection, from its first packet until it can be used, and for what is answered at once by a server that is
# well, so that a start soon says what is wrong.
CONNECT_S = 10.0
# For whatever comes next of an answer. A wait for a lock ends after 30 s and no statement of ours takes minutes before
# its first row, so this ends nothing but what would have hung for ever: a server that was frozen, or whose machine is
# gone without a word.
ANSWER_S = 300.0
# Of the drivers. That of pg8000 holds for every read; the other one holds until a connection is made, and what such a
# connection waits for later is the system's affair.
_LIMITS = {"pg8000": "timeout", "psycopg": "connect_timeout", "psycopg2": "connect_timeout"}
_USABLE = (
    "SELECT current_setting('server_version'), current_schema()::text, "
    "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
)


class _Heard:
    """What pg8000 reads from: it lets a read that fails through bare, of which SQLAlchemy would make nothing."""

    def __init__(self, file: Any, error: type[Exception]) -> None:
        self.write, self.flush, self.close = file.write, file.flush, file.close
        self._read = file.read
        self._error = error

    def read(self, size: int) -> Any:
        try:
            return self._read(size)
        except OSError as error:
            raise self._error("network error") from error


def bound(engine: Engine, *, connect_s: float = CONNECT_S, answer_s: float | None = ANSWER_S) -> None:
    """Have connections of an engine give up on a server that says nothing.

    Args:
        engine: Not connected yet.
        connect_s: For a connection.
        answer_s: For whatever comes next of an answer, None for ever; with pg8000 alone.
    """
    from sqlalchemy import event

    limit = _LIMITS.get(engine.dialect.driver)

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: Any, arguments: Any, named: dict[str, Any]) -> Any:
        if limit is None:
            return None
        if limit != "timeout":
            # libpq takes whole seconds.
            named.setdefault(limit, math.ceil(connect_s))
            return None
        try:
            return _connected(dialect, arguments, named, connect_s)
        except OSError as error:
            raise dialect.loaded_dbapi.InterfaceError("network error") from error

    @event.listens_for(engine, "checkout")
    def taken(connection: Any, _record: Any, _proxy: Any) -> None:
        wait_at_most(connection, answer_s)

    @event.listens_for(engine, "reset")
    def given_back(connection: Any, _record: Any, _state: Any) -> None:
        # For the rollback now and the pool's question when it is taken again, which nothing holds up.
        wait_at_most(connection, connect_s)


def _connected(dialect: Any, arguments: Any, named: dict[str, Any], connect_s: float) -> Any:
    """Connect with pg8000, on a socket of our own: it forgets to close its own when a server says nothing about TLS."""
    with ExitStack() as opened:
        if "unix_sock" not in named:
            place = (named.get("host", "localhost"), int(named.get("port", 5432)))
            sock = opened.enter_context(socket.create_connection(place, connect_s))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            named["sock"] = sock
        connection = dialect.loaded_dbapi.Connection(*arguments, **{"timeout": connect_s, **named})
        opened.pop_all()
    connection._sock = _Heard(connection._sock, dialect.loaded_dbapi.InterfaceError)
    return connection


def wait_at_most(connection: Any, seconds: float | None) -> None:
    """Have a driver's connection wait so long for whatever comes next; without effect but on pg8000."""
    opened = getattr(connection, "_usock", None)
    if opened is not None:
        opened.settimeout(seconds)


def look(url: str) -> str:
    """Connect to a database, and say what it is when tables can be made there; nothing is changed.

    Raises:
        sqlalchemy.exc.DBAPIError: It cannot be used.
        PermissionDenied: Its user may not make tables.
    """
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.pool import NullPool

    shown = make_url(url).render_as_string()
    engine = create_engine(url, poolclass=NullPool)
    bound(engine, answer_s=CONNECT_S)
    try:
        with engine.connect() as connection:
            if engine.dialect.name != "postgresql":
                return f"{shown} can be opened"
            version, schema, may = connection.exec_driver_sql(_USABLE).one()
    finally:
        engine.dispose()
    if not may:
        raise PermissionDenied(
            f"{shown}: its user may not make tables in schema {schema or 'public'}; GRANT CREATE ON SCHEMA"
            f" {schema or 'public'} TO that user"
        )
    return f"{shown}, Postgres {version}"


def answer(error: BaseException | None) -> tuple[str, str]:
    """Return the code of the SQL standard with which a server refused, empty when it did not, and what was said."""
    at = error
    while at is not None:
        # pg8000 gives the fields of the server's message; its goodbye to one that has hung up may fail and hide it.
        if at.args and isinstance(at.args[0], dict):
            return str(at.args[0].get("C", "")), str(at.args[0].get("M", ""))
        at = at.__cause__ or at.__context__
    return str(getattr(error, "sqlstate", None) or ""), said(error)


def said(error: BaseException | None) -> str:
    """Return what happened to a connection in a few words, rather than in those that a driver puts around it."""
    at = error
    while at is not None:
        if isinstance(at, TimeoutError):
            return "it did not answer in time"
        if isinstance(at, OSError) and at.strerror:
            return at.strerror
        at = at.__cause__ or at.__context__
    words = str(error).strip().partition("\n")[0]
    return "it hung up" if words == "network error" else words
