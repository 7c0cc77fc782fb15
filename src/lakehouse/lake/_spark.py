"""The same statements on an engine over many machines, reached by Spark Connect.

A statement is checked and planned here first, by the engine of this machine: what it may name, which functions there
are, and the names and types of its result are the same on both engines. It is then put into Spark's SQL and run over
the very snapshots that this side saw.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from lakehouse.errors import InvalidInput, LakehouseError, Unavailable
from lakehouse.lake._spark_dialect import translated

if TYPE_CHECKING:
    from pyspark.sql.connect.dataframe import DataFrame

    from lakehouse.lake._iceberg import Version

_BATCH_ROWS = 2_000
_RETRIES = 2
_LOOK_EVERY_S = 0.05
_STOPS_WITHIN_S = 2.0
_INTERRUPT_EVERY_S = 0.2
_INTERRUPTS = 300
# What a Spark server answers when it was restarted and no longer knows who is calling.
_FORGOTTEN = ("SESSION_NOT_FOUND", "SESSION_CHANGED", "SESSION_CLOSED")
_UNREACHABLE = ("UNAVAILABLE", "failed to connect", "Connection refused", "CONNECTION_CLOSED")


class Spark:
    """Runs statements on a Spark Connect server. Thread-safe.

    Args:
        url: Of the server, `sc://host:port`.
        token_env: Name of the environment variable with its bearer token, empty for none.
    """

    def __init__(self, url: str, token_env: str = "") -> None:
        self._url = url
        self._token_env = token_env
        self._lock = threading.Lock()
        self._opened: SparkSession | None = None
        self._stops: dict[str, threading.Event] = {}

    def run(
        self, sql: str, versions: Mapping[str, Version], schema: pa.Schema, *, limit: int, tag: str
    ) -> tuple[pa.Table, bool]:
        """Run a query that reads datasets, and return its first rows and whether there are more.

        Args:
            sql: One query in DuckDB's dialect that has been checked.
            versions: What its tables mean, by name.
            schema: Of the result, as the engine of this machine planned it.
            limit: Rows to return at most.
            tag: For `interrupt`.

        Raises:
            InvalidInput: The statement cannot be put into Spark's SQL, or Spark refuses it; the message is Spark's.
            Unavailable: The server does not answer, or cannot read the files.
        """
        stop = threading.Event()

        def fetch() -> pa.Table:
            with self._views(versions.values(), tag) as (session, views):
                session.addTag(tag)
                frame = session.sql(translated(sql, views)).limit(limit + 1)
                if stop.is_set():
                    raise Unavailable("the statement was stopped before it began")
                return frame.toArrow()

        ended: SimpleQueue[pa.Table | Exception] = SimpleQueue()

        def run() -> None:
            try:
                ended.put(fetch())
            except Exception as error:  # noqa: BLE001 - raised again by who waits
                ended.put(error)

        # In a thread of its own, because a server that is busy may notice late, or never, that it is to stop.
        running = threading.Thread(target=run, name="spark", daemon=True)
        running.start()
        self._stops[tag] = stop
        try:
            table = self._result(ended, stop, tag, running)
        finally:
            del self._stops[tag]
        return _shaped(table.slice(0, limit), schema), table.num_rows > limit

    def scan(self, version: Version, schema: pa.Schema) -> pa.RecordBatchReader:
        """Stream columns of a snapshot, in the order of the first of them; in bounded memory.

        Raises:
            Unavailable: The server does not answer, or cannot read the files.
        """

        def batches() -> Iterator[pa.RecordBatch]:
            with self._session() as session:
                frame = _frame(session, version).select(*schema.names).orderBy(schema.names[0])
                rows = frame.toLocalIterator()
                while part := [row.asDict() for row in itertools.islice(rows, _BATCH_ROWS)]:
                    yield pa.RecordBatch.from_pylist(part, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def interrupt(self, tag: str) -> None:
        """Stop what runs under a tag, without waiting for it; without effect when nothing does."""
        if stop := self._stops.get(tag):
            stop.set()

    def close(self) -> None:
        """End the session on the server."""
        with self._lock:
            session, self._opened = self._opened, None
        if session is not None:
            with suppress(PySparkException):
                session.stop()

    def _result(
        self, ended: SimpleQueue[pa.Table | Exception], stop: threading.Event, tag: str, running: threading.Thread
    ) -> pa.Table:
        """Wait for what a thread brings; once it is to stop, no longer than a server may need to notice."""
        while not stop.is_set():
            with suppress(Empty):
                return _brought(ended.get(timeout=_LOOK_EVERY_S))
        threading.Thread(target=self._interrupt, args=(tag, running), name="spark-interrupt", daemon=True).start()
        try:
            return _brought(ended.get(timeout=_STOPS_WITHIN_S))
        except Empty:
            raise Unavailable(f"the Spark server {self._url} did not stop a statement that it was told to") from None

    def _interrupt(self, tag: str, running: threading.Thread) -> None:
        """Tell the server until the statement has ended: what it hears before the statement has begun is lost."""
        for _ in range(_INTERRUPTS):
            session = self._opened
            if session is None:
                return
            try:
                session.interruptTag(tag)
            except PySparkException:
                pass  # It is told again.
            except ValueError:
                return  # The connection was closed meanwhile, which ends what runs on it.
            running.join(_INTERRUPT_EVERY_S)
            if not running.is_alive():
                return

    @contextmanager
    def _session(self) -> Iterator[SparkSession]:
        try:
            yield self._open()
        except PySparkException as error:
            if any(sign in str(error) for sign in _FORGOTTEN):
                with self._lock:
                    self._opened = None
            raise _named(error, self._url) from error

    def _open(self) -> SparkSession:
        with self._lock:
            if self._opened is None:
                token = os.environ.get(self._token_env, "") if self._token_env else ""
                remote = f"{self._url.rstrip('/')}/;token={token}" if token else self._url
                # Not by the builder, which would make it the session of the whole process.
                self._opened = SparkSession(connection=remote)
                # By default it would try for ten minutes before it says that nobody answers.
                self._opened.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES, max_backoff=500)])
            return self._opened

    @contextmanager
    def _views(self, versions: Collection[Version], tag: str) -> Iterator[tuple[SparkSession, dict[str, str]]]:
        """Give each dataset a view of its own for one statement: another may see another snapshot meanwhile."""
        views: dict[str, str] = {}
        with self._session() as session:
            try:
                for version in versions:
                    view = f"{version.name}_{tag}"
                    _frame(session, version).createOrReplaceTempView(view)
                    views[version.name] = view
                yield session, views
            finally:
                for view in views.values():
                    with suppress(PySparkException):
                        session.catalog.dropTempView(view)


def _brought(result: pa.Table | Exception) -> pa.Table:
    if isinstance(result, Exception):
        raise result
    return result


def _frame(session: SparkSession, version: Version) -> DataFrame:
    return session.read.format("iceberg").option("snapshot-id", str(version.snapshot_id)).load(version.location)


def _shaped(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a result the names and types that it has on the engine of this machine."""
    try:
        return table.rename_columns(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise InvalidInput(
            f"Spark's result has other types than the statement asks for: {str(error)[:300]}; cast its columns",
            field="sql",
        ) from None


def _named(error: PySparkException, url: str) -> LakehouseError:
    reason = str(error).strip()
    if any(sign in reason for sign in _UNREACHABLE):
        return Unavailable(f"the Spark server {url} does not answer; check query.spark_url and that it runs")
    if any(sign in reason for sign in _FORGOTTEN):
        return Unavailable(f"the Spark server {url} was restarted; send the statement again")
    return InvalidInput(reason[:2_000], field="sql")
