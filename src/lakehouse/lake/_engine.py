"""Which engine runs a statement: that of this machine, or Spark where a setting says so."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakehouse.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakehouse import settings
    from lakehouse.lake._iceberg import Version
    from lakehouse.lake._session import Session
    from lakehouse.lake._spark import Spark
    from lakehouse.lake.query import ResultColumn


def spark_of(query: settings.Query) -> Spark | None:
    """Return the engine that a setting names instead of the one of this machine.

    Raises:
        InvalidInput: The setting names no server.
        Unavailable: A package is missing.
    """
    if query.engine == "duckdb":
        return None
    if not query.spark_url:
        raise InvalidInput('query.engine is "spark", so query.spark_url must name a server', field="query.spark_url")
    # Where nothing says where Spark lies, its client ends a process that was started with `python -c`.
    os.environ.setdefault("SPARK_HOME", "")
    try:
        with warnings.catch_warnings():
            # Results come as Arrow, so it is all the same which pandas there is.
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
            from lakehouse.lake._spark import Spark
    except ImportError as error:
        raise Unavailable(
            f'query.engine is "spark", which needs another package ({error.name}): pip install "lakehouse[spark]"'
        ) from error
    return Spark(query.spark_url, query.spark_token_env)


def datasets_read(sql: str, session: Session) -> dict[str, Version]:
    """Return the datasets that a statement reads; none for a question about tables or logs, which is answered here."""
    from lakehouse.lake._spark_dialect import tables_of

    read = tables_of(sql)
    if read is None:
        return {}
    datasets = {name: version for name, version in session.versions.items() if name in read}
    logs = sorted(read & (session.names - session.snapshots.keys()))
    if datasets and logs:
        raise InvalidInput(
            f"{logs[0]!r} is a log of this machine and Spark cannot join it to a dataset; ask for each by itself",
            field="sql",
            table=logs[0],
        )
    return datasets


def executed_on(
    spark: Spark,
    cursor: duckdb.DuckDBPyConnection,
    statement: tuple[str, str],
    limit: int,
    read: Mapping[str, Version],
) -> tuple[list[ResultColumn], pa.Table, bool]:
    """Plan a statement here and run it there; `statement` is its text and the tag by which it is stopped."""
    from lakehouse.lake.query import ResultColumn

    sql, tag = statement
    # Planned here: a function that this engine does not know is refused, and names and types are its own.
    planned = cursor.sql(sql)
    columns = [ResultColumn(name, str(kind)) for name, kind in zip(planned.columns, planned.types, strict=True)]
    table, more = spark.run(sql, read, planned.limit(0).to_arrow_table().schema, limit=limit, tag=tag)
    return columns, table, more
