"""The shapes of playbook memory."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Score = Annotated[float, msgspec.Meta(ge=0, le=1)]
Namespace = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Outcome = Literal["worked", "rejected"]

DEFAULT_NAMESPACE = "default"


class NewPlaybook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What worked (or did not) for a demand, as a client records it."""

    query_text: str
    answer_id: str
    corpus: str
    score: Score
    role: str | None = None
    namespace: Namespace = DEFAULT_NAMESPACE
    outcome: Outcome = "worked"


class Playbook(msgspec.Struct, frozen=True, kw_only=True):
    """One remembered answer.

    Attributes:
        id: Derived from namespace, query, role, corpus and answer: recording the same again updates it.
        role: As recorded, else as parsed from the query; empty when unknown (the role gate is then open).
        city, state: Place parsed from the query, empty when it names none.
        created_at, updated_at: RFC 3339, UTC.
    """

    id: str
    namespace: str
    query_text: str
    answer_id: str
    corpus: str
    score: float
    role: str
    role_code: str
    city: str
    state: str
    outcome: Outcome
    created_at: str
    updated_at: str


class Recorded(msgspec.Struct, frozen=True):
    """`created` is false when the same answer to the same query was already remembered and is now updated."""

    playbook_id: str
    created: bool


class BulkRecorded(msgspec.Struct, frozen=True):
    """How many entries of the call were new, and how many updated an earlier one."""

    recorded: int
    updated: int


class PlaybookList(msgspec.Struct, frozen=True):
    """Entries, newest change first, ties by id."""

    entries: list[Playbook]


class HandedOver(msgspec.Struct, frozen=True):
    """How many entries the receiving namespace can now use that it could not use before."""

    entries: int


class Recall(msgspec.Struct, frozen=True):
    """A remembered answer near a query. `distance` is the cosine distance of the two queries."""

    playbook: Playbook
    distance: float


def boost_factor(score: float) -> float:
    """Return what a remembered answer's distance is multiplied with: 1 at score 0, one half at score 1."""
    return 1.0 - 0.5 * score
