"""Validators: what a model proposes is checked here, against the roster, before anybody sees it."""

from __future__ import annotations

import secrets as random_secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from lakehouse.errors import InternalError, NotFound
from lakehouse.validate import facts, fill, message, playbook, variants
from lakehouse.validate.base import (
    ArtifactKind,
    Booking,
    BookingList,
    Context,
    Finding,
    LookUp,
    People,
    Question,
    Verdict,
    quoted,
    schema,
    unchecked,
)
from lakehouse.validate.fill import Vocabulary

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.staffing.parse import Parser
    from lakehouse.staffing.roles import Roles
    from lakehouse.state.database import Database

T = TypeVar("T")

Payload = dict[str, Any]
_NO_CONTEXT = Context()
_MOST_LISTED = 1_000


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A fill that passed and is recorded: its people count as booked for its period.

    Attributes:
        fill_id: Names it, to release or replace it.
        findings: Warnings.
    """

    fill_id: str
    findings: list[Finding]
    roster: str
    snapshot_id: str


class Checked(msgspec.Struct, frozen=True):
    """What a validator found, passed or not; `artifact` is null when the payload has not its shape."""

    artifact: Any
    findings: list[Finding]
    people: People | None = None
    ask: fill.Ask | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing but warnings was found."""
        return not any(finding.severity == "error" for finding in self.findings)

    def verdict(self) -> Verdict:
        """Return the verdict of an artifact that passed.

        Raises:
            ValidationFailed: It did not.
        """
        roster = self.people.roster if self.people else None
        snapshot = self.people.snapshot_id if self.people else None
        if not self.ok:
            raise variants.refused(self.findings, roster=roster, snapshot_id=snapshot)
        return Verdict(findings=self.findings, roster=roster, snapshot_id=snapshot)


