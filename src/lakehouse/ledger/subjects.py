"""Subjects: the public face of the ledger."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse import caller
from lakehouse.errors import InvalidInput, NotFound, PermissionDenied
from lakehouse.ledger import erasure, rows, verifier
from lakehouse.ledger.base import (
    Appearance,
    Audit,
    AuditRow,
    Consent,
    Day,
    DayOrNone,
    Due,
    DueList,
    Purged,
    Receipt,
    Remaining,
    Subject,
    SubjectId,
    Text,
    Verification,
)
from lakehouse.ledger.erasure import Gone
from lakehouse.ledger.rows import Event

if TYPE_CHECKING:
    from lakehouse.ledger.erased import Erased
    from lakehouse.ledger.erasure import Eraser
    from lakehouse.ledger.ledger import Ledger
    from lakehouse.ledger.manifests import Manifests
    from lakehouse.ledger.people import Found, People

MAX_ROWS = 100_000
DATA_KEY = "data key (shredded)"
DIGESTS = "digests"
WHY_DIGESTS = "keyed digests of who it was, so that a roster which still holds them does not bring them back"
REPLICAS = "replicas"
WHY_REPLICAS = (
    "other stacks that share the state and have folders of their own: each erases there, and in its audit, before its"
    " next answer"
)
Purposes = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]], msgspec.Meta(max_length=64)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)]
After = Annotated[int, msgspec.Meta(ge=0)]


class Subjects:
    """Manifests of people, their audits, their erasure.

    Args:
        manifests: What was said about people.
        ledger: Holds their chains.
        people: Finds them in datasets.
        eraser: Removes them.
        erased: Remembers by digests who was erased.
        clock: Time of changes.
        tell_others: Leaves word for other replicas; returns how many there are.
    """

    def __init__(
        self,
        manifests: Manifests,
        *,
        ledger: Ledger,
        people: People,
        eraser: Eraser,
        erased: Erased,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tell_others: Callable[[Sequence[Gone]], int] = lambda _: 0,
    ) -> None:
        self._tell_others = tell_others
        self._manifests = manifests
        self._ledger = ledger
        self._people = people
        self._eraser = eraser
        self._erased = erased
        self._clock = clock

    def put(
        self,
        id: SubjectId,
        identity: Text | None = None,
        purposes: Purposes | None = None,
        consent: Consent | None = None,
        retain_until: DayOrNone | None = None,
        legal_hold: Text | None = None,
    ) -> Subject:
        """Say what holds of a person: purposes, consent, how long the data is kept, what forbids its erasure.

        What is null stays as it was. Where somebody appears needs not be said: it is looked up in the datasets. Of
        somebody who was erased, `consent` given says that they are back: ingests let their rows in again.

        Args:
            id: As in their corpus, with its prefix.
            identity: A reference to a system of record, such as a personnel number; not a name.
            purposes: What their data may be used for.
            consent: What they said to it; `unknown` before anything was said.
            retain_until: Last day on which the data is kept, `YYYY-MM-DD`; empty says that there is none.
            legal_hold: Why nothing of them may be erased; empty lifts a hold.

        Raises:
            InvalidInput: A day that does not exist, or an id that is reserved.
        """
        if id.startswith(("lakehouse:", "dataset:")):
            raise InvalidInput(f"id {id!r} is reserved; a person's id has the prefix of their corpus", field="id")
        if retain_until:
            _day(retain_until, "retain_until")
        given = {
            "consent": consent,
            "identity": identity,
            "legal_hold": legal_hold,
            "purposes": purposes,
            "retain_until": retain_until,
        }
        said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if retain_until is not None:
            said["retain_until"] = retain_until or None
        self._manifests.put(id, self._now(), **said)
        if consent == "given":
            self._erased.lift(id)
        self._note(id, "manifest", tuple(said), "changed")
        return self._subject(id, self._people.find(id))

    def get(self, id: SubjectId) -> Subject:
        """Return the manifest of a person, with every dataset they appear in now.

        Raises:
            NotFound: No dataset, no chain and no manifest knows them.
        """
        subject = self._subject(id, self._people.find(id))
        if subject.created_at is None and not subject.datasets and not subject.audit_rows:
            raise NotFound(
                f"nobody has the id {id!r}; an id has the prefix of its corpus, such as w-17, see `lakehouse corpus"
                " list`",
                id=id,
            )
        return subject

    def due(self, on: Day | None = None) -> DueList:
        """List people whose data was to be kept until a day that is past, longest first.

        Nobody is erased by that: whoever looks decides.

        Args:
            on: The day to ask for, `YYYY-MM-DD`; today, in UTC, by default.

        Raises:
            InvalidInput: A day that does not exist.
        """
        day = _day(on, "on") if on is not None else self._clock().astimezone(UTC).date()
        over = [
            Due(id=id, retain_until=until, days_over=(day - date.fromisoformat(until)).days, legal_hold=each.legal_hold)
            for id, each in self._manifests.all()
            if (until := each.retain_until) is not None and date.fromisoformat(until) < day
        ]
        return DueList(day.isoformat(), sorted(over, key=lambda due: (due.retain_until, due.id)))

    def audit(self, id: SubjectId, after: After = 0, limit: Limit = 1_000) -> Audit:
        """Return who saw or used a person's data, oldest first.

        Args:
            id: Of the person; also `lakehouse:keys`, whose chain tells of key rotations, and `dataset:NAME`.
            after: Leave out rows up to this number.
            limit: Most rows.

        Raises:
            NotFound: No dataset, no chain and no manifest knows them.
        """
        if self._ledger.head(id) is None:
            self.get(id)
        found: list[AuditRow] = []
        total = 0
        for line in self._ledger.lines(id):
            total += 1
            if after < total <= after + limit:
                found.append(msgspec.json.decode(line, type=AuditRow))
        return Audit(id, total, found)

    def audit_log(self, id: SubjectId) -> bytes:
        """Return a person's chain byte for byte, one row a line, oldest first (JSONL).

        Raises:
            NotFound: As `audit`.
        """
        if self._ledger.head(id) is None:
            self.get(id)
        return b"".join(line + b"\n" for line in self._ledger.lines(id))

    def verify(self, id: SubjectId) -> Verification:
        """Check a person's chain from its bytes: every HMAC, and that each row follows the one before.

        Raises:
            NotFound: As `audit`.
        """
        head = self._ledger.head(id)
        if head is None:
            self.get(id)
            return Verification(0, rows.GENESIS, True, "")
        chain = verifier.verify_chain(self._ledger.lines(id), self._ledger.ring.keys, id)
        if chain.verified and (chain.rows, chain.tip) != (head.count, head.tip):
            return Verification(
                chain.rows, chain.tip, False, f"the chain ends at row {chain.rows}, {head.count} were written"
            )
        return Verification(chain.rows, chain.tip, chain.verified, chain.error)

    def erase(self, id: SubjectId, reason: Text = "asked for by the person") -> Receipt:
        """Erase a person: from datasets, indexes, caches, memory, messages and logs, then look for what is left.

        Rows of the chain stay: they hold no data of the person but the id, and prove what was done. Repeating
        it is harmless.

        Args:
            id: Of the person.
            reason: Why, for the receipt.

        Returns:
            A signed receipt.

        Raises:
            NotFound: As `get`.
            PermissionDenied: A legal hold stands against it.
            Unavailable: The disk refused; ask again, what was removed stays removed.
        """
        return self.erase_all([id], reason)[0]

    def erase_all(self, ids: Sequence[str], reason: str) -> list[Receipt]:
        """Erase several people at once, as `erase` does: each place is written again once for all of them.

        Raises:
            NotFound, PermissionDenied: As `erase`, of the first who cannot be erased; nobody was.
        """
        ids = list(dict.fromkeys(ids))
        for id in ids:
            # Of an erasure that was broken off nothing else may be left.
            under_way = self._manifests.begun(id) is not None
            held = (self._subject(id, []) if under_way else self.get(id)).legal_hold
            if held:
                self._note(id, "erase", (), "refused")
                raise PermissionDenied(f"{id!r} is under a legal hold ({held}); lift it first", id=id, legal_hold=held)
        now = self._now()
        people = self._gone(ids)
        # First, so that no ingest which runs meanwhile brings somebody back.
        digests = {gone.subject: self._erased.bar(gone) for gone in people}
        purged = self._eraser.purge(people)
        replicas = self._tell_others(people)
        for id, more in self._eraser.purge_shared(people).items():
            purged[id] += more
        for id in ids:
            shredded = self._manifests.erase(id, now)
            purged[id].append(Purged(DATA_KEY, shredded))
            self._note(id, "erase", (), "erased")
        left = self._eraser.probe(people)
        receipts = []
        for gone in people:
            found = [f"dataset {each.appearance.dataset}" for each in self._people.find(gone.subject)]
            facts = Receipt(
                subject=gone.subject,
                erased_at=now,
                reason=reason,
                purged=purged[gone.subject],
                remains=self._remains(gone.subject, digests[gone.subject], replicas),
                probed=len(gone.pieces),
                found=[*left[gone.subject], *found],
                audit_rows=self._rows(gone.subject),
                signature="",
            )
            receipts.append(msgspec.structs.replace(facts, signature=self._signed(facts)))
        return receipts

    def erased(self) -> list[str]:
        """Return the ids of everybody who was erased, in order."""
        return self._manifests.erased()

    def _gone(self, ids: Sequence[str]) -> list[Gone]:
        """Tell what is to be erased, and keep it until it is.

        What two of them have in common, and nobody who stays, is theirs as well. What an erasure that was broken off
        had found is taken up: the rows that told of it may be gone already.
        """
        found = {id: self._people.find(id) for id in ids}
        places = [each.appearance for of_one in found.values() for each in of_one]
        people = []
        for id, of_one in found.items():
            own, common = erasure.split(of_one, functools.partial(self._people.shared, but=places))
            begun = self._manifests.begun(id)
            before = msgspec.msgpack.decode(begun, type=Gone) if begun else Gone(subject=id)
            gone = Gone(
                subject=id,
                found=[*of_one, *(each for each in before.found if each not in of_one)],
                pieces=[*dict.fromkeys([*own, *before.pieces])],
                common=[*dict.fromkeys([*common, *before.common])],
            )
            self._manifests.begin(id, msgspec.msgpack.encode(gone))
            people.append(gone)
        return people

    def _remains(self, id: str, digests: int, replicas: int) -> list[Remaining]:
        kept = [Remaining(DIGESTS, digests, WHY_DIGESTS)] if digests else []
        elsewhere = [Remaining(REPLICAS, replicas, WHY_REPLICAS)] if replicas else []
        return [*self._eraser.remains(self._rows(id)), *kept, *elsewhere]

    def _rows(self, id: str) -> int:
        head = self._ledger.head(id)
        return head.count if head else 0

    def _signed(self, facts: Receipt) -> str:
        if not self._ledger.enabled:
            return ""
        import rfc8785

        ring = self._ledger.ring
        plain = msgspec.to_builtins(facts)
        del plain["signature"]
        return ring.sign(f"{ring.origin}/erasure\n{rfc8785.dumps(plain).decode()}\n")

    def _subject(self, id: str, found: list[Found]) -> Subject:
        said, stored = self._manifests.get(id)
        return Subject(
            id=id,
            identity=said.identity,
            datasets=[_shown(each.appearance, id) for each in found],
            purposes=[*said.purposes],
            consent=said.consent,
            retain_until=said.retain_until,
            legal_hold=said.legal_hold,
            audit_rows=self._rows(id),
            erased_at=stored.erased_at if stored else None,
            created_at=stored.created_at if stored else None,
            updated_at=stored.updated_at if stored else None,
        )

    def _note(self, id: str, action: str, fields: tuple[str, ...], result: str) -> None:
        purpose = caller.current().purpose
        self._ledger.record([Event(subject=id, action=action, purpose=purpose, fields=fields, result=result)])

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(place: Appearance, id: str) -> Appearance:
    """Return where somebody appears as everybody may see it: by which id, never by which address."""
    return place if id.endswith(place.value) else msgspec.structs.replace(place, value="")


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{field} {json.dumps(text)} is no day; write it YYYY-MM-DD", field=field) from None
