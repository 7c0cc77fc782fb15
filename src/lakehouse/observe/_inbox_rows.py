"""Rows of the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Index, Integer, MetaData, String, Table, Text, insert, select

from lakehouse.observe._follow_ups import Earlier
from lakehouse.observe.messages import Change, FollowUp, Message, Tie
from lakehouse.staffing.demand import Demand

TABLES = MetaData()
MESSAGES = Table(
    "inbox_messages",
    TABLES,
    # Rises with the order in which messages came, which times may not.
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("op_id", String(64), nullable=False),
    Column("type", String(8), nullable=False),
    Column("sender", Text, nullable=False),
    Column("address", String(320), nullable=False),
    Column("subject", Text, nullable=False),
    Column("thread", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("priority", String(8), nullable=False),
    Column("tag", Text, nullable=False),
    # Null, which is never the same as another null, when the sender gave none.
    Column("message_id", String(1000), unique=True),
    Column("in_reply_to", String(1000), nullable=False),
    Column("received_at", String(40), nullable=False),
    Column("trace_id", String(64), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("demands", Text, nullable=False),
    Column("change", Text),
    Column("tied_to", String(64)),
    Column("tie", Text),
    Index("inbox_by_address", "address"),
    Index("inbox_by_tie", "tied_to"),
)
_LOOKED_AT = 200


def add(connection: Connection, message: Message, *, address: str, thread: str) -> None:
    """Add one message.

    Raises:
        IntegrityError: SQLAlchemy's, when one of that message id is there.
    """
    connection.execute(
        insert(MESSAGES).values(
            id=message.id,
            op_id=message.op_id,
            type=message.type,
            sender=message.sender,
            address=address[:320],
            subject=message.subject,
            thread=thread,
            body=message.body,
            priority=message.priority,
            tag=message.tag,
            message_id=message.message_id or None,
            in_reply_to=message.in_reply_to,
            received_at=message.received_at,
            trace_id=message.trace_id,
            kind=message.kind,
            demands=_text(message.demands),
            change=_text(message.change) if message.change else None,
            tied_to=message.tie.message if message.tie else None,
            tie=_text(message.tie) if message.tie else None,
        )
    )


def known(connection: Connection, message_id: str) -> tuple[str, str] | None:
    """Return op id and id of the message of that message id."""
    row = connection.execute(select(MESSAGES.c.op_id, MESSAGES.c.id).where(MESSAGES.c.message_id == message_id)).first()
    return (row.op_id, row.id) if row else None


def one(connection: Connection, id: str) -> Message | None:
    """Return a message with what became of it."""
    row = connection.execute(select(MESSAGES).where(MESSAGES.c.id == id)).first()
    return _with_follow_ups(connection, [_message(row)])[0] if row else None


def newest(connection: Connection, conditions: Sequence[Any], limit: int) -> list[Message]:
    """Return the newest messages that meet the conditions, newest first."""
    query = select(MESSAGES).where(*conditions).order_by(MESSAGES.c.number.desc()).limit(limit)
    return _with_follow_ups(connection, [_message(row) for row in connection.execute(query)])


def earlier(connection: Connection, address: str) -> list[Earlier]:
    """Return a sender's latest messages that ask for people and are not cancelled, newest first."""
    query = (
        select(MESSAGES)
        .where(MESSAGES.c.address == address[:320], MESSAGES.c.demands != "[]")
        .order_by(MESSAGES.c.number.desc())
        .limit(_LOOKED_AT)
    )
    rows = {row.id: row for row in connection.execute(query)}
    messages = _with_follow_ups(connection, [_message(row) for row in rows.values()])
    return [
        Earlier(message.id, message.message_id, rows[message.id].thread, message.demands)
        for message in messages
        if message.status != "cancelled"
    ]


def _with_follow_ups(connection: Connection, messages: list[Message]) -> list[Message]:
    found: dict[str, list[FollowUp]] = {message.id: [] for message in messages}
    if not found:
        return messages
    query = select(MESSAGES).where(MESSAGES.c.tied_to.in_(list(found))).order_by(MESSAGES.c.number)
    for row in connection.execute(query):
        later = _message(row)
        found[row.tied_to].append(
            FollowUp(
                message=later.id,
                kind=later.kind,
                demand=later.tie.demand if later.tie else None,
                received_at=later.received_at,
                change=later.change,
            )
        )
    return [_resolved(message, found[message.id]) for message in messages]


def cancelled_demands(message: Message) -> set[int]:
    """Return the positions of the demands of a message that later ones cancelled."""
    every = set(range(len(message.demands)))
    off: set[int] = set()
    for later in message.follow_ups:
        if later.kind == "cancel":
            off |= every if later.demand is None else {later.demand}
    return off


def _resolved(message: Message, follow_ups: list[FollowUp]) -> Message:
    if not follow_ups:
        return message
    message = msgspec.structs.replace(message, follow_ups=follow_ups)
    whole = len(cancelled_demands(message)) == len(message.demands)
    return msgspec.structs.replace(message, status="cancelled" if whole else "amended")


def _message(row: Any) -> Message:
    return Message(
        id=row.id,
        op_id=row.op_id,
        type=row.type,
        sender=row.sender,
        subject=row.subject,
        body=row.body,
        priority=row.priority,
        tag=row.tag,
        message_id=row.message_id or "",
        in_reply_to=row.in_reply_to,
        received_at=row.received_at,
        trace_id=row.trace_id,
        kind=row.kind,
        demands=msgspec.json.decode(row.demands, type=list[Demand]),
        tie=msgspec.json.decode(row.tie, type=Tie) if row.tie else None,
        change=msgspec.json.decode(row.change, type=Change) if row.change else None,
    )


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
