"""Items in tables of a Postgres server with the extension `vector`.

Ids are kept as bytes, because Postgres' texts take no NUL. What filters look at stands beside them: the terms with an
index over them, numbers and places as lists with a key for each.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lakehouse.errors import InternalError, InvalidInput, LakehouseError, NotInstalled, PermissionDenied, Unavailable
from lakehouse.state import servers
from lakehouse.vectors._pgvector_rows import AS_IDS, hexes, row, text_of, vector_of, where, written
from lakehouse.vectors._server import Row, TableGone

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from lakehouse import settings
    from lakehouse.vectors._projection import Tests
    from lakehouse.vectors.base import Distance

# Rows sent at a time.
_ROWS = 256
_OPERATORS = {"cosine": "<=>", "dot": "<#>", "euclid": "<->"}
_GRAPHS = {"cosine": "vector_cosine_ops", "dot": "vector_ip_ops", "euclid": "vector_l2_ops"}
# What the extension takes: candidates of a search, and numbers of a vector in a graph.
_MOST_EF = 1_000
_MOST_IN_GRAPH = 2_000
# The extension here, and as it can be made; whether this user may make it (one that is trusted needs no administrator)
# and tables.
_USABLE = (
    "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector'), "
    "(SELECT default_version FROM pg_available_extensions WHERE name = 'vector')::text, "
    "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR (has_database_privilege(current_database(), "
    "'CREATE') AND EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'vector' AND trusted)), "
    "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
)
_NO_TABLE = "42P01"
# By the beginning of the code of the SQL standard: what it is here, and what to do.
_REFUSALS: tuple[tuple[str | tuple[str, ...], type[LakehouseError], str], ...] = (
    ("28", PermissionDenied, "; check its user, and the password in ${key}"),
    (
        "42501",
        PermissionDenied,
        "; GRANT CREATE ON SCHEMA public TO its user, and have an administrator CREATE EXTENSION vector",
    ),
    ("3D000", InvalidInput, "; create it, or mend vectors.url"),
    (("0A000", "58P01"), NotInstalled, "; install pgvector on that server, 0.8 or newer"),
    (("08", "53", "57", "55P03"), Unavailable, "; try again in a moment"),
)
_COLUMNS = ("id", "embedding", "metadata", "terms", "number_keys", "numbers", "place_keys", "lats", "lons")


class Postgres:
    """A Postgres server; see `Server`.

    Args:
        config: Section `[vectors]`.

    Raises:
        InvalidInput: `vectors.url` is missing or no database URL.
        NotInstalled: The driver is not installed.
    """

    def __init__(self, config: settings.Vectors) -> None:
        from sqlalchemy import create_engine, event, make_url
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        if not config.url.startswith("postgresql+pg8000://"):
            raise InvalidInput(
                "vectors.engine is 'pgvector'; vectors.url must say where it is: postgresql+pg8000://user@host/name",
                field="vectors.url",
            )
        try:
            url = make_url(config.url)
            password = os.environ.get(config.key_env)
            if password and not url.password:
                url = url.set(password=password)
            self.shown = url.render_as_string(hide_password=True)
            self._engine = create_engine(
                url,
                isolation_level="AUTOCOMMIT",
                pool_pre_ping=True,
                max_overflow=-1,
            )
            # To build a graph takes as long as it takes.
            self._patient = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
            seconds = config.timeout_ms / 1_000
            servers.bound(self._engine, connect_s=seconds, answer_s=seconds)
            servers.bound(self._patient, connect_s=seconds, answer_s=None)
        except (ArgumentError, NoSuchModuleError) as error:
            raise InvalidInput(f"vectors.url is not a database URL: {error}", field="vectors.url") from None
        except ModuleNotFoundError:
            raise NotInstalled(
                "vectors.engine is 'pgvector' and the driver is missing: pip install 'lakehouse[postgres]'"
            ) from None
        self._config = config

        @event.listens_for(self._engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            cursor.execute(f"SET hnsw.ef_search = {min(_MOST_EF, max(1, config.ef_search))}")
            # Goes on until enough rows pass the filter.
            cursor.execute("SET hnsw.iterative_scan = strict_order")
            cursor.close()
            connection.commit()

    @contextmanager
    def connected(self, *, together: bool = False, patient: bool = False) -> Iterator[Connection]:
        """Open a connection for statements, and tell of what goes wrong in the words of this product.

        Args:
            together: All statements happen or none.
            patient: They may take any time.

        Raises:
            TableGone: The server has no such table.
            PermissionDenied, Unavailable, InternalError: As `Table`.
        """
        from sqlalchemy.exc import DBAPIError

        engine: Engine = self._patient if patient else self._engine
        try:
            with engine.connect() as connection:
                if together:
                    connection.execution_options(isolation_level="READ COMMITTED")
                with connection.begin():
                    yield connection
        except DBAPIError as error:
            raise self._named(error.orig) from None

    def _named(self, error: BaseException | None) -> Exception:
        code, message = servers.answer(error)
        if code == _NO_TABLE:
            return TableGone(message)
        if not code:
            return Unavailable(
                f"the vectors in Postgres at {self.shown} are out of reach: {message}; see that it runs and can be"
                f" reached from here, raise vectors.timeout_ms ({self._config.timeout_ms}) if it is slow,"
                " or mend vectors.url"
            )
        for codes, kind, way_out in _REFUSALS:
            if code.startswith(codes):
                fix = way_out.format(key=self._config.key_env)
                return kind(f"the vectors in Postgres at {self.shown} (vectors.url): {message}{fix}")
        return InternalError(f"the vectors in Postgres at {self.shown} (vectors.url): {message}")

    def create(self, name: str, dimension: int, distance: Distance) -> PostgresTable:
        """Make an empty table, and the extension where it is not there yet."""
        with self.connected() as connection:
            if not connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'vector'").first():
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        with self.connected(together=True) as connection:
            connection.exec_driver_sql(
                f"CREATE TABLE {name} (id bytea PRIMARY KEY, embedding vector({dimension}) NOT NULL, metadata bytea, "
                "terms bigint[], number_keys bigint[], numbers float8[], place_keys bigint[], lats float8[], "
                "lons float8[])"
            )
            connection.exec_driver_sql(f"CREATE INDEX {name}_terms ON {name} USING gin (terms)")
        return self.table(name, dimension, distance)

    def table(self, name: str, dimension: int, distance: Distance) -> PostgresTable:
        """Return a table that was made before, without asking the server."""
        return PostgresTable(self, name, dimension, distance, self._config)

    def names(self, prefix: str) -> list[str]:
        """Return the tables whose name begins so."""
        sql = (
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() AND starts_with(tablename, %s) "
            "ORDER BY 1"
        )
        with self.connected() as connection:
            return list(connection.exec_driver_sql(sql, (prefix,)).scalars())

    def remove(self, name: str) -> None:
        """Remove a table with all that is in it; nothing happens when there is none."""
        with self.connected() as connection:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")

    def look(self) -> str:
        """Say what it is when indexes can be kept there; nothing is changed."""
        with self.connected() as connection:
            made, offered, may_add, may_make = connection.exec_driver_sql(_USABLE).one()
        where = f"the vectors in Postgres at {self.shown} (vectors.url)"
        if not (made or offered):
            raise NotInstalled(f"{where}: the server has no extension `vector`; install pgvector there, 0.8 or newer")
        if not (made or may_add):
            raise PermissionDenied(
                f"{where}: the extension `vector` is not made; have an administrator CREATE EXTENSION vector"
            )
        if not may_make:
            raise PermissionDenied(f"{where}: GRANT CREATE ON SCHEMA public TO its user, who makes tables")
        return f"Postgres at {self.shown}, pgvector {made or offered}" + ("" if made else ", to be made")

    def close(self) -> None:
        """Close all connections; idempotent."""
        self._engine.dispose()
        self._patient.dispose()


class PostgresTable:
    """A table; see `Table`.

    Args:
        server: Has it.
        name: Of the table.
        dimension, distance: Of its vectors.
        config: Section `[vectors]`.
    """

    def __init__(
        self, server: Postgres, name: str, dimension: int, distance: Distance, config: settings.Vectors
    ) -> None:
        self._server = server
        self._name = name
        self._dimension = dimension
        self._distance = distance
        self._config = config
        self._graph: bool | None = None

    def put(self, rows: Sequence[Row]) -> None:
        """Store rows, each id once and all or none; on return every search finds them."""
        updates = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[1:])
        sql = (
            f"INSERT INTO {self._name} ({', '.join(_COLUMNS)}) "  # noqa: S608 - the name is our own
            "SELECT decode(a, 'hex'), b::vector, decode(c, 'hex'), d::bigint[], e::bigint[], f::float8[], "
            "g::bigint[], h::float8[], i::float8[] "
            f"FROM unnest({', '.join(['%s::text[]'] * len(_COLUMNS))}) AS given(a, b, c, d, e, f, g, h, i) "
            f"ON CONFLICT (id) DO UPDATE SET {updates}"
        )
        with self._server.connected(together=True) as connection:
            for part in _parts(rows):
                columns = zip(*map(written, part), strict=True)
                connection.exec_driver_sql(sql, tuple(list(column) for column in columns))

    def drop(self, ids: Sequence[str]) -> None:
        """Remove what is there of some ids; on return no search finds it."""
        sql = f"DELETE FROM {self._name} WHERE id IN {AS_IDS}"  # noqa: S608 - the name is our own
        with self._server.connected() as connection:
            connection.exec_driver_sql(sql, hexes(ids))

    def present(self, ids: Sequence[str]) -> set[str]:
        """Return which ids are there."""
        return {text_of(id) for (id,) in self._read(f"SELECT id FROM {self._name} WHERE id IN {AS_IDS}", hexes(ids))}  # noqa: S608 - the name is our own

    def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """Return the rows of some ids, by id, as far as they are there."""
        sql = f"SELECT id, embedding::text, metadata FROM {self._name} WHERE id IN {AS_IDS}"  # noqa: S608 - the name is our own
        return {found.id: found for found in map(row, self._read(sql, hexes(ids)))}

    def ids(self) -> list[str]:
        """Return all ids, in any order."""
        return [text_of(id) for (id,) in self._read(f"SELECT id FROM {self._name}", ())]  # noqa: S608 - the name is our own

    def count(self) -> int:
        """Return how many rows there are."""
        count: int = self._read(f"SELECT count(*) FROM {self._name}", ())[0][0]  # noqa: S608 - the name is our own
        return count

    def near(
        self, vector: np.ndarray, limit: int, *, tests: Tests | None, exclude: Collection[str], exact: bool
    ) -> list[Row]:
        """Return the `limit` nearest rows by the server's own reckoning, nearest first; all when there are fewer."""
        conditions, values = where(tests, exclude)
        sql = (
            f"SELECT id, embedding::text, metadata FROM {self._name}{conditions} "  # noqa: S608 - the name is our own
            f"ORDER BY embedding {_OPERATORS[self._distance]} %s::vector LIMIT %s"
        )
        asked = (*values, vector_of(vector), limit)
        graph = self._has_graph()
        if not graph or not exact:
            found = self._read(sql, asked)
            # A walk gives up after so many steps, whether or not there is more.
            if not graph or len(found) == limit:
                return list(map(row, found))
        with self._server.connected(together=True) as connection:
            connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
            return list(map(row, connection.exec_driver_sql(sql, asked).all()))

    def fence(self) -> None:
        """Return when all writes that the server has received are done, also those whose caller has hung up."""
        with self._server.connected(together=True) as connection:
            # Given after all who write to the table, or have asked to before, are done.
            connection.exec_driver_sql(f"LOCK TABLE {self._name} IN SHARE MODE")

    def settle(self) -> None:
        """Build a graph when there are enough rows for one, and have the server count what there is."""
        rows = self.count()
        config = self._config
        with self._server.connected(patient=True) as connection:
            if rows >= config.exact_below and self._dimension <= _MOST_IN_GRAPH:
                connection.exec_driver_sql(
                    f"CREATE INDEX {self._name}_graph ON {self._name} USING hnsw "
                    f"(embedding {_GRAPHS[self._distance]}) WITH (m = {config.m}, "
                    f"ef_construction = {min(_MOST_EF, max(config.ef_construct, 2 * config.m))})"
                )
            connection.exec_driver_sql(f"ANALYZE {self._name}")
        self._graph = None

    def _has_graph(self) -> bool:
        if self._graph is None:
            self._graph = bool(self._read("SELECT to_regclass(%s)::text", (f"{self._name}_graph",))[0][0])
        return self._graph

    def _read(self, sql: str, values: tuple[Any, ...]) -> Sequence[Any]:
        with self._server.connected() as connection:
            return connection.exec_driver_sql(sql, values).all()


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]
