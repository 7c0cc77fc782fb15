"""One file on its way into one dataset: survey, refuse or set aside, write, merge, commit."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import msgspec
import pyarrow as pa

from lakehouse.errors import InternalError, InvalidInput, LakehouseError, Unavailable
from lakehouse.lake import _mapping, _merge
from lakehouse.lake._delimited import CsvReader
from lakehouse.lake._iceberg import note
from lakehouse.lake._jsonl import JsonlReader
from lakehouse.lake._mapping import ColumnMap, MappedReader
from lakehouse.lake._parquet import ParquetReader
from lakehouse.lake._reading import Bad, Reader
from lakehouse.lake._relation import quoted
from lakehouse.lake.columns import Column, Field, check_names, element_type
from lakehouse.lake.ingest import QUARANTINE, QUARANTINE_OF, Barred, Change, Nobody

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.lake._iceberg import Version
    from lakehouse.lake._source import Source
    from lakehouse.lake.catalog import Catalog


QUARANTINE_COLUMNS = [
    Column("line", "int64"),
    Column("column", "string"),
    Column("reason", "string"),
    Column("raw", "string"),
]


class Written(msgspec.Struct, frozen=True):
    """The file's good rows as Parquet, how many they are, and the rows that are bad."""

    fields: list[Field]
    path: Path
    rows: int
    bad: list[Bad]


class Landed(msgspec.Struct, frozen=True):
    """Good rows that landed, bad rows that did not, by line, and how many were left out for whom they are about."""

    rows: int
    bad: list[Bad]
    snapshot_id: int
    erased: int


def open_reader(source: Source, scratch: Path, *, batch_rows: int, mapping: ColumnMap | None = None) -> Reader:
    """Return the reader of a source.

    Raises:
        InvalidInput: The file is not of its kind, or the mapping does not fit its columns.
    """
    reader: CsvReader | JsonlReader | ParquetReader
    if source.format == "csv":
        reader = CsvReader(source.path, charset=source.charset, tabs=source.tabs, scratch=scratch, seen=source.seen)
    elif source.format == "jsonl":
        reader = JsonlReader(source.path, batch_rows=batch_rows)
    else:
        reader = ParquetReader(source.path, batch_rows=batch_rows)
    if mapping is None:
        return reader
    plan = _mapping.plan(mapping, reader.names())
    if isinstance(reader, CsvReader):
        reader.forms = plan.forms
    elif plan.forms:
        column, form = next(iter(plan.forms.items()))
        raise InvalidInput(
            f"the mapping reads {column!r} as {form}, which is for CSV; {source.format} has types of its own",
            field="mapping",
        )
    return MappedReader(reader, plan)


