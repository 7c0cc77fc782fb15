"""What an ingest would make of a file, and why; nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.lake import _infer, _merge, _suggest
from lakehouse.lake._delimited import CsvReader
from lakehouse.lake._landing import changes, open_reader
from lakehouse.lake._mapping import ColumnMap, MappedReader, alternatives
from lakehouse.lake._relation import quoted, relation
from lakehouse.lake._suggest import Side
from lakehouse.lake.columns import Column
from lakehouse.lake.ingest import ExplainedColumn, Explanation, Rejected

if TYPE_CHECKING:
    import duckdb

    from lakehouse.lake._iceberg import Version
    from lakehouse.lake._reading import Reader
    from lakehouse.lake._source import Source

SAMPLE_ROWS = 20_000
# A column is taken to be written in a form when so many of its values are.
MOSTLY = 0.95
SHOWN_CHARS = 60


class Explainer:
    """Explains one file.

    Args:
        source: The file in scratch.
        scratch: A folder of its own.
        base: The dataset it is to go into, null for a new one.
        bound: True when rows are to be added, so that the dataset's types hold.
        mapping: As given, null when none.
        batch_rows: Rows read at a time.
    """

    def __init__(
        self,
        source: Source,
        scratch: Path,
        *,
        base: Version | None,
        bound: bool,
        mapping: ColumnMap | None,
        batch_rows: int,
    ) -> None:
        self._bound = bound
        self._source = source
        self._scratch = scratch
        self._base = base
        self._mapping = mapping
        self._batch_rows = batch_rows

    def explain(self, limit: int) -> Explanation:
        """Read the file as an ingest would; see `Ingest.explain`."""
        reader, refusal = self._reader("plain"), ""
        facts = reader.facts() if isinstance(reader, CsvReader) else {}
        if self._mapping is not None:
            try:
                reader = self._reader("mapped", self._mapping)
            except InvalidInput as error:
                refusal = error.message
        wanted = {field.name: field.type for field in self._base.fields} if self._base and self._bound else {}
        survey = reader.survey(wanted)
        connection = _merge.connect(self._scratch, [self._base] if self._base else [])
        try:
            rows, columns = _columns(connection, reader, survey.columns)
            suggested = self._suggested(connection)
        finally:
            connection.close()
        return Explanation(
            format=self._source.format,
            **facts,
            rows=rows,
            bad_rows=len(survey.bad),
            rejected=[Rejected(bad.line, bad.column, bad.reason) for bad in survey.bad[:limit]],
            columns=columns,
            changes=changes(survey.columns, self._base) if self._base else [],
            mapping=suggested,
            refusal=refusal,
        )

    def _reader(self, folder: str, mapping: ColumnMap | None = None) -> Reader:
        scratch = self._scratch / folder
        scratch.mkdir()
        return open_reader(self._source, scratch, batch_rows=self._batch_rows, mapping=mapping)

    def _suggested(self, connection: duckdb.DuckDBPyConnection) -> str:
        reader = self._reader("suggest")
        found = reader.survey({}).columns
        if not found:
            return ""
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE sampled AS SELECT * FROM ({reader.rows(connection)})"  # noqa: S608 - quoted
            f" LIMIT {SAMPLE_ROWS}"
        )
        file = Side(found, {column.name: _values(connection, "sampled", column) for column in found})
        known = self._mapping or ColumnMap({})
        named = {name: target for target, names in known.columns.items() for name in alternatives(names)}
        rest = [column for column in found if column.name not in named]
        sources = {named[column.name]: column.name for column in found if column.name in named}
        targets = self._targets(connection, sources)
        pairs = _suggest.pairs(Side(rest, file.values), targets) if targets.columns else []
        matched = {pair.source for pair in pairs}
        sources.update({pair.target: pair.source for pair in pairs})
        fresh = _fresh([column.name for column in rest if column.name not in matched], sources)
        return _written(
            known,
            pairs,
            fresh,
            types={**known.types, **self._forms(connection, {**sources, **fresh}, known)},
            lacking=[target.name for target in targets.columns if target.name not in sources],
        )

    def _targets(self, connection: duckdb.DuckDBPyConnection, served: Collection[str]) -> Side:
        """Return the columns that still lack one of the file: the dataset's, and those that only the mapping has."""
        base, mapping = self._base, self._mapping
        columns = [field.column for field in base.fields if field.name not in served] if base else []
        listed = {column.name for column in columns} | set(served)
        columns += [Column(name, "string") for name in (mapping.columns if mapping else ()) if name not in listed]
        values: dict[str, Collection[str]] = {}
        if base and columns:
            query = f"SELECT * FROM ({relation(base.fields, base.files)}) LIMIT {SAMPLE_ROWS}"  # noqa: S608 - quoted
            connection.execute(f"CREATE OR REPLACE TEMP TABLE there AS {query}")
            old = {field.name for field in base.fields}
            values = {column.name: _values(connection, "there", column) for column in columns if column.name in old}
        return Side(columns, values)

    def _forms(
        self, connection: duckdb.DuckDBPyConnection, sources: dict[str, str], known: ColumnMap
    ) -> dict[str, str]:
        """Return the forms in which text columns are written, by column of the dataset."""
        if self._source.format != "csv":
            return {}
        have = {field.name: field.type for field in self._base.fields} if self._base else {}
        names = {column: kind for column, kind, *_ in connection.execute("DESCRIBE sampled").fetchall()}
        forms: dict[str, str] = {}
        for target, source in sources.items():
            if target in known.types or have.get(target) == "string":
                continue
            if names[source] == "TIMESTAMP" and have.get(target) == "date":
                forms[target] = "day"
            if names[source] != "VARCHAR":
                continue
            form = _form(connection, source)
            if form and have.get(target, _infer.FORMS[form]) == _infer.FORMS[form]:
                forms[target] = form
        return forms


