"""Replicas, and whom each has still to erase, in the state database that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Column, Connection, Index, Integer, MetaData, String, Table, delete, select, text, update

from lakehouse.state.database import Migration

ROOM = "replicas"
metadata = MetaData()

replicas = Table(
    "replicas",
    metadata,
    Column("id", String(16), primary_key=True),
    # What it embeds with, empty when it was started by an edition that did not say.
    Column("model", String(200), nullable=False, server_default=""),
    # Likewise, what tells its catalog and the keys of its ledger from others.
    Column("catalog", String(64), nullable=False, server_default=""),
    Column("keys", String(64), nullable=False, server_default=""),
)
erasures = Table(
    "replica_erasures",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("replica", String(16), nullable=False),
    Column("subject", String(512), nullable=False),
    # Sealed, and gone when the replica has done it.
    Column("person", String, nullable=False),
    Index("replica_erasures_replica", "replica"),
)


def _add_model(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE replicas ADD COLUMN model VARCHAR(200) DEFAULT '' NOT NULL"))


def _add_catalog_and_keys(connection: Connection) -> None:
    for name in ("catalog", "keys"):
        connection.execute(text(f"ALTER TABLE replicas ADD COLUMN {name} VARCHAR(64) DEFAULT '' NOT NULL"))


MIGRATIONS = (Migration(2, _add_model), Migration(3, _add_catalog_and_keys))


class Common(msgspec.Struct, frozen=True):
    """What must be the same for all replicas; empty where one has not said."""

    model: str
    catalog: str
    keys: str


def join(connection: Connection, id: str) -> None:
    """Add a replica."""
    connection.execute(replicas.insert().values(id=id))


def say(connection: Connection, id: str, common: Common) -> None:
    """Note what a replica has that must be the same for all."""
    connection.execute(update(replicas).where(replicas.c.id == id).values(msgspec.structs.asdict(common)))


def said(connection: Connection) -> dict[str, Common]:
    """Return what replicas have, by their ids."""
    c = replicas.c
    found = connection.execute(select(c.id, c.model, c.catalog, c["keys"]).order_by(c.id))
    return {id: Common(model, catalog, keys) for id, model, catalog, keys in found}


def known(connection: Connection) -> list[str]:
    """Return the ids of all replicas, in order."""
    return [str(id) for id in connection.scalars(select(replicas.c.id).order_by(replicas.c.id))]


def leave(connection: Connection, others: Sequence[str], sealed: Mapping[str, str]) -> None:
    """Add what others have to erase: sealed people by subject."""
    rows = [
        {"replica": replica, "subject": subject, "person": person}
        for replica in others
        for subject, person in sealed.items()
    ]
    if rows:
        connection.execute(erasures.insert(), rows)


def waiting(connection: Connection, replica: str) -> list[tuple[int, str]]:
    """Return what a replica has to erase, each with its number, oldest first."""
    c = erasures.c
    found = connection.execute(select(c.number, c.person).where(c.replica == replica).order_by(c.number))
    return [(row.number, row.person) for row in found]


def done(connection: Connection, numbers: Sequence[int]) -> None:
    """Remove what a replica has erased."""
    connection.execute(delete(erasures).where(erasures.c.number.in_(numbers)))
