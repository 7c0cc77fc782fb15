"""The inbox: messages of clients recorded as they came, read as demands, tied to those they amend or cancel."""

from __future__ import annotations

import builtins
import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec

from lakehouse import tracing
from lakehouse.errors import InvalidInput, NotFound, TooLarge
from lakehouse.observe import _follow_ups, mail
from lakehouse.observe.lines import one_line
from lakehouse.observe.messages import (
    MAX_BODY_BYTES,
    MAX_FIELD_BYTES,
    Best,
    Imported,
    Kind,
    Matched,
    Message,
    MessageId,
    MessageList,
    Priority,
    Receipt,
    Refused,
    Summary,
    Type,
)

if TYPE_CHECKING:
    from lakehouse.observe.ops import Ops
    from lakehouse.staffing.demand import Demand
    from lakehouse.state.database import Database

Many = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Corpora = Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1, max_length=32)]

_log = logging.getLogger(__name__)


class Hit(Protocol):
    """What is read of one result of a search."""

    id: str
    corpus: str
    distance: float
    rating: int | None
    reasons: list[str]


class Answer(Protocol):
    """What is read of the answer of a search."""

    results: list[Any]
    no_good_match: bool


# Query text and names of corpora to the answer with its best match first, rated against that text.
Search = Callable[[str, Sequence[str]], Answer]


