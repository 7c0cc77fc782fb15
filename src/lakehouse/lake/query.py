"""SQL over every dataset: read-only, bounded in time, memory and rows."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    LakehouseError,
    LimitExceeded,
    PermissionDenied,
    Unavailable,
)
from lakehouse.lake._deadline import deadline
from lakehouse.lake._engine import datasets_read, executed_on, spark_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakehouse import settings
    from lakehouse.lake._session import Session
    from lakehouse.lake.catalog import Catalog
    from lakehouse.lake.shipping import Beyond, Shipping
    from lakehouse.lake.shown import Shown

Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Timeout = Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]

BATCH_ROWS = 16_384
TRUNCATED = b"lakehouse.truncated"
# What the engine says of a statement before it looks at any row.
_PLANNING = ("Binder Error", "Catalog Error", "Parser Error", "Syntax Error")

_watched: ContextVar[list[Shown] | None] = ContextVar("lakehouse_query_watched", default=None)


@contextmanager
def watched() -> Iterator[list[Shown]]:
    """Collect what the statements of the block gave, in order, for those who must know whom it shows."""
    found: list[Shown] = []
    token = _watched.set(found)
    try:
        yield found
    finally:
        _watched.reset(token)


class ResultColumn(msgspec.Struct, frozen=True):
    """A column of a result; `type` is DuckDB's name (`BIGINT`, `VARCHAR`, `DECIMAL(18,2)`)."""

    name: str
    type: str


class SqlResult(msgspec.Struct, frozen=True, kw_only=True):
    """Rows as JSON values.

    Integers of any size are numbers. A decimal is a number when a float holds it exactly, else a string. NaN and
    infinity are null, also as dates. Dates and times are ISO 8601 strings, instants in UTC with `Z`, intervals ISO 8601
    durations. Bytes and bit strings are base64. Lists are arrays, structs objects, maps arrays of `[key, value]`.

    Attributes:
        columns: In the order of each row's values.
        rows: In the statement's order.
        row_count: Rows given.
        truncated: True when there were more.
        elapsed_ms: Time from call to answer.
    """

    columns: list[ResultColumn]
    rows: list[list[Any]]
    row_count: int
    truncated: bool
    elapsed_ms: float


class LogTable(msgspec.Struct, frozen=True):
    """A log of the product as a table.

    Attributes:
        name: Of the table; no dataset can be made under it, and one that is there already is hidden.
        path: Of the log, see `state.log.Log`; without any file yet the table has no rows.
        columns: DuckDB type by field name, in order; a field that a line lacks is null, other fields are not shown.
        files: For a table of many logs (one a subject): returns the files there are now, instead of those of `path`.
    """

    name: str
    path: Path
    columns: dict[str, str]
    files: Callable[[], list[Path]] | None = None


