"""Playbook rows in the state database: the truth that the index over them is derived from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    func,
    select,
    update,
)

from lakehouse.memory.base import Playbook

ROOM = "memory"
metadata = MetaData()

playbooks = Table(
    "playbooks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("namespace", String(64), nullable=False),
    Column("query_text", String, nullable=False),
    Column("answer_id", String(512), nullable=False),
    Column("corpus", String(128), nullable=False),
    Column("score", Float, nullable=False),
    Column("role", String, nullable=False),
    Column("role_code", String(16), nullable=False),
    Column("city", String, nullable=False),
    Column("state", String(2), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    # True while the derived index may not hold this row yet; a crash in between is mended at the next start.
    Column("pending", Boolean, nullable=False),
    Index("playbooks_namespace", "namespace", "updated_at"),
    Index("playbooks_pending", "pending"),
)

shares = Table(
    "playbook_shares",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("reader", String(64), nullable=False),
    PrimaryKeyConstraint("owner", "reader"),
)

_FIELDS = Playbook.__struct_fields__


def _playbook(row: Sequence[object]) -> Playbook:
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Playbook)


def _columns() -> list[Column[str]]:
    return [playbooks.c[name] for name in _FIELDS]


def by_ids(connection: Connection, ids: Iterable[str]) -> dict[str, Playbook]:
    """Return the rows that exist, by id."""
    found = connection.execute(select(*_columns()).where(playbooks.c.id.in_(list(ids))))
    return {row[0]: _playbook(row) for row in found}


def of_namespaces(connection: Connection, namespaces: Iterable[str]) -> list[Playbook]:
    """Return the rows of these namespaces, newest change first, ties by id."""
    query = (
        select(*_columns())
        .where(playbooks.c.namespace.in_(list(namespaces)))
        .order_by(playbooks.c.updated_at.desc(), playbooks.c.id)
    )
    return [_playbook(row) for row in connection.execute(query)]


def counts(connection: Connection) -> dict[str, int]:
    """Return the number of rows of every namespace."""
    query = select(playbooks.c.namespace, func.count()).group_by(playbooks.c.namespace)
    return {row[0]: row[1] for row in connection.execute(query)}


def pending(connection: Connection) -> list[Playbook]:
    """Return the rows that the index may not hold yet, by id."""
    query = select(*_columns()).where(playbooks.c.pending).order_by(playbooks.c.id)
    return [_playbook(row) for row in connection.execute(query)]


def put(connection: Connection, entry: Playbook) -> None:
    """Insert the row, or replace the one with its id, keeping its `created_at`; marks it pending."""
    values = {**msgspec.structs.asdict(entry), "pending": True}
    later = {name: value for name, value in values.items() if name not in {"id", "created_at"}}
    changed = connection.execute(update(playbooks).where(playbooks.c.id == entry.id).values(**later))
    if changed.rowcount == 0:
        connection.execute(playbooks.insert().values(**values))


def settle(connection: Connection, ids: Iterable[str]) -> None:
    """Note that the index holds these rows."""
    wanted = list(ids)
    if wanted:
        connection.execute(update(playbooks).where(playbooks.c.id.in_(wanted)).values(pending=False))


def remove(connection: Connection, ids: Iterable[str]) -> int:
    """Delete rows; returns how many there were."""
    return connection.execute(delete(playbooks).where(playbooks.c.id.in_(list(ids)))).rowcount


def all_shares(connection: Connection) -> dict[str, list[str]]:
    """Return, for every namespace that may use others, whose entries those are, sorted."""
    found: dict[str, list[str]] = {}
    for owner, reader in connection.execute(select(shares.c.owner, shares.c.reader).order_by(shares.c.owner)):
        found.setdefault(reader, []).append(owner)
    return found


def share(connection: Connection, owner: str, reader: str) -> bool:
    """Let `reader` use the entries of `owner`; returns whether that is new."""
    if owner in all_shares(connection).get(reader, []):
        return False
    connection.execute(shares.insert().values(owner=owner, reader=reader))
    return True
