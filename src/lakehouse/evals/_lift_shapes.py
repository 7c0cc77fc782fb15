"""The shapes of a lift report."""

from __future__ import annotations

import msgspec


class Top(msgspec.Struct, frozen=True):
    """Who stood first: rating by rules, distance, and the chat model's rating where one was asked."""

    id: str
    rating: int | None
    distance: float
    model: int | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One demand through all passes.

    Attributes:
        cold, warm: First without and with memory.
        recorded: Whom the judge chose from the cold results, and that person's rating; empty when nobody was good.
        discovery: The judge's choice was not the first.
        verbatim: The recorded answer is first when the same line comes again.
        effect: What memory did to who is first.
        paraphrases: Kind, text, and the rank of the recorded answer (1 is first; null when it is not there).
    """

    cluster: int
    client: str
    place: str
    role: str
    soc: str
    style: str
    text: str
    cold: Top
    recorded: str
    recorded_rating: int
    discovery: bool
    warm: Top
    verbatim: bool
    effect: str
    paraphrases: list[tuple[str, str, int | None]] = []


class Bleed(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that memory of one role moved in a demand for another.

    `same_cluster` when both are of one client in one city; else another client's title for the same occupation.
    """

    same_cluster: bool

    client: str
    place: str
    style: str
    asked: str
    recorded_for: str
    answer: str
    effect: str


class Share(msgspec.Struct, frozen=True):
    """`hits` of `total`."""

    hits: int
    total: int

    @property
    def text(self) -> str:
        """For a table."""
        share = f" ({100 * self.hits / self.total:.1f} %)" if self.total else ""
        return f"{self.hits:,} of {self.total:,}{share}"


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom an entry brought to another place.

    Attributes:
        before, after: Places from 1; `before` is None for somebody who was not among the first.
        effect, gates: What the entry did, and the gates that it passed.
        entry, role, score, by: What was recorded, the role it is filed under, and by whom.
    """

    answer: str
    before: int | None
    after: int
    rating: int | None
    effect: str
    gates: list[str]
    entry: str
    role: str
    score: float
    by: str


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A clean query whose first results hostile entries changed; `honest` when every gate let them pass rightly."""

    query: str
    honest: bool
    moved: list[Moved]


class Poison(msgspec.Struct, frozen=True, kw_only=True):
    """Hostile entries: how many were tried and kept, refused phantoms, and the clean queries they changed."""

    tried: int
    phantoms_refused: int
    kept: int
    queries: int
    changes: list[Changed]

    @property
    def changed(self) -> list[str]:
        """The queries that were changed although a gate should have held."""
        return [each.query for each in self.changes if not each.honest]

    @property
    def changed_honestly(self) -> int:
        """How many queries were changed by entries that passed every gate rightly."""
        return sum(each.honest for each in self.changes)


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Rules and chat model on the same pairs of demand and person. `kappa` is weighted by squared difference."""

    model: str
    pairs: int
    unanswered: int
    same: int
    within_one: int
    kappa: float | None


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was made of, beside what was asked for.

    Attributes:
        source: The file of demands.
        rows, of_years, usable: Its rows, those of the years, and those of them that name all that a demand needs.
        clusters: Clients of the part in a city with roles of different SOC codes, of which the run's were drawn.
        demands_asked, clusters_asked, others, each, hostile: As `Options` had them.
    """

    source: str
    rows: int
    of_years: int
    usable: int
    clusters: int
    demands_asked: int
    clusters_asked: int
    others: int
    each: int
    hostile: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one run found; see docs/evaluations.md for what each line means."""

    years: list[str]
    part: str
    seed: int
    drawn: Drawn
    k: int
    people: int
    clusters: int
    demands: int
    recorded: int
    discoveries: int
    verbatim: Share
    verbatim_all: Share
    paraphrase: dict[str, Share]
    paraphrase_discoveries: Share
    lifted: int
    neutral: int
    regressed: int
    worst: int
    boosts: int
    injects: int
    mean_distance_change: float
    bleed_clusters: int
    bleed_queries: int
    bleeds: list[Bleed]
    handover_verbatim: Share
    handover_paraphrase: Share
    isolation_hits: int
    isolation_queries: int
    deterministic: dict[str, Share]
    poison: Poison | None
    agreement: Agreement | None
    queries: list[Query]
