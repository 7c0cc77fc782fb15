"""The rows of open demands, and one demand as it truly is: filled are those whom accepted fills book for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse import caller
from lakehouse.demands.base import URGENCIES, Candidate, OpenDemand, Placed, Stage
from lakehouse.errors import NotFound, PermissionDenied, WrongState
from lakehouse.state.names import OF_A_DEMAND
from lakehouse.validate.base import LookUp, Question
from lakehouse.validate.period import period

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lakehouse.observe.messages import Message
    from lakehouse.staffing.parse import Parser
    from lakehouse.state.database import Database
    from lakehouse.validate.service import Validators

_LAST = "9999"


class Desk:
    """What every part of the room needs: the rows, and one demand as it truly is. Thread-safe.

    Args:
        state: Database of the rows.
        parser: Reads demands.
        message: Returns a message of the inbox by its id.
        look_up: Asks the roster.
        validators: Keeps the accepted fills, which alone tell who is booked.
        clock: The time, with its zone.
        new_id: Makes an id.
    """

    def __init__(
        self,
        state: Database,
        parser: Parser,
        *,
        message: Callable[[str], Message],
        look_up: LookUp,
        validators: Validators,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        from lakehouse.demands import _rows

        self.rows = _rows
        self.state = state
        self.parser = parser
        self.message = message
        self.look_up = look_up
        self.validators = validators
        self.clock = clock
        self.new_id = new_id
        state.prepare(_rows.ROOM, _rows.TABLES, _rows.MIGRATIONS)

    def get(self, id: str) -> OpenDemand:
        """Return one demand with its people, notes and counts.

        Raises:
            NotFound: There is none of that id, or its memory is not the caller's: whether there is one is not theirs to
                know, nor whose it is.
        """
        with self.state.read() as connection:
            return self.within(connection, id)

    def within(self, connection: Connection, id: str) -> OpenDemand:
        """Return one demand as a transaction sees it. Raises as `get`."""
        found = self.rows.one(connection, id)
        if found is None or not _may_use(found.namespace):
            raise NotFound(f"there is no open demand {id!r}; `lakehouse demand list` shows those there are", id=id)
        barred = self.rows.barred(connection, self.rows.client_key(found.demand))
        return msgspec.structs.replace(self.truly([found])[0], barred=barred)

    def known(self, connection: Connection, source: str) -> tuple[str, str]:
        """Return the id of the caller's demand of a source, empty when there is none, and what a new one is known by.

        One whose memory is not theirs keeps nobody from opening their own, who is not told of it.

        Args:
            connection: Of the transaction that opens it.
            source: The message or the line that it comes of.
        """
        name = source
        for nth in itertools.count(1):
            there = self.rows.known(connection, name)
            if there is None or _may_use(there.namespace):
                break
            name = f"{source}@{nth}"
        return there.id if there is not None else "", name

    def truly(self, found: Sequence[OpenDemand]) -> list[OpenDemand]:
        """Return demands with those people `filled` whom the accepted fills say are, and with counts."""
        asked = {
            each.id for demand in found for each in demand.people if each.stage in {"filled", "proposed", "shortlisted"}
        }
        booked = {
            (booking.session_id, booking.worker_id): booking.fill_id
            for booking in self.validators.bookings(sorted(asked))
        }
        return [_counted(demand, booked) for demand in found]

    def check(self, namespace: str) -> None:
        """Refuse a caller who may not use a memory.

        Raises:
            PermissionDenied: So.
        """
        if not _may_use(namespace):
            raise PermissionDenied(
                f"the memory {namespace!r} is not one that {caller.current().id!r} may use", namespace=namespace
            )

    def rows_of(self, people: Sequence[Candidate]) -> dict[str, dict[str, Any]]:
        """Return what the roster says of people, by id; those who are not in it are left out.

        Raises:
            NotFound: There is no such corpus.
        """
        found: dict[str, dict[str, Any]] = {}
        for corpus in dict.fromkeys(each.corpus for each in people):
            ids = [each.id for each in people if each.corpus == corpus]
            answer = self.look_up(Question(roster=corpus, ids=ids))
            found |= {id: dict(row) for id, row in answer.rows.items()}
        return found

    def require(self, people: Sequence[Candidate]) -> None:
        """Refuse people who are not in the roster.

        Raises:
            NotFound: Somebody is not, or the corpus does not exist.
        """
        known = self.rows_of(people)
        for each in people:
            if each.id not in known:
                raise NotFound(
                    f"nobody in {each.corpus!r} has the id {each.id!r}; ids are compared to the letter, use one that a"
                    " search returned",
                    id=each.id,
                )

    def touch(self, connection: Connection, found: OpenDemand, **changes: Any) -> None:
        """Write a demand's fields with the time of the change."""
        self.rows.put(connection, msgspec.structs.replace(found, changed_at=self.now(), **changes))

    def now(self) -> str:
        """Return the time as rows have it."""
        return self.clock().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def today(self) -> date:
        """Return the day it is for the coordinator."""
        return self.clock().date()


