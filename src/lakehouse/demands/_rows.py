"""Rows of open demands, the people on them and their notes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)

from lakehouse.demands.base import Note, OpenDemand, Placed
from lakehouse.staffing import folding
from lakehouse.staffing.demand import Demand
from lakehouse.state.database import Migration

ROOM = "demands"
_CLIENT = 200
TABLES = MetaData()
DEMANDS = Table(
    "demands",
    TABLES,
    # Rises with the order in which they were opened.
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    # What it is known by when it comes a second time; null, which is never the same as another null, without one.
    Column("source", String(200), unique=True),
    Column("text", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("demand", Text, nullable=False),
    Column("client", String(_CLIENT), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("urgency", String(8), nullable=False),
    Column("status", String(8), nullable=False),
    Column("starts", String(10), nullable=False),
    Column("opened_at", String(40), nullable=False),
    Column("changed_at", String(40), nullable=False),
    Column("message", String(64), nullable=False),
    Index("demands_by_client", "client"),
    Index("demands_by_status", "status"),
)
PEOPLE = Table(
    "demand_people",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("demand_id", String(64), nullable=False),
    Column("corpus", String(200), nullable=False),
    Column("id", String(512), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("by", String(64), nullable=False),
    Column("why", Text, nullable=False),
    Column("at", String(40), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("entry", String(64), nullable=False),
    Column("made", Boolean, nullable=False),
    UniqueConstraint("demand_id", "id"),
    Index("demand_people_by_id", "id"),
)
NOTES = Table(
    "demand_notes",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("demand_id", String(64), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("by", String(64), nullable=False),
    Column("at", String(40), nullable=False),
)
_CHUNK = 500
# Who is booked is told by the accepted fills, and not a second time here.
_STORED = tuple(name for name in Placed.__struct_fields__ if name != "fill_id")


def kept(value: Any) -> Any:
    """Return a value as every database can keep it: no zero bytes in texts, and no halves of letters."""
    if not isinstance(value, str):
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def client_key(demand: Demand) -> str:
    """Return what a client is known by, see `staffing.folding`; the first 200 letters."""
    return folding.client_key(demand.client)[:_CLIENT]


def _name_clients_anew(connection: Connection) -> None:
    """Bring layout 1 to layout 2: clients were known by another spelling."""
    column = DEMANDS.c.client
    for client in connection.scalars(select(column).distinct()).all():
        connection.execute(update(DEMANDS).where(column == client).values(client=folding.client_key(client)[:_CLIENT]))


MIGRATIONS = (Migration(2, _name_clients_anew),)


class Known(NamedTuple):
    """A demand that was opened before: its id, and the memory it is of."""

    id: str
    namespace: str


def add(connection: Connection, opened: OpenDemand, source: str | None) -> None:
    """Add one demand without people and notes.

    Raises:
        IntegrityError: SQLAlchemy's, when one of that source is there.
    """
    connection.execute(insert(DEMANDS).values(id=opened.id, source=source, **_columns(opened)))


def known(connection: Connection, source: str) -> Known | None:
    """Return the demand of a source."""
    found = connection.execute(select(DEMANDS.c.id, DEMANDS.c.namespace).where(DEMANDS.c.source == source)).first()
    return None if found is None else Known(*found)


def put(connection: Connection, changed: OpenDemand) -> None:
    """Write a demand's own fields over what stood there; its text and its origin never change."""
    columns = _columns(changed)
    connection.execute(update(DEMANDS).where(DEMANDS.c.id == changed.id).values(**columns))


def one(connection: Connection, id: str) -> OpenDemand | None:
    """Return a demand with its people and notes as they were written."""
    row = connection.execute(select(DEMANDS).where(DEMANDS.c.id == id)).mappings().first()
    if row is None:
        return None
    demand = _read(row)
    found = people_of(connection, [id]).get(id, [])
    notes = connection.execute(
        select(NOTES.c.text, NOTES.c.by, NOTES.c.at).where(NOTES.c.demand_id == id).order_by(NOTES.c.number)
    )
    return msgspec.structs.replace(demand, people=found, notes=[Note(*note) for note in notes])


def some(connection: Connection, conditions: Sequence[Any], most: int) -> list[OpenDemand]:
    """Return the newest demands that fit, each with its people."""
    statement = select(DEMANDS).where(*conditions).order_by(DEMANDS.c.number.desc()).limit(most)
    found = [_read(row) for row in connection.execute(statement).mappings()]
    people = people_of(connection, [demand.id for demand in found])
    return [msgspec.structs.replace(demand, people=people.get(demand.id, [])) for demand in found]


def people_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[Placed]]:
    """Return the people on demands, in the order they were put there."""
    found: dict[str, list[Placed]] = {}
    for start in range(0, len(ids), _CHUNK):
        among = PEOPLE.c.demand_id.in_(ids[start : start + _CHUNK])
        for row in connection.execute(select(PEOPLE).where(among).order_by(PEOPLE.c.number)).mappings():
            placed = Placed(**{name: row[name] for name in _STORED})
            found.setdefault(row["demand_id"], []).append(placed)
    return found


def place(connection: Connection, demand: str, placed: Sequence[Placed]) -> None:
    """Put people on a demand, in place of what was said of them there."""
    for each in placed:
        values = {name: kept(getattr(each, name)) for name in _STORED}
        mine = (PEOPLE.c.demand_id == demand) & (PEOPLE.c.id == each.id)
        if not connection.execute(update(PEOPLE).where(mine).values(**values)).rowcount:
            connection.execute(insert(PEOPLE).values(demand_id=demand, **values))


def take(connection: Connection, demand: str, ids: Collection[str]) -> None:
    """Take people off a demand."""
    connection.execute(delete(PEOPLE).where(PEOPLE.c.demand_id == demand, PEOPLE.c.id.in_(list(ids))))


def barred(connection: Connection, client: str) -> list[str]:
    """Return the ids of those whom a client does not want back, by id."""
    if not client:
        return []
    statement = (
        select(PEOPLE.c.id)
        .join(DEMANDS, DEMANDS.c.id == PEOPLE.c.demand_id)
        .where(DEMANDS.c.client == client, PEOPLE.c.stage == "do_not_return")
        .distinct()
    )
    return sorted(connection.scalars(statement))


def note(connection: Connection, demand: str, written: Note) -> None:
    """Add a note."""
    connection.execute(
        insert(NOTES).values(
            demand_id=demand, **{name: kept(value) for name, value in msgspec.structs.asdict(written).items()}
        )
    )


def forget(connection: Connection, id: str) -> int:
    """Take somebody off every demand; returns how many there were."""
    return connection.execute(delete(PEOPLE).where(PEOPLE.c.id == id)).rowcount


def _columns(demand: OpenDemand) -> dict[str, Any]:
    names = "text line owner namespace urgency status starts opened_at changed_at message".split()
    columns = {name: kept(getattr(demand, name)) for name in names}
    return {**columns, "client": kept(client_key(demand.demand)), "demand": msgspec.json.encode(demand.demand).decode()}


def _read(row: Mapping[Any, Any]) -> OpenDemand:
    names = "id text line owner namespace urgency status starts opened_at changed_at message".split()
    return OpenDemand(**{name: row[name] for name in names}, demand=msgspec.json.decode(row["demand"], type=Demand))
