"""Whom the rows of a statement show, whatever its columns are called: by what they come from, and by what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.lake._lineage import Origin
from lakehouse.lake._relation import quoted, text
from lakehouse.staffing import worker
from lakehouse.staffing.worker import CorpusShape

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakehouse.lake.query import Query

# No dataset can have this name.
ROWS = "shown rows"
_QUARANTINE = "_quarantine"
# Shorter values are of everybody.
_LEAST_VALUE = 5
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")


class Shown(msgspec.Struct, frozen=True):
    """A statement, the snapshots it asked for, and what it gave.

    Attributes:
        refused: It gave no rows but an engine's words, which tell of values that it met (see `words`).
    """

    sql: str
    snapshots: Mapping[str, int]
    table: pa.Table
    refused: bool = False


def words(reason: str) -> pa.Table:
    """Return what an engine says of a statement that failed as a result: its words, and the values in them."""
    import pyarrow as pa

    values = [reason, reason.partition(": ")[2], *(one or other for one, other in _QUOTED.findall(reason))]
    return pa.table({"error": pa.array(values, pa.string())})


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a result holds of the people of a dataset.

    Attributes:
        ids: Of people who are shown, as text and as the dataset has them; in order.
        reads: The statement reads the dataset, or the lines of its files that could not be read.
        whole: `ids` names everybody the result shows. Otherwise it may hold something of others, of whom it does not
            tell who they are.
        columns: Columns of the dataset that are shown, under whatever names.
    """

    ids: list[str] = []
    reads: bool = False
    whole: bool = False
    columns: frozenset[str] = frozenset()


class _Look(msgspec.Struct, frozen=True):
    """What is looked for in a result."""

    cursor: duckdb.DuckDBPyConnection
    table: pa.Table
    corpus: CorpusShape
    origins: Sequence[Origin]

    @property
    def dataset(self) -> str:
        return self.corpus.dataset

    @property
    def id(self) -> str:
        return self.corpus.id_column.casefold()


def people_of(query: Query, shown: Shown, corpus: CorpusShape) -> Held:
    """Find the people of a corpus in a result.

    - Where a column comes from the id column, by aliases, subqueries or functions that give one of the values they are
      given, its values are ids.
    - A text that is a name, an address or another personal value of one person alone shows that person, and so does an
      id with its prefix anywhere in a text, also in the rows of logs.
    - What an engine says of a statement that failed is a text as well, and so is each value that it quotes.
    - Without ids, a row whose values, in the columns they come from, fit one person alone shows that person.

    What an expression computes of these (`pay + 1`) is not found; `whole` is false then.

    Args:
        query: Ran the statement.
        shown: What it gave.
        corpus: Of the people.

    Raises:
        DeadlineExceeded, LimitExceeded, Unavailable: As a statement.
    """
    from lakehouse.lake import _lineage, _statement

    dataset = corpus.dataset
    if not _texts_of(shown.table) and dataset not in shown.sql.casefold():
        # Nothing of it can be there; most statements over other datasets end here.
        return Held()
    fields = {name.casefold(): kind for name, kind in query.columns(dataset, shown.snapshots).items()}
    if corpus.id_column.casefold() not in fields:
        return Held()
    with query.beside(shown) as cursor:
        nodes = _statement.nodes(cursor, shown.sql)
        read = _lineage.tables(nodes)
        if dataset not in read:
            look = _Look(cursor, shown.table, corpus, ())
            return Held(ids=sorted(_named(look)), reads=dataset + _QUARANTINE in read)
        texts = [name for name, kind in fields.items() if kind == "string"]
        if shown.refused:
            # Whatever the words are made of: no column of theirs is one of the statement's.
            look = _Look(cursor, shown.table, corpus, ())
            return Held(
                ids=sorted({*_named(look), *_told(look, texts)}), reads=True, columns=_lineage.named(nodes, fields)
            )
        look = _Look(
            cursor, shown.table, corpus, _lineage.origins(nodes, dataset, list(fields), shown.table.column_names)
        )
        return _held(look, texts)


def _held(look: _Look, texts: Sequence[str]) -> Held:
    keys = [at for at, origin in enumerate(look.origins) if look.id in origin.columns]
    columns: frozenset[str] = frozenset().union(*(origin.columns for origin in look.origins))
    if not look.table.num_rows:
        return Held(reads=True, whole=bool(keys), columns=columns)
    found = {*_named(look), *_told(look, texts), *(_keyed(look, keys) if keys else _fitting(look))}
    return Held(ids=sorted(found), reads=True, whole=bool(keys), columns=columns)


def _keyed(look: _Look, keys: Sequence[int]) -> Iterator[str]:
    values = [*_values(look.table, keys)]
    if values:
        yield from _ids(look, f"{_text(look.id)} IN ({' UNION ALL '.join(values)})")


