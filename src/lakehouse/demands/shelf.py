"""Open demands taken in, corrected, given people, noted on and closed."""

from __future__ import annotations

import builtins
import contextlib
from typing import Annotated, Any

import msgspec

from lakehouse import caller
from lakehouse.demands import lines
from lakehouse.demands.base import (
    OUT,
    Candidate,
    Candidates,
    Chosen,
    DemandList,
    Note,
    OpenDemand,
    Opened,
    Owner,
    PeopleOf,
    Person,
    Status,
    Text,
    Urgency,
    Word,
)
from lakehouse.demands.desk import Desk, day_of, in_order, moved, on, refuse_barred, refuse_filled
from lakehouse.errors import InvalidInput, NotFound, WrongState
from lakehouse.memory.base import DEFAULT_NAMESPACE, Namespace
from lakehouse.observe.inbox import excerpts
from lakehouse.staffing.demand import Demand
from lakehouse.staffing.need import Fields, fields_of, need_line, understood

Many = Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class Shelf:
    """Takes demands in and changes them: what a coordinator decides alone.

    Args:
        desk: The rows and what stands around them.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def open(
        self,
        text: Text = "",
        message: Word = "",
        owner: Owner = "",
        namespace: Namespace = DEFAULT_NAMESPACE,
        urgency: Urgency | None = None,
    ) -> Opened:
        """Open each demand that a text or a message of the inbox asks for.

        A demand of a message is opened once; asked for again, it is `known`. One whose memory is not the caller's is to
        them as one that was not opened.

        Args:
            text: A line or an email, as it came.
            message: Id of a message of the inbox, instead of a text.
            owner: The coordinator whose work it is.
            namespace: Whose memory is used.
            urgency: That of the message, or `medium`, when null.

        Raises:
            InvalidInput: Neither or both of text and message are given, or nobody is asked for in it.
            NotFound: There is no such message.
            WrongState: A later message has cancelled it.
        """
        desk = self._desk
        desk.check(namespace)
        if bool(text.strip()) == bool(message):
            raise InvalidInput("give either the text of a demand or the id of a message", field="text")
        parts, sources, of_message = self._parts(text, message)
        created: builtins.list[str] = []
        known: builtins.list[str] = []
        with desk.state.write() as connection:
            for part, source in zip(parts, sources, strict=True):
                there, name = desk.known(connection, source) if source else ("", None)
                if there:
                    known.append(there)
                    continue
                made = self._made(part, owner, namespace, urgency or of_message)
                desk.rows.add(connection, msgspec.structs.replace(made, message=message), name)
                created.append(made.id)
        return Opened(created=created, known=known)

    def _parts(self, text: str, message: str) -> tuple[builtins.list[str], builtins.list[str | None], Urgency]:
        if not message:
            demands = self._desk.parser.parse_all(text)
            if not demands:
                raise InvalidInput(
                    "nobody is asked for in this text; say how many of which role, such as '3 welders in Akron OH'",
                    field="text",
                )
            parts = excerpts(text, demands)
            return parts, [None] * len(parts), "medium"
        found = self._desk.message(message)
        if found.status == "cancelled":
            raise WrongState(f"message {message!r} was cancelled by a later one", id=message)
        if not found.demands:
            raise InvalidInput(f"no demand was read from message {message!r}", field="message")
        parts = excerpts(found.body, found.demands)
        return parts, [f"message:{message}:{nth}" for nth in range(len(parts))], found.priority or "medium"

    def _made(self, text: str, owner: str, namespace: str, urgency: Urgency) -> OpenDemand:
        desk, now = self._desk, self._desk.now()
        demand = desk.parser.parse(text)
        return OpenDemand(
            id="d-" + desk.new_id(),
            text=text,
            line=text,
            demand=demand,
            owner=owner.strip(),
            namespace=namespace,
            urgency=urgency,
            status="open",
            starts=day_of(demand.start, desk.today()),
            opened_at=now,
            changed_at=now,
        )

    def file(self, source: bytes, owner: Owner = "", namespace: Namespace = DEFAULT_NAMESPACE) -> Opened:
        """Open the demands of a CSV file, one a line; see `demands.lines.read` for its columns.

        Lines that cannot be one are refused with their number and the reason, the others are opened. The same file
        again opens nothing more, unless it was opened in a memory that is not the caller's.

        Args:
            source: The bytes of the file, UTF-8, with a heading.
            owner: Of lines that name none.
            namespace: Whose memory is used.

        Raises:
            InvalidInput: The file is no CSV, or its heading names a column there is not.
            TooLarge: It is over 8 MiB or 5,000 lines.
        """
        desk = self._desk
        desk.check(namespace)
        found, refused = lines.read(source, desk.parser.parse)
        # Read before the transaction: thousands of demands take seconds, in which nobody else could write.
        read = [self._made(line.text, line.owner or owner, namespace, line.urgency or "medium") for line in found]
        created: builtins.list[str] = []
        known: builtins.list[str] = []
        with desk.state.write() as connection:
            for line, made in zip(found, read, strict=True):
                there, name = desk.known(connection, line.source)
                if there:
                    known.append(there)
                    continue
                desk.rows.add(connection, made, name)
                if line.note:
                    desk.rows.note(connection, made.id, Note(line.note, owner, made.opened_at))
                created.append(made.id)
        return Opened(created=created, known=known, refused=refused)

    def list(
        self,
        status: Status | None = "open",
        owner: Owner = "",
        namespace: Word = "",
        limit: Many = 200,
    ) -> DemandList:
        """List demands without their people: more urgent first, then by start, then oldest first.

        Args:
            status: Only open or closed ones; all when null.
            owner: Only this coordinator's.
            namespace: Only those of this memory.
            limit: At most this many, the newest.
        """
        desk = self._desk
        columns = desk.rows.DEMANDS.c
        wanted = {columns.status: status, columns.owner: owner, columns.namespace: namespace}
        conditions: builtins.list[Any] = [column == value for column, value in wanted.items() if value]
        allowed = caller.current().namespaces
        if allowed is not None:
            conditions.append(columns.namespace.in_(sorted(allowed)))
        with desk.state.read() as connection:
            found = desk.rows.some(connection, conditions, limit)
        return DemandList([msgspec.structs.replace(one, people=[]) for one in in_order(desk.truly(found))])

    def get(self, id: str) -> OpenDemand:
        """Return one demand with its people, notes and counts.

        Raises:
            NotFound: There is none of that id.
        """
        return self._desk.get(id)

    def edit(
        self,
        id: str,
        fields: Fields | None = None,
        owner: Owner | None = None,
        namespace: Namespace | None = None,
        urgency: Urgency | None = None,
        status: Status | None = None,
    ) -> OpenDemand:
        """Change a demand; what is null stays.

        Args:
            id: Of the demand.
            fields: What is asked for, every field as it should be; an empty one is not asked for.
            owner, namespace: Whose work it is, and whose memory.
            urgency, status: As named.

        Raises:
            InvalidInput: A field was not understood; the message names it.
            WrongState: The count would be below the people filled already.
            NotFound: There is no such demand.
        """
        desk = self._desk
        if namespace is not None:
            desk.check(namespace)
        with desk.state.write() as connection:
            found = desk.within(connection, id)
            said = {"owner": owner, "namespace": namespace, "urgency": urgency, "status": status}
            changes: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
            if fields is not None:
                changes |= self._edited(found, fields)
            desk.touch(connection, found, **changes)
            return desk.within(connection, id)

    def _edited(self, found: OpenDemand, fields: Fields) -> dict[str, Any]:
        desk = self._desk
        shown, lost = understood(fields, desk.parser.parse)
        if lost:
            name = min(lost)
            raise InvalidInput(f"{name} {getattr(fields, name)[:60]!r} was not understood", field=name)
        if not shown.role:
            raise InvalidInput("role is empty; say who is needed", field="role")
        line = found.text if shown == fields_of(desk.parser.parse(found.text)) else need_line(shown)
        demand: Demand = desk.parser.parse(line)
        if demand.count < found.filled:
            raise WrongState(
                f"{found.filled} people are filled already, which is more than {demand.count}", field="count"
            )
        same = demand.start == found.demand.start
        starts = found.starts if same else day_of(demand.start, desk.today())
        return {"line": line, "demand": demand, "starts": starts}

    def place(self, id: str, people: Candidates, stage: Chosen, by: Owner = "", why: Text = "") -> OpenDemand:
        """Put people on a demand, or take them off with the stage `none`; all or nobody.

        Args:
            id: Of the demand.
            people: From the roster.
            stage: `excluded` leaves somebody out of this demand, `do_not_return` out of every one of the client's.
            by, why: Who says so, and the reason.

        Raises:
            NotFound: There is no such demand, or somebody is not in the roster: nobody can be put on a demand who does
                not exist.
            WrongState: Somebody is filled, which `demands.release` undoes, or the client does not want them back.
        """
        desk = self._desk
        if stage != "none":
            desk.require(people)
        with desk.state.write() as connection:
            found = desk.within(connection, id)
            refuse_filled(found, {each.id for each in people})
            if stage in {"shortlisted", "proposed"}:
                refuse_barred(found, people)
            if stage == "none":
                desk.rows.take(connection, id, [each.id for each in people])
            else:
                now = desk.now()
                before = {each.id: each for each in found.people}
                desk.rows.place(
                    connection, id, [moved(before.get(each.id), each, stage, (by, why, now)) for each in people]
                )
            desk.touch(connection, found)
            return desk.within(connection, id)

    def replace(self, id: str, out: Word, by_whom: Candidate, by: Owner = "", why: Text = "") -> OpenDemand:
        """Exclude somebody from a demand and put another into their place, both or neither.

        Args:
            id: Of the demand.
            out: Id of the person who goes.
            by_whom: Who comes; gets the stage of the one who goes.
            by, why: Who says so, and the reason.

        Raises:
            NotFound: There is no such demand, `out` is not on it, or `by_whom` is not in the roster.
            WrongState: Either is filled, or the client does not want `by_whom` back.
        """
        desk = self._desk
        desk.require([by_whom])
        with desk.state.write() as connection:
            found = desk.within(connection, id)
            going = on(found, out)
            refuse_filled(found, {out, by_whom.id})
            refuse_barred(found, [by_whom])
            if out == by_whom.id or going.stage in OUT:
                raise WrongState(f"{out!r} is not among those who could be replaced by {by_whom.id!r}", id=out)
            said = (by, why, desk.now())
            before = {each.id: each for each in found.people}
            leaving = moved(going, Candidate(going.corpus, going.id), "excluded", said)
            coming = moved(before.get(by_whom.id), by_whom, going.stage, said)
            desk.rows.place(connection, id, [leaving, coming])
            desk.touch(connection, found)
            return desk.within(connection, id)

    def note(self, id: str, text: Annotated[Text, msgspec.Meta(min_length=1)], by: Owner = "") -> OpenDemand:
        """Write something down on a demand.

        Raises:
            NotFound: There is no such demand.
        """
        desk = self._desk
        with desk.state.write() as connection:
            found = desk.within(connection, id)
            desk.rows.note(connection, id, Note(text, by, desk.now()))
            desk.touch(connection, found)
            return desk.within(connection, id)

    def people(self, id: str, person: Word = "") -> PeopleOf:
        """Return everybody on a demand with what the roster says of them now: nothing where their corpus was deleted.

        Args:
            id: Of the demand.
            person: Only whoever has this id, so that nobody else is shown; everybody when empty.

        Raises:
            NotFound: There is no such demand.
        """
        found = self._desk.get(id)
        wanted = [each for each in found.people if person in {"", each.id}]
        rows: dict[str, dict[str, Any]] = {}
        for corpus in {each.corpus for each in wanted}:
            # A deleted corpus; a dataset may have its name, and no column of ids.
            with contextlib.suppress(NotFound, InvalidInput):
                rows |= self._desk.rows_of([Candidate(corpus, each.id) for each in wanted if each.corpus == corpus])
        return PeopleOf(
            [
                Person(corpus=each.corpus, id=each.id, stage=each.stage, metadata=rows.get(each.id, {}))
                for each in wanted
            ]
        )
