"""Where somebody appears: the rows of every dataset that are about them, and what those rows hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from lakehouse.ledger.base import Appearance
from lakehouse.ledger.pieces import number_of
from lakehouse.staffing import worker
from lakehouse.staffing.worker import CorpusShape

Query = Callable[[str], Any]
# A statement may have 200,000 characters; texts of a person are far shorter than a fiftieth of that.
_TEXTS_A_STATEMENT = 50
_PEOPLE = frozenset("worker employee person candidate associate staff subject applicant talent temp who".split())
_WORDS = re.compile(r"[a-z]+")
# Column of a quarantine with a whole line as it came.
_RAW = "raw"


class Found(msgspec.Struct, frozen=True):
    """Rows of one dataset that are about somebody, as JSON values by column."""

    appearance: Appearance
    rows: list[dict[str, Any]]


class People:
    """Looks people up in the datasets.

    In those that corpora are made from by their id. In the others by e-mail addresses that are nobody else's, and by
    their id as it stands in the corpus, with its prefix, in columns that are named after people (`worker_id`, or as the
    corpus' own id column): that is how copies of a roster and lists made from it are found. A code that looks like an
    id in another column (`site`) is none.

    Args:
        corpora: Gives the corpora there are.
        query: Runs SQL over the datasets and returns columns and rows.
        columns: Gives the names of the columns that hold text, by dataset.
    """

    def __init__(
        self,
        corpora: Callable[[], Sequence[CorpusShape]],
        query: Query,
        columns: Callable[[], Mapping[str, Sequence[str]]] = dict,
    ) -> None:
        self._corpora = corpora
        self._query = query
        self._columns = columns

    def find(self, id: str) -> list[Found]:
        """Return the rows about somebody, by dataset; those without any left out."""
        found: dict[tuple[str, str, str], Found] = {}
        for shape, value in self._values(id):
            key = (shape.dataset, shape.id_column, value)
            if key not in found:
                rows = self._rows(*key)
                if rows:
                    found[key] = _found(key, rows)
        corpora = {shape.dataset for shape in self._corpora()}
        others = {name: columns for name, columns in self._columns().items() if columns and name not in corpora}
        if others:
            contacts = self._contacts(found.values())
            named = {shape.id_column for shape in self._corpora() if id.startswith(shape.id_prefix)}
            for dataset, columns in others.items():
                about = [column for column in columns if column in named or _is_about_people(column)]
                found.update(self._elsewhere(dataset, columns, about, id=id, contacts=contacts))
        return list(found.values())

    def shared(
        self, dataset: str, columns: Sequence[str], texts: Sequence[str], *, but: Sequence[Appearance]
    ) -> set[str]:
        """Return which of some texts rows of others than those of `but` hold too, in whatever column.

        Telephone numbers are compared by their digits, everything else without regard to case.
        """
        values: dict[str, list[str]] = {}
        for place in but:
            if place.dataset == dataset:
                values.setdefault(place.column, []).append(place.value)
        others = " AND ".join(
            f"coalesce(CAST({quoted(name)} AS VARCHAR), '') NOT IN ({_listed(those)})" for name, those in values.items()
        )
        held = ", ".join(f"CAST({quoted(column)} AS VARCHAR)" for column in columns)
        found: set[str] = set()
        for start in range(0, len(texts), _TEXTS_A_STATEMENT):
            some = texts[start : start + _TEXTS_A_STATEMENT]
            sought = ", ".join(f"({literal(text)}, {literal(number_of(text))})" for text in some)
            # A text without a number must not be found in every row, nor a number across two columns.
            sql = (
                f"WITH held AS MATERIALIZED (SELECT lower(concat_ws('|', {held})) AS words,"  # noqa: S608 - quoted
                f" regexp_replace(concat_ws('|', {held}), '[^0-9|]', '', 'g') AS digits"
                f" FROM {quoted(dataset)} WHERE {others or 'true'})"
                f" SELECT text FROM (VALUES {sought}) AS sought(text, number) WHERE EXISTS (SELECT 1 FROM held WHERE"
                f" CASE WHEN number = '' THEN contains(words, lower(text)) ELSE contains(digits, number) END)"
            )
            found.update(row[0] for row in self._query(sql).rows)
        return found

    def _contacts(self, found: Iterable[Found]) -> list[str]:
        """Return the e-mail addresses in rows, when nobody else has them."""
        told: list[str] = []
        for each in found:
            for column in {name for row in each.rows for name in row if worker.is_personal(name)}:
                values = {row[column] for row in each.rows if isinstance(row[column], str) and "@" in row[column]}
                if values:
                    others = self.shared(each.appearance.dataset, [column], [*values], but=[each.appearance])
                    told += sorted(values - others)
        return told

    def _elsewhere(
        self, dataset: str, columns: Sequence[str], about: Sequence[str], *, id: str, contacts: Sequence[str]
    ) -> Iterator[tuple[tuple[str, str, str], Found]]:
        told = {text.casefold() for text in contacts}
        ways = [f"lower({quoted(column)}) IN ({_listed(told)})" for column in columns if told]
        ways += [f"{quoted(column)} = {literal(id)}" for column in about]
        if _RAW in columns:
            ways += [f"contains(lower({_RAW}), {literal(text)})" for text in told]
        by_key: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for row in self._given(f"SELECT * FROM {quoted(dataset)} WHERE {' OR '.join(ways)}") if ways else ():  # noqa: S608
            column = next((name for name in columns if str(row[name]).casefold() in told), "")
            column = column or next((name for name in about if row[name] == id), _RAW)
            by_key.setdefault((dataset, column, row[column]), []).append(row)
        for key, rows in by_key.items():
            yield key, _found(key, rows)

    def _values(self, id: str) -> Iterator[tuple[CorpusShape, str]]:
        for shape in self._corpora():
            if id.startswith(shape.id_prefix):
                # The dataset may hold the id with its prefix or without.
                yield shape, id
                yield shape, id.removeprefix(shape.id_prefix)

    def _rows(self, dataset: str, column: str, value: str) -> list[dict[str, Any]]:
        return self._given(
            f"SELECT * FROM {quoted(dataset)} WHERE CAST({quoted(column)} AS VARCHAR) = {literal(value)}"  # noqa: S608
        )

    def _given(self, sql: str) -> list[dict[str, Any]]:
        result = self._query(sql)
        names = [named.name for named in result.columns]
        return [dict(zip(names, row, strict=True)) for row in result.rows]


def _found(key: tuple[str, str, str], rows: list[dict[str, Any]]) -> Found:
    return Found(Appearance(dataset=key[0], column=key[1], value=key[2], rows=len(rows)), rows)


def _is_about_people(column: str) -> bool:
    return bool(_PEOPLE & set(_WORDS.findall(column.casefold())))


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(literal, texts))
