"""JSON Lines: one object per line.

Types: numbers, booleans and text as they are; text that is an ISO date or time in every row becomes one; a list
of scalars becomes a list column; an object, a list of lists or objects, and a column that mixes kinds become
text, each value as it is written in JSON (text itself without its quotes), so that SQL's JSON functions reach it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from lakehouse.errors import InvalidInput
from lakehouse.lake import _infer
from lakehouse.lake._reading import MAX_BAD_ROWS, RAW_CHARS, Bad, Survey, check_width, too_many
from lakehouse.lake._relation import quoted
from lakehouse.lake.columns import Column, check_names, duckdb_type, element_type, widened

if TYPE_CHECKING:
    import duckdb

MAX_LINE_BYTES = 16 * 1024 * 1024
_ARROW = {"bool": pa.bool_(), "int64": pa.int64(), "float64": pa.float64()}
_SMALL = 1 << 63
_MOMENTS = frozenset({"date", "timestamp", "timestamptz"})


class JsonlReader:
    """A file of JSON objects, one per line."""

    def __init__(self, path: Path, *, batch_rows: int) -> None:
        self._path = path
        self._batch_rows = batch_rows
        self._columns: list[Column] = []
        self._bad_lines: set[int] = set()
        self.failure: InvalidInput | None = None

    def names(self) -> list[str]:
        """Return every key of the file, in the order they first stand there; reads it whole."""
        return [column.name for column in self.survey({}).columns]

    def guess(self, wanted: Mapping[str, str]) -> None:  # noqa: ARG002 - the shape of `Reader`
        """Return null: whether lines are rows, only a survey tells."""
        return

    def survey(self, wanted: Mapping[str, str]) -> Survey:
        """Read the whole file; see `Reader`."""
        kinds: dict[str, set[str]] = {}
        bad: list[Bad] = []
        self._columns = []
        for number, line in _lines(self._path):
            try:
                row = _object(line)
                for name, value in row.items():
                    _note(kinds, name, value)
            except ValueError as error:
                bad.append(Bad(number, "", str(error), line[:RAW_CHARS].decode("utf-8", "replace")))
                if len(bad) > MAX_BAD_ROWS:
                    raise too_many() from None
        if not kinds and not bad:
            raise InvalidInput("the file has no rows", field="source")
        if kinds:
            check_names(list(kinds), what="key")
        refused = self._settle(kinds, wanted)
        self._bad_lines = {row.line for row in bad}
        bad += self._misfits(refused)
        self._bad_lines = {row.line for row in bad}
        return Survey(self._columns, sorted(bad, key=lambda row: row.line))

    def rows(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Return the good rows; see `Reader`."""
        schema = pa.schema([pa.field(column.name, _arrow_type(column.type)) for column in self._columns])
        batches = (self._batch(schema, rows) for rows in self._good_batches())
        connection.register("jsonl_rows", pa.RecordBatchReader.from_batches(schema, batches))
        selected = ", ".join(
            f"CAST({quoted(column.name)} AS {duckdb_type(column.type)}) AS {quoted(column.name)}"
            for column in self._columns
        )
        return f"SELECT {selected} FROM jsonl_rows"  # noqa: S608 - every name is quoted

    def lines(self, ordinals: Sequence[int]) -> list[tuple[int, str]]:
        """Return line and text of good rows; see `Reader`."""
        wanted = set(ordinals)
        good = (place for place in _lines(self._path) if place[0] not in self._bad_lines)
        return [
            (number, line[:RAW_CHARS].decode("utf-8", "replace"))
            for ordinal, (number, line) in enumerate(good)
            if ordinal in wanted
        ]

    def _settle(self, kinds: Mapping[str, set[str]], wanted: Mapping[str, str]) -> dict[str, str]:
        """Fix each column's type; return those with values that cannot be read so."""
        refused: dict[str, str] = {}
        for name, seen in kinds.items():
            kind, want = _resolved(seen), wanted.get(name)
            if want is not None and kind != want:
                wider = widened(want, kind)
                if wider is None and kind != "null" and want != "string":
                    refused[name] = want
                kind = wider or want
            self._columns.append(Column(name, "string" if kind == "null" else kind))
        return refused

    def _misfits(self, refused: Mapping[str, str]) -> list[Bad]:
        if not refused:
            return []
        bad: list[Bad] = []
        for number, line in _lines(self._path):
            if number in self._bad_lines:
                continue
            row = _object(line)
            for name, want in refused.items():
                if name in row and not _fits(row[name], want):
                    shown = _as_text(row[name])[:80]
                    raw = line[:RAW_CHARS].decode("utf-8", "replace")
                    bad.append(Bad(number, name, f"{shown!r} is not {want}", raw))
                    break
            if len(bad) > MAX_BAD_ROWS:
                raise too_many()
        return bad

    def _good_batches(self) -> Iterator[list[dict[str, Any]]]:
        rows: list[dict[str, Any]] = []
        for number, line in _lines(self._path):
            if number in self._bad_lines:
                continue
            rows.append(_object(line))
            if len(rows) >= self._batch_rows:
                yield rows
                rows = []
        if rows:
            yield rows

    def _batch(self, schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        arrays = [
            pa.array([_value(row.get(column.name), column.type) for row in rows], schema.field(position).type)
            for position, column in enumerate(self._columns)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Walk the lines that are not blank: number (from 1) and bytes without the line end."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise InvalidInput(f"line {number} is over {MAX_LINE_BYTES >> 20} MiB", field="source", line=number)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line := line.strip():
                yield number, line


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    return row


def _note(kinds: dict[str, set[str]], name: str, value: Any) -> None:
    seen = kinds.get(name)
    if seen is None:
        seen = kinds[name] = set()
        check_width(len(kinds))
    if value is not None and not ("string" in seen and isinstance(value, str)):
        seen.add(_kind(value))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -_SMALL <= value < _SMALL else "string"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, str):
        return _infer.moment(value)
    if isinstance(value, list):
        elements = {_kind(element) for element in value if element is not None}
        plain = {"string" if kind in _MOMENTS else kind for kind in elements}
        return "json" if plain & {"json"} or any(element_type(kind) for kind in plain) else f"list<{_resolved(plain)}>"
    return "json"


def _resolved(kinds: Iterable[str]) -> str:
    """Return the one type that holds values of all these kinds."""
    seen = set(kinds)
    if not seen:
        return "null"
    if len(seen) == 1:
        only = seen.pop()
        return {"json": "string", "list<null>": "list<string>"}.get(only, only)
    if seen == {"int64", "float64"}:
        return "float64"
    elements = {element_type(kind) for kind in seen}
    if None not in elements:
        return f"list<{_resolved({kind for kind in elements if kind and kind != 'null'})}>"
    return "string"


def _fits(value: Any, want: str) -> bool:
    if value is None or want == "string":
        return True
    kind = _kind(value)
    if kind in (want, "list<null>") or (want == "float64" and kind == "int64"):
        return True
    element = element_type(want)
    return element is not None and isinstance(value, list) and all(_fits(part, element) for part in value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    element = element_type(kind)
    if element:
        return [_value(part, element) for part in value]
    if kind == "float64":
        return float(value)
    return value if kind in _ARROW else _as_text(value)


def _arrow_type(kind: str) -> pa.DataType:
    element = element_type(kind)
    return pa.list_(_arrow_type(element)) if element else _ARROW.get(kind, pa.string())
