"""Search over several corpora with memory: one embedding, one merge, then what worked before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import date
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse import settings, tracing
from lakehouse.errors import InvalidInput
from lakehouse.matrix import _replay, context
from lakehouse.matrix._candidate_search import MAX_K, CandidateSearch
from lakehouse.matrix._candidates import Candidate, Rater, sort
from lakehouse.matrix._gates import Gates
from lakehouse.matrix._memory import lowered_out
from lakehouse.matrix._opinions import SecondJudge, second_judge
from lakehouse.matrix._recalled import Missing, Recalled, Rules
from lakehouse.matrix.base import CorpusCounts, DroppedMemory, Match, SearchAnswer
from lakehouse.matrix.context import Downgrade, Relevance
from lakehouse.matrix.requirements import LAST_GOOD, Requirements, requirements
from lakehouse.memory.base import DEFAULT_NAMESPACE, Namespace
from lakehouse.memory.role_gate import RoleGate
from lakehouse.staffing.demand import Role
from lakehouse.vectors.base import Filter

if TYPE_CHECKING:
    from lakehouse.memory._found import Recollection
    from lakehouse.memory.asks import Ask, Asks
    from lakehouse.memory.playbooks import Playbooks
    from lakehouse.vectors.service import Vectors

MAX_CORPORA = 32
MAX_EXCLUDED = 100_000
# Beyond this many results the rest is left unrated (null): nobody reads that far, and rating costs time.
RATED = 100
# A text of more words without the form of a demand describes somebody (a resume); its place and
# certifications are then part of the description and not requirements.
_DESCRIPTION_WORDS = 14
# Of so many results everything remembered is looked up; of the others what was recorded near by.
_REMEMBERED_OF = 100
# What memory says to so many demands is kept as long as it holds.
_RECALLED_KEPT = 500
# So many remembered people are kept for demands that want the same, and for so many that want something else.
_PEOPLE_KEPT = 500
_DEMANDS_KEPT = 64
# Without anything to rate, results farther than this are about something else.
_FAR = 0.62

Corpora = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1, max_length=MAX_CORPORA)
]
K = Annotated[int, msgspec.Meta(ge=1, le=MAX_K)]
Excluded = Annotated[list[str], msgspec.Meta(max_length=MAX_EXCLUDED)]
MaxDistance = Annotated[float, msgspec.Meta(ge=0, le=2)]
Opinions = Annotated[int, msgspec.Meta(ge=0, le=10)]


class Matrix:
    """Retrieval with memory.

    Args:
        config: Distances and limits.
        vectors: Holds an index per corpus.
        asks: Parses and embeds query texts.
        playbooks: Memory.
        today: Date on which certifications must be valid when the demand names none.
        weak_models: Chat models that get the full context.
        judge: Name of the chat model that gives second opinions on results, and what takes a prompt to its text; None
            for no opinions.
    """

    def __init__(
        self,
        config: settings.Matrix,
        *,
        vectors: Vectors,
        asks: Asks,
        playbooks: Playbooks,
        today: Callable[[], date],
        weak_models: Collection[str] = (),
        judge: tuple[str, Callable[[str], str]] | None = None,
    ) -> None:
        self._config = config
        self._vectors = vectors
        self._asks = asks
        self._playbooks = playbooks
        self._today = today
        self._weak_models = frozenset(weak_models)
        self._judge = SecondJudge(*judge) if judge is not None else None
        self._same_role = RoleGate(asks.roles)
        self._known: dict[Hashable, tuple[Recollection, Recalled]] = {}
        self._missing: dict[Hashable, Missing] = {}

    def ready(self, query_text: str) -> bool:
        """Tell whether a search for this text needs no parsing and embedding any more."""
        return self._asks.known(query_text)

    def prepare(self, query_text: str) -> None:
        """Parse and embed a text, so that the search for it takes microseconds."""
        self._asks.of(query_text)

    def search(  # noqa: PLR0913, PLR0917 - the fields of the wire's request, one argument each
        self,
        query_text: str,
        corpora: Corpora,
        k: K = 10,
        use_playbook: bool = False,
        query_role: Role | None = None,
        exclude_ids: Excluded = [],  # noqa: B006 - never changed; the request type needs a value
        filter: Filter | None = None,
        playbook: Namespace = DEFAULT_NAMESPACE,
        rate: bool = True,
        max_distance: MaxDistance | None = None,
        opinions: Opinions = 0,
    ) -> SearchAnswer:
        """Find people for a demand, a description or a few words.

        What the text states (role, certifications, place, shift) is required first and given up step by
        step, least important last, until k people are found; within a step the nearest come first. A long
        description that stands almost word for word in a person's resume finds that person first. Memory
        then moves remembered answers closer (recorded query within 0.5) and puts missing ones in (within
        0.20), never across roles, never an excluded person, never one rated below whom they would displace.

        Args:
            query_text: The original ask; ratings are against it.
            corpora: Names of corpora, searched together.
            k: Most results, 1 to 10,000. The first 100 are rated.
            use_playbook: Whether memory may act.
            query_role: Role of the demand, instead of the one parsed from the text; at most 200 letters.
            exclude_ids: People who must not come back, by no way.
            filter: Conditions on metadata that every result meets.
            playbook: Namespace whose memory is used.
            rate: Whether to rate results.
            max_distance: Leave out results farther than this.
            opinions: Of so many of the first results the chat model `models.local_judge` says what it thinks, 0 to
                10, beside the rating; that takes as long as the model takes.

        Raises:
            InvalidInput: Empty text, a field out of range, or opinions without a model that gives them.
            NotFound: A corpus does not exist; the message names those that do.
        """
        judge = second_judge(self._judge, opinions)
        if k > self._config.max_k:
            most = self._config.max_k
            raise InvalidInput(f"k is {k}; at most {most} (matrix.max_k)", field="k", limit=most)
        with tracing.span("embed", texts=1):
            ask = self._asks.of(query_text)
        wanted = self._requirements(ask, query_role)
        excluded = frozenset(exclude_ids)
        corpora = list(dict.fromkeys(corpora))
        rater = Rater(ask, self._today(), self._config.near_km, self._asks)
        described = not wanted.stated and len(ask.text.split()) > _DESCRIPTION_WORDS
        search = CandidateSearch(
            self._vectors,
            ask.vector,
            wanted,
            k=k,
            filter=filter,
            excluded=excluded,
            rated=rater.asked,
            described=ask.text if described else "",
        )
        candidates: list[Candidate] = []
        counts: dict[str, int] = {}
        for corpus in corpora:
            with tracing.span("matrix.corpus", corpus=corpus, k=k) as span:
                found = search.among(corpus)
                counts[corpus] = len(found)
                candidates += found
                span.set(found=len(found))
        sort(candidates)
        held_out = use_playbook and self._playbooks.held_out(query_text)
        before: list[Candidate] = []
        dropped: list[DroppedMemory] = []
        if use_playbook and not held_out:
            with tracing.span("memory", playbook=playbook) as span:
                recalled = self._recalled(playbook, ask, wanted, query_role, corpora, candidates[:k])
                before = candidates[:k]
                candidates, dropped = _replay.apply(recalled, candidates, rater, k=k, filter=filter, excluded=excluded)
                span.set(recalled=recalled.count, dropped=len(dropped))
        if max_distance is not None:
            candidates = [candidate for candidate in candidates if candidate.distance <= max_distance]
        chosen = candidates[:k]
        dropped = lowered_out(before, chosen, dropped, max_distance)
        if rate:
            with tracing.span("rate", rated=min(len(chosen), RATED)):
                rater.rate(chosen[:RATED])
        else:
            # The judge gate may have rated some of them.
            for candidate in chosen:
                candidate.rating = None
        said, agreement = judge.about(query_text, chosen[:opinions]) if judge else ([], None)
        shown = [candidate.corpus for candidate in chosen]
        effects = [candidate.memory.effect for candidate in chosen if candidate.memory is not None]
        return SearchAnswer(
            results=[_match(candidate, said) for candidate, said in zip_longest(chosen, said)],
            per_corpus={corpus: CorpusCounts(count, shown.count(corpus)) for corpus, count in counts.items()},
            boosted=effects.count("boost"),
            injected=effects.count("inject"),
            excluded=len(excluded),
            no_good_match=not self._any_good(chosen, wanted),
            trace_id=tracing.current(),
            dropped=dropped,
            held_out=held_out,
            opinions=agreement,
        )

    def version(self, corpora: Sequence[str], namespace: str | None) -> Hashable:
        """Return what changes with the day and with every write that a search can see.

        Two equal versions, one taken before a search and one later, mean that the answer is still the same.

        Args:
            corpora: Corpora that are searched.
            namespace: Whose memory acts, None when it does not.
        """
        memory = self._playbooks.version(namespace) if namespace is not None else ()
        return self._today(), tuple(map(self._vectors.version, corpora)), memory

    def _recalled(
        self,
        playbook: str,
        ask: Ask,
        wanted: Requirements,
        query_role: str | None,
        corpora: Sequence[str],
        results: Sequence[Candidate],
    ) -> Recalled:
        """Return what memory says to the ask; worked out before where nothing it was made from has changed."""
        answers = [candidate.id for candidate in results[:_REMEMBERED_OF]]
        key = (playbook, self.version(corpora, None), tuple(corpora), ask.text, query_role, tuple(answers))
        known = self._known.get(key)
        if known is None or not known[0].still():
            known = self._recalled_anew(playbook, ask, wanted, query_role, corpora, answers, before=known)
            # What takes its own place pushes nothing else out.
            self._known.pop(key, None)
            while len(self._known) >= _RECALLED_KEPT:
                self._known.pop(next(iter(list(self._known))), None)
            self._known[key] = known
        return known[1]

    def _recalled_anew(
        self,
        playbook: str,
        ask: Ask,
        wanted: Requirements,
        query_role: str | None,
        corpora: Sequence[str],
        answers: Sequence[str],
        *,
        before: tuple[Recollection, Recalled] | None,
    ) -> tuple[Recollection, Recalled]:
        """Return what memory says, and what it was made of."""
        config, today = self._config, self._today()
        role = _role_of(ask, wanted, query_role)
        recollection = self._playbooks.recall(
            playbook,
            ask,
            role=role,
            corpora=corpora,
            answers=answers,
            within=config.boost_within,
            near_km=config.near_km,
            before=before[0] if before is not None else None,
        )
        earlier = before[1] if before is not None else None
        change = recollection.change
        if earlier is not None and earlier.says(recollection.recalls, change):
            # What was written was not near enough to be among them.
            return recollection, earlier
        gates = (
            earlier.gates
            if earlier is not None
            else Gates(
                ask,
                wanted,
                role,
                rater=Rater(ask, today, config.near_km, self._asks),
                same_role=self._same_role,
                open_unknown=config.inject_unknown,
            )
        )
        rules = Rules(
            inject_within=config.inject_within,
            inject_unknown=config.inject_unknown,
            half_life_days=config.half_life_days,
            today=today,
        )
        said = Recalled(
            recollection.recalls,
            gates,
            rules,
            person=self.person,
            missing=earlier.known_missing if earlier is not None else self._missing_of(corpora, wanted, gates.rated),
            before=earlier,
            change=change,
        )
        return recollection, said

    def _missing_of(self, corpora: Sequence[str], wanted: Requirements, rated: Hashable) -> Missing:
        """Return what is known of remembered people, for demands that want the same and rate alike."""
        name = (self.version(corpora, None), tuple(corpora), wanted, rated)
        known = self._missing.get(name)
        if known is None or len(known.people) > _PEOPLE_KEPT:
            while len(self._missing) >= _DEMANDS_KEPT:
                self._missing.pop(next(iter(list(self._missing))), None)
            known = self._missing[name] = Missing({}, {})
        return known

    def forget(self) -> None:
        """Drop what is kept of what memory says."""
        self._known.clear()
        self._missing.clear()

    def relevance(
        self, query: str, chunks: context.Chunks, threshold: context.Threshold = context.THRESHOLD
    ) -> Relevance:
        """Separate retrieved chunks that are about a question from those that stand next to its topic.

        Args:
            query: The question.
            chunks: At most 1,000.
            threshold: Least score, 0 to 1, that is kept.

        Raises:
            InvalidInput: The question is blank.
        """
        return context.relevance(query, chunks, threshold, self._asks.embed)

    def downgrade(self, mode: context.Mode, model: context.ModelName) -> Downgrade:
        """Say how much context a model gets: weak ones (`models.weak_models`) the full one, others an isolated prompt.

        Args:
            mode: `lakehouse`, a mode ending in `_lakehouse`, or any other, which is left as it is.
            model: Name of the chat model.
        """
        return context.downgrade(mode, model, self._weak_models)

    def _requirements(self, ask: Ask, query_role: str | None) -> Requirements:
        demand = ask.demand
        if demand.style is None and query_role is None and len(ask.text.split()) > _DESCRIPTION_WORDS:
            return Requirements(role="", role_code="", certs=(), shift="", place=None, near_km=0)
        role, code = demand.role or "", demand.role_code or ""
        if query_role is not None:
            match = self._asks.roles.resolve(query_role)
            role, code = query_role, match.code if match else ""
        return requirements(
            demand,
            role=role,
            role_code=code,
            certifications=self._asks.certifications,
            near_km=self._config.near_km,
            today=self._today(),
        )

    def _any_good(self, chosen: Sequence[Candidate], wanted: Requirements) -> bool:
        if not chosen:
            return False
        ratings = [each.rating.rating for each in chosen if each.rating and each.rating.rating is not None]
        if ratings:
            return max(ratings) >= self._config.good_rating
        if wanted.stated:
            return any(candidate.standing <= LAST_GOOD for candidate in chosen)
        return chosen[0].distance <= _FAR

    def person(self, corpus: str, id: str) -> dict[str, Any] | None:
        """Return the metadata of one person of a corpus, None when there is none of that id."""
        return self._vectors.metadata(corpus, id)


def _role_of(ask: Ask, wanted: Requirements, query_role: str | None) -> tuple[str, str]:
    """Return the role that memory goes by, with its code; empty when unknown."""
    return query_role or ask.demand.role or "", wanted.role_code or ask.demand.role_code or ""


def _match(candidate: Candidate, opinion: int | None) -> Match:
    rating = candidate.rating
    reasons = list(rating.reasons) if rating else []
    if candidate.rejected_by is not None:
        reasons.append(f"turned down before for a like demand ({candidate.rejected_by.playbook.updated_at[:10]})")
    return Match(
        id=candidate.id,
        corpus=candidate.corpus,
        distance=round(candidate.distance, 6),
        metadata=candidate.metadata,
        rating=rating.rating if rating else None,
        reasons=reasons,
        memory=candidate.memory,
        opinion=opinion,
    )
