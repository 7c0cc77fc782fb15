"""Rows taken out of a dataset for good: out of its newest snapshot, and out of its history with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.errors import InvalidInput
from lakehouse.lake import _merge
from lakehouse.lake._relation import quoted, relation, text

if TYPE_CHECKING:
    from lakehouse.lake.catalog import Catalog


def purge(catalog: Catalog, name: str, column: str, values: Sequence[str]) -> int:
    """Write a dataset again without the rows whose column holds one of the values; see `Catalog.purge`."""
    with catalog.writing(name), catalog.scratch() as scratch:
        version = catalog.version(name)
        if column not in {field.name for field in version.fields}:
            raise InvalidInput(f"dataset {name!r} has no column {column!r}", field="column", column=column)
        among = ", ".join(map(text, values))
        rows = relation(version.fields, version.files)
        names = ", ".join(quoted(field.name) for field in version.fields)
        kept = f"coalesce(CAST({quoted(column)} AS VARCHAR) NOT IN ({among}), true)"
        target = scratch / "kept.parquet"
        connection = _merge.connect(scratch)
        try:
            left = _merge.write(connection, f"SELECT {names} FROM ({rows}) WHERE {kept}", target, version.fields)  # noqa: S608 - quoted
        finally:
            connection.close()
        if left == version.rows:
            return 0
        # Without its fingerprint the same file can be ingested again, and is not taken for unchanged.
        notes = {**version.properties, "lakehouse.fingerprint": "", "lakehouse.rows": str(left)}
        catalog.commit(name, version.fields, [target], keep=[], notes=notes, onto=version, history=1)
        return version.rows - left