def _told(look: _Look, texts: Sequence[str]) -> Iterator[str]:
    """Yield the ids of those of whom a text of the result tells."""
    values = [*_values(look.table, _texts_of(look.table))]
    personal = [name for name in texts if worker.is_personal(name) or name == look.id]
    if not values:
        return
    sought = f"SELECT DISTINCT lower(v) AS v FROM ({' UNION ALL '.join(values)})"  # noqa: S608 - columns by number
    for name in personal:
        least = 1 if name == look.id else _LEAST_VALUE
        column = f"lower({quoted(name)})"
        sql = (
            f"SELECT any_value({_text(look.id)}) FROM {quoted(look.dataset)} WHERE length({column}) >= {least}"  # noqa: S608 - quoted
            f" AND {column} IN ({sought}) GROUP BY {column} HAVING count(DISTINCT {quoted(look.id)}) = 1"
        )
        yield from (str(row[0]) for row in look.cursor.execute(sql).fetchall())


def _named(look: _Look) -> Iterator[str]:
    """Yield the ids that stand with their prefix in a text of the result."""
    prefix = look.corpus.id_prefix
    values = [*_values(look.table, _texts_of(look.table))]
    if len(prefix) < 2 or not values:
        return
    ids = f"(?:^|[^\\pL\\pN_]){re.escape(prefix)}([\\pL\\pN_-]+)"
    found = (
        f"SELECT DISTINCT unnest(regexp_extract_all(v, {text(ids)}, 1)) AS v FROM ({' UNION ALL '.join(values)})"  # noqa: S608
        f" WHERE contains(v, {text(prefix)})"
    )
    held = _text(look.id)
    yield from _ids(look, f"{held} IN ({found}) OR {held} IN (SELECT {text(prefix)} || v FROM ({found}))")  # noqa: S608


def _fitting(look: _Look) -> Iterator[str]:
    """Yield the ids of those who alone have the values of a row."""
    pairs = [
        (f"CAST(c{at} AS VARCHAR)", next(iter(origin.columns)))
        for at, origin in enumerate(look.origins)
        if origin.plain and len(origin.columns) == 1 and _is_single(look.table.schema.field(at).type)
    ]
    if not pairs:
        return
    shown = ", ".join(f"{value} AS k{nth}" for nth, (value, _) in enumerate(pairs))
    some = " OR ".join(f"k{nth} IS NOT NULL" for nth in range(len(pairs)))
    held = ", ".join(f"{_text(column)} AS k{nth}" for nth, (_, column) in enumerate(pairs))
    same = " AND ".join(f"h.k{nth} IS NOT DISTINCT FROM s.k{nth}" for nth in range(len(pairs)))
    sql = (
        f"WITH s AS (SELECT DISTINCT {shown} FROM {quoted(ROWS)}),"  # noqa: S608 - quoted
        f" h AS (SELECT {held}, any_value({_text(look.id)}) AS id FROM {quoted(look.dataset)} GROUP BY ALL_KEYS"
        f" HAVING count(DISTINCT {quoted(look.id)}) = 1)"
        f" SELECT DISTINCT h.id FROM h SEMI JOIN (SELECT * FROM s WHERE {some}) s ON {same}"
    ).replace("ALL_KEYS", ", ".join(f"k{nth}" for nth in range(len(pairs))))
    yield from (str(row[0]) for row in look.cursor.execute(sql).fetchall())


def _ids(look: _Look, condition: str) -> Iterator[str]:
    sql = f"SELECT DISTINCT {_text(look.id)} FROM {quoted(look.dataset)} WHERE {condition}"  # noqa: S608 - quoted
    yield from (str(row[0]) for row in look.cursor.execute(sql).fetchall())


def _values(table: pa.Table, columns: Sequence[int]) -> Iterator[str]:
    """Yield statements for the values of columns as text, `v`; those of lists one by one."""
    import pyarrow as pa

    for at in columns:
        kind = table.schema.field(at).type
        if _is_single(kind):
            yield f"SELECT CAST(c{at} AS VARCHAR) AS v FROM {quoted(ROWS)}"  # noqa: S608 - a constant
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            yield f"SELECT CAST(u AS VARCHAR) AS v FROM (SELECT unnest(c{at}) AS u FROM {quoted(ROWS)})"  # noqa: S608


def _texts_of(table: pa.Table) -> list[int]:
    import pyarrow as pa

    def holds_text(kind: Any) -> bool:
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return holds_text(kind.value_type)
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))

    return [at for at, field in enumerate(table.schema) if holds_text(field.type)]


def _is_single(kind: Any) -> bool:
    import pyarrow as pa

    return not pa.types.is_nested(kind)


def _text(column: str) -> str:
    return f"CAST({quoted(column)} AS VARCHAR)"
