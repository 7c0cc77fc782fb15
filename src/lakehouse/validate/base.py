"""The shapes of validation: artifacts, what is known beside them, findings, and the roster that is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

ArtifactKind = Literal["fill", "email", "sms", "playbook"]
Variant = Literal["Schema", "Completeness", "Consistency", "Policy"]
VARIANTS: tuple[Variant, ...] = ("Schema", "Completeness", "Consistency", "Policy")

Ids = Annotated[list[str], msgspec.Meta(max_length=10_000)]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or worth knowing.

    Attributes:
        code: Stable name of the rule (`phantom_worker`).
        variant: Kind of failure; which of the four a refusal is.
        field: Where in the payload, such as `workers[2].id`.
        reason: What is wrong and what would be right.
        retryable: Whether another try of the same model can help; a worker who is on a do-not-return list can be
            exchanged, a roster that lacks certifications cannot be mended.
        severity: `error` refuses the artifact; `warning` says what could not be checked, or is worth knowing.
    """

    code: str
    variant: Variant
    field: str
    reason: str
    retryable: bool = True
    severity: Literal["error", "warning"] = "error"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that passed.

    Attributes:
        findings: Warnings.
        roster: Name of the corpus or dataset that was asked; null when nobody had to be looked up.
        snapshot_id: Its snapshot, as text; empty for items that are in no dataset.
    """

    ok: Literal[True] = True
    findings: list[Finding] = msgspec.field(default_factory=list)
    roster: str | None = None
    snapshot_id: str | None = None


class Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known beside the artifact. Everything is optional; what is not given is not checked.

    Attributes:
        roster: Corpus or dataset that people must be in; all corpora, told apart by their prefixes, when empty.
        snapshot_id: Snapshot of that dataset to look at instead of the newest.
        exclude_ids: People who must not be used, such as those already placed.
        do_not_return: People whom the client does not want back.
        allow_partial: Fewer people than asked for are no failure.
        replaces: A recorded fill that this one takes the place of; its bookings do not count.
        near_km: Farthest home from the place of work; the setting `validatord.near_km` by default.
        worker_ids: People whom a message is about; the first is its recipient unless contacts are given.
        contacts: Addresses of the client's own people that a message may go to.
        names: People and companies that a message may name beside those of the roster rows.
        facts: Further texts that a message may state: places, pay, certifications.
        demand: The ask. A fill must repeat what it says of role, count and the like; a message may state it.
        draft: The message is only tried, as somebody types it: nobody is written to, and no audit row says so.
    """

    roster: str = ""
    snapshot_id: str = ""
    exclude_ids: Ids = []
    do_not_return: Ids = []
    allow_partial: bool = False
    replaces: str = ""
    near_km: Annotated[float, msgspec.Meta(gt=0)] | None = None
    worker_ids: Ids = []
    contacts: Ids = []
    names: Ids = []
    facts: Ids = []
    demand: dict[str, Any] = {}
    draft: bool = False


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """One worker of an accepted fill.

    Attributes:
        starts, ends: ISO 8601 on the clock of the place of work, the end not included; both empty when the demand
            names no day, and then the booking stands in nobody's way.
        recorded_at: RFC 3339, UTC.
        session_id: Of the iterate that made the fill, `demand:` and an id for one of an open demand, empty for an
            explicit call. A key that is bound to memories is not told of demands here.
    """

    fill_id: str
    worker_id: str
    client: str
    role: str
    roster: str
    snapshot_id: str
    starts: str
    ends: str
    recorded_at: str
    session_id: str


class BookingList(msgspec.Struct, frozen=True):
    """Bookings of accepted fills."""

    bookings: list[Booking]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a roster. Ids must be as the roster writes them, to the letter.

    Attributes:
        names: In any case.
        addresses: Email addresses in any case, telephone numbers in any spelling.
    """

    roster: str = ""
    snapshot_id: str = ""
    ids: Sequence[str] = ()
    names: Sequence[str] = ()
    addresses: Sequence[str] = ()


class People(msgspec.Struct, frozen=True, kw_only=True):
    """What a roster knows.

    Attributes:
        roster, snapshot_id: As of `Verdict`.
        rows: Facts by id, as `staffing.worker.metadata` makes them, for each id that exists.
        by_name, by_address: For each name or address as it was asked, the ids it belongs to; absent when none.
        given: Those of the asked names whose first word is a given name of somebody in the roster.
    """

    roster: str
    snapshot_id: str
    rows: Mapping[str, Mapping[str, Any]] = {}
    by_name: Mapping[str, Sequence[str]] = {}
    by_address: Mapping[str, Sequence[str]] = {}
    given: frozenset[str] = frozenset()


LookUp = Callable[[Question], People]


def schema(code: str, field: str, reason: str) -> Finding:
    """Say that a field has the wrong shape."""
    return Finding(code=code, variant="Schema", field=field, reason=reason)


def completeness(code: str, field: str, reason: str, *, retryable: bool = True) -> Finding:
    """Say that something is missing, or too much."""
    return Finding(code=code, variant="Completeness", field=field, reason=reason, retryable=retryable)


def consistency(code: str, field: str, reason: str, *, retryable: bool = True) -> Finding:
    """Say that something contradicts the roster, or itself."""
    return Finding(code=code, variant="Consistency", field=field, reason=reason, retryable=retryable)


def policy(code: str, field: str, reason: str, *, retryable: bool = True) -> Finding:
    """Say that something is not allowed."""
    return Finding(code=code, variant="Policy", field=field, reason=reason, retryable=retryable)


def unchecked(code: str, field: str, reason: str) -> Finding:
    """Warn that something could not be checked."""
    return warned(code, field, reason)


def warned(code: str, field: str, reason: str) -> Finding:
    """Tell what refuses nothing and is worth knowing."""
    return Finding(code=code, variant="Completeness", field=field, reason=reason, retryable=False, severity="warning")


def quoted(value: object, most: int = 80) -> str:
    """Show a value that somebody else wrote: one line, in quotes, cut, unable to steer a log, a page or a model."""
    text = value if isinstance(value, str) else str(value)
    cut = text[:most] + ("..." if len(text) > most else "")
    return ascii(cut) if not cut.isprintable() else f"'{cut}'"
