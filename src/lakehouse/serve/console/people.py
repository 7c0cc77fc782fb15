"""Finding people by a name or an id, through the datasets that corpora are made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from lakehouse.app import Lakehouse
from lakehouse.errors import LakehouseError
from lakehouse.matrix.base import Corpus, Wanted

_MOST = 12
_WORDS = 6


class Somebody(msgspec.Struct, frozen=True, kw_only=True):
    """A person as a list shows them: who, what, where; empty where the roster does not say."""

    id: str
    corpus: str
    name: str = ""
    role: str = ""
    place: str = ""


def find(lake: Lakehouse, corpora: Sequence[Corpus], text: str) -> list[Somebody]:
    """Return people whose id is `text`, or whose name holds each of its words; at most twelve, by name, then id.

    Raises:
        LakehouseError: As `sql.query` does.
    """
    words = text.split()[:_WORDS]
    if not words:
        return []
    found: list[Somebody] = []
    for corpus in corpora:
        named = [f"name ILIKE {literal('%' + _plain(word) + '%')} ESCAPE '\\'" for word in words]
        by_name = " AND ".join(named) if "name" in corpus.metadata_columns else "false"
        ids = {text, text.removeprefix(corpus.id_prefix)}
        by_id = f"CAST({quoted(corpus.id_column)} AS VARCHAR) IN ({', '.join(map(literal, sorted(ids)))})"
        found += _asked(lake, corpus, f"({by_id}) OR ({by_name})")
    exact = [one for one in found if one.id == text]
    return (exact or sorted(found, key=lambda one: (one.name, one.id)))[:_MOST]


def named(lake: Lakehouse, wanted: Iterable[tuple[str, str]]) -> dict[str, Somebody]:
    """Return who stands behind corpus and id; people who are gone from their corpus are left out."""
    asked = [Wanted(corpus, id) for corpus, id in dict.fromkeys(wanted)]
    try:
        found = lake.corpora.people(asked).people if asked else []
    except LakehouseError:
        # A name is a comfort; without it the id stands alone.
        return {}
    return {
        one.id: Somebody(
            id=one.id,
            corpus=one.corpus,
            name=one.name,
            role=one.role,
            place=", ".join(filter(None, (one.city, one.state))),
        )
        for one in found
    }


def literal(text: str) -> str:
    """Return a text as it stands in SQL.

    >>> literal("O'Neil")
    "'O''Neil'"
    """
    return "'" + text.replace("\x00", "").replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Return the name of a column as it stands in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _asked(lake: Lakehouse, corpus: Corpus, condition: str, *, most: int = _MOST) -> list[Somebody]:
    shown = [column for column in ("name", "role", "city", "state") if column in corpus.metadata_columns]
    columns = ", ".join(map(quoted, [corpus.id_column, *shown]))
    order = ", ".join(map(quoted, [*shown[:1], corpus.id_column]))
    result = lake.sql.query(
        sql=f"SELECT {columns} FROM {quoted(corpus.dataset)} WHERE {condition} ORDER BY {order}",  # noqa: S608
        limit=most,
    )
    return [_somebody(corpus, dict(zip(["id", *shown], row, strict=True))) for row in result.rows]


def _somebody(corpus: Corpus, row: dict[str, Any]) -> Somebody:
    said = {name: "" if value is None else str(value) for name, value in row.items()}
    id = said["id"]
    return Somebody(
        id=id if id.startswith(corpus.id_prefix) else corpus.id_prefix + id,
        corpus=corpus.name,
        name=said.get("name", ""),
        role=said.get("role", ""),
        place=", ".join(filter(None, (said.get("city"), said.get("state")))),
    )


def _plain(word: str) -> str:
    """Return a word that LIKE takes for itself."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
