"""A dataset's rows as corpus items: an id with its prefix, the text to embed, the metadata to show."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from lakehouse.errors import InvalidInput
from lakehouse.staffing import worker

if TYPE_CHECKING:
    from lakehouse.staffing.parse import Parser
    from lakehouse.staffing.roles import Roles

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("metadata", pa.string())])
HASHES = pa.schema([("id", pa.string()), ("hash", pa.binary(16))])
_BATCH = 2_000
# Rows turned into Python objects at once. The conversion holds the interpreter until it is done, and searches wait.
_SLICE = 200


class Shape(msgspec.Struct, frozen=True):
    """Which columns of a dataset become what. See `Corpora.build`."""

    id_column: str
    id_prefix: str
    text_columns: tuple[str, ...]
    metadata_columns: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        named = [self.id_column, *self.text_columns, *self.metadata_columns]
        return list(dict.fromkeys(named))


class Rows:
    """The items of one dataset, read in batches.

    Args:
        reader: Record batches of the dataset.
        shape: Columns.
        personal: Columns read beside those of the shape, only to keep what they hold out of the text.
        parser, roles: Give roles, places and certifications their canonical form.
    """

    def __init__(self, reader: pa.RecordBatchReader, shape: Shape, *, parser: Parser, roles: Roles) -> None:
        self._reader = reader
        self._shape = shape
        self._parser = parser
        self._roles = roles

    def items(self) -> Iterator[tuple[str, str, str]]:
        """Yield id, text and metadata (JSON) of each row, in dataset order.

        Raises:
            InvalidInput: An id is null or occurs twice, or a row has no text; the message names it.
        """
        seen: set[str] = set()
        number = 0
        for batch in self._reader:
            for row in _dicts(batch):
                number += 1
                id = self._id(row, number)
                if id in seen:
                    raise InvalidInput(
                        f"id {id!r} occurs twice in column {self._shape.id_column!r} (row {number});"
                        " a corpus needs one row per id",
                        field="id_column",
                        id=id,
                        row=number,
                    )
                seen.add(id)
                yield id, self._text(row, id), msgspec.json.encode(self._metadata(row)).decode()

    def _id(self, row: Mapping[str, Any], number: int) -> str:
        value = row[self._shape.id_column]
        if value is None or value == "":
            raise InvalidInput(
                f"row {number} has no value in the id column {self._shape.id_column!r}",
                field="id_column",
                row=number,
            )
        id, prefix = str(value), self._shape.id_prefix
        return id if id.startswith(prefix) else prefix + id

    def _text(self, row: Mapping[str, Any], id: str) -> str:
        text = text_of(row, self._shape.text_columns)
        if not text.strip():
            columns = ", ".join(self._shape.text_columns)
            raise InvalidInput(f"id {id!r} has no text in the columns {columns}", field="text_columns", id=id)
        return text

    def _metadata(self, row: Mapping[str, Any]) -> dict[str, Any]:
        parser = self._parser
        return worker.metadata(
            row,
            self._shape.metadata_columns,
            roles=self._roles,
            places=parser.places,
            certifications=parser.certifications,
        )


def text_of(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return what is embedded of a row: its text columns, less the person's own name and contact data."""
    parts = (_words(row[column]) for column in columns)
    return worker.without_names(". ".join(part for part in parts if part), row)


def write(rows: Iterator[tuple[str, str, str]], target: Path) -> dict[str, bytes]:
    """Write items as an Arrow file of `SCHEMA`; returns id to content hash, in order."""
    hashes: dict[str, bytes] = {}
    with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        batch: list[tuple[str, str, str]] = []
        for row in rows:
            hashes[row[0]] = hashlib.blake2b("\x00".join(row[1:]).encode(), digest_size=16).digest()
            batch.append(row)
            if len(batch) == _BATCH:
                _flush(writer, batch)
                batch = []
        _flush(writer, batch)
    return hashes


def subset(source: Path, target: Path, ids: set[str]) -> None:
    """Copy the rows of `ids` from one Arrow file to another."""
    with pa.memory_map(str(source)) as mapped, pa.OSFile(str(target), "wb") as sink:
        reader = pa.ipc.open_file(mapped)
        with pa.ipc.new_file(sink, reader.schema) as writer:
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                keep = pa.array([id in ids for id in batch.column("id").to_pylist()], pa.bool_())
                writer.write_batch(batch.filter(keep))


def append(source: Path, target: Path, items: Iterator[tuple[str, Sequence[float], str]]) -> None:
    """Copy an embedded file (with `vector`) and add further items with their vectors."""
    with pa.memory_map(str(source)) as mapped, pa.OSFile(str(target), "wb") as sink:
        reader = pa.ipc.open_file(mapped)
        with pa.ipc.new_file(sink, reader.schema) as writer:
            for number in range(reader.num_record_batches):
                writer.write_batch(reader.get_batch(number))
            batch = list(items)
            if batch:
                columns = {
                    "id": pa.array([item[0] for item in batch], pa.string()),
                    "text": pa.array([""] * len(batch), pa.string()),
                    "metadata": pa.array([item[2] for item in batch], pa.string()),
                    "vector": pa.array([list(item[1]) for item in batch], reader.schema.field("vector").type),
                }
                writer.write_batch(
                    pa.record_batch([columns[name] for name in reader.schema.names], schema=reader.schema)
                )


def embedded(source: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of an embedded Arrow file, a few hundred at a time."""
    with pa.memory_map(str(source)) as mapped:
        reader = pa.ipc.open_file(mapped)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            for start in range(0, batch.num_rows, _SLICE):
                yield batch.slice(start, _SLICE).to_pylist()


def save_hashes(hashes: Mapping[str, bytes]) -> bytes:
    """Encode id to content hash as an Arrow file."""
    table = pa.table([pa.array(hashes.keys(), pa.string()), pa.array(hashes.values(), pa.binary(16))], schema=HASHES)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, HASHES) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def load_hashes(source: Path) -> dict[str, bytes] | None:
    """Decode what `save_hashes` made; None when the file is absent or unreadable (it is derived)."""
    try:
        with pa.memory_map(str(source)) as mapped:
            table = pa.ipc.open_file(mapped).read_all()
        return dict(zip(table["id"].to_pylist(), table["hash"].to_pylist(), strict=True))
    except (OSError, pa.ArrowInvalid, KeyError):
        return None


def _dicts(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    for start in range(0, batch.num_rows, _SLICE):
        yield from batch.slice(start, _SLICE).to_pylist()


def _flush(writer: Any, batch: list[tuple[str, str, str]]) -> None:
    if batch:
        arrays = [pa.array([row[at] for row in batch], pa.string()) for at in range(3)]
        writer.write_batch(pa.record_batch(arrays, schema=SCHEMA))


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return str(value).strip().rstrip(".")
