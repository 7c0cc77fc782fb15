"""Keys: finding rows that share one, and putting a file's rows in the place of those that have the same key.

Works on Parquet files in scratch, in bounded memory; DuckDB spills to scratch what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import msgspec

from lakehouse.lake._reading import MAX_BAD_ROWS, too_many
from lakehouse.lake._relation import copy_to_parquet, numbered, quoted, relation, text, unused
from lakehouse.lake._s3 import reach
from lakehouse.lake.columns import Field, duckdb_type

if TYPE_CHECKING:
    from lakehouse.lake._iceberg import Version

SMALL_FILE_BYTES = 8 * 1024 * 1024


class KeyFault(msgspec.Struct, frozen=True):
    """A row whose key is empty (`first` null) or stands earlier in the file; rows count from 0."""

    row: int
    first: int | None


class Merged(msgspec.Struct, frozen=True):
    """The files of an upsert: those to add, and the recorded locations of those that stay."""

    add: list[Path]
    keep: list[str]


def connect(scratch: Path, versions: Iterable[Version] = ()) -> duckdb.DuckDBPyConnection:
    """Open a connection for writing Parquet: two threads, half a gigabyte, else scratch; it may read `versions`."""
    spill = str(scratch / "spill")
    connection = duckdb.connect(":memory:", config={"threads": 2, "memory_limit": "512MB", "temp_directory": spill})
    connection.execute("SET TimeZone = 'UTC'")
    reach(connection, versions)
    return connection


def write(connection: duckdb.DuckDBPyConnection, query: str, path: Path, fields: Sequence[Field]) -> int:
    """Write a query's rows to a Parquet file with the fields' ids; return how many."""
    found = connection.execute(copy_to_parquet(query, str(path), fields)).fetchone()
    return int(found[0]) if found else 0


def key_faults(connection: duckdb.DuckDBPyConnection, path: Path, key: Field) -> list[KeyFault]:
    """Return the rows of a file whose key is empty or was there before, in order.

    Raises:
        InvalidInput: There are more than anyone could look through.
    """
    name = quoted(key.name)
    empty = f"coalesce(trim({name}), '') = ''" if key.type == "string" else f"{name} IS NULL"
    source = f"read_parquet({text(str(path))})"
    sound = f"count(*) FILTER (WHERE {empty}) = 0 AND count(DISTINCT {name}) = count(*)"
    if connection.execute(f"SELECT {sound} FROM {source}").fetchall() == [(True,)]:  # noqa: S608 - quoted
        return []
    rows, number = numbered(f"(SELECT {name} FROM {source})", [key.name])  # noqa: S608 - quoted
    earliest = unused([key.name, number.strip('"')])
    ranked = f"SELECT *, min({number}) OVER (PARTITION BY {name}) AS {earliest} FROM ({rows})"  # noqa: S608 - quoted
    found = connection.execute(
        f"SELECT {number}, CASE WHEN {empty} THEN NULL ELSE {earliest} END FROM ({ranked})"  # noqa: S608 - quoted
        f" WHERE {empty} OR {number} <> {earliest} ORDER BY {number} LIMIT {MAX_BAD_ROWS + 1}"
    ).fetchall()
    if len(found) > MAX_BAD_ROWS:
        raise too_many()
    return [KeyFault(row, first) for row, first in found]


def without(
    connection: duckdb.DuckDBPyConnection, path: Path, rows: Sequence[int], fields: Sequence[Field]
) -> tuple[Path, int]:
    """Write a file again without some of its rows; return the new file and how many rows it has."""
    names = ", ".join(quoted(field.name) for field in fields)
    connection.execute("CREATE OR REPLACE TEMP TABLE unwanted AS SELECT unnest(?) AS n", [list(rows)])
    source, number = numbered(f"read_parquet({text(str(path))})", [field.name for field in fields])
    query = f"SELECT {names} FROM ({source}) WHERE {number} NOT IN (SELECT n FROM unwanted)"  # noqa: S608 - quoted
    # Not itself, when some have left it before.
    target = path.with_name(f"less-{path.name}")
    return target, write(connection, query, target, fields)


def merge(connection: duckdb.DuckDBPyConnection, base: Version, new: Path, fields: Sequence[Field], key: str) -> Merged:
    """Put a file's rows in the place of those with the same key.

    Data files that hold none of the keys stay as they are. Small files are always rewritten into the new one,
    so that many small upserts do not leave many small files.

    Args:
        connection: From `connect`.
        base: The dataset as it is.
        new: The file, with every column of `fields`, keys unique.
        fields: Columns after the merge: those of the dataset, widened where needed, and new ones.
        key: The key column.
    """
    incoming = f"read_parquet({text(str(new))})"
    changed = not {field.id for field in base.fields} <= {field.id for field in fields}
    rewritten = [
        position
        for position, path in enumerate(base.files)
        if changed or base.sizes[position] < SMALL_FILE_BYTES or _touches(connection, base, path, incoming, key)
    ]
    if not rewritten:
        return Merged([new], base.recorded)
    old = relation(base.fields, [base.files[position] for position in rewritten])
    known = {field.name for field in base.fields}
    selected = ", ".join(
        f"CAST({quoted(field.name) if field.name in known else 'NULL'} AS {duckdb_type(field.type)})"
        f" AS {quoted(field.name)}"
        for field in fields
    )
    names = ", ".join(quoted(field.name) for field in fields)
    query = (
        f"SELECT {selected} FROM ({old}) o WHERE NOT EXISTS"  # noqa: S608 - every name and value is quoted
        f" (SELECT 1 FROM {incoming} i WHERE i.{quoted(key)} = o.{quoted(key)})"
        f" UNION ALL SELECT {names} FROM {incoming}"
    )
    target = new.with_name("merged.parquet")
    write(connection, query, target, fields)
    kept = [location for position, location in enumerate(base.recorded) if position not in rewritten]
    return Merged([target], kept)


def _touches(connection: duckdb.DuckDBPyConnection, base: Version, path: str, incoming: str, key: str) -> bool:
    name = quoted(key)
    keys = relation(base.fields, [path], [key])
    found = connection.execute(
        f"SELECT 1 FROM ({keys}) o SEMI JOIN {incoming} i ON o.{name} = i.{name} LIMIT 1"  # noqa: S608 - quoted
    )
    return found.fetchone() is not None
