"""API keys in the state database: what is needed to know one again, never the key itself."""

from __future__ import annotations

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, delete, select

ROOM = "api_keys"
metadata = MetaData()

keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("roles", String, nullable=False),
    Column("namespaces", String, nullable=False),
    Column("rate_per_s", Float, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `namespaces` is null when every one may be used."""

    id: str
    name: str
    roles: list[str]
    namespaces: list[str] | None
    rate_per_s: float
    created_at: str
    salt: bytes
    digest: bytes


def all_keys(connection: Connection) -> list[Kept]:
    """Return every key, by name."""
    return [
        Kept(
            id=row.id,
            name=row.name,
            roles=msgspec.json.decode(row.roles),
            namespaces=msgspec.json.decode(row.namespaces),
            rate_per_s=row.rate_per_s,
            created_at=row.created_at,
            salt=row.salt,
            digest=row.digest,
        )
        for row in connection.execute(select(keys).order_by(keys.c.name))
    ]


def insert(connection: Connection, kept: Kept) -> None:
    """Add a key."""
    values = {
        **msgspec.structs.asdict(kept),
        "roles": msgspec.json.encode(kept.roles).decode(),
        "namespaces": msgspec.json.encode(kept.namespaces).decode(),
    }
    connection.execute(keys.insert().values(**values))


def remove(connection: Connection, id: str) -> int:
    """Remove a key; returns how many there were."""
    return connection.execute(delete(keys).where(keys.c.id == id)).rowcount