def _may_use(namespace: str) -> bool:
    allowed = caller.current().namespaces
    return allowed is None or namespace in allowed


def session_of(id: str) -> str:
    """Return what the bookings of a demand are known by."""
    return f"{OF_A_DEMAND}{id}"


def _counted(demand: OpenDemand, booked: dict[tuple[str, str], str]) -> OpenDemand:
    session = session_of(demand.id)
    people = [_truly(each, booked.get((session, each.id), "")) for each in demand.people]
    counts: dict[Stage, int] = {}
    for each in people:
        counts[each.stage] = counts.get(each.stage, 0) + 1
    return msgspec.structs.replace(
        demand,
        people=people,
        filled=counts.get("filled", 0),
        proposed=counts.get("proposed", 0),
        shortlisted=counts.get("shortlisted", 0),
    )


def _truly(each: Placed, fill_id: str) -> Placed:
    if fill_id:
        return msgspec.structs.replace(each, stage="filled", fill_id=fill_id)
    return msgspec.structs.replace(each, stage="proposed") if each.stage == "filled" else each


def day_of(start: str | None, today: date) -> str:
    """Return the first day of work as an ISO date, empty when the start names none.

    >>> day_of("Monday 06:00", date(2026, 3, 4)), day_of("06:00", date(2026, 3, 4))
    ('2026-03-09', '')
    """
    words = (start or "").split()
    for text in (start or "", " ".join(words[:-1]), words[0] if words else ""):
        when = period(text, None, None, today=today)
        if when is not None:
            return when.start.date().isoformat()
    return ""


def in_order(found: Sequence[OpenDemand]) -> list[OpenDemand]:
    """Return demands by urgency, then start (none last), then age, oldest first."""
    rank = {name: at for at, name in enumerate(URGENCIES)}
    return sorted(found, key=lambda one: (rank[one.urgency], one.starts or _LAST, one.opened_at, one.id))


def on(found: OpenDemand, id: str) -> Placed:
    """Return somebody on a demand.

    Raises:
        NotFound: They are not.
    """
    placed = next((each for each in found.people if each.id == id), None)
    if placed is None:
        raise NotFound(f"{id!r} is not on this demand", id=id)
    return placed


def moved(before: Placed | None, who: Candidate, stage: Stage, said: tuple[str, str, str]) -> Placed:
    """Return somebody at a stage, on whose word, why and when; what came of them before stays known."""
    by, why, at = said
    if before is None:
        return Placed(corpus=who.corpus, id=who.id, stage=stage, by=by, why=why, at=at)
    return msgspec.structs.replace(before, corpus=who.corpus, stage=stage, by=by, why=why, at=at, fill_id="")


def refuse_filled(found: OpenDemand, ids: Collection[str]) -> None:
    """Refuse to move people who are filled.

    Raises:
        WrongState: One of them is.
    """
    for each in found.people:
        if each.stage == "filled" and each.id in ids:
            raise WrongState(f"{each.id!r} is filled; release them first", id=each.id)


def refuse_barred(found: OpenDemand, people: Sequence[Candidate]) -> None:
    """Refuse people whom the client does not want back.

    Raises:
        WrongState: One of them is such.
    """
    for each in people:
        if each.id in found.barred:
            raise WrongState(f"{found.demand.client} does not want {each.id!r} back", id=each.id)
