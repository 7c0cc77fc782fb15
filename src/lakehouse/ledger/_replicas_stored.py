"""Replicas, and whom each has still to erase, in the state database that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Column, Connection, Index, Integer, MetaData, String, Table, delete, select

ROOM = "replicas"
metadata = MetaData()

replicas = Table("replicas", metadata, Column("id", String(16), primary_key=True))
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


def join(connection: Connection, id: str) -> None:
    """Add a replica."""
    connection.execute(replicas.insert().values(id=id))


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