class Inbox:
    """Records messages and reads demands from them; searching is the caller's business. Thread-safe.

    Args:
        state: Where messages are kept.
        ops: Where each is recorded as an op of the source `inbox`.
        parse_all: Text to every demand in it.
        search: For `match`.
        clock: The time, with its zone.
        new_id: Makes an id.
    """

    def __init__(
        self,
        state: Database,
        ops: Ops,
        *,
        parse_all: Callable[[str], builtins.list[Demand]],
        search: Search,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        from lakehouse.observe import _inbox_rows

        self._rows = _inbox_rows
        self._state = state
        self._ops = ops
        self._parse_all = parse_all
        self._search = search
        self._clock = clock
        self._new_id = new_id
        state.prepare("inbox", _inbox_rows.TABLES)

    def receive(  # noqa: PLR0913, PLR0917 - the fields of the wire's request, one argument each
        self,
        type: Type,
        body: str,
        sender: str = "",
        subject: str = "",
        priority: Priority = "",
        tag: str = "",
        message_id: MessageId = "",
        in_reply_to: MessageId = "",
    ) -> Receipt:
        """Record a message; the answer comes when it is on disk.

        Demands are read from the body, and a message that amends or cancels is tied to the earlier one it means.
        Nothing else happens: nobody is searched for or told.

        Args:
            type: `email` or `sms`.
            body: 1 byte to 8 KiB of UTF-8.
            sender: Address or number, with or without a name.
            subject: Of an e-mail.
            priority: Empty means `medium`.
            tag: The caller's own word.
            message_id: The sender's id of the message; a second one of the same id changes nothing.
            in_reply_to: Id of the message that this one answers.

        Raises:
            InvalidInput: The body is blank, or `type` or `priority` is none of those there are.
            TooLarge: A field is over 8 KiB.
        """
        _check(body, {"sender": sender, "subject": subject, "tag": tag})
        with tracing.span("inbox.read", type=type):
            reading = _follow_ups.read(subject, body, self._demands(body))
        message = Message(
            id=f"in-{_known_by(message_id) or self._new_id()}",
            op_id="",
            type=type,
            sender=_stored(sender),
            subject=_stored(subject),
            body=_stored(body),
            priority=priority or "medium",
            tag=_stored(tag),
            message_id=_stored(message_id).strip(),
            in_reply_to=_stored(in_reply_to).strip(),
            received_at=self._clock().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            trace_id=tracing.current(),
            kind=reading.kind,
            demands=reading.demands,
            change=reading.change,
        )
        return self._add(message)

    def list(
        self,
        kind: Kind | None = None,
        sender: str = "",
        tag: str = "",
        priority: Priority = "",
        limit: Many = 50,
    ) -> MessageList:
        """List messages, newest first.

        Args:
            kind: Only those that ask, amend, cancel or do neither.
            sender: Only from this address or number.
            tag: Only with this tag.
            priority: Only of this priority.
            limit: At most this many.
        """
        columns = self._rows.MESSAGES.c
        wanted = {columns.kind: kind, columns.tag: tag, columns.priority: priority}
        conditions: builtins.list[Any] = [column == value for column, value in wanted.items() if value]
        if sender:
            conditions.append(columns.address == _follow_ups.address_of(sender)[:320])
        with self._state.read() as connection:
            found = self._rows.newest(connection, conditions, limit)
        return MessageList([_summary(message) for message in found])

    def get(self, id: str) -> Message:
        """Return one message with its demands and what later messages made of them.

        Raises:
            NotFound: There is none of that id.
        """
        with self._state.read() as connection:
            message = self._rows.one(connection, id)
        if message is None:
            raise NotFound(f"there is no message {id!r}; `lakehouse inbox list` shows those there are", id=id)
        return message

    def match(self, id: str, corpora: Corpora) -> Matched:
        """Find the best match for every open demand of a message, with its rating against the original words.

        A demand of its own part of the body is searched for with exactly that part; ratings are against it, so a near
        match that is a wrong one shows. Demands that a later message cancelled are left out.

        Args:
            id: Of the message.
            corpora: Names of corpora, searched together.

        Raises:
            NotFound: There is no such message or corpus.
        """
        message = self.get(id)
        cancelled = self._rows.cancelled_demands(message)
        parts = excerpts(message.body, message.demands)
        return Matched([self._best(nth, part, corpora) for nth, part in enumerate(parts) if nth not in cancelled])

    def file(self, source: bytes) -> Imported:
        """Take in a mail file: one message in RFC 5322 form (`.eml`) or any number in an mbox.

        The text part is the body, else the HTML part without its tags; what is quoted below is left out when the whole
        is over 8 KiB. `Message-ID` makes it idempotent; a message without one is known by its bytes.

        Args:
            source: The bytes of the file.

        Raises:
            InvalidInput: The file holds no message.
        """
        created: builtins.list[str] = []
        refused: builtins.list[Refused] = []
        known = 0
        for position, each in enumerate(mail.messages_of(source), 1):
            try:
                receipt = self.take(each)
            except (InvalidInput, TooLarge) as error:
                refused.append(Refused(position, each.message_id, error.message))
                continue
            if receipt.created:
                created.append(receipt.id)
            else:
                known += 1
        return Imported(created=created, known=known, refused=refused)

    def take(self, each: mail.Mail) -> Receipt:
        """Record one e-mail. Raises as `receive`."""
        return self.receive(
            "email",
            each.body,
            sender=each.sender,
            subject=each.subject,
            priority=each.priority,
            message_id=each.message_id,
            in_reply_to=each.in_reply_to,
        )

    def _demands(self, body: str) -> builtins.list[Demand]:
        try:
            return self._parse_all(body)
        except Exception:  # noqa: BLE001 - what a parser may stumble over is in strangers' hands
            # A message must not be lost because it cannot be read.
            _log.exception("a message could not be read as a demand")
            return []

    def _add(self, message: Message) -> Receipt:
        from sqlalchemy.exc import IntegrityError

        address, thread = _follow_ups.address_of(message.sender), _follow_ups.thread_of(message.subject)
        try:
            with self._state.write() as connection:
                before = self._rows.known(connection, message.message_id) if message.message_id else None
                if before:
                    return Receipt(*before, created=False)
                if message.kind in {"amend", "cancel"}:
                    message = _tied(message, thread, self._rows.earlier(connection, address))
                message = msgspec.structs.replace(message, op_id=self._record(message))
                self._rows.add(connection, message, address=address, thread=thread)
        except IntegrityError:
            # Another process was quicker; within one, writers take turns.
            with self._state.read() as connection:
                before = self._rows.known(connection, message.message_id)
            if before is None:
                raise
            return Receipt(*before, created=False)
        return Receipt(message.op_id, message.id, created=True)

    def _record(self, message: Message) -> str:
        return self._ops.record(
            "inbox",
            f"inbox.{message.type}",
            summary=f"{message.priority} from {one_line(message.sender, 80) or 'unknown'}: "
            f"{one_line(message.subject or message.body, 160)}",
            detail={"message": message.id, "kind": message.kind, "tag": one_line(message.tag)},
        )

    def _best(self, nth: int, part: str, corpora: Sequence[str]) -> Best:
        answer = self._search(part, corpora)
        if not answer.results:
            return Best(demand=nth, query_text=part)
        first: Hit = answer.results[0]
        return Best(
            demand=nth,
            query_text=part,
            id=first.id,
            corpus=first.corpus,
            distance=first.distance,
            rating=first.rating,
            reasons=first.reasons,
            no_good_match=answer.no_good_match,
        )


def excerpts(body: str, demands: Sequence[Demand]) -> list[str]:
    """Return the part of a body that asks for each demand, in order; the whole body for a single one."""
    if len(demands) < 2:
        return [body] * len(demands)
    firsts = [min((start for start, _ in demand.spans.values()), default=0) for demand in demands]
    # Where a line begins with the demand, its first words ("Role:", "Need") belong to it.
    lines = [body.rfind("\n", 0, first) + 1 for first in firsts]
    starts = [0, *(max(line, before) if line > before else first for first, line, before in _beside(firsts, lines))]
    ends = [*starts[1:], len(body)]
    return [_with_place(body, start, end, demand) for start, end, demand in zip(starts, ends, demands, strict=True)]


def _beside(firsts: Sequence[int], lines: Sequence[int]) -> list[tuple[int, int, int]]:
    return list(zip(firsts[1:], lines[1:], firsts[:-1], strict=True))


def _with_place(body: str, start: int, end: int, demand: Demand) -> str:
    part = body[start:end].strip()
    place = demand.spans.get("location")
    if place and not start <= place[0] < end:
        part = f"{part} {body[place[0] : place[1]]}"
    return part


def _tied(message: Message, thread: str, earlier: Sequence[_follow_ups.Earlier]) -> Message:
    tie = _follow_ups.tie(
        f"{message.subject}\n{message.body}",
        message.demands,
        in_reply_to=message.in_reply_to,
        thread=thread,
        earlier=earlier,
    )
    if tie.message is None and not tie.candidates and message.demands:
        # Words of change without anything to change: an order that calls itself updated is an order.
        return msgspec.structs.replace(message, kind="demand")
    return msgspec.structs.replace(message, tie=tie)


def _check(body: str, fields: dict[str, str]) -> None:
    if not body.strip():
        raise InvalidInput("field 'body' is empty; send the text of the message", field="body")
    for name, text in {"body": body, **fields}.items():
        limit = MAX_BODY_BYTES if name == "body" else MAX_FIELD_BYTES
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > limit:
            raise TooLarge(
                f"field {name!r} has {size} bytes, the limit is {limit}; send the message without attachments",
                field=name,
                limit_bytes=limit,
            )


def _known_by(message_id: str) -> str:
    """Return what a message of that message id is known by, the same in every lake; empty without one."""
    given = _stored(message_id).strip()
    return hashlib.sha256(given.encode()).hexdigest()[:16] if given else ""


def _stored(text: str) -> str:
    """Return text as every database can keep it."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _summary(message: Message) -> Summary:
    asks = [
        f"{demand.count} x {demand.role or 'somebody'}"
        + (f" in {place.city or place.state}" if (place := demand.location) else "")
        for demand in message.demands
    ]
    return Summary(
        id=message.id,
        type=message.type,
        priority=message.priority,
        sender=one_line(message.sender),
        subject=one_line(message.subject),
        body=one_line(message.body),
        tag=one_line(message.tag),
        received_at=message.received_at,
        kind=message.kind,
        status=message.status,
        asks=asks,
    )
