"""DuckDB's view of a dataset: SQL over exactly the files of one snapshot, columns found by Iceberg id."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from lakehouse.lake.columns import Field, duckdb_type


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a value as an SQL string."""
    return "'" + value.replace("'", "''") + "'"


def unused(names: Iterable[str]) -> str:
    """Return a quoted name that is none of these, upper and lower case alike."""
    taken = {name.casefold() for name in names}
    return quoted(next(name for number in itertools.count() if (name := f"n{number}") not in taken))


def numbered(source: str, names: Iterable[str]) -> tuple[str, str]:
    """Return a SELECT of a source with its rows numbered from 0 in order, and the name of that column."""
    alias = unused(names)
    return f"SELECT row_number() OVER () - 1 AS {alias}, * FROM {source}", alias  # noqa: S608 - quoted


def relation(
    fields: Sequence[Field], files: Sequence[str], columns: Sequence[str] | None = None, *, alike: bool = False
) -> str:
    """Return a SELECT of the dataset's rows in the order they were written.

    Args:
        fields: Columns as they are now; a file that lacks one gives nulls, a narrower type is widened.
        files: Paths of the data files.
        columns: Names to select, in that order; all by default.
        alike: True when every file has just these columns; looking columns up by id keeps the engine from reading late
            what only few rows need, which costs up to half of a statement's time.
    """
    wanted = list(columns) if columns is not None else [field.name for field in fields]
    selected = ", ".join(quoted(name) for name in wanted)
    if not files:
        empty = ", ".join(f"CAST(NULL AS {duckdb_type(field.type)}) AS {quoted(field.name)}" for field in fields)
        return f"SELECT {selected} FROM (SELECT {empty}) WHERE false"  # noqa: S608 - every name and value is quoted
    paths = ", ".join(text(path) for path in files)
    if alike:
        return f"SELECT {selected} FROM read_parquet([{paths}])"  # noqa: S608 - every name and value is quoted
    schema = ", ".join(
        f"{field.id}: {{name: {text(field.name)}, type: {text(duckdb_type(field.type))}, default_value: NULL}}"
        for field in fields
    )
    return f"SELECT {selected} FROM read_parquet([{paths}], schema=MAP {{{schema}}})"  # noqa: S608 - every name and value is quoted


def log_relation(columns: Mapping[str, str], files: Sequence[str]) -> str:
    """Return a SELECT of a log's rows, oldest first.

    Args:
        columns: DuckDB type by field name.
        files: Paths of the log's files, oldest first. The end of the last one may be a row still being written, which
            is not JSON yet and is left out.
    """
    if not files:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns.items())
        return f"SELECT {empty} WHERE false"
    typed = ", ".join(f"{text(name)}: {text(kind)}" for name, kind in columns.items())
    paths = ", ".join(text(path) for path in files)
    selected = ", ".join(map(quoted, columns))
    some = " OR ".join(f"{quoted(name)} IS NOT NULL" for name in columns)
    return (
        f"SELECT {selected} FROM read_json([{paths}], format='newline_delimited', ignore_errors=true,"  # noqa: S608 - quoted
        f" maximum_object_size=67108864, columns={{{typed}}}) WHERE {some}"
    )


def told_apart(bodies: Mapping[str, str]) -> str:
    """Return a SELECT of the rows of several, each given as a SELECT by its name, with that name as the last column."""
    return " UNION ALL ".join(
        f"SELECT *, {text(name)} AS replica FROM ({body})"  # noqa: S608 - quoted
        for name, body in bodies.items()
    )


def copy_to_parquet(query: str, path: str, fields: Sequence[Field]) -> str:
    """Return the statement that writes a query's rows as one Parquet file with the fields' ids."""
    ids = ", ".join(f"{quoted(field.name)}: {_ids(field)}" for field in fields)
    return f"COPY ({query}) TO {text(path)} (FORMAT parquet, COMPRESSION zstd, FIELD_IDS {{{ids}}})"


def _ids(field: Field) -> str:
    if field.element_id is None:
        return str(field.id)
    return f"{{__duckdb_field_id: {field.id}, element: {field.element_id}}}"
