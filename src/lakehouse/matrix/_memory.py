"""What memory does to the results of one search: boost, inject, and the gates before them.

An entry acts when its demand was for the same role and lies near, in this order:

1. *Boost*: answers among the results move closer, unless they are of another role, by `boost_factor(strength)`, and so
   past others, but past nobody who is rated better; strength is the entry's score times the trust that outcomes for
   demands like this one leave in it.
2. *Lead*: answers of demands within `inject_within`, in the results or not, take the first place whose holder is not
   rated better. The very text comes first, then the same client in the same city, then the same city; then who agrees
   in more of count, start, shift and certifications; then the nearest.
3. *Inject*: a lead that is missing from the results must besides meet the demand's hard constraints and the caller's
   filter; its distance is that of the recorded demand times the factor.

Against an answer: outcomes that speak against it move it away, or behind everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from lakehouse.matrix._candidates import Candidate, Rater
from lakehouse.matrix._gates import Lead
from lakehouse.matrix._recalled import Answer, Dropped, Recalled
from lakehouse.matrix.base import DroppedMemory, Gate, MemoryUse
from lakehouse.memory.base import Recall
from lakehouse.memory.evidence import BARRED, Posterior, trust
from lakehouse.vectors.base import Filter

_DROPPED = 20
_PASSED: list[Gate] = [
    "excluded",
    "role",
    "distance",
    "filter",
    "certs",
    "place",
    "shift",
    "available",
    "judge",
]


class Memory:
    """What memory does to one search.

    Args:
        recalled: What it says to the demand.
        rater: Rates against the demand, for the judge gate.
        k: How many are results.
        filter: The caller's own conditions.
        excluded: People left out.
    """

    def __init__(
        self, recalled: Recalled, rater: Rater, *, k: int, filter: Filter | None, excluded: frozenset[str]
    ) -> None:
        self._recalled = recalled
        self._rater = rater
        self._k = k
        self._filter = filter
        self._excluded = excluded
        self._dropped = Dropped()

    @property
    def dropped(self) -> list[DroppedMemory]:
        """What was stopped, nearest first."""
        found = sorted(self._dropped.by_answer.values(), key=lambda each: (each.query_distance, each.playbook_id))
        return found[:_DROPPED]

    def apply(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the candidates with memory applied, in order; the first k of them are "the results"."""
        recalled, k = self._recalled, self._k
        self._hold_back(candidates)
        known = {(candidate.corpus, candidate.id): candidate for candidate in candidates}
        present = {(candidate.corpus, candidate.id): candidate for candidate in candidates[:k]}
        self._note_dropped(present)
        barred: set[Answer] = set()
        for answer, candidate in present.items():
            boost = recalled.boosts.get(answer)
            if boost is None:
                continue
            of_other_role = recalled.gates.other_role(candidate)
            if of_other_role is None:
                _boost(candidate, boost)
            else:
                self._dropped.add(boost.recall, "role", of_other_role)
                barred.add(answer)
        ordered = [*self._moved_up(candidates[:k]), *candidates[k:]]
        placed: list[Candidate] = []
        for lead in self._leads(present, barred):
            answer = lead.recall.answer
            if answer in present:
                self._climb(ordered, known[answer], placed)
            else:
                self._inject(ordered, lead, known.get(answer), placed)
            # Counted are those who got a place: what a gate stops must not use up the place of what it lets pass.
            if len(placed) == k:
                break
        for answer in [(each.corpus, each.id) for each in ordered if each.memory and each.memory.effect != "none"]:
            # Another entry of theirs may have been stopped, which is not what happened to them.
            self._dropped.by_answer.pop(answer, None)
        return [*(c for c in ordered if c.rejected_by is None), *(c for c in ordered if c.rejected_by is not None)]

    def _note_dropped(self, present: dict[Answer, Candidate]) -> None:
        recalled = self._recalled
        if self._excluded:
            for answer, recall in recalled.nearest.items():
                if answer[1] in self._excluded:
                    self._dropped.add(recall, "excluded", "left out by the caller")
        for answer, drop in recalled.dropped.by_answer.items():
            self._dropped.by_answer.setdefault(answer, drop)
        for answer, drop in recalled.dropped_missing.by_answer.items():
            if answer not in present and answer not in recalled.missing:
                self._dropped.by_answer.setdefault(answer, drop)

    def _leads(self, present: dict[Answer, Candidate], barred: set[Answer]) -> Iterator[Lead]:
        """Yield the leads that may act, best first."""
        for lead, among in self._recalled.leads:
            answer = lead.recall.answer
            if (answer in present) == among and answer not in barred and answer[1] not in self._excluded:
                yield lead

    def _hold_back(self, candidates: Sequence[Candidate]) -> None:
        """Move away, or behind everybody, whom outcomes for demands like this one speak against."""
        against = self._recalled.against
        for candidate in candidates if against else ():
            speaking = against.get((candidate.corpus, candidate.id))
            if speaking is not None:
                found = self._recalled.pooled[speaking.answer]
                barred = trust(found) <= BARRED
                factor = 1.0 if barred else 1.0 - 0.5 * trust(found)
                use = _use("none", speaking, found, candidate.distance, factor, ["role"])
                candidate.memory = msgspec.structs.replace(use, turned_down="barred" if barred else "lowered")
                candidate.distance *= factor
                candidate.rejected_by = speaking if barred else None

    def _moved_up(self, results: list[Candidate]) -> list[Candidate]:
        """Return the results in their new order, in which nobody has passed somebody who is rated better."""
        moved = [each for each in results if each.memory is not None and each.memory.effect == "boost"]
        still = [each for each in results if each.memory is None or each.memory.effect != "boost"]
        ordered = sorted(still, key=lambda candidate: candidate.order)
        before = {id(each): position for position, each in enumerate(results)}
        for candidate in sorted(moved, key=lambda candidate: candidate.order):
            at, place, was, rated = 0, candidate.order, before[id(candidate)], self._rated(candidate)
            for position, other in enumerate(ordered, 1):
                if other.order <= place or (before[id(other)] < was and self._rated(other) > rated):
                    at = position
            ordered.insert(at, candidate)
        return ordered

    def _climb(self, ordered: list[Candidate], candidate: Candidate, placed: list[Candidate]) -> None:
        """Move a result up to the first place whose holder is not rated better."""
        at = self._place_for(candidate, ordered, placed)
        before = next(position for position, other in enumerate(ordered) if other is candidate)
        if at < before:
            del ordered[before]
            ordered.insert(at, candidate)
        placed.append(candidate)

    def _inject(self, ordered: list[Candidate], lead: Lead, found: Candidate | None, placed: list[Candidate]) -> None:
        """Put a missing answer in at its place, or say which gate stopped it."""
        recall, k = lead.recall, self._k
        # Found by the search, but not among the first k: the same as missing, and not to be there twice.
        person = found or self._recalled.missing_person(recall)
        if person is None:
            self._dropped.add(recall, "gone", f"{recall.playbook.answer_id} is not on the roster any more")
            return
        stopped = self._recalled.stopping(person, recall.answer, self._filter)
        if stopped is not None:
            self._dropped.add(recall, *stopped)
            return
        rating = self._rated(person)
        at = self._place_for(person, ordered, placed)
        last = ordered[k - 1] if len(ordered) >= k else None
        if last is not None and (at >= k or self._rated(last) > rating):
            reason = f"rated {rating}, {last.id} whom it would displace is rated {self._rated(last)}"
            self._dropped.add(recall, "judge", reason)
            return
        new = msgspec.structs.replace(
            person,
            distance=recall.distance * lead.factor,
            stored=dict(person.metadata),
            memory=_use("inject", recall, lead.posterior, recall.distance, lead.factor, _PASSED),
        )
        if found is not None:
            ordered[:] = [other for other in ordered if other is not found]
        ordered.insert(at, new)
        placed.append(new)

    def _place_for(self, candidate: Candidate, ordered: Sequence[Candidate], placed: Sequence[Candidate]) -> int:
        """Return the first position whose holder a candidate may displace, its own at the latest."""
        rating = self._rated(candidate)
        for position, other in enumerate(ordered):
            if other is candidate or other.rejected_by is not None:
                return position
            led = any(other is before for before in placed)
            if self._rated(other) < rating or (self._rated(other) == rating and not led):
                return position
        return len(ordered)

    def _rated(self, candidate: Candidate) -> int:
        return self._rater.of(candidate).rating or 0


def _boost(candidate: Candidate, lead: Lead) -> None:
    """Move a candidate closer."""
    base = candidate.memory.base_distance if candidate.memory else candidate.distance
    moved = base * lead.factor
    if candidate.memory is None or moved < candidate.distance:
        candidate.distance = moved
        candidate.memory = _use("boost", lead.recall, lead.posterior, base, lead.factor, ["excluded", "role"])


def _use(effect: Any, recall: Recall, found: Posterior, base: float, factor: float, gates: list[Gate]) -> MemoryUse:
    entry = recall.playbook
    return MemoryUse(
        effect=effect,
        playbook_id=recall.id,
        base_distance=base,
        namespace=entry.namespace,
        recorded_at=entry.updated_at,
        by=entry.by,
        why=entry.why,
        query_distance=round(recall.distance, 6),
        factor=round(factor, 6),
        posterior=found,
        gates=gates,
    )
