"""CSV through DuckDB's parser, which is parallel and names the byte where each bad row starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from lakehouse.errors import InvalidInput
from lakehouse.lake import _ahead, _infer
from lakehouse.lake._dialect import DELIMITERS, MAX_LINE_BYTES, detect, line_numbers, records
from lakehouse.lake._reading import MAX_BAD_ROWS, RAW_CHARS, Bad, Survey, too_many
from lakehouse.lake._relation import numbered, quoted, text
from lakehouse.lake._text import Seen, normalised
from lakehouse.lake.columns import Column, duckdb_type, widened

SAMPLE_CELLS = 50_000
MIN_SAMPLE_ROWS = 50
# Of what a row may be long the engine would take sixteen times as much at once, most of it for nothing.
BUFFER_BYTES = 4 * MAX_LINE_BYTES
# What the engine's parser reads as its cast does.
_PARSED = frozenset({"bool", "int64", "float64", "date"})

_REASONS = {
    "UNQUOTED VALUE": "a quote is not closed, or text follows it",
    "INVALID ENCODING": "not valid UTF-8; save the file as UTF-8 or name its charset",
    "LINE SIZE OVER MAXIMUM": f"longer than {MAX_LINE_BYTES // 1024**2} MiB",
}


class CsvReader:
    """A CSV file with a header.

    Attributes:
        forms: Columns that are written in one of `_infer.FORMS`, set before the survey.
        failure: See `Reader`.
    """

    def __init__(self, path: Path, *, charset: str, tabs: bool, scratch: Path, seen: Seen | None = None) -> None:
        self._text = normalised(path, charset, scratch, seen)
        self._path, self._end = self._text.path, self._text.end
        self._dialect = detect(self._path, self._end, "\t" if tabs else DELIMITERS)
        self._columns: list[Column] = []
        self._sampled: list[tuple[Any, ...]] | None = None
        self._guessed: dict[str, str] | None = None
        self._refused: dict[str, str] = {}
        self._parsed: dict[str, str] = {}
        self._bad_starts: list[int] = []
        self._excluded: list[int] = []
        self.forms: Mapping[str, str] = {}
        self.failure: InvalidInput | None = None

    def names(self) -> list[str]:
        """Return the header."""
        return list(self._dialect.names)

    def facts(self) -> dict[str, Any]:
        """Return how the file is written, as an explanation tells it."""
        ends = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
        return {
            "encoding": self._text.encoding.removesuffix("-sig"),
            "line_ends": "mixed" if self._text.mixed else ends[self._end],
            "delimiter": self._dialect.delimiter,
            "quote": '"',
            "header_line": self._dialect.skip + 1,
        }

    def guess(self, wanted: Mapping[str, str]) -> list[Column] | None:
        """Look at the beginning; see `Reader`."""
        if self.forms:
            return None
        try:
            with _engine(threads=1) as connection:
                sample = self._sample(connection)
        except duckdb.Error:
            return None
        if not sample:
            return None
        possible = self._possible(sample)
        # What the sample rules out is out for the whole file, so a type holds if every value of its own column has it.
        types = {
            name: _infer.narrowest(kinds) if any(row[place] for row in sample) else "null"
            for place, (name, kinds) in enumerate(possible.items())
        }
        self._settle(types, wanted)
        tested = {name: kind for name, kind in types.items() if kind != "string" and wanted.get(name) != "string"}
        if self._refused or not _ahead.holds(self._path, self._dialect, self._end, tested):
            return None
        self._guessed = tested
        return list(self._columns)

    def survey(self, wanted: Mapping[str, str]) -> Survey:
        """Read the whole file; see `Reader`."""
        self._guessed = None
        with _engine() as connection:
            try:
                types = self._types(connection)
                bad = self._rejected(connection)
                self._settle(types, wanted)
                bad += self._misfits(connection)
            except duckdb.Error as error:
                reason = str(error).partition("\n")[0]
                raise InvalidInput(f"the CSV cannot be parsed: {reason}", field="source") from None
        return Survey(self._columns, sorted(bad, key=lambda row: row.line))

    def rows(self, _connection: duckdb.DuckDBPyConnection) -> str:
        """Return the good rows; see `Reader`."""
        if self._guessed is not None:
            selected = ", ".join(self._tested(column, self._guessed.get(column.name)) for column in self._columns)
            return f"SELECT {selected} FROM {self._scan('ignore_errors=false')}"  # noqa: S608 - every name is quoted
        parsed = self._parsed_there()
        selected = ", ".join(
            quoted(column.name) if column.name in parsed else self._cast(column) for column in self._columns
        )
        # Where every row is known to be good, one that is not must be an error rather than left out.
        errors = "ignore_errors=false" if parsed else "ignore_errors=true"
        return f"SELECT {selected} FROM {self._scan(errors, parsed=parsed)} WHERE {self._sound()}"  # noqa: S608

    def _sound(self) -> str:
        """Return the condition of a good row; where rows are left out, it looks at columns that nobody asks for too."""
        return f"{self._fitting()} AND {self._all()} IS NOT NULL" if self._bad_starts else self._fitting()

    def _all(self) -> str:
        """Return an expression of all columns: the engine leaves out a row only for what is asked for."""
        return f"hash({', '.join(map(quoted, self._dialect.names))})"

    def _cast(self, column: Column) -> str:
        value = quoted(column.name)
        return f"{_infer.cast(self.forms.get(column.name, column.type), value)} AS {value}"

    def _tested(self, column: Column, kind: str | None) -> str:
        """Return the SQL that reads a column by the type that was guessed, and fails where a value is not of it."""
        if kind is None:
            return self._cast(column)
        value = quoted(column.name)
        read = _infer.cast(column.type, value)
        fits = "" if kind == "null" else f" WHEN {_infer.condition(kind, value)} THEN {read}"
        # An empty cell comes second: there are fewer of them.
        return f"CASE{fits} WHEN coalesce({value}, '') = '' THEN {read} ELSE error('another type') END AS {value}"

    def _parsed_there(self) -> dict[str, str]:
        """Return the columns that the engine's parser can read as their type by itself, which costs a quarter less.

        Only in a file without bad rows, and not where a quoted empty cell is to be null.
        """
        if self._bad_starts or self._refused:
            return {}
        return {column.name: column.type for column in self._columns if self._parsed.get(column.name) == column.type}

    def lines(self, ordinals: Sequence[int]) -> list[tuple[int, str]]:
        """Return line and text of good rows; see `Reader`."""
        # Positions among all rows that parse: those left out for a value count too.
        wanted = set(_shifted(ordinals, self._excluded))
        return [place for number, place in enumerate(self._records()) if number in wanted]

    def _scan(self, options: str, *, store: str = "", parsed: Mapping[str, str] | None = None) -> str:
        types = {name: duckdb_type(kind) for name, kind in (parsed or {}).items()}
        columns = ", ".join(f"{text(name)}: {text(types.get(name, 'VARCHAR'))}" for name in self._dialect.names)
        end = {"\n": "\\n", "\r\n": "\\r\\n", "\r": "\\r"}[self._end]
        return (
            f"read_csv({text(str(self._path))}, auto_detect=false, header=true, skip={self._dialect.skip},"
            f" columns={{{columns}}}, delim={text(self._dialect.delimiter)}, quote='\"', escape='\"',"
            f" new_line='{end}', allow_quoted_nulls=false, max_line_size={MAX_LINE_BYTES},"
            f" buffer_size={BUFFER_BYTES}, {options}{store})"
        )

    def _types(self, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
        """Infer types: a sample rules most of them out, the whole file decides on the rest."""
        sample = self._sample(connection)
        possible = self._possible(sample)
        tests: list[str] = []
        for place, (name, kinds) in enumerate(possible.items()):
            value = quoted(name)
            # Every column is counted, as the engine checks only what is asked for; values that fill it only until the
            # sample has one.
            filled = any(row[place] for row in sample)
            tests.append(f"count({value})" if filled else f"count_if({value} <> '')")
            # No FILTER clause here: each one costs the engine a buffer of all columns.
            for kind in kinds:
                fits = _infer.condition(kind, value, among=kinds)
                tests += [
                    f"coalesce(bool_and({value} = '' OR {fits}), true)",
                    f"coalesce(bool_and({value} IS NULL OR {fits}), true)",
                ]
        whole = self._scan("store_rejects=true", store=f", rejects_limit={2 * MAX_BAD_ROWS}")
        found = iter(connection.execute(f"SELECT {', '.join(tests)} FROM {whole}").fetchall()[0])  # noqa: S608 - quoted
        types: dict[str, str] = {}
        for name, kinds in possible.items():
            filled = next(found)
            answers = [(kind, next(found), next(found)) for kind in kinds]
            # Of each type that fits, whether it does with no quoted empty cell.
            held = {kind: strictly for kind, fits, strictly in answers if fits}
            types[name] = _infer.narrowest(held) if filled else "null"
            if types[name] in _PARSED and held[types[name]]:
                self._parsed[name] = types[name]
        return types

    def _sample(self, connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
        """Return the first rows that parse."""
        if self._sampled is None:
            limit = max(SAMPLE_CELLS // len(self._dialect.names), MIN_SAMPLE_ROWS)
            sample = f"SELECT * FROM {self._scan('ignore_errors=true')} LIMIT {limit}"  # noqa: S608 - quoted
            self._sampled = connection.execute(sample).fetchall()
        return self._sampled

    def _possible(self, sample: Sequence[tuple[Any, ...]]) -> dict[str, list[str]]:
        return {name: _infer.possible(row[place] for row in sample) for place, name in enumerate(self._dialect.names)}

    def _rejected(self, connection: duckdb.DuckDBPyConnection) -> list[Bad]:
        found = connection.execute(
            "SELECT line_byte_position - 1 AS start, arg_min(error_type, nth), arg_min(coalesce(column_name, ''), nth),"
            " arg_min(coalesce(error_message, ''), nth), left(arg_min(coalesce(csv_line, ''), nth), ?)"
            " FROM (SELECT *, coalesce(column_idx, 0) AS nth FROM reject_errors) GROUP BY start ORDER BY start",
            [RAW_CHARS],
        ).fetchall()
        if len(found) > MAX_BAD_ROWS:
            raise too_many()
        self._bad_starts = [start for start, *_ in found]
        numbers = line_numbers(self._path, self._end, self._bad_starts)
        return [
            Bad(number, column, self._reason(kind, message), raw.strip("\r\n"))
            for number, (_, kind, column, message, raw) in zip(numbers, found, strict=True)
        ]

    def _reason(self, kind: str, message: str) -> str:
        if kind in ("MISSING COLUMNS", "TOO MANY COLUMNS"):
            cells = message.rpartition(" ")[2]
            return f"has {cells} cells, the header has {len(self._dialect.names)}"
        return _REASONS.get(kind, message.partition("\n")[0])

    def _settle(self, types: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        """Fix each column's type, and which columns have values that do not fit it."""
        self._columns, self._refused = [], {}
        for name in self._dialect.names:
            kind, want = types[name], wanted.get(name)
            if form := self.forms.get(name):
                kind = _infer.FORMS[form]
                self._refused[name] = form
            elif want is None or want == "string":
                kind = "string" if want == "string" or kind == "null" else kind
            elif kind == "null":
                kind = want
            elif (wider := widened(want, kind)) is not None:
                kind = wider
            else:
                kind = want
                self._refused[name] = want
            self._columns.append(Column(name, kind))

    def _fitting(self) -> str:
        return " AND ".join(_fits(name, kind) for name, kind in self._refused.items()) or "true"

    def _misfits(self, connection: duckdb.DuckDBPyConnection) -> list[Bad]:
        """Find the rows with a value that cannot be read as its column's type."""
        if not self._refused:
            return []
        names = list(self._refused)
        values = ", ".join(quoted(name) for name in names)
        faults = ", ".join(f"NOT {_fits(name, self._refused[name])}" for name in names)
        rows, number = numbered(self._scan("ignore_errors=true"), self._dialect.names)
        found = connection.execute(
            f"SELECT {number}, {self._all()}, {values}, {faults} FROM ({rows})"  # noqa: S608 - every name is quoted
            f" WHERE NOT ({self._fitting()}) ORDER BY {number} LIMIT {MAX_BAD_ROWS + 1}"
        ).fetchall()
        if len(found) > MAX_BAD_ROWS:
            raise too_many()
        places = self.lines([row[0] for row in found])
        self._excluded = [row[0] for row in found]
        bad = []
        for (line, raw), (_, _, *cells) in zip(places, found, strict=True):
            first = cells.index(True, len(names)) - len(names)
            asked = self._refused[names[first]]
            reason = f"{cells[first][:80]!r} is not {_infer.SHOWN.get(asked, asked)}"
            bad.append(Bad(line, names[first], reason, raw))
        return bad

    def _records(self) -> Iterator[tuple[int, str]]:
        """Walk the rows that parse: line number and text of each."""
        bad = set(self._bad_starts)
        header = True
        for start, number, record in records(self._path, self._dialect, self._end):
            blank = not record.strip(b"\r\n") and len(self._dialect.names) > 1
            if header or blank or start in bad:
                header = header and blank
                continue
            yield number, record.decode("utf-8", "replace").strip("\r\n")[:RAW_CHARS]


def _engine(*, threads: int = 2) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config={"threads": threads, "memory_limit": "512MB"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _fits(name: str, kind: str) -> str:
    return f"(coalesce({quoted(name)}, '') = '' OR {_infer.condition(kind, quoted(name))})"


def _shifted(ordinals: Iterable[int], excluded: Sequence[int]) -> Iterator[int]:
    """Turn positions among the rows that were kept into positions among all; both ascend."""
    gone = iter([*excluded, None])
    following = next(gone)
    skipped = 0
    for ordinal in ordinals:
        while following is not None and following <= ordinal + skipped:
            skipped += 1
            following = next(gone)
        yield ordinal + skipped
