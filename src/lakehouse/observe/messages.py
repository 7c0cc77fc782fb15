"""The shapes of the inbox: messages as they came, the demands in them, and what became of those."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from lakehouse.staffing.demand import Demand

Type = Literal["email", "sms"]
Priority = Literal["urgent", "high", "medium", "low", ""]
Kind = Literal["demand", "amend", "cancel", "other"]
Status = Literal["open", "amended", "cancelled"]

MAX_BODY_BYTES = 8 * 1024
MAX_FIELD_BYTES = 8 * 1024

MessageId = Annotated[str, msgspec.Meta(max_length=998)]


class Receipt(msgspec.Struct, frozen=True):
    """What was recorded.

    Attributes:
        op_id: Of the op; that of the first time when the message was known.
        id: Of the message.
        created: False when a message of that `message_id` had come before; nothing was changed then.
    """

    op_id: str
    id: str
    created: bool


class Change(msgspec.Struct, frozen=True):
    """A number of people that a later message states, with its half-open span in that message's body."""

    count: int
    span: tuple[int, int]


class Tie(msgspec.Struct, frozen=True, kw_only=True):
    """Which earlier message a later one amends or cancels.

    Attributes:
        message: Id of the earlier message; null when several fit equally well, or none does.
        demand: Position of the one demand that is meant; null means all of that message.
        by: What shows it: `reply` (the mail names it), `thread` (same sender and subject), `words` (same sender, role
            or place), `only` (the sender's one open message).
        candidates: Ids of messages that fit equally well, for somebody to choose from.
    """

    message: str | None
    demand: int | None = None
    by: Literal["reply", "thread", "words", "only"] | None = None
    candidates: list[str] = []


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """A later message that amends or cancels this one, or one of its demands."""

    message: str
    kind: Kind
    demand: int | None
    received_at: str
    change: Change | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message with what was read from it. Text is as it came and means nothing to this program beyond that.

    Attributes:
        id: Given here.
        op_id: The op under which it was recorded.
        message_id: The sender's own, empty when there was none.
        received_at: RFC 3339, UTC.
        kind: `demand` asks for people, `amend` and `cancel` change an earlier message, `other` does neither.
        demands: In the order of the body; spans are offsets into it.
        tie: For `amend` and `cancel`.
        change: The number of people that an `amend` states, where it states one without a demand of its own.
        status: What later messages made of it.
        follow_ups: These, oldest first.
    """

    id: str
    op_id: str
    type: Type
    sender: str
    subject: str
    body: str
    priority: Priority
    tag: str
    message_id: str
    in_reply_to: str
    received_at: str
    trace_id: str
    kind: Kind
    demands: list[Demand]
    tie: Tie | None = None
    change: Change | None = None
    status: Status = "open"
    follow_ups: list[FollowUp] = []


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A message in a list; `subject` and `body` are one line, cut at 256 characters."""

    id: str
    type: Type
    priority: Priority
    sender: str
    subject: str
    body: str
    tag: str
    received_at: str
    kind: Kind
    status: Status
    asks: list[str]


class MessageList(msgspec.Struct, frozen=True):
    """Messages, newest first, the more urgent before those that came at the same time."""

    messages: list[Summary]


class Refused(msgspec.Struct, frozen=True):
    """A message of a file that was not taken in: its position from 1 and why."""

    position: int
    message_id: str
    reason: str


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: ids of the messages that are new, how many were `known`, and those refused."""

    created: list[str]
    known: int
    refused: list[Refused]


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best match for one demand of a message.

    Attributes:
        demand: Position in the message.
        query_text: The part of the original body that asks for it: what was searched for and rated against.
        id, corpus, distance: Of the best match, null when nobody was found.
        rating: 1 to 5 against `query_text`, null when not rated: a near match may be a wrong one.
        reasons: For the rating.
        no_good_match: Nobody found is rated good.
    """

    demand: int
    query_text: str
    id: str | None = None
    corpus: str | None = None
    distance: float | None = None
    rating: int | None = None
    reasons: list[str] = []
    no_good_match: bool = True


class Matched(msgspec.Struct, frozen=True):
    """The best match for every demand of a message that is still open, in the order of the body."""

    matches: list[Best]
