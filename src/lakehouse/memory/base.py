"""The shapes of playbook memory."""

from __future__ import annotations

import operator
from typing import Annotated, NamedTuple

import msgspec

from lakehouse.memory.evidence import Outcome, Posterior
from lakehouse.staffing.demand import Role

Score = Annotated[float, msgspec.Meta(ge=0, le=1)]
Namespace = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Who = Annotated[str, msgspec.Meta(max_length=200)]
Why = Annotated[str, msgspec.Meta(max_length=1_000)]
MAX_OUTCOMES = 10_000
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Evidence = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]

DEFAULT_NAMESPACE = "default"


class NewPlaybook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What worked (or did not) for a demand, as a client records it.

    Attributes:
        by: Who records it.
        why: Why this answer was chosen or turned down, in their words.
    """

    query_text: str
    answer_id: str
    corpus: str
    score: Score
    role: Role | None = None
    namespace: Namespace = DEFAULT_NAMESPACE
    outcome: Outcome = "worked"
    by: Who = ""
    why: Why = ""


class Playbook(msgspec.Struct, frozen=True, kw_only=True):
    """One remembered answer.

    Attributes:
        id: Derived from namespace, query, role, corpus and answer: recording the same again updates it.
        score, outcome, by, why: As last recorded.
        role: As recorded, else as parsed from the query; empty when unknown.
        city, state, client: As the query says them, empty when it does not.
        created_at, updated_at: RFC 3339, UTC.
        good, bad: Weights of all outcomes so far, faded to the day `evidence_on`; see `memory.evidence`.
        helped, overridden: How often a later outcome for a like demand confirmed the answer, or turned it down.
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
    client: str = ""
    by: str = ""
    why: str = ""
    good: float = 0.0
    bad: float = 0.0
    evidence_on: str = ""
    helped: int = 0
    overridden: int = 0


class ListedPlaybook(Playbook, frozen=True, kw_only=True):
    """An entry with what its outcomes say today: the posterior, and the trust (-1 to 1) that follows from it."""

    posterior: Posterior
    trust: float


class PastOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome of an entry as it was recorded; `held_out` when the demand was kept from memory on purpose."""

    at: str
    outcome: Outcome
    score: float
    by: str
    why: str
    held_out: bool


class PlaybookHistory(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with all its outcomes, oldest first."""

    entry: ListedPlaybook
    outcomes: list[PastOutcome]


class CarriedOutcome(PastOutcome, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An outcome on its way out of one lake and into another."""

    score: Score
    by: Who
    why: Why


class PlaybookCopy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry on its way out of one lake and into another: what was recorded, the evidence for it, and each outcome.

    What follows from the query (role code, place, client) is not carried but worked out anew on arrival. Earlier
    editions carried no outcomes.
    """

    query_text: str
    answer_id: str
    corpus: str
    score: Score
    role: Role | None
    outcome: Outcome
    by: Who
    why: Why
    good: Evidence
    bad: Evidence
    evidence_on: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    created_at: str
    updated_at: str
    helped: Count = 0
    overridden: Count = 0
    outcomes: Annotated[list[CarriedOutcome], msgspec.Meta(max_length=MAX_OUTCOMES)] = []


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """All entries of one namespace, oldest first, ties by id."""

    namespace: str
    entries: list[PlaybookCopy]


class Imported(msgspec.Struct, frozen=True):
    """How many entries were new, were there (`replaced`), or were left out because nobody of that id is on the roster.

    What was there has the outcomes of both now, each once.
    """

    imported: int
    replaced: int
    unknown: list[str]


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

    entries: list[ListedPlaybook]


class HandedOver(msgspec.Struct, frozen=True):
    """What became of a handover.

    Attributes:
        entries: How many entries the receiving namespace can now use that it could not use before.
        held: How many there were of what was asked for; 0 means that the giver remembers nothing of it.
        clients_like: Where nothing is remembered of the client, those of a name like it in the giver's memory.
    """

    entries: int
    held: int = 0
    clients_like: list[str] = []


class Shares(msgspec.Struct, frozen=True):
    """Whose memory a namespace uses besides its own, and who uses its memory; both sorted."""

    uses: list[str]
    used_by: list[str]


class MergedPlaybooks(msgspec.Struct, frozen=True):
    """`merged` entries are new in the destination, `joined` were there and have the outcomes of both now."""

    merged: int
    joined: int
    cleared: int


class Arm(msgspec.Struct, frozen=True):
    """Outcomes of the demands that memory served, or of those held out from it."""

    outcomes: int
    good: int
    posterior: Posterior


class Lift(msgspec.Struct, frozen=True, kw_only=True):
    """What memory did on live traffic.

    Attributes:
        holdout: Share of demands that is held out now.
        served, held_out: Outcomes recorded so far, one arm each.
        difference: Mean of `served` minus mean of `held_out`.
        better: Probability that outcomes with memory are better, by the normal approximation of both posteriors.
    """

    holdout: float
    served: Arm
    held_out: Arm
    difference: float
    better: float


class Remembered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a search needs of an entry; `facts` are those of `memory.likeness`."""

    namespace: str
    answer_id: str
    corpus: str
    score: float
    role: str
    role_code: str
    city: str
    client: str
    text: str
    by: str
    why: str
    good: float
    bad: float
    evidence_on: str
    updated_at: str
    facts: tuple[str, ...]


class Filed(msgspec.Struct, frozen=True):
    """What lies beside an entry's vector: the words it is looked up by, and what a search needs of it."""

    role_code: str
    answer_id: str
    key: list[str]
    entry: Remembered


class Recall(msgspec.Struct, frozen=True, gc=False):
    """A remembered answer near a query.

    Attributes:
        distance: Cosine distance of the two queries.
        answer: Corpus and id of the remembered answer.
    """

    id: str
    playbook: Remembered
    distance: float
    answer: tuple[str, str]


# What orders recalls: nearer first, ties by entry id.
NEAREST_FIRST = operator.attrgetter("distance", "id")


class Change(NamedTuple):
    """What is not near a demand any more, and what is now; of an entry that was written again both."""

    gone: list[Recall]
    came: list[Recall]


def boost_factor(score: float) -> float:
    """Return what a remembered answer's distance is multiplied with: 1 at score 0, one half at score 1.

    Searches give it the entry's score times its trust, so that faded or disputed memory moves less.
    """
    return 1.0 - 0.5 * score
