"""Pathways in the state database: one row per change, never altered."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    String,
    Table,
    Text,
    func,
    select,
)

from lakehouse.memory.pathways import Pathway

ROOM = "pathways"
metadata = MetaData()

changes = Table(
    "pathway_changes",
    metadata,
    Column("uid", String(64), nullable=False),
    Column("change", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("task", Text, nullable=False),
    Column("steps", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    # What was asked for by content: the same content added again is the same pathway.
    Column("content", String(64), nullable=False),
    PrimaryKeyConstraint("uid", "change"),
    Index("pathway_changes_content", "content"),
)

_FIELDS = Pathway.__struct_fields__
_JSON = ("steps", "tags")


def _pathway(row: Sequence[Any]) -> Pathway:
    values = dict(zip(_FIELDS, row, strict=True))
    return msgspec.convert(values | {name: msgspec.json.decode(values[name]) for name in _JSON}, Pathway)


def append(connection: Connection, pathway: Pathway, content: str) -> None:
    """Add a change."""
    values = msgspec.structs.asdict(pathway)
    encoded = {name: msgspec.json.encode(values[name]).decode() for name in _JSON}
    connection.execute(changes.insert().values(**{**values, **encoded, "content": content}))


def history(connection: Connection, uid: str) -> list[Pathway]:
    """Return all changes of a pathway, oldest first; none when there is no such pathway."""
    query = select(*(changes.c[name] for name in _FIELDS)).where(changes.c.uid == uid).order_by(changes.c.change)
    return [_pathway(row) for row in connection.execute(query)]


@functools.cache
def _latest() -> Select[Any]:
    last = select(changes.c.uid, func.max(changes.c.change).label("change")).group_by(changes.c.uid).subquery()
    return (
        select(*(changes.c[name] for name in _FIELDS))
        .join(last, (changes.c.uid == last.c.uid) & (changes.c.change == last.c.change))
        .order_by(changes.c.uid)
    )


def latest(connection: Connection) -> list[Pathway]:
    """Return every pathway as it is now, by uid."""
    return [_pathway(row) for row in connection.execute(_latest())]


def of_content(connection: Connection, content: str) -> list[str]:
    """Return the uids of pathways that were added with this content, in the order they were added."""
    query = select(changes.c.uid).where(changes.c.content == content, changes.c.change == 1)
    return list(connection.scalars(query.order_by(changes.c.created_at, changes.c.uid)))


def count(connection: Connection) -> int:
    """Return the number of changes."""
    return connection.scalar(select(func.count()).select_from(changes)) or 0
