"""What memory does to the results of one search: boost, inject, and the gates before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.matrix._candidates import Candidate, Rater
from lakehouse.matrix.base import MemoryUse
from lakehouse.matrix.requirements import ANYONE, Requirements
from lakehouse.memory.base import Playbook, Recall, boost_factor
from lakehouse.staffing.titles import role_equal
from lakehouse.vectors.base import Filter
from lakehouse.vectors.filters import passes

if TYPE_CHECKING:
    from lakehouse.memory.asks import Ask


class Memory:
    """Boost, inject and the gates before them, for one search.

    Args:
        ask: What is asked for.
        wanted: Its requirements.
        role: Of the demand, empty when unknown.
        rater: Rates against the ask, for the judge gate; None leaves that gate open.
        person: Gives the metadata of somebody of a corpus, None when there is nobody of that id.
        inject_within: Largest distance of a recorded query whose answer may be put in.
    """

    def __init__(
        self,
        ask: Ask,
        wanted: Requirements,
        role: str,
        *,
        rater: Rater | None,
        person: Callable[[str, str], dict[str, Any] | None],
        inject_within: float,
    ) -> None:
        self._wanted = wanted
        self._role = role
        self._code = wanted.role_code or ask.demand.role_code or ""
        self._rater = rater
        self._person = person
        self._inject_within = inject_within

    def apply(
        self,
        candidates: list[Candidate],
        recalls: Sequence[Recall],
        *,
        k: int,
        filter: Filter | None,
        excluded: frozenset[str],
    ) -> list[Candidate]:
        """Return the candidates with memory applied, in order; the first k of `candidates` are "the results"."""
        results, rest = candidates[:k], candidates[k:]
        present = {(candidate.corpus, candidate.id): candidate for candidate in results}
        usable = [
            recall
            for recall in recalls
            if self._same_role(recall.playbook) and recall.playbook.answer_id not in excluded
        ]
        rejected = {
            (recall.playbook.corpus, recall.playbook.answer_id): recall.playbook
            for recall in usable
            if recall.playbook.outcome == "rejected" and recall.distance <= self._inject_within
        }
        for candidate in candidates:
            candidate.rejected_by = rejected.get((candidate.corpus, candidate.id))
        worked = [recall for recall in usable if recall.playbook.outcome == "worked"]
        for recall in worked:
            found = present.get((recall.playbook.corpus, recall.playbook.answer_id))
            if found is not None:
                _boost(found, recall)
        missing = self._missing(worked, present.keys() | rejected.keys(), filter)
        put_in = {(candidate.corpus, candidate.id) for candidate in missing}
        ordered = [*results, *(other for other in rest if (other.corpus, other.id) not in put_in)]
        ordered.sort(key=lambda candidate: candidate.order)
        for candidate in missing:
            self._inject(ordered, candidate, k)
        return ordered

    def _same_role(self, entry: Playbook) -> bool:
        if not self._role or not entry.role:
            return True
        if self._code and entry.role_code:
            return self._code == entry.role_code
        return role_equal(self._role, entry.role)

    def _missing(
        self, recalls: Sequence[Recall], known: AbstractSet[tuple[str, str]], filter: Filter | None
    ) -> list[Candidate]:
        """Return the remembered answers that are not among the results, one per answer, nearest first."""
        found: dict[tuple[str, str], Candidate] = {}
        for recall in recalls:
            entry = recall.playbook
            key = (entry.corpus, entry.answer_id)
            if key in known or recall.distance > self._inject_within:
                continue
            distance = recall.distance * boost_factor(entry.score)
            if key in found and found[key].distance <= distance:
                continue
            person = self._person(*key)
            # Not on the roster any more, or refused by the caller's own filter: memory does not override either.
            if person is None or (filter and not passes(filter, person)):
                continue
            found[key] = Candidate(
                entry.answer_id,
                entry.corpus,
                distance,
                person,
                self._wanted.standing(person),
                memory=_use("inject", recall),
            )
        return sorted(found.values(), key=lambda candidate: candidate.order)

    def _inject(self, candidates: list[Candidate], new: Candidate, k: int) -> None:
        """Put one answer in at its place, unless it meets less of the demand than whom it would displace."""
        if self._wanted.stated and new.standing == ANYONE:
            return
        at = next((at for at, other in enumerate(candidates) if new.order < other.order), len(candidates))
        if at >= k:
            return
        if at < len(candidates) and self._rater:
            displaced = candidates[at]
            if (self._rater.of(new).rating or 0) < (self._rater.of(displaced).rating or 0):
                return
        candidates.insert(at, new)


def _boost(candidate: Candidate, recall: Recall) -> None:
    """Move a candidate closer by the entry that moves it most."""
    base = candidate.memory.base_distance if candidate.memory else candidate.distance
    moved = base * boost_factor(recall.playbook.score)
    if moved < candidate.distance:
        candidate.distance = moved
        candidate.memory = msgspec.structs.replace(_use("boost", recall), base_distance=base)
    elif candidate.memory is None:
        candidate.memory = msgspec.structs.replace(_use("none", recall), base_distance=base)


def _use(effect: Any, recall: Recall) -> MemoryUse:
    entry = recall.playbook
    return MemoryUse(
        effect=effect,
        playbook_id=entry.id,
        base_distance=recall.distance,
        namespace=entry.namespace,
        recorded_at=entry.updated_at,
    )
