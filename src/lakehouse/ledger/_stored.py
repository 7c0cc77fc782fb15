"""What was said about subjects, in the state database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Column, Connection, MetaData, String, Table, delete, select, update

from lakehouse.ledger.base import Consent
from lakehouse.state.database import Migration

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
# By whom keyed digests speak, and which columns of which dataset they are of (empty for contact data).
digests = Table(
    "subjects_erased",
    metadata,
    Column("subject", String(512), primary_key=True),
    Column("digest", String(64), primary_key=True),
)
columns = Table(
    "subjects_erased_columns",
    metadata,
    Column("dataset", String(64), primary_key=True),
    Column("name", String(512), primary_key=True),
)
# What an erasure under way needs to be gone on with; nothing stays of it afterwards.
erasures = Table(
    "subjects_erasures",
    metadata,
    Column("subject", String(512), primary_key=True),
    Column("person", String, nullable=False),
)
# Names of tables whose texts an erasure must not write over: it would change the erasure itself, or who may come in.
KEPT = frozenset({"subjects", digests.name, columns.name, erasures.name})
MIGRATIONS = (Migration(2, lambda connection: metadata.create_all(connection, [digests, columns, erasures])),)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a manifest that somebody wrote; the rest is looked up."""

    identity: str = ""
    purposes: Sequence[str] = ()
    consent: Consent = "unknown"
    retain_until: str | None = None
    legal_hold: str = ""


class Stored(msgspec.Struct, frozen=True):
    """A row; `said` is sealed."""

    said: str
    created_at: str
    updated_at: str
    erased_at: str | None


def get(connection: Connection, id: str) -> Stored | None:
    """Return what was said about a subject."""
    row = connection.execute(select(subjects).where(subjects.c.id == id)).one_or_none()
    return Stored(*row[1:]) if row else None


def all_said(connection: Connection) -> list[tuple[str, str]]:
    """Return what was said, sealed, about every subject that is not erased, by id."""
    return [
        (id, said)
        for id, said in connection.execute(
            select(subjects.c.id, subjects.c.said).where(subjects.c.erased_at.is_(None)).order_by(subjects.c.id)
        )
    ]


def put(connection: Connection, id: str, said: str, now: str, *, back: bool = False) -> None:
    """Insert or replace what is said about a subject, keeping `created_at`; who is back is no longer erased."""
    values: dict[str, str | None] = {"said": said, "updated_at": now}
    if back:
        values["erased_at"] = None
    changed = connection.execute(update(subjects).where(subjects.c.id == id).values(**values))
    if changed.rowcount == 0:
        connection.execute(subjects.insert().values(id=id, created_at=now, **values))


def erase(connection: Connection, id: str, now: str) -> None:
    """Forget what was said about a subject and what their erasure needed, and note when."""
    put(connection, id, "{}", now)
    connection.execute(update(subjects).where(subjects.c.id == id).values(erased_at=now))
    connection.execute(delete(erasures).where(erasures.c.subject == id))


def begin(connection: Connection, id: str, person: str) -> None:
    """Keep what an erasure needs until it is done."""
    connection.execute(delete(erasures).where(erasures.c.subject == id))
    connection.execute(erasures.insert().values(subject=id, person=person))


def begun(connection: Connection, id: str) -> str | None:
    """Return what an erasure that was broken off needs to be gone on with."""
    return connection.scalar(select(erasures.c.person).where(erasures.c.subject == id))


def bar(connection: Connection, id: str, found: Iterable[bytes], places: Iterable[tuple[str, str]]) -> int:
    """Add digests that speak of a subject, and the columns some of them are of; returns how many there are now."""
    known = set(connection.scalars(select(digests.c.digest).where(digests.c.subject == id)))
    fresh = sorted({digest.decode() for digest in found} - known)
    if fresh:
        connection.execute(digests.insert(), [{"subject": id, "digest": digest} for digest in fresh])
    there = {tuple(row) for row in connection.execute(select(columns.c.dataset, columns.c.name))}
    for dataset, name in sorted(set(places) - there):
        connection.execute(columns.insert().values(dataset=dataset, name=name))
    return len(known) + len(fresh)


def lift(connection: Connection, id: str) -> None:
    """Remove the digests that speak of a subject."""
    connection.execute(delete(digests).where(digests.c.subject == id))


def barred(connection: Connection) -> frozenset[bytes]:
    """Return every digest."""
    return frozenset(digest.encode() for digest in connection.scalars(select(digests.c.digest)))


def barred_columns(connection: Connection, dataset: str) -> frozenset[str]:
    """Return the columns of a dataset by which people were known who are erased."""
    return frozenset(connection.scalars(select(columns.c.name).where(columns.c.dataset == dataset)))


def erased(connection: Connection) -> list[str]:
    """Return the ids of everybody who was erased, in order."""
    found = select(subjects.c.id).where(subjects.c.erased_at.is_not(None)).order_by(subjects.c.id)
    return [str(row.id) for row in connection.execute(found)]