def _columns(
    connection: duckdb.DuckDBPyConnection, reader: Reader, columns: list[Column]
) -> tuple[int, list[ExplainedColumn]]:
    """Look at every good row once: how many values a column lacks, and what made it text."""
    if not columns:
        return 0, []
    asked: list[str] = []
    for column in columns:
        name = quoted(column.name)
        value = f"CAST({name} AS VARCHAR)"
        numeric = f"({_infer.condition('int64', value)} OR {_infer.condition('float64', value)})"
        moment = " OR ".join(_infer.condition(kind, value) for kind in ("bool", "date", "timestamp", "timestamptz"))
        asked.append(f"count(*) - count(nullif({value}, ''))")
        asked.append(f"any_value(nullif({value}, ''))")
        odd = f"any_value(CASE WHEN {value} <> '' AND NOT {numeric} AND NOT ({moment}) THEN {value} END)"
        asked.append(odd if column.type == "string" else "NULL")
    query = f"SELECT count(*), {', '.join(asked)} FROM ({reader.rows(connection)})"  # noqa: S608 - names are quoted
    total, *found = connection.execute(query).fetchall()[0]
    sources = reader.sources() if isinstance(reader, MappedReader) else {}
    explained = []
    for place, column in enumerate(columns):
        empty, example, odd = found[3 * place : 3 * place + 3]
        source = sources.get(column.name, column.name) or ""
        shown = (example or "")[:SHOWN_CHARS]
        explained.append(
            ExplainedColumn(column.name, column.type, source, empty, shown, _why(column.type, example, odd))
        )
    return total, explained


def _why(kind: str, example: str | None, odd: str | None) -> str:
    if example is None:
        return "no value anywhere"
    if kind != "string":
        return "every value is written so"
    if odd is None:
        return "values of several kinds"
    if odd.isascii() and odd.isdigit():
        reason = "has a leading zero" if odd.startswith("0") else "is longer than 64 bits"
        return f"{odd[:SHOWN_CHARS]!r} {reason}"
    return f"{odd[:SHOWN_CHARS]!r} is no number, date or truth value"


def _values(connection: duckdb.DuckDBPyConnection, table: str, column: Column) -> Collection[str]:
    name = f"CAST({quoted(column.name)} AS VARCHAR)"
    query = f"SELECT DISTINCT {name} FROM {table} WHERE {name} <> ''"  # noqa: S608 - names are quoted
    return {value for (value,) in connection.execute(query).fetchall()}


def _form(connection: duckdb.DuckDBPyConnection, source: str) -> str | None:
    """Return the form that most values of a text column have; null when a plain text is the better name for it."""
    name = quoted(source)
    counts = ", ".join(f"count_if({_infer.condition(form, name)})" for form in _infer.FORMS)
    signs = f"count_if(contains({name}, '$') OR contains({name}, ',') OR contains({name}, '.'))"
    query = f"SELECT count(nullif({name}, '')), {signs}, {counts} FROM sampled WHERE {name} <> ''"  # noqa: S608 - quoted
    filled, signed, *fits = connection.execute(query).fetchall()[0]
    for form, count in zip(_infer.FORMS, fits, strict=True):
        if filled and count >= MOSTLY * filled and (form != "money" or signed):
            return form
    return None


def _fresh(names: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """Give columns that match nothing names of their own."""
    fresh: dict[str, str] = {}
    for name in names:
        wanted = _suggest.snake(name)
        target = wanted if wanted not in taken and wanted not in fresh else name
        fresh[target] = name
    return fresh


def _written(
    known: ColumnMap,
    pairs: Sequence[_suggest.Pair],
    fresh: dict[str, str],
    *,
    types: dict[str, str],
    lacking: list[str],
) -> str:
    columns: dict[str, str | list[str]] = {name: list(alternatives(names)) for name, names in known.columns.items()}
    remarks: dict[str, str] = {}
    for pair in pairs:
        columns[pair.target] = [*columns.get(pair.target, []), pair.source]
        if pair.score < 1:
            remarks[pair.target] = f"{pair.source}: likeness {pair.score:.2f}, please check"
    for target, source in fresh.items():
        columns[target] = [*columns.get(target, []), source]
        if pairs or known.columns:
            remarks[target] = "new"
    for target in lacking:
        columns.setdefault(target, [target])
    optional = [*known.optional, *(name for name in [*lacking, *(fresh if known.columns else ())])]
    suggested = msgspec.structs.replace(known, columns=columns, types=types, optional=list(dict.fromkeys(optional)))
    heading = ["Columns of the dataset on the left, what files call them on the right. Read it before you use it."]
    return _suggest.written(suggested, remarks, heading)
