"""The synthetic roster: invented people with real titles, tools, tasks and places at their real frequencies.

A third or so of the people belong to a branch office (a few occupations in one city), a quarter lives where
a real H-2B demand was for, and the others are spread over occupations that agencies staff and over the
country's cities by population; some of them have rare occupations. Every `role` is a title that
`Roles.resolve` maps to the row's `role_code`.

Rows are drawn one after the other and none depends on how many follow: a longer roster of the same seed
begins with the shorter one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO

from lakehouse.errors import InvalidInput
from lakehouse.staffing.shipped import shipped
from lakehouse.staffing.worker import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

REFERENCE = date(2026, 1, 1)
MAX_WORKERS = 10_000_000
MAX_SEED = 2**63 - 1
FORMATS = ("csv", "parquet")

_BATCH = 5_000


def fingerprint() -> str:
    """Return what changes when the same seed may give other people: a hash of the code and data that invents them."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for path in sorted(shipped("us_states.csv").parent.glob("*.*")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return digest.hexdigest()[:16]


def generate(workers: int, seed: int, *, reference: date = REFERENCE) -> Iterator[pa.RecordBatch]:
    """Generate a synthetic roster in batches of 5,000 rows, with the columns of `worker.COLUMNS`.

    `id` counts from 1 (int64), `years` is int32, `lat`, `lon` and `pay_hourly` are float64, `available_from`
    is date32, all others are strings; lists are joined by "; ". Nothing else is null but the lists of people
    who hold no certification. The same arguments give the same rows in every process.

    Args:
        workers: How many people, 1 to 10,000,000.
        seed: 0 to 2**63 - 1; another seed gives other people.
        reference: "Today": most certifications are valid on it and most people are available by then.

    Raises:
        InvalidInput: `workers` or `seed` is out of range; raised at once, not with the first batch.
        NotInstalled: A shipped data file is missing.
    """
    _check(workers, seed)
    return _batches(workers, seed, reference)


def write(
    target: Path | BinaryIO,
    workers: int,
    seed: int,
    format: str = "csv",
    *,
    progress: Callable[[int, int], None] | None = None,
    reference: date = REFERENCE,
) -> int:
    """Write a synthetic roster; the same arguments give the same bytes.

    A file at a path appears whole or not at all, and replaces one that is there. Nothing is closed but what
    was opened here. 100,000 rows take some ten seconds.

    Args:
        target: A path, or a file opened for writing bytes.
        workers: How many people, 1 to 10,000,000.
        seed: 0 to 2**63 - 1.
        format: `csv` (UTF-8, a header line, lines end in a line feed) or `parquet`.
        progress: Called with rows written and rows in all after each 5,000.
        reference: See `generate`.

    Returns:
        The number of rows written.

    Raises:
        InvalidInput: An argument is out of range, or the folder of `target` does not exist.
        NotInstalled: A shipped data file is missing.
    """
    _check(workers, seed)
    if format not in FORMATS:
        raise InvalidInput(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}", field="format")
    batches = _told(_batches(workers, seed, reference), workers, progress)
    into = _csv if format == "csv" else _parquet
    if not isinstance(target, Path):
        into(target, batches)
        return workers
    if not target.parent.is_dir():
        raise InvalidInput(f"folder {str(target.parent)!r} does not exist; make it first", field="target")
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            into(file, batches)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return workers


def _check(workers: int, seed: int) -> None:
    for field, value, lowest, highest in (("workers", workers, 1, MAX_WORKERS), ("seed", seed, 0, MAX_SEED)):
        if type(value) is not int or not lowest <= value <= highest:
            raise InvalidInput(f"{field} must be a whole number from {lowest} to {highest}, not {value!r}", field=field)


def _batches(workers: int, seed: int, reference: date) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    from lakehouse.staffing._roster_market import Market
    from lakehouse.staffing._roster_row import row

    schema = _schema()
    market, random = Market(), Random(seed)
    for first in range(1, workers + 1, _BATCH):
        last = min(first + _BATCH, workers + 1)
        rows = [row(random, id, *market.draw(random), reference) for id in range(first, last)]
        columns = zip(schema, zip(*rows, strict=True), strict=True)
        yield pa.record_batch([pa.array(values, field.type) for field, values in columns], schema=schema)


def _schema() -> pa.Schema:
    import pyarrow as pa

    types = {"id": pa.int64(), "years": pa.int32(), "available_from": pa.date32()}
    types |= dict.fromkeys(("lat", "lon", "pay_hourly"), pa.float64())
    return pa.schema([(column, types.get(column, pa.string())) for column in COLUMNS])


def _told(
    batches: Iterator[pa.RecordBatch], workers: int, progress: Callable[[int, int], None] | None
) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_rows
        if progress is not None:
            progress(done, workers)


def _csv(file: BinaryIO, batches: Iterator[pa.RecordBatch]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        for batch in batches:
            rows.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        text.flush()
    finally:
        text.detach()


def _parquet(file: BinaryIO, batches: Iterator[pa.RecordBatch]) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, _schema(), compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
