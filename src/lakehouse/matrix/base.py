"""The shapes of search with memory, and of corpora."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from lakehouse.memory.evidence import Posterior

Gate = Literal[
    "excluded",
    "role",
    "turned_down",
    "trust",
    "distance",
    "gone",
    "filter",
    "certs",
    "place",
    "shift",
    "available",
    "judge",
]


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What memory did to one result, and on whose word.

    Attributes:
        effect: `boost` moved it closer, `inject` put it in, `none` only knows of it or moved it away.
        playbook_id: The entry that did it.
        base_distance: Distance before: the result's own for `boost`, the recorded query's for `inject`.
        namespace: Whose memory it is.
        recorded_at: When it was last recorded, RFC 3339.
        by, why: Who recorded it and their reason, empty when they did not say.
        query_distance: Cosine distance of the recorded demand and this one, as needs.
        factor: What the distance was multiplied with.
        posterior: What all outcomes for demands like this one say of the answer, today.
        gates: The gates it passed.
        turned_down: `barred` behind everybody, or `lowered`, because outcomes speak against it; null when not.
    """

    effect: Literal["none", "boost", "inject"]
    playbook_id: str
    base_distance: float
    namespace: str
    recorded_at: str
    by: str = ""
    why: str = ""
    query_distance: float = 0.0
    factor: float = 1.0
    posterior: Posterior | None = None
    gates: list[Gate] = []
    turned_down: Literal["barred", "lowered"] | None = None


class DroppedMemory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A remembered answer near this demand that a gate stopped.

    Attributes:
        gate: `excluded` by the caller; another `role`, or an unknown one; `turned_down` by later outcomes,
            also who would be among the results had these not lowered them; no `trust`
            left in it; its demand's `distance`; `gone` from the roster; the caller's `filter`; a hard constraint of
            the demand (`certs`, `place`); the `judge` rates it below whom it would displace.
        reason: The same in words.
    """

    playbook_id: str
    answer_id: str
    corpus: str
    namespace: str
    query_distance: float
    gate: Gate
    reason: str


class Opinions(msgspec.Struct, frozen=True, kw_only=True):
    """What a chat model said of the first results, and how far it agrees with the ratings by rules.

    Attributes:
        model: Its name.
        asked, unanswered: People it was asked about, and those for whom it gave no rating.
        pairs: People whom both rated.
        same, within_one: Pairs with equal ratings, and with such that differ by 1 at most.
        kappa: Cohen's, weighted by squared difference; null when it is not defined.
        failure: Why the model was not asked further, empty when it was.
    """

    model: str
    asked: int
    unanswered: int
    pairs: int
    same: int
    within_one: int
    kappa: float | None
    failure: str = ""


class Match(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One result. `rating` is 1 to 5 against the original ask, null when it was not rated.

    `opinion` is a chat model's rating, shown beside and changing nothing; null when none was asked for or given.
    """

    id: str
    corpus: str
    distance: float
    metadata: dict[str, Any]
    rating: int | None
    reasons: list[str]
    memory: MemoryUse | None
    opinion: int | None = None


class CorpusCounts(msgspec.Struct, frozen=True, gc=False):
    """How many items of a corpus were looked at, and how many are in the answer."""

    candidates: int
    returned: int


class SearchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Results in order: who meets more of the stated demand first, then nearer, then by id.

    A long description that stands almost word for word in somebody's resume puts that person before all others.

    Attributes:
        results: At most k.
        per_corpus: By corpus name, in the order asked for.
        boosted, injected: Results that memory moved closer or put in.
        excluded: Distinct ids of the request's `exclude_ids`.
        no_good_match: True when nobody in `results` is a good match: an honest answer, not an error.
        trace_id: Of this search.
        dropped: Remembered answers that a gate stopped, nearest first, at most 20; one reason per answer.
        held_out: True when memory was asked for and this demand is one of those kept from it to measure its effect.
        opinions: How a chat model's ratings agree with those by rules, null when they were not asked for.
    """

    results: list[Match]
    per_corpus: dict[str, CorpusCounts]
    boosted: int
    injected: int
    excluded: int
    no_good_match: bool
    trace_id: str
    dropped: list[DroppedMemory] = []
    held_out: bool = False
    opinions: Opinions | None = None


class CorpusReport(msgspec.Struct, frozen=True):
    """What a build did: `items` in the corpus now, texts `embedded` anew, vectors `reused`."""

    corpus: str
    items: int
    embedded: int
    reused: int


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset made searchable.

    Attributes:
        stale: The dataset has changed since the last build.
        built_at: RFC 3339, UTC.
    """

    name: str
    dataset: str
    id_column: str
    id_prefix: str
    text_columns: list[str]
    metadata_columns: list[str]
    snapshot_id: str
    items: int
    stale: bool
    built_at: str


class Somebody(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands behind an id: name, role and place as the corpus has them, empty where it does not say."""

    corpus: str
    id: str
    name: str = ""
    role: str = ""
    city: str = ""
    state: str = ""


class SomebodyList(msgspec.Struct, frozen=True):
    """People in the order they were asked for; those whom no corpus has are left out."""

    people: list[Somebody]


class Wanted(msgspec.Struct, frozen=True):
    """Somebody who is asked for: the corpus, and the id in it."""

    corpus: str
    id: str


class CorpusList(msgspec.Struct, frozen=True):
    """All corpora, by name."""

    corpora: list[Corpus]