class Validators:
    """Checks artifacts and keeps the accepted fills. Thread-safe.

    Args:
        config: The settings section.
        state: Database of accepted fills.
        look_up: Asks the roster.
        prefixes: Gives the prefixes by which an id in a text is known for one.
        parser, roles: Vocabulary.
        clock: The time, with its zone.
    """

    def __init__(
        self,
        config: settings.Validatord,
        state: Database,
        *,
        look_up: LookUp,
        prefixes: Callable[[], Sequence[str]],
        parser: Parser,
        roles: Roles,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from lakehouse.validate import _bookings

        self._config = config
        self._state = state
        self._rows = _bookings
        self._look_up = look_up
        self._prefixes = prefixes
        self._parser = parser
        self._words = Vocabulary(roles, parser.places, parser.certifications)
        self._clock = clock
        state.prepare(_bookings.ROOM, _bookings.metadata)

    def check(self, artifact: ArtifactKind, payload: Payload, context: Context = _NO_CONTEXT) -> Verdict:
        """Check an artifact; what passes comes back with warnings only.

        People are looked up in the roster, ids compared to the letter: whoever is not in it is refused. What could not
        be checked, because roster or context do not tell, is a warning.

        Args:
            artifact: Its kind.
            payload: fill `{demand: {role, count, ...}, workers: [{id, ...}]}`; email `{to, subject, body}`; sms
                `{to, body}`; playbook as `playbooks.record` takes it.
            context: What is known beside it.

        Raises:
            ValidationFailed: Something is wrong. On the wire the body is exactly one variant object, such as
                `{"Consistency": {"reason": ...}}`; all findings stand in the header `X-Lakehouse-Findings`.
            NotFound: The roster named in the context does not exist.
        """
        return self.examine(artifact, payload, context).verdict()

    def accept(self, payload: Payload, context: Context = _NO_CONTEXT) -> Accepted:
        """Check a fill and record it as accepted, so that its people cannot be booked twice; durable on return.

        Raises:
            ValidationFailed, NotFound: As `check`; nothing is recorded.
        """
        return self.book(self.examine("fill", payload, context), context)

    def fills(self, worker_id: str = "") -> BookingList:
        """List bookings of accepted fills: those of one worker by start, else the newest thousand."""
        with self._state.read() as connection:
            if worker_id:
                return BookingList(self._rows.of_workers(connection, [worker_id]))
            return BookingList(self._rows.newest(connection, _MOST_LISTED))

    def bookings(self, worker_ids: Sequence[str]) -> Sequence[Booking]:
        """Return the bookings of workers, by worker, then start."""
        if not worker_ids:
            return []
        with self._state.read() as connection:
            return self._rows.of_workers(connection, worker_ids)

    def release(self, fill_id: Annotated[str, msgspec.Meta(min_length=1)]) -> None:
        """Forget an accepted fill: its people are free again.

        Raises:
            NotFound: There is none of this id.
        """
        with self._state.write() as connection:
            if not self._rows.remove(connection, fill_id):
                raise NotFound(f"no accepted fill has the id {fill_id!r}; see `lakehouse fill list`", fill_id=fill_id)

    def examine(self, artifact: ArtifactKind, payload: Payload, context: Context) -> Checked:
        """Check an artifact and return all there is to say, also when it did not pass.

        Raises:
            NotFound: The roster does not exist.
        """
        examine = {"fill": self._fill, "email": self._email, "sms": self._sms, "playbook": self._playbook}
        return examine[artifact](payload, context)

    def find_roster(self, artifact: ArtifactKind, context: Context) -> None:
        """Look for the roster that an artifact would be checked against, before there is one.

        Raises:
            NotFound: The roster, or its snapshot, does not exist.
            InvalidInput: It has no column of ids, or the snapshot is not a number or of no roster in particular.
        """
        # A playbook entry names its own, and a message has none where there is no corpus.
        if artifact == "fill" or (artifact != "playbook" and self._asks_about_messages(context)):
            self._look_up(self._question(context))

    def book(self, checked: Checked, context: Context, *, session_id: str = "") -> Accepted:
        """Record a checked fill; whoever was booked meanwhile is refused.

        Raises:
            ValidationFailed: It did not pass, or somebody in it is booked at the same time.
        """
        checked.verdict()
        people, ask, proposed = checked.people, checked.ask, checked.artifact
        if people is None or ask is None:
            raise InternalError("only a checked fill can be booked")
        fill_id = "f-" + random_secrets.token_hex(8)
        with self._state.write() as connection:
            late = self._overlaps(connection, proposed, ask, context)
            if late:
                raise variants.refused(late, roster=people.roster, snapshot_id=people.snapshot_id)
            if context.replaces:
                self._rows.remove(connection, context.replaces)
            when = ask.period
            self._rows.put(
                connection,
                [
                    Booking(
                        fill_id=fill_id,
                        worker_id=id,
                        client=ask.demand.client or "",
                        role=ask.demand.role,
                        roster=people.roster,
                        snapshot_id=people.snapshot_id,
                        starts=when.start.isoformat() if when else "",
                        ends=when.end.isoformat() if when else "",
                        recorded_at=self._clock().isoformat(timespec="milliseconds"),
                        session_id=session_id,
                    )
                    for id in fill.ids_of(proposed)
                ],
            )
        return Accepted(
            fill_id=fill_id, findings=checked.findings, roster=people.roster, snapshot_id=people.snapshot_id
        )

    def grounded(self, artifact: ArtifactKind, payload: Any, context: Context) -> bool | None:
        """Tell whether everybody in a fill is in the roster, asked anew; null when it is not a fill."""
        if artifact != "fill":
            return None
        workers = payload.get("workers") if isinstance(payload, dict) else None
        if not isinstance(workers, list):
            return False
        ids = [worker.get("id") if isinstance(worker, dict) else None for worker in workers]
        if not all(isinstance(id, str) for id in ids):
            return False
        people = self._look_up(self._question(context, ids=[str(id) for id in ids]))
        return all(id in people.rows for id in ids)

    def _fill(self, payload: Payload, context: Context) -> Checked:
        proposed, wrong = _typed(payload, fill.Fill)
        if proposed is None:
            return Checked(None, wrong)
        people = self._look_up(self._question(context, ids=fill.ids_of(proposed)))
        ask = fill.resolve(
            proposed.demand,
            self._words,
            today=self._clock().date(),
            near_km=context.near_km or self._config.near_km,
        )
        findings = list(fill.check(proposed, context, ask=ask, people=people, words=self._words))
        if ask.period is None:
            findings.append(unchecked("period_unknown", "demand.start", "the demand names no day of work"))
        else:
            with self._state.read() as connection:
                findings += self._overlaps(connection, proposed, ask, context)
        return Checked(proposed, findings, people, ask)

    def _overlaps(self, connection: Any, proposed: fill.Fill, ask: fill.Ask, context: Context) -> list[Finding]:
        if ask.period is None:
            return []
        rows = self._rows.of_workers(connection, fill.ids_of(proposed))
        return list(fill.booked(proposed, self._rows.in_the_way(rows, ask.period, replaces=context.replaces)))

    def _email(self, payload: Payload, context: Context) -> Checked:
        email, wrong = _typed(payload, message.Email)
        if email is None:
            return Checked(None, wrong)
        text = f"{email.body}\n{email.subject}"
        people = self._people_of(text, context)
        findings = list(message.check_email(email, context, people))
        return Checked(email, findings + self._said(text, context, people), people)

    def _sms(self, payload: Payload, context: Context) -> Checked:
        sent, wrong = _typed(payload, message.Sms)
        if sent is None:
            return Checked(None, wrong)
        people = self._people_of(sent.body, context)
        segments = self._config.sms_segments
        findings = list(message.check_sms(sent, context, people, most_segments=segments))
        return Checked(sent, findings + self._said(sent.body, context, people), people)

    def _said(self, text: str, context: Context, people: People | None) -> list[Finding]:
        if people is None:
            return []
        return list(facts.check(text, context, people=people, words=self._words, prefixes=self._prefixes()))

    def _people_of(self, text: str, context: Context) -> People | None:
        """Ask the roster about everybody a message is about or mentions; null where there is no roster at all."""
        if not self._asks_about_messages(context):
            return None
        found = facts.said(text, self._words)
        ids = [*context.worker_ids, *(id for id in found.ids if id.startswith(tuple(self._prefixes())))]
        return self._look_up(self._question(context, ids=ids, names=found.names, addresses=found.addresses))

    def _asks_about_messages(self, context: Context) -> bool:
        return bool(context.roster or self._prefixes())

    def _playbook(self, payload: Payload, context: Context) -> Checked:
        entry, wrong = _typed(payload, playbook.PlaybookEntry)
        if entry is None:
            return Checked(None, wrong)
        question = Question(roster=entry.corpus, snapshot_id=context.snapshot_id, ids=[entry.answer_id])
        try:
            people = self._look_up(question)
        except NotFound:
            reason = f"there is no corpus {quoted(entry.corpus)}"
            return Checked(entry, [schema("unknown_corpus", "corpus", reason)])
        asked = self._parser.parse(entry.query_text).role if entry.query_text.strip() else None
        findings = list(playbook.check(entry, asked_role=asked, people=people, roles=self._words.roles))
        return Checked(entry, findings, people)

    def _question(
        self,
        context: Context,
        *,
        ids: Sequence[str] = (),
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
    ) -> Question:
        return Question(
            roster=context.roster or self._config.roster,
            snapshot_id=context.snapshot_id,
            ids=ids,
            names=names,
            addresses=addresses,
        )


def _typed(payload: Payload, kind: type[T]) -> tuple[T | None, list[Finding]]:
    try:
        return msgspec.convert(payload, kind), []
    except msgspec.ValidationError as error:
        return None, [_misshapen(str(error))]


def _misshapen(text: str) -> Finding:
    """Turn what msgspec says into a finding that names the field."""
    reason, _, place = text.replace("`", "").partition(" - at $")
    place = place.removeprefix(".")
    for words in ("missing required field ", "contains unknown field "):
        _, told, name = reason.partition(words)
        if told:
            place = f"{place}.{name}" if place else name
    return schema("wrong_shape", place or "payload", reason.strip())