class Query:
    """Runs statements over the catalog. Thread-safe: a slow statement does not hold others back.

    Args:
        query: The settings section.
        catalog: Whose datasets are the tables; kept as an attribute.
        logs: Tables beside them, whose rows appear as they are written.
        shipping: Knows what other lakes have of these; their rows are in the same tables, which then have one column
            more, `replica`.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from lakehouse import settings
    >>> from lakehouse.lake.catalog import Catalog
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     catalog = Catalog(settings.Catalog(), Path(scratch))
    ...     query = Query(settings.Query(), catalog)
    ...     print(query.query("SELECT 6 * 7 AS answer").rows)
    ...     query.close()
    ...     catalog.close()
    [[42]]
    """

    def __init__(
        self,
        query: settings.Query,
        catalog: Catalog,
        logs: Sequence[LogTable] = (),
        shipping: Shipping | None = None,
    ) -> None:
        self._settings = query
        self._shipping = shipping
        self.catalog = catalog
        self._logs = logs
        catalog.reserve(table.name for table in logs)
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._seen_revision = -1
        self._seen_at = 0.0
        self._spark = spark_of(query)

    def query(
        self,
        sql: str,
        limit: Limit | None = None,
        timeout_ms: Timeout | None = None,
        snapshots: dict[str, int] | None = None,
    ) -> SqlResult:
        """Run one query and return its rows.

        Every dataset is a table. What this process commits is there for the next statement, what another one
        commits after `query.refresh_every_ms` at the latest; a statement sees one state of all datasets. With
        `query.engine` "spark" statements that read datasets run there.

        Args:
            sql: One SELECT (also WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES) in DuckDB's dialect.
            limit: Rows to return at most, `query.max_rows` by default.
            timeout_ms: Time it may take, at most (and by default) `query.timeout_ms`.
            snapshots: Datasets to read as they were, by name: the snapshot's id from `catalog.snapshots`.

        Raises:
            NotFound: A dataset or snapshot of `snapshots` does not exist (any more).
            InvalidInput: Empty, not SQL, a table or column that does not exist, a value that cannot be
                converted; the message is the engine's.
            PermissionDenied: Anything but reading datasets: files, network, settings, commands.
            DeadlineExceeded: It took longer than allowed and was stopped.
            LimitExceeded: It needs more memory than `query.memory_limit_bytes`.
            Unavailable: The catalog or its files cannot be read.
        """
        from lakehouse.lake._values import column_values

        started = time.perf_counter()
        columns, table, truncated = self._run(sql, limit, timeout_ms, snapshots or {})
        values = [column_values(column.combine_chunks()) for column in table.columns]
        rows = [list(row) for row in zip(*values, strict=True)]
        return SqlResult(
            columns=columns,
            rows=rows,
            row_count=len(rows),
            truncated=truncated,
            elapsed_ms=round((time.perf_counter() - started) * 1000, 3),
        )

    def arrow(
        self,
        sql: str,
        limit: Limit | None = None,
        timeout_ms: Timeout | None = None,
        snapshots: dict[str, int] | None = None,
    ) -> bytes:
        """Run one query and return its rows as an Arrow IPC stream.

        The stream's schema says in its metadata under `lakehouse.truncated` (`true` or `false`) whether there
        were more rows. Arguments and errors are those of `query`.
        """
        import pyarrow as pa

        _, table, truncated = self._run(sql, limit, timeout_ms, snapshots or {})
        table = table.replace_schema_metadata({TRUNCATED: str(truncated).lower().encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    def columns(self, dataset: str, snapshots: Mapping[str, int]) -> dict[str, str]:
        """Return the columns of a dataset and their types, as statements over snapshots see it; none if absent."""
        snapshot = snapshots.get(dataset)
        versions = self.catalog.versions()
        if dataset not in versions:
            return {}
        version = versions[dataset] if snapshot is None else self.catalog.version(dataset, snapshot)
        return {field.name: field.type for field in version.fields}

    @contextmanager
    def beside(self, shown: Shown) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection over the datasets that a statement read, with its result as a table beside them.

        The table is `shown.ROWS`, its columns `c0`, `c1`, ... in the result's order.

        Raises:
            DeadlineExceeded, LimitExceeded, Unavailable: As `query`, of what is asked of the connection.
        """
        from lakehouse.lake.shown import ROWS

        with self._using(shown.snapshots) as session:
            cursor = session.cursor()
            try:
                # Several columns of a result may have one name.
                names = [f"c{at}" for at in range(shown.table.num_columns)]
                cursor.register(ROWS, shown.table.rename_columns(names))
                with deadline(cursor.interrupt, self._settings.timeout_ms) as stopped:
                    try:
                        yield cursor
                    except _engine_errors() as error:
                        raise self._named(error, session, stopped) from error
            finally:
                cursor.close()

    def scan(self, name: str, *, columns: Sequence[str], snapshot_id: int | None = None) -> pa.RecordBatchReader:
        """Read a dataset, as it is or was, by the engine of the settings, in bounded memory.

        In the order its rows were written, on Spark in that of the first column.

        Raises:
            NotFound: No such dataset, or no such snapshot any more.
            InvalidInput: A column does not exist.
            Unavailable: The engine does not answer or cannot read the files.
        """
        reader = self.catalog.scan(name, columns=columns, snapshot_id=snapshot_id)
        if self._spark is None:
            return reader
        schema = reader.schema
        reader.close()
        return self._spark.scan(self.catalog.version(name, snapshot_id), schema)

    def close(self) -> None:
        """Close the engine; a running statement finishes first."""
        if self._spark is not None:
            self._spark.close()
        with self._lock:
            old, self._session = self._session, None
            if old is not None and not old.uses:
                old.close()

    def _run(
        self, sql: str, limit: int | None, timeout_ms: int | None, snapshots: Mapping[str, int]
    ) -> tuple[list[ResultColumn], pa.Table, bool]:
        try:
            given = self._once(sql, limit, timeout_ms, snapshots)
        except Unavailable:
            # Another process may have replaced what this one still believed in.
            if not self._outdated():
                raise
            given = self._once(sql, limit, timeout_ms, snapshots)
        watching = _watched.get()
        if watching is not None:
            from lakehouse.lake.shown import Shown

            watching.append(Shown(sql, snapshots, given[1]))
        return given

    def _outdated(self) -> bool:
        """Tell whether the datasets have changed since the engine last looked, and let it look again."""
        with self._lock:
            self._seen_at = float("-inf")
            before = self._session
            return self._fresh() is not before

    def _once(
        self, sql: str, limit: int | None, timeout_ms: int | None, snapshots: Mapping[str, int]
    ) -> tuple[list[ResultColumn], pa.Table, bool]:
        from lakehouse.lake._statement import check

        allowed_ms = min(timeout_ms or self._settings.timeout_ms, self._settings.timeout_ms)
        wanted = limit or self._settings.max_rows
        with self._using(snapshots) as session:
            cursor = session.cursor()
            tag, running = uuid.uuid4().hex, False

            def interrupt() -> None:
                cursor.interrupt()
                if self._spark is not None:
                    self._spark.interrupt(tag)

            try:
                with deadline(interrupt, allowed_ms) as stopped:
                    try:
                        check(cursor, sql, session.names, session.broken)
                        running = True
                        if self._spark is not None and (read := datasets_read(sql, session)):
                            return executed_on(self._spark, cursor, (sql, tag), wanted, read)
                        return _executed(cursor, sql, wanted)
                    except _engine_errors() as error:
                        raise self._named(error, session, stopped) from error
                    except LakehouseError:
                        # What a stopped engine says of it is of no use to anybody.
                        if stopped:
                            raise stopped[0] from None
                        raise
            except InvalidInput as error:
                if running and not error.message.startswith(_PLANNING):
                    _watch(sql, snapshots, error)
                raise
            finally:
                cursor.close()

    @contextmanager
    def _using(self, snapshots: Mapping[str, int]) -> Iterator[Session]:
        # Hold first, look second: what is current now cannot be cleaned away before the statement is done.
        release = self.catalog.pinned()
        try:
            with self._lock:
                session = self._earlier(snapshots) if snapshots else self._fresh()
                session.uses += 1
            try:
                yield session
            finally:
                with self._lock:
                    session.uses -= 1
                    if session is not self._session and not session.uses:
                        session.close()
        finally:
            release()

    def _earlier(self, snapshots: Mapping[str, int]) -> Session:
        """Return a session for one statement, over some datasets as they were."""
        from lakehouse.lake._session import Session

        past = {name: self.catalog.version(name, snapshot) for name, snapshot in snapshots.items()}
        return Session({**self.catalog.versions(), **past}, self._settings, *self._log_files())

    def _log_files(self) -> tuple[list[tuple[LogTable, list[Path]]], Beyond | None]:
        from lakehouse.state.log import files

        beyond = self._shipping.beyond() if self._shipping else None
        return [(table, table.files() if table.files else files(table.path)) for table in self._logs], beyond

    def _fresh(self) -> Session:
        """Return a session over the newest state of the catalog; called under the lock."""
        from lakehouse.lake._session import Session

        revision, now = self.catalog.revision, time.monotonic()
        due = now - self._seen_at >= self._settings.refresh_every_ms / 1000
        # Which files a log has changes when it is begun and when one is sealed, never with a row.
        logs, beyond = self._log_files()
        same_logs = self._session is not None and (self._session.logs, self._session.beyond) == (logs, beyond)
        if self._session is not None and revision == self._seen_revision and same_logs and not due:
            return self._session
        versions = self.catalog.versions()
        snapshots = {name: version.snapshot_id for name, version in versions.items()}
        if self._session is None or self._session.snapshots != snapshots or not same_logs:
            old, self._session = self._session, Session(versions, self._settings, logs, beyond)
            if old is not None and not old.uses:
                old.close()
        self._seen_revision, self._seen_at = revision, now
        return self._session

    def _named(self, error: Exception, session: Session, stopped: list[LakehouseError]) -> LakehouseError:
        """Name the engine's error. Once rows flow, Arrow passes on its words only, so its words decide."""
        from lakehouse.lake._statement import refused

        reason = str(error)
        if stopped:
            return stopped[0]
        if reason.startswith("INTERRUPT"):
            return DeadlineExceeded("the statement was interrupted; send it again")
        if reason.startswith("Out of Memory"):
            megabytes = self._settings.memory_limit_bytes >> 20
            return LimitExceeded(f"the statement needs more than {megabytes} MiB of memory; narrow it", field="sql")
        if reason.startswith(("IO Error", "HTTP Error")) or not session.whole:
            return Unavailable("the files of a dataset cannot be read; check the disk")
        if reason.startswith("Permission"):
            return PermissionDenied("the statement would leave the datasets; files cannot be read", field="sql")
        if reason.startswith(("INTERNAL", "FATAL")):
            with self._lock:
                # The instance may be beyond use; the next statement gets a new one.
                self._seen_revision, self._session = -1, None
            return InternalError("the statement met a defect of the SQL engine; write it another way")
        return refused(reason)


def _executed(cursor: duckdb.DuckDBPyConnection, sql: str, limit: int) -> tuple[list[ResultColumn], pa.Table, bool]:
    import pyarrow as pa

    cursor.execute(sql)
    columns = [ResultColumn(name, str(kind)) for name, kind, *_ in cursor.description or []]
    reader = cursor.to_arrow_reader(min(limit + 1, BATCH_ROWS))
    batches: list[pa.RecordBatch] = []
    rows = 0
    while rows <= limit:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        batches.append(batch)
        rows += batch.num_rows
    table = pa.Table.from_batches(batches, schema=reader.schema)
    return columns, table.slice(0, limit), rows > limit


def _watch(sql: str, snapshots: Mapping[str, int], error: InvalidInput) -> None:
    """Count what an engine says of a statement that failed at a row as what it gave: it quotes the row's values."""
    watching = _watched.get()
    if watching is not None:
        from lakehouse.lake.shown import Shown, words

        watching.append(Shown(sql, snapshots, words(error.message), refused=True))


def _engine_errors() -> tuple[type[Exception], ...]:
    import duckdb
    import pyarrow as pa

    return duckdb.Error, pa.ArrowException, OSError