class Landing:
    """Lands one source. Call inside the catalog's `writing(name)`.

    Args:
        catalog: Where it goes.
        ingest: The settings section.
        source: The file in scratch.
        scratch: An empty folder of its own.
        mapping: Which columns become which, when they do not keep their names.
        barred: Whose rows are left out.
    """

    def __init__(
        self,
        catalog: Catalog,
        ingest: settings.Ingest,
        source: Source,
        scratch: Path,
        *,
        mapping: ColumnMap | None = None,
        barred: Barred = Nobody(),  # noqa: B008 - has no state
    ) -> None:
        self._mapping = mapping
        self._barred = barred
        self._catalog = catalog
        self._settings = ingest
        self._source = source
        self._scratch = scratch

    def land(self, name: str, *, key: str | None, quarantine: bool, notes: Mapping[str, str]) -> Landed:
        """Do all of it; see `Ingest.file`."""
        base = self._catalog.versions().get(name) if key else None
        reader = open_reader(self._source, self._scratch, batch_rows=self._settings.batch_rows, mapping=self._mapping)
        connection = _merge.connect(self._scratch, [base] if base else [])
        try:
            written = self._by_guess(connection, reader, name, base, key)
            if written is None:
                written = self._by_survey(connection, reader, name, base, key=key, quarantine=quarantine)
            if key and written.rows:
                written = self._with_sound_keys(connection, reader, written, key, quarantine=quarantine)
            fields, path, rows, bad = written.fields, written.path, written.rows, written.bad
            if not rows:
                first = f"; line {bad[0].line}: {bad[0].reason}" if bad else ""
                raise InvalidInput(f"none of the file's rows is good{first}", field="source")
            path, rows, erased = self._without_erased(connection, name, path, rows, fields)
            merged = _merge.Merged([path], [])
            if base and key:
                merged = _merge.merge(connection, base, path, fields, key)
            # All that will be read of the file was read now, and nothing was committed yet.
            self._source.check()
            # Bad rows first: good rows that are acknowledged never lack their report.
            if bad:
                self._set_aside(connection, name, bad)
        except duckdb.Error as error:
            raise reader.failure or _named(error, self._scratch) from error
        finally:
            connection.close()
        counts = note(rows=rows, bad_rows=len(bad), erased=erased)
        # Rows merged by key must not be put over others that came meanwhile; a whole file may.
        version = self._catalog.commit(
            name, fields, merged.add, keep=merged.keep, notes={**notes, **counts}, onto=base if key else "any"
        )
        if quarantine and not bad:
            self._forget(name)
        return Landed(rows, bad, version.snapshot_id, erased)

    def _without_erased(
        self, connection: duckdb.DuckDBPyConnection, name: str, path: Path, rows: int, fields: list[Field]
    ) -> tuple[Path, int, int]:
        """Leave out the rows of people who were erased; return the file, its rows, and how many were left out."""
        barred = self._barred.rows(name, path)
        if len(barred) == rows:
            raise InvalidInput(
                f"every row of the file is of somebody who was erased ({rows} in all), so nothing is left of it; say"
                " with the manifest of a person (consent given) that they are back",
                field="source",
            )
        if barred:
            path, rows = _merge.without(connection, path, barred, fields)
        return path, rows, len(barred)

    def _by_guess(
        self, connection: duckdb.DuckDBPyConnection, reader: Reader, name: str, base: Version | None, key: str | None
    ) -> Written | None:
        """Read and write the rows at once, as most files go on as they begin; null where only a survey tells."""
        guessed = reader.guess(_wanted(base))
        if guessed is None:
            return None
        try:
            fields = self._catalog.fields(name, _columns(guessed, base, key))
            path, rows = self._write(connection, reader, fields)
        except (duckdb.IOException, duckdb.OutOfMemoryException):
            raise
        except (duckdb.Error, InvalidInput):
            # What is wrong, and what the columns are, is told by all rows rather than the first.
            return None
        return Written(fields, path, rows, [])

    def _by_survey(
        self,
        connection: duckdb.DuckDBPyConnection,
        reader: Reader,
        name: str,
        base: Version | None,
        *,
        key: str | None,
        quarantine: bool,
    ) -> Written:
        """Read all rows to know the columns and the bad ones, then write the good ones."""
        survey = reader.survey(_wanted(base))
        self._check(survey.bad, quarantine)
        if not survey.columns:
            raise InvalidInput("the file has no good row", field="source")
        fields = self._catalog.fields(name, _columns(survey.columns, base, key))
        path, rows = self._write(connection, reader, fields)
        return Written(fields, path, rows, survey.bad)

    def _write(self, connection: duckdb.DuckDBPyConnection, reader: Reader, fields: list[Field]) -> tuple[Path, int]:
        path = self._scratch / "rows.parquet"
        names = ", ".join(quoted(field.name) for field in fields)
        query = f"SELECT {names} FROM ({reader.rows(connection)})"  # noqa: S608 - every name is quoted
        return path, _merge.write(connection, query, path, fields)

    def _with_sound_keys(
        self, connection: duckdb.DuckDBPyConnection, reader: Reader, written: Written, key: str, *, quarantine: bool
    ) -> Written:
        """Set the rows with faulty keys aside."""
        field = next(field for field in written.fields if field.name == key)
        faults = _merge.key_faults(connection, written.path, field)
        if not faults:
            return written
        bad = _faulty(reader, key, faults)
        self._check(bad, quarantine)
        path, rows = _merge.without(connection, written.path, [fault.row for fault in faults], written.fields)
        return Written(written.fields, path, rows, sorted([*written.bad, *bad], key=lambda row: row.line))

    def _check(self, bad: list[Bad], quarantine: bool) -> None:
        if not bad or quarantine:
            return
        first = bad[0]
        where = f"line {first.line}" + (f", column {first.column!r}" if first.column else "")
        others = f" and {len(bad) - 1:,} more" if len(bad) > 1 else ""
        limit = self._settings.max_rejected_reported
        raise InvalidInput(
            f"the file has bad rows: {where}: {first.reason}{others}; correct them, or ingest with quarantine",
            field="source",
            line=first.line,
            rejected=[{"line": row.line, "column": row.column, "reason": row.reason} for row in bad[:limit]],
        )

    def _set_aside(self, connection: duckdb.DuckDBPyConnection, name: str, bad: list[Bad]) -> None:
        fields = self._catalog.fields(name + QUARANTINE, QUARANTINE_COLUMNS)
        table = pa.table(
            {
                "line": pa.array([row.line for row in bad], pa.int64()),
                "column": [row.column for row in bad],
                "reason": [row.reason for row in bad],
                # Of somebody who was erased it is told which line it was, and not what stood there.
                "raw": ["" if self._barred.names(row.raw) else row.raw for row in bad],
            }
        )
        connection.register("bad_rows", table)
        path = self._scratch / "bad.parquet"
        _merge.write(connection, 'SELECT line, "column", reason, raw FROM bad_rows', path, fields)
        notes = note(fingerprint=self._source.fingerprint, quarantine_of=name)
        self._catalog.commit(name + QUARANTINE, fields, [path], keep=[], notes=notes)

    def _forget(self, name: str) -> None:
        """Drop the bad rows of an earlier file, when they are ours."""
        old = self._catalog.versions().get(name + QUARANTINE)
        if old and old.properties.get(QUARANTINE_OF) == name:
            self._catalog.drop(name + QUARANTINE)


