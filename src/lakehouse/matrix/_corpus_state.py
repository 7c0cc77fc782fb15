"""Corpus definitions in the state database."""

from __future__ import annotations

import msgspec
from sqlalchemy import Column, Connection, MetaData, String, Table, delete, select

from lakehouse.matrix.base import Corpus

ROOM = "corpora"
metadata = MetaData()

corpora = Table(
    "corpora",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("definition", String, nullable=False),
)


def all_corpora(connection: Connection) -> list[Corpus]:
    """Return every corpus as last built, by name."""
    found = connection.execute(select(corpora.c.definition).order_by(corpora.c.name))
    return [msgspec.json.decode(row[0], type=Corpus) for row in found]


def put(connection: Connection, corpus: Corpus) -> None:
    """Insert or replace a corpus."""
    connection.execute(delete(corpora).where(corpora.c.name == corpus.name))
    connection.execute(corpora.insert().values(name=corpus.name, definition=msgspec.json.encode(corpus).decode()))


def remove(connection: Connection, name: str) -> None:
    """Remove a corpus, if there is one of that name."""
    connection.execute(delete(corpora).where(corpora.c.name == name))
