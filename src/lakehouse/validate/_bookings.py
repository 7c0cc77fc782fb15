"""Accepted fills in the state database: who is promised to whom, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Index, MetaData, PrimaryKeyConstraint, String, Table, delete, select

from lakehouse.validate.base import Booking
from lakehouse.validate.period import Period

ROOM = "validate"
metadata = MetaData()
_CHUNK = 500

bookings = Table(
    "bookings",
    metadata,
    Column("fill_id", String(64), nullable=False),
    Column("worker_id", String(512), nullable=False),
    Column("client", String, nullable=False),
    Column("role", String, nullable=False),
    Column("roster", String, nullable=False),
    Column("snapshot_id", String, nullable=False),
    Column("starts", String(32), nullable=False),
    Column("ends", String(32), nullable=False),
    Column("recorded_at", String(32), nullable=False),
    Column("session_id", String(64), nullable=False),
    PrimaryKeyConstraint("fill_id", "worker_id"),
    Index("bookings_by_worker", "worker_id"),
)


def put(connection: Connection, rows: Sequence[Booking]) -> None:
    """Insert bookings."""
    connection.execute(bookings.insert(), [msgspec.structs.asdict(row) for row in rows])


def of_workers(connection: Connection, ids: Sequence[str]) -> list[Booking]:
    """Return the bookings of workers, by worker, then start."""
    found: list[Booking] = []
    for start in range(0, len(ids), _CHUNK):
        among = bookings.c.worker_id.in_(ids[start : start + _CHUNK])
        found.extend(_read(connection, select(bookings).where(among)))
    return sorted(found, key=lambda booking: (booking.worker_id, booking.starts, booking.fill_id))


def newest(connection: Connection, most: int) -> list[Booking]:
    """Return the bookings recorded last, newest first."""
    order = (bookings.c.recorded_at.desc(), bookings.c.fill_id, bookings.c.worker_id)
    return list(_read(connection, select(bookings).order_by(*order).limit(most)))


def remove(connection: Connection, fill_id: str) -> int:
    """Remove a fill; returns how many bookings it had."""
    return connection.execute(delete(bookings).where(bookings.c.fill_id == fill_id)).rowcount


def in_the_way(rows: Sequence[Booking], wanted: Period, *, replaces: str = "") -> dict[str, Booking]:
    """Return, by worker, the first booking that shares a moment with a period."""
    found: dict[str, Booking] = {}
    for row in rows:
        taken = row.starts and Period(datetime.fromisoformat(row.starts), datetime.fromisoformat(row.ends))
        if taken and row.fill_id != replaces and taken.overlaps(wanted):
            found.setdefault(row.worker_id, row)
    return found


def _read(connection: Connection, statement: Any) -> Iterator[Booking]:
    for row in connection.execute(statement).mappings():
        yield Booking(**row)
