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

import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from lakehouse.matrix._candidates import Candidate, Rater
from lakehouse.matrix._gates import Lead
from lakehouse.matrix._recalled import Answer, Drop, Recalled, Said
from lakehouse.matrix.base import DroppedMemory, Gate, MemoryUse
from lakehouse.memory.base import Recall
from lakehouse.memory.evidence import BARRED, Posterior
from lakehouse.vectors.base import Filter

_DROPPED = 20
_LOWERED = "lowered for demands like this one, and others came before them"
_FARTHER = "lowered for demands like this one, and farther now than the caller wants"
_FIRST = operator.itemgetter(0)
# `Drop.order`.
_NEAREST = operator.attrgetter("recall.distance", "recall.id")
_TOLD = operator.attrgetter("query_distance", "playbook_id")
_ANSWER = operator.attrgetter("corpus", "id")
_ORDER = operator.attrgetter("order")
# In the order in which they stop; one that the demand gives nothing to look at is passed.
_BOOSTED: list[Gate] = ["excluded", "role", "turned_down", "trust"]
_INJECTED: list[Gate] = [*_BOOSTED, "distance", "gone", "certs", "place", "shift", "available", "judge"]
_FILTERED: list[Gate] = [*_BOOSTED, "distance", "gone", "filter", "certs", "place", "shift", "available", "judge"]


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
        self._dropped: dict[Answer, Drop] = {}
        self._injected: list[Candidate] = []
        # Who got a place, by identity; and for a rating, how many of the first places are surely not open to it.
        self._placed: set[int] = set()
        self._closed: dict[int, int] = {}

    @property
    def dropped(self) -> list[DroppedMemory]:
        """What was stopped, one entry an answer, nearest first."""
        return [drop.told for drop in sorted(self._dropped.values(), key=_NEAREST)[:_DROPPED]]

    def apply(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return the candidates with memory applied, in order; the first k of them are "the results".

        Whom outcomes moved away is among these only where nobody else who was found comes before them now.
        """
        k = self._k
        if self._recalled.opposed:
            self._hold_back(candidates)
            candidates = sorted(candidates, key=_ORDER)
        results = candidates[:k]
        present = dict(zip(map(_ANSWER, results), results, strict=True))
        others = self._remembered(candidates[k:])
        self._note_dropped(present)
        barred = self._move_closer(present)
        ordered = [*self._moved_up(results), *candidates[k:]]
        for lead in self._leads(present, barred):
            answer = lead.recall.answer
            if answer in present:
                self._climb(ordered, present[answer])
            else:
                self._inject(ordered, lead, others.get(answer))
            # Counted are those who got a place: what a gate stops must not use up the place of what it lets pass.
            if len(self._placed) == k:
                break
        for each in (*results, *self._injected):
            # Another entry of theirs may have been stopped, which is not what happened to them.
            if each.memory is not None and each.memory.effect != "none":
                self._dropped.pop((each.corpus, each.id), None)
        if not self._recalled.opposed:
            return ordered
        return [*(c for c in ordered if c.rejected_by is None), *(c for c in ordered if c.rejected_by is not None)]

    def _remembered(self, candidates: Sequence[Candidate]) -> dict[Answer, Candidate]:
        """Return those of whom anything is remembered."""
        said = self._recalled.said
        answers = map(_ANSWER, candidates)
        return {answer: each for answer, each in zip(answers, candidates, strict=True) if answer in said}

    def _note_dropped(self, present: dict[Answer, Candidate]) -> None:
        noted = self._dropped
        for answer, said in self._recalled.said.items():
            if answer[1] in self._excluded:
                noted[answer] = Drop(said.weighed[0].recall, "excluded", "left out by the caller")
            elif said.dropped is not None:
                noted[answer] = said.dropped
            elif said.dropped_missing is not None and said.missing is None and answer not in present:
                noted[answer] = said.dropped_missing

    def _move_closer(self, present: dict[Answer, Candidate]) -> set[Answer]:
        """Move results closer that are remembered; returns the answers that are of another role."""
        of_other_role: set[Answer] = set()
        for answer, candidate in present.items():
            said = self._recalled.said.get(answer)
            if said is None or said.boost is None:
                continue
            reason = self._recalled.gates.other_role(candidate)
            if reason is None:
                _boost(candidate, said, said.boost)
            else:
                self._drop(said.boost.recall, "role", reason)
                of_other_role.add(answer)
        return of_other_role

    def _drop(self, recall: Recall, gate: Gate, reason: str | tuple[int, str, int]) -> None:
        """Note that a gate stopped an entry, unless one about the same answer was stopped before."""
        answer = recall.answer
        if answer in self._dropped:
            return
        said = self._recalled.said[answer]
        drop = said.stopped
        if drop is None or drop.recall is not recall or drop.gate != gate or drop.reason != reason:
            drop = said.stopped = Drop(recall, gate, reason)
        self._dropped[answer] = drop

    def _leads(self, present: dict[Answer, Candidate], barred: set[Answer]) -> Iterator[Lead]:
        """Yield the leads that may act, best first."""
        for _, among, lead in self._recalled.leads:
            answer = lead.recall.answer
            acts = among is None or (answer in present) == among
            if acts and answer not in barred and answer[1] not in self._excluded:
                yield lead

    def _hold_back(self, candidates: Sequence[Candidate]) -> None:
        """Move away, or behind everybody, whom outcomes for demands like this one speak against."""
        for candidate in candidates:
            said = self._recalled.said.get((candidate.corpus, candidate.id))
            if said is None or said.against is None or said.pooled is None or said.trust is None:
                continue
            barred = said.trust <= BARRED
            factor = 1.0 if barred else 1.0 - 0.5 * said.trust
            use = _use("none", said.against, said.pooled, candidate.distance, factor, ["role"])
            candidate.memory = msgspec.structs.replace(use, turned_down="barred" if barred else "lowered")
            candidate.distance *= factor
            candidate.rejected_by = said.against if barred else None

    def _moved_up(self, results: list[Candidate]) -> list[Candidate]:
        """Return the results in their new order, in which nobody has passed somebody who is rated better."""
        moved = [each for each in results if each.memory is not None and each.memory.effect == "boost"]
        if not moved and not self._recalled.opposed:
            return results
        still = [each for each in results if each.memory is None or each.memory.effect != "boost"]
        before = {id(each): position for position, each in enumerate(results)}
        ordered = sorted([(each.order, before[id(each)], each) for each in still], key=_FIRST)
        for one in sorted([(each.order, before[id(each)], each) for each in moved], key=_FIRST):
            at, (place, was, candidate) = 0, one
            rated = self._rated(candidate)
            for position, (order, stood, other) in enumerate(ordered, 1):
                if order <= place or (stood < was and self._rated(other) > rated):
                    at = position
            ordered.insert(at, one)
        return [each for _, _, each in ordered]

    def _climb(self, ordered: list[Candidate], candidate: Candidate) -> None:
        """Move a result up to the first place whose holder is not rated better."""
        rating = self._rated(candidate)
        at = self._place_for(rating, ordered, candidate)
        if ordered[at] is not candidate:
            # By identity: `index` would compare all that is known of both.
            before = 0
            while ordered[before] is not candidate:
                before += 1
            del ordered[before]
            ordered.insert(at, candidate)
        self._note_placed(candidate, rating, at)

    def _inject(self, ordered: list[Candidate], lead: Lead, found: Candidate | None) -> None:
        """Put a missing answer in at its place, or say which gate stopped it."""
        recall, k = lead.recall, self._k
        # Found by the search, but not among the first k: the same as missing, and not to be there twice.
        person = found if found is not None else self._recalled.missing_person(recall)
        if person is None:
            self._drop(recall, "gone", f"{recall.playbook.answer_id} is not on the roster any more")
            return
        stopped = self._recalled.stopping(person, recall.answer, self._filter)
        if stopped is not None:
            self._drop(recall, *stopped)
            return
        rating = self._rated(person)
        at = self._place_for(rating, ordered, found)
        last = ordered[k - 1] if len(ordered) >= k else None
        if last is not None and (at >= k or self._rated(last) > rating):
            self._drop(recall, "judge", (rating, last.id, self._rated(last)))
            return
        said = self._recalled.said[recall.answer]
        use, gates = said.injected, _INJECTED if self._filter is None else _FILTERED
        if use is None or use.playbook_id != recall.id or use.gates is not gates:
            use = _use("inject", recall, lead.posterior, recall.distance, lead.factor, gates)
            said.injected = use
        new = msgspec.structs.replace(
            person, distance=recall.distance * lead.factor, stored=dict(person.metadata), memory=use
        )
        if found is not None:
            ordered[:] = [other for other in ordered if other is not found]
        ordered.insert(at, new)
        self._injected.append(new)
        self._note_placed(new, rating, at)

    def _note_placed(self, candidate: Candidate, rating: int, at: int) -> None:
        self._placed.add(id(candidate))
        # Who got a place gives way only to who is rated better. For other ratings it is looked at anew.
        self._closed = {rating: at + 1}

    def _place_for(self, rating: int, ordered: Sequence[Candidate], candidate: Candidate | None) -> int:
        """Return the first position whose holder may be displaced, that of the candidate itself at the latest."""
        for position in range(self._closed.get(rating, 0), len(ordered)):
            other = ordered[position]
            if other is candidate or other.rejected_by is not None:
                return position
            rated = self._rated(other)
            if rated < rating or (rated == rating and id(other) not in self._placed):
                return position
            self._closed[rating] = position + 1
        return len(ordered)

    def _rated(self, candidate: Candidate) -> int:
        rating = candidate.rating or self._rater.of(candidate)
        return rating.rating or 0


def lowered_out(
    before: Sequence[Candidate], chosen: Sequence[Candidate], dropped: list[DroppedMemory], max_distance: float | None
) -> list[DroppedMemory]:
    """Return what was stopped, with those who would be in the answer had outcomes not lowered them.

    Args:
        before: Who would be in it without memory.
        chosen: Who is.
        dropped: What gates stopped.
        max_distance: The caller's own; whoever was farther without memory is out for that.
    """
    shown = set(map(id, chosen))
    most = math.inf if max_distance is None else max_distance
    out = [
        DroppedMemory(
            playbook_id=use.playbook_id,
            answer_id=each.id,
            corpus=each.corpus,
            namespace=use.namespace,
            query_distance=use.query_distance,
            gate="turned_down",
            reason=_LOWERED if each.distance <= most else _FARTHER,
        )
        for each in before
        if (use := each.memory) is not None
        and use.turned_down == "lowered"
        and id(each) not in shown
        and use.base_distance <= most
    ]
    if not out:
        return dropped
    answers = {(each.corpus, each.answer_id) for each in out}
    others = [each for each in dropped if (each.corpus, each.answer_id) not in answers]
    return sorted([*out, *others], key=_TOLD)[:_DROPPED]


def _boost(candidate: Candidate, said: Said, lead: Lead) -> None:
    """Move a candidate closer."""
    base = candidate.memory.base_distance if candidate.memory else candidate.distance
    moved = base * lead.factor
    if candidate.memory is None or moved < candidate.distance:
        use = said.boosted
        if use is None or use.base_distance != base:
            use = said.boosted = _use("boost", lead.recall, lead.posterior, base, lead.factor, _BOOSTED)
        candidate.distance, candidate.memory = moved, use


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
