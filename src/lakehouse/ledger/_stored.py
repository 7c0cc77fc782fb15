"""What was said about subjects, in the state database."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Column, Connection, MetaData, String, Table, select, update

from lakehouse.ledger.base import Consent

ROOM = "ledger"
metadata = MetaData()

subjects = Table(
    "subjects",
    metadata,
    Column("id", String(512), primary_key=True),
    Column("said", String, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    Column("erased_at", String(40)),
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a manifest that somebody wrote; the rest is looked up."""

    identity: str = ""
    purposes: Sequence[str] = ()
    consent: Consent = "unknown"
    retain_until: str | None = None
    legal_hold: str = ""


class Stored(msgspec.Struct, frozen=True):
    """A row."""

    said: Said
    created_at: str
    updated_at: str
    erased_at: str | None


def get(connection: Connection, id: str) -> Stored | None:
    """Return what was said about a subject."""
    row = connection.execute(select(subjects).where(subjects.c.id == id)).one_or_none()
    return Stored(msgspec.json.decode(row.said, type=Said), *row[2:]) if row else None


def put(connection: Connection, id: str, said: Said, now: str) -> None:
    """Insert or replace what is said about a subject, keeping `created_at`."""
    values = {"said": msgspec.json.encode(said).decode(), "updated_at": now}
    changed = connection.execute(update(subjects).where(subjects.c.id == id).values(**values, erased_at=None))
    if changed.rowcount == 0:
        connection.execute(subjects.insert().values(id=id, created_at=now, **values))


def erase(connection: Connection, id: str, now: str) -> None:
    """Forget what was said about a subject, and note when."""
    put(connection, id, Said(), now)
    connection.execute(update(subjects).where(subjects.c.id == id).values(erased_at=now))


def erased(connection: Connection) -> list[str]:
    """Return the ids of everybody who was erased, in order."""
    found = select(subjects.c.id).where(subjects.c.erased_at.is_not(None)).order_by(subjects.c.id)
    return [str(row.id) for row in connection.execute(found)]
