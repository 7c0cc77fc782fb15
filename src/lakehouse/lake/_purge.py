"""Rows out for good: files written again without them, and no snapshot left that has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import Conflict, InternalError, InvalidInput
from lakehouse.lake import _merge
from lakehouse.lake._iceberg import note
from lakehouse.lake._relation import quoted, relation
from lakehouse.lake.catalog import Purged
from lakehouse.lake.columns import element_type
from lakehouse.lake.ingest import MAX_ATTEMPTS, QUARANTINE, QUARANTINE_OF

if TYPE_CHECKING:
    import duckdb

    from lakehouse.lake._iceberg import Version
    from lakehouse.lake.catalog import Catalog

# A value as a word of its own: no letter, digit or underscore beside it.
_WORD = "regexp_matches(raw, '(^|[^\\pL\\pN_])' || regexp_escape(value) || '($|[^\\pL\\pN_])')"


def purge(catalog: Catalog, name: str, column: str, values: Sequence[str]) -> Purged:
    """Do what `Catalog.purge` says."""
    if not values:
        raise InvalidInput("there are no values to purge; name at least one", field="values")
    with catalog.writing(name):
        _check(catalog.version(name), column)
        quarantined = 0
        quarantine = catalog.versions().get(name + QUARANTINE)
        if quarantine and quarantine.properties.get(QUARANTINE_OF) == name:
            some = f"EXISTS (SELECT 1 FROM purged WHERE {_WORD})"  # noqa: S608 - a constant
            quarantined, _ = _removed(catalog, name + QUARANTINE, some, values)
        same = f"CAST({quoted(column)} AS VARCHAR) IN (SELECT value FROM purged)"  # noqa: S608 - quoted
        rows, version = _removed(catalog, name, same, values)
    return Purged(name, rows, quarantined, version.snapshot_id)


def _check(version: Version, column: str) -> None:
    kinds = {field.name: field.type for field in version.fields}
    if column not in kinds:
        raise InvalidInput(
            f"dataset {version.name!r} has no column {column!r}; it has {', '.join(kinds)}", field="column"
        )
    if element_type(kinds[column]):
        raise InvalidInput(f"column {column!r} is a list; choose a column of single values", field="column")


def _removed(catalog: Catalog, name: str, condition: str, values: Sequence[str]) -> tuple[int, Version]:
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with catalog.scratch() as scratch:
                return _commit(catalog, catalog.version(name), condition, values, scratch)
        except Conflict:
            if attempt == MAX_ATTEMPTS:
                raise
    raise InternalError("a purge ended without an answer")


def _commit(
    catalog: Catalog, base: Version, condition: str, values: Sequence[str], scratch: Path
) -> tuple[int, Version]:
    connection = _merge.connect(scratch, [base])
    try:
        connection.execute("CREATE TEMP TABLE purged AS SELECT unnest(?) AS value", [list(values)])
        touched = [position for position in range(len(base.files)) if _matches(connection, base, [position], condition)]
        rows = _matches(connection, base, touched, condition) if touched else 0
        add: list[Path] = []
        if touched:
            source = relation(base.fields, [base.files[position] for position in touched])
            path = scratch / "left.parquet"
            query = f"SELECT * FROM ({source}) WHERE NOT coalesce({condition}, false)"  # noqa: S608 - names are quoted
            if _merge.write(connection, query, path, base.fields):
                add.append(path)
    finally:
        connection.close()
    keep = [location for position, location in enumerate(base.recorded) if position not in touched]
    # The file that was ingested last is no longer what the dataset holds, so that file again is not "unchanged".
    notes = {**base.properties, **note(purged=True)}
    version = catalog.commit(base.name, base.fields, add, keep=keep, notes=notes, onto=base, forget=True)
    return rows, version


def _matches(connection: duckdb.DuckDBPyConnection, base: Version, positions: Sequence[int], condition: str) -> int:
    source = relation(base.fields, [base.files[position] for position in positions])
    found = connection.execute(f"SELECT count(*) FROM ({source}) WHERE {condition}").fetchone()  # noqa: S608 - quoted
    return int(found[0]) if found else 0
