"""Parquet files: their own types, brought to the ones a dataset has.

Integers become `int64`, floats `float64`, times of any unit microseconds; structs, maps and nested lists become
JSON text. There are no bad rows: a file that does not fit is refused whole. A row's "line" is its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as kinds

from lakehouse.errors import InvalidInput
from lakehouse.lake._reading import Survey, check_width
from lakehouse.lake._relation import quoted
from lakehouse.lake.columns import Column, check_names, decimal_parts, duckdb_type, element_type, widened

if TYPE_CHECKING:
    import duckdb

_ARROW = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "string": pa.string(),
    "binary": pa.binary(),
}
_TESTS = (
    (kinds.is_boolean, "bool"),
    (kinds.is_integer, "int64"),
    (kinds.is_floating, "float64"),
    (kinds.is_date, "date"),
    (kinds.is_time, "time"),
    (kinds.is_string, "string"),
    (kinds.is_large_string, "string"),
    (kinds.is_string_view, "string"),
    (kinds.is_null, "string"),
    (kinds.is_binary, "binary"),
    (kinds.is_large_binary, "binary"),
    (kinds.is_fixed_size_binary, "binary"),
)
_MAX_PRECISION = 38


class ParquetReader:
    """A Parquet file."""

    def __init__(self, path: Path, *, batch_rows: int) -> None:
        self._path = path
        self._batch_rows = batch_rows
        self._columns: list[Column] = []
        self.failure: InvalidInput | None = None
        try:
            footer = pq.read_metadata(path)
            self._schema = footer.schema.to_arrow_schema()
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput(f"not a readable Parquet file: {error}", field="source") from None
        check_width(len(self._schema))
        check_names(self._schema.names)
        if not footer.num_rows:
            raise InvalidInput("the file has no rows", field="source")

    def names(self) -> list[str]:
        """Return the columns' names."""
        return list(self._schema.names)

    def guess(self, wanted: Mapping[str, str]) -> None:  # noqa: ARG002 - the shape of `Reader`
        """Return null: a survey reads no rows."""
        return

    def survey(self, wanted: Mapping[str, str]) -> Survey:
        """Name the columns; see `Reader`. A column of another type than `wanted` refuses the file."""
        for field in self._schema:
            kind = _column_type(field)
            want = wanted.get(field.name, kind)
            settled = want if kinds.is_null(field.type) else widened(want, kind)
            if settled is None:
                raise InvalidInput(
                    f"column {field.name!r} is {kind} in the file and {want} in the dataset; convert it, or ingest"
                    " without a key to replace the dataset",
                    field="source",
                    column=field.name,
                )
            self._columns.append(Column(field.name, settled))
        return Survey(self._columns, [])

    def rows(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Return the rows; see `Reader`."""
        schema = pa.schema([pa.field(column.name, _arrow_type(column.type)) for column in self._columns])
        connection.register("parquet_rows", pa.RecordBatchReader.from_batches(schema, self._batches(schema)))
        selected = ", ".join(
            f"CAST({quoted(column.name)} AS {duckdb_type(column.type)}) AS {quoted(column.name)}"
            for column in self._columns
        )
        return f"SELECT {selected} FROM parquet_rows"  # noqa: S608 - every name is quoted

    def lines(self, ordinals: Sequence[int]) -> list[tuple[int, str]]:
        """Return the row numbers; see `Reader`."""
        return [(ordinal + 1, "") for ordinal in ordinals]

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(self._batch_rows):
                    arrays = [_cast(batch.column(position), field) for position, field in enumerate(schema)]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except InvalidInput as error:
            self.failure = error
            raise
        except (pa.ArrowException, OSError) as error:
            self.failure = InvalidInput(f"the Parquet file is damaged: {error}", field="source")
            raise


def _column_type(field: pa.Field) -> str:
    kind = field.type
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        element = _scalar_type(kind.value_type)
        return f"list<{element}>" if element else "string"
    name = _scalar_type(kind)
    if name is None and not (kinds.is_nested(kind)):
        raise InvalidInput(f"column {field.name!r} has type {kind}, which is not ingested", field="source")
    return name or "string"


def _scalar_type(kind: pa.DataType) -> str | None:
    if kinds.is_dictionary(kind):
        return _scalar_type(kind.value_type)
    if kinds.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if kinds.is_decimal(kind) and kind.precision <= _MAX_PRECISION:
        return f"decimal({kind.precision},{kind.scale})"
    return next((name for test, name in _TESTS if test(kind)), None)


def _arrow_type(name: str) -> pa.DataType:
    element = element_type(name)
    if element:
        return pa.list_(_arrow_type(element))
    parts = decimal_parts(name)
    return pa.decimal128(*parts) if parts else _ARROW[name]


def _cast(array: pa.Array, field: pa.Field) -> pa.Array:
    if kinds.is_nested(array.type) and kinds.is_string(field.type):
        return pa.array([None if value is None else _json(value) for value in array.to_pylist()], field.type)
    try:
        # Nanoseconds are cut to microseconds, the finest that Iceberg keeps; integers must fit.
        exact = not (kinds.is_timestamp(field.type) or kinds.is_time(field.type))
        return pc.cast(array, field.type, safe=exact)
    except pa.ArrowException as error:
        raise InvalidInput(f"column {field.name!r}: {error}", field="source", column=field.name) from None


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
