"""Who may be in an answer: each corpus searched by steps of the requirements, strictest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.errors import NotFound
from lakehouse.matrix import _quoted
from lakehouse.matrix._candidates import Candidate, facts
from lakehouse.matrix.requirements import Requirements, Standings, Steps
from lakehouse.state.names import MEMORY_INDEX
from lakehouse.vectors.base import Filter, Finder, Found
from lakehouse.vectors.items import no_corpus

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy as np

    from lakehouse.vectors.service import Vectors

MAX_K = 10_000
# Notes are kept on so many people of a search; beyond that they would push each other out.
_NOTED = 200
# Of somebody who was not looked at yet.
_UNKNOWN = -1
# So many times as many are looked at where too few of them are what they seem.
_FURTHER = 4


class CandidateSearch:
    """One demand, looked for in several corpora.

    Args:
        vectors: Holds an index per corpus.
        vector: Of the demand, `(d,)` float32.
        wanted: Its requirements.
        k: How many people the answer has at most.
        filter: The caller's own conditions.
        excluded: People left out.
        rated: What ratings depend on beside the person.
        described: The text when it describes somebody instead of asking for somebody.
    """

    def __init__(  # noqa: PLR0913 - a search's own arguments
        self,
        vectors: Vectors,
        vector: np.ndarray,
        wanted: Requirements,
        *,
        k: int,
        filter: Filter | None,
        excluded: frozenset[str],
        rated: Hashable,
        described: str = "",
    ) -> None:
        self._vectors = vectors
        self._vector = vector
        self._wanted = wanted
        self._k = k
        self._filter = filter
        self._excluded = excluded
        self._rated = rated
        self._described = described
        self._standings = Standings(wanted)
        self._steps: Steps | None = None

    def among(self, corpus: str) -> list[Candidate]:
        """Search one corpus, strictest first, until k people are found who meet a step in full.

        People of whom a requirement is unknown, which no step finds, are there when they are among the k nearest.

        Raises:
            NotFound: There is no such corpus; the message names those there are.
            InvalidInput: The filter has no single meaning.
        """
        if corpus.startswith(MEMORY_INDEX):
            # What lies in it are entries, and nobody is one.
            raise self._unknown(corpus)
        try:
            lookup = self._vectors.lookup(corpus, self._vector, exclude=self._excluded)
        except NotFound:
            raise self._unknown(corpus) from None
        if self._steps is None:
            self._steps = self._wanted.steps(self._vectors.checked(self._filter))
        wanted = self._wanted
        # Filters know neither expired certifications nor who is not free yet, only `standing` does.
        enough = min(2 * self._k, MAX_K) if wanted.stated else self._k
        last = max(self._k, _quoted.AMONG) if self._described else self._k
        filters, standings = self._steps
        # Those of the very title are not in reach of any step: nearness alone must find them.
        nearest = lookup.among(filters[-1:], self._k, last)[0] if wanted.by_title and len(filters) > 1 else []
        while True:
            found, ended = lookup.among(filters, enough, last)
            if nearest:
                found = [*{one[1]: one for one in (*found, *nearest)}.values()]
            candidates = self._candidates(corpus, lookup, found)
            met = sum(candidate.standing <= standings[ended] for candidate in candidates)
            if met >= self._k or ended == len(filters) - 1 or enough >= MAX_K:
                break
            # Too many only seemed to meet it: those who do are farther away.
            enough *= _FURTHER
        return self._quoted(candidates) if self._described else candidates

    def _unknown(self, corpus: str) -> NotFound:
        return no_corpus(corpus, [stats.name for stats in self._vectors.list().indexes])

    def _quoted(self, candidates: list[Candidate]) -> list[Candidate]:
        """Put those first whose own words the description is made of; at most k are left."""
        for candidate in candidates:
            if _quoted.quotes(self._described, candidate.metadata):
                candidate.standing = _quoted.STANDING
        return sorted(candidates, key=lambda candidate: candidate.order)[: self._k]

    def _candidates(self, corpus: str, lookup: Finder, found: list[Found]) -> list[Candidate]:
        few = self._k <= _NOTED
        standings: dict[int, int] = lookup.notes(self._wanted) if few else {}
        ratings: dict[int, Any] | None = lookup.notes(self._rated) if few else None
        encoded, known = lookup.encoded, standings.get
        candidates = [
            Candidate(id, corpus, distance, encoded, known(place, _UNKNOWN), place, ratings)
            for distance, id, place in found
        ]
        for candidate in candidates:
            if candidate.standing < 0:
                place = candidate.place
                candidate.standing = standings[place] = self._standings.of(facts(encoded(place)))
        return candidates
