"""Rows of one version as an Arrow stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from lakehouse.lake._relation import relation
from lakehouse.lake._s3 import reach

if TYPE_CHECKING:
    from lakehouse.lake._iceberg import Version

BATCH_ROWS = 16_384


def reader(version: Version, columns: Sequence[str] | None, release: Callable[[], None]) -> pa.RecordBatchReader:
    """Stream a version's rows; `release` is called when the reader is exhausted or dropped."""
    connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "512MB"})
    connection.execute("SET TimeZone = 'UTC'")
    reach(connection, [version])
    source = connection.execute(relation(version.fields, version.files, columns)).to_arrow_reader(BATCH_ROWS)

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            # Run up to here at once: a generator that never started would not clean up when it is dropped.
            yield pa.RecordBatch.from_pylist([], schema=source.schema)
            yield from source
        finally:
            connection.close()
            release()

    started = batches()
    next(started)
    return pa.RecordBatchReader.from_batches(source.schema, started)
