"""Where somebody appears: the rows of every dataset that are about them, and what those rows hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from lakehouse.ledger.base import Appearance
from lakehouse.ledger.witness import Shape

Query = Callable[[str], Any]


class Found(msgspec.Struct, frozen=True):
    """Rows of one dataset that are about somebody, as JSON values by column."""

    appearance: Appearance
    rows: list[dict[str, Any]]


class People:
    """Looks people up in the datasets that corpora are made from.

    Args:
        corpora: Gives the corpora there are.
        query: Runs SQL over the datasets and returns columns and rows.
    """

    def __init__(self, corpora: Callable[[], Sequence[Shape]], query: Query) -> None:
        self._corpora = corpora
        self._query = query

    def find(self, id: str) -> list[Found]:
        """Return the rows about somebody, by dataset; those without any left out."""
        found: dict[tuple[str, str, str], Found] = {}
        for shape, value in self._values(id):
            key = (shape.dataset, shape.id_column, value)
            if key not in found:
                rows = self._rows(shape.dataset, shape.id_column, value)
                if rows:
                    place = Appearance(dataset=key[0], column=key[1], value=value, rows=len(rows))
                    found[key] = Found(place, rows)
        return list(found.values())

    def shared(self, dataset: str, column: str, text: str, *, but: Appearance) -> bool:
        """Tell whether rows of others hold a text in a column too."""
        sql = (
            f"SELECT count(*) FROM {quoted(dataset)} WHERE contains(CAST({quoted(column)} AS VARCHAR), {literal(text)})"  # noqa: S608
            f" AND CAST({quoted(but.column)} AS VARCHAR) <> {literal(but.value)}"
        )
        return bool(self._query(sql).rows[0][0])

    def _values(self, id: str) -> Iterator[tuple[Shape, str]]:
        for shape in self._corpora():
            if id.startswith(shape.id_prefix):
                # The dataset may hold the id with its prefix or without.
                yield shape, id
                yield shape, id.removeprefix(shape.id_prefix)

    def _rows(self, dataset: str, column: str, value: str) -> list[dict[str, Any]]:
        sql = f"SELECT * FROM {quoted(dataset)} WHERE CAST({quoted(column)} AS VARCHAR) = {literal(value)}"  # noqa: S608
        result = self._query(sql)
        names = [named.name for named in result.columns]
        return [dict(zip(names, row, strict=True)) for row in result.rows]


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL."""
    return "'" + text.replace("'", "''") + "'"