def _wanted(base: Version | None) -> dict[str, str]:
    return {field.name: field.type for field in base.fields} if base else {}


def _columns(found: list[Column], base: Version | None, key: str | None) -> list[Column]:
    """Return the dataset's columns after the ingest."""
    names = [column.name for column in found]
    if key is not None:
        kind = next((column.type for column in found if column.name == key), None)
        if kind is None:
            raise InvalidInput(f"key {key!r} is no column of the file; it has {', '.join(names)}", field="key")
        if element_type(kind):
            raise InvalidInput(f"key {key!r} is a list; choose a column of single values", field="key")
    if base is None:
        return found
    known = [field.name for field in base.fields]
    missing = [name for name in known if name not in names]
    if missing:
        raise InvalidInput(
            f"the file lacks columns of dataset {base.name!r}: {', '.join(missing)}; its columns against the dataset's:"
            f" {shown(changes(found, base))}. Add them, list them as optional in a mapping, or ingest without a key to"
            " replace the dataset",
            field="source",
            missing=missing,
            changes=msgspec.to_builtins(changes(found, base)),
        )
    types = {column.name: column for column in found}
    columns = [types[name] for name in known] + [column for column in found if column.name not in known]
    check_names([column.name for column in columns])
    return columns


def changes(found: list[Column], base: Version) -> list[Change]:
    """Return how a file's columns differ from a dataset's: those of the dataset first, in order."""
    old = {field.name: field.type for field in base.fields}
    new = {column.name: column.type for column in found}
    names = [*old, *(name for name in new if name not in old)]
    return [Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def shown(differences: list[Change]) -> str:
    """Return differences in words."""
    words = []
    for each in differences:
        if each.file is None:
            words.append(f"{each.column} ({each.dataset}) missing")
        elif each.dataset is None:
            words.append(f"{each.column} ({each.file}) new")
        else:
            words.append(f"{each.column} {each.dataset} to {each.file}")
    return "; ".join(words)


def _faulty(reader: Reader, key: str, faults: list[_merge.KeyFault]) -> list[Bad]:
    ordinals = sorted({row for fault in faults for row in (fault.row, fault.first) if row is not None})
    places = dict(zip(ordinals, reader.lines(ordinals), strict=True)) if ordinals else {}
    bad: list[Bad] = []
    for fault in faults:
        line, raw = places[fault.row]
        reason = "key is empty" if fault.first is None else f"key stands already on line {places[fault.first][0]}"
        bad.append(Bad(line, key, reason, raw))
    return bad


def _named(error: duckdb.Error, folder: Path) -> LakehouseError:
    reason = str(error).partition("\n")[0]
    if isinstance(error, (duckdb.IOException, duckdb.OutOfMemoryException)):
        # The engine has no code for a full disk; its words are those of the system.
        full = isinstance(error, duckdb.OutOfMemoryException) or os.strerror(errno.ENOSPC) in reason
        if full:
            return Unavailable(f"no room left to write below {folder}: {reason}; free some space", path=str(folder))
        return Unavailable(f"rows could not be written below {folder}: {reason}", path=str(folder))
    return InternalError(f"rows could not be written: {reason}")
