"""The shapes of subjects and their audits on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Consent = Literal["unknown", "given", "withdrawn"]
Text = Annotated[str, msgspec.Meta(max_length=512)]
SubjectId = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Day = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
DayOrNone = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]


class Appearance(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a dataset that are about somebody: those whose `column` holds `value`.

    In a manifest `value` is empty where it is contact data and not an id.
    """

    dataset: str
    column: str
    value: str
    rows: int


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of one person.

    Attributes:
        id: As in their corpus, with its prefix.
        identity: A reference to who that is in a system of record, such as a personnel number.
        datasets: Where they appear now, looked up when asked, so never behind an ingest.
        purposes: What their data may be used for.
        consent: What they said to it.
        retain_until: Last day on which the data is kept, null when none is set.
        legal_hold: Why nothing may be erased, empty when nothing stands against it.
        audit_rows: Rows of their chain.
        erased_at: When they were erased, null when they were not.
        created_at, updated_at: Of what was said about them here, RFC 3339; null when nothing was.
    """

    id: str
    identity: str
    datasets: list[Appearance]
    purposes: list[str]
    consent: Consent
    retain_until: str | None
    legal_hold: str
    audit_rows: int
    erased_at: str | None
    created_at: str | None
    updated_at: str | None


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose data was to be kept until a day that is past; `legal_hold` says why it is kept all the same."""

    id: str
    retain_until: str
    days_over: int
    legal_hold: str


class DueList(msgspec.Struct, frozen=True):
    """People whose retention is over on a day, longest first, then by id."""

    on: str
    due: list[Due]


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a chain, parsed. What was signed are the bytes: ask for `application/x-ndjson` to get those."""

    seq: int
    time: str
    subject: str
    action: str
    purpose: str
    accessor: dict[str, str]
    fields: list[str]
    result: str
    key_id: str
    prev: str
    hmac: str


class Audit(msgspec.Struct, frozen=True):
    """Rows of a chain, oldest first; `total` counts those that were not asked for as well."""

    subject: str
    total: int
    rows: list[AuditRow]


class Verification(msgspec.Struct, frozen=True):
    """What a check of one chain found: good rows, the HMAC of the last of them, and the first fault."""

    rows: int
    tip: str
    verified: bool
    error: str


class Purged(msgspec.Struct, frozen=True):
    """What was removed from one place; `count` in its own unit (rows, items, entries, texts)."""

    place: str
    count: int


class Remaining(msgspec.Struct, frozen=True):
    """What stays, and why it may."""

    place: str
    count: int
    reason: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof of an erasure.

    Attributes:
        subject: Whose data it was.
        erased_at: RFC 3339, UTC.
        reason: Why it was asked for.
        purged: What was removed, by place.
        remains: What is left by law or by design.
        probed: How many pieces of the person's data were then looked for in every file of the lake.
        found: Files that still hold one of them, relative to the lake; empty when the erasure is complete.
        audit_rows: Rows of the chain, with the erasure's own.
        signature: The facts above as canonical JSON, signed with the ledger's key (C2SP signed note).
    """

    subject: str
    erased_at: str
    reason: str
    purged: list[Purged]
    remains: list[Remaining]
    probed: int
    found: list[str]
    audit_rows: int
    signature: str


Facts = dict[str, Any]
