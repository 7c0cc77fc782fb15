"""Subjects: the public face of the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from lakehouse import caller
from lakehouse.errors import InvalidInput, NotFound, PermissionDenied
from lakehouse.ledger import erasure, rows, verifier
from lakehouse.ledger.base import (
    Audit,
    AuditRow,
    Consent,
    Day,
    Purged,
    Receipt,
    Subject,
    SubjectId,
    Text,
    Verification,
)
from lakehouse.ledger.erasure import Gone
from lakehouse.ledger.rows import Event

if TYPE_CHECKING:
    from lakehouse.ledger.erasure import Eraser
    from lakehouse.ledger.ledger import Ledger
    from lakehouse.ledger.people import Found, People
    from lakehouse.state.database import Database

MAX_ROWS = 100_000
Purposes = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]], msgspec.Meta(max_length=64)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)]
After = Annotated[int, msgspec.Meta(ge=0)]


class Subjects:
    """Manifests of people, their audits, their erasure.

    Args:
        state: Keeps what was said about people.
        ledger: Holds their chains.
        people: Finds them in datasets.
        eraser: Removes them.
        clock: Time of changes.
    """

    def __init__(
        self,
        state: Database,
        *,
        ledger: Ledger,
        people: People,
        eraser: Eraser,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from lakehouse.ledger import _stored

        self._stored = _stored
        self._state = state
        self._ledger = ledger
        self._people = people
        self._eraser = eraser
        self._clock = clock
        state.prepare(_stored.ROOM, _stored.metadata)

    def put(
        self,
        id: SubjectId,
        identity: Text = "",
        purposes: Purposes = [],  # noqa: B006 - never changed; the request type needs a value
        consent: Consent = "unknown",
        retain_until: Day | None = None,
        legal_hold: Text = "",
    ) -> Subject:
        """Say what holds of a person: purposes, consent, how long the data is kept, what forbids its erasure.

        Replaces what was said before. Where somebody appears needs not be said: it is looked up in the datasets.

        Args:
            id: As in their corpus, with its prefix.
            identity: A reference to a system of record, such as a personnel number; not a name.
            purposes: What their data may be used for.
            consent: What they said to it.
            retain_until: Last day on which the data is kept, `YYYY-MM-DD`.
            legal_hold: Why nothing of them may be erased; empty lifts a hold.

        Raises:
            InvalidInput: A day that does not exist, or an id that is reserved.
        """
        if id.startswith(("lakehouse:", "dataset:")):
            raise InvalidInput(f"id {id!r} is reserved; a person's id has the prefix of their corpus", field="id")
        if retain_until is not None:
            _check_day(retain_until)
        said = self._stored.Said(
            identity=identity,
            purposes=purposes,
            consent=consent,
            retain_until=retain_until,
            legal_hold=legal_hold,
        )
        with self._state.write() as connection:
            self._stored.put(connection, id, said, self._now())
        self._note(id, "manifest", ("consent", "identity", "legal_hold", "purposes", "retain_until"), "changed")
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
        """Erase a person: from datasets, indexes, caches, memory and logs, then look for what is left.

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
            held = self.get(id).legal_hold
            if held:
                self._note(id, "erase", (), "refused")
                raise PermissionDenied(f"{id!r} is under a legal hold ({held}); lift it first", id=id, legal_hold=held)
        now = self._now()
        people = [self._gone(id) for id in ids]
        purged = self._eraser.purge(people)
        for id in ids:
            with self._state.write() as connection:
                self._stored.erase(connection, id, now)
            self._note(id, "erase", (), "erased")
        self._state.scrub()
        left = self._eraser.probe(people)
        for gone in people:
            left[gone.subject] += [f"dataset {each.appearance.dataset}" for each in self._people.find(gone.subject)]
        return [self._receipt(gone, now, reason, purged[gone.subject], left[gone.subject]) for gone in people]

    def erased(self) -> list[str]:
        """Return the ids of everybody who was erased, in order."""
        with self._state.read() as connection:
            return self._stored.erased(connection)

    def _gone(self, id: str) -> Gone:
        found = self._people.find(id)
        of = {each.appearance.dataset: each.appearance for each in found}
        pieces = erasure.pieces_of(
            found, lambda dataset, column, text: self._people.shared(dataset, column, text, but=of[dataset])
        )
        return Gone(subject=id, found=found, pieces=pieces)

    def _receipt(self, gone: Gone, now: str, reason: str, purged: list[Purged], left: list[str]) -> Receipt:
        head = self._ledger.head(gone.subject)
        rows_ = head.count if head else 0
        facts = Receipt(
            subject=gone.subject,
            erased_at=now,
            reason=reason,
            purged=purged,
            remains=self._eraser.remains(rows_),
            probed=len(gone.pieces),
            found=left,
            audit_rows=rows_,
            signature="",
        )
        return msgspec.structs.replace(facts, signature=self._signed(facts))

    def _signed(self, facts: Receipt) -> str:
        if not self._ledger.enabled:
            return ""
        import rfc8785

        ring = self._ledger.ring
        plain = msgspec.to_builtins(facts)
        del plain["signature"]
        return ring.sign(f"{ring.origin}/erasure\n{rfc8785.dumps(plain).decode()}\n")

    def _subject(self, id: str, found: list[Found]) -> Subject:
        with self._state.read() as connection:
            stored = self._stored.get(connection, id)
        said = stored.said if stored else self._stored.Said()
        head = self._ledger.head(id)
        return Subject(
            id=id,
            identity=said.identity,
            datasets=[each.appearance for each in found],
            purposes=[*said.purposes],
            consent=said.consent,
            retain_until=said.retain_until,
            legal_hold=said.legal_hold,
            audit_rows=head.count if head else 0,
            erased_at=stored.erased_at if stored else None,
            created_at=stored.created_at if stored else None,
            updated_at=stored.updated_at if stored else None,
        )

    def _note(self, id: str, action: str, fields: tuple[str, ...], result: str) -> None:
        purpose = caller.current().purpose
        self._ledger.record([Event(subject=id, action=action, purpose=purpose, fields=fields, result=result)])

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check_day(text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"retain_until {json.dumps(text)} is no day; write it YYYY-MM-DD", field="retain_until"
        ) from None
