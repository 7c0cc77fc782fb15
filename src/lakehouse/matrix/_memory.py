"""What memory does to the results of one search: boost, inject, and the gates before them.

An entry acts when its demand was for the same role and lies near, in this order:

1. *Boost*: answers among the results move closer, by `boost_factor(strength)`, and so past others, but past nobody who
   is rated better; strength is the entry's score times the trust that outcomes for demands like this one leave in it.
2. *Lead*: answers of demands within `inject_within`, in the results or not, take the first place whose holder is not
   rated better. Ties of nearness go to the very text, then to the same client in the same city, then to the same city.
3. *Inject*: a lead that is missing from the results must besides meet the demand's hard constraints and the caller's
   filter; its distance is that of the recorded demand times the factor.

Against an answer: outcomes that speak against it move it away, or behind everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.matrix._candidates import Candidate, Rater
from lakehouse.matrix._gates import Gates, Lead
from lakehouse.matrix.base import DroppedMemory, Gate, MemoryUse
from lakehouse.matrix.requirements import Requirements
from lakehouse.memory.base import Recall, boost_factor
from lakehouse.memory.evidence import BARRED, Posterior, fading, posterior, trust
from lakehouse.vectors.base import Filter

if TYPE_CHECKING:
    from lakehouse.memory.asks import Ask
    from lakehouse.memory.role_gate import RoleGate

_DROPPED = 20

Answer = tuple[str, str]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What memory may do.

    Attributes:
        inject_within: Largest distance of a recorded demand whose answer may lead or be put in.
        inject_unknown: Whether an answer may be put in although a role is unknown, or it is not known of the person
            whether they meet a constraint.
        half_life_days: How fast evidence fades.
        today: The day it fades to.
    """

    inject_within: float
    inject_unknown: bool
    half_life_days: float
    today: date


class Memory:
    """Boost, inject and the gates before them, for one search.

    Args:
        ask: What is asked for.
        wanted: Its requirements.
        role: Of the demand with its code, empty when unknown.
        rater: Rates against the ask, for the judge gate.
        person: Gives the metadata of somebody of a corpus, None when there is nobody of that id.
        same_role: Compares roles.
        rules: What memory may do.
    """

    def __init__(
        self,
        ask: Ask,
        wanted: Requirements,
        role: tuple[str, str],
        *,
        rater: Rater,
        person: Callable[[str, str], dict[str, Any] | None],
        same_role: RoleGate,
        rules: Rules,
    ) -> None:
        self._rater = rater
        self._rules = rules
        self._gates = Gates(ask, wanted, role, rater=rater, same_role=same_role, open_unknown=rules.inject_unknown)
        self._person = person
        self._pooled: dict[Answer, Posterior] = {}
        self._dropped: dict[Answer, DroppedMemory] = {}

    @property
    def dropped(self) -> list[DroppedMemory]:
        """What was stopped, nearest first."""
        found = sorted(self._dropped.values(), key=lambda each: (each.query_distance, each.playbook_id))
        return found[:_DROPPED]

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
        usable = self._usable(recalls, excluded)
        self._pooled = self._pool(usable)
        self._hold_back(candidates, usable)
        known = {(candidate.corpus, candidate.id): candidate for candidate in candidates}
        present = {(candidate.corpus, candidate.id) for candidate in candidates[:k]}
        leads: dict[Answer, Lead] = {}
        for recall in usable:
            lead = self._lead(recall)
            if lead is None:
                continue
            if recall.answer in present:
                self._boost(known[recall.answer], lead)
            if self._may_lead(lead, recall.answer in present):
                best = leads.get(recall.answer)
                leads[recall.answer] = lead if best is None or lead.order < best.order else best
        ordered = [*self._moved_up(candidates[:k]), *candidates[k:]]
        placed: list[Candidate] = []
        for lead in sorted(leads.values(), key=lambda lead: lead.order)[:k]:
            answer = lead.recall.answer
            if answer in present:
                self._climb(ordered, known[answer], placed)
            else:
                self._inject(ordered, lead, known.get(answer), placed, k=k, filter=filter)
        return [*(c for c in ordered if c.rejected_by is None), *(c for c in ordered if c.rejected_by is not None)]

    def _usable(self, recalls: Sequence[Recall], excluded: frozenset[str]) -> list[Recall]:
        usable = []
        apart = self._gates.apart(recalls)
        for recall in recalls:
            if recall.playbook.answer_id in excluded:
                self._drop(recall, "excluded", "left out by the caller")
            elif self._gates.role(recall) == "other":
                self._drop(recall, "role", f"recorded for {recall.playbook.role}")
            elif recall.id in apart:
                self._drop(recall, "role", f"recorded for {recall.playbook.role}, which this client tells apart")
            else:
                usable.append(recall)
        return usable

    def _pool(self, usable: Sequence[Recall]) -> dict[Answer, Posterior]:
        """Return, for each answer, what all outcomes for demands like this one say."""
        sums: dict[Answer, tuple[float, float]] = {}
        for recall in usable:
            if recall.distance <= self._rules.inject_within:
                good, bad = sums.get(recall.answer, (0.0, 0.0))
                more_good, more_bad = self._faded(recall)
                sums[recall.answer] = good + more_good, bad + more_bad
        return {answer: posterior(good, bad) for answer, (good, bad) in sums.items()}

    def _faded(self, recall: Recall) -> tuple[float, float]:
        entry = recall.playbook
        left = fading(entry.evidence_on, self._rules.today, self._rules.half_life_days)
        return entry.good * left, entry.bad * left

    def _hold_back(self, candidates: Sequence[Candidate], usable: Sequence[Recall]) -> None:
        """Move away, or behind everybody, whom outcomes for demands like this one speak against."""
        against: dict[Answer, Recall] = {}
        for recall in usable:
            found = self._pooled.get(recall.answer)
            if found and trust(found) < 0 and recall.playbook.bad and recall.distance <= self._rules.inject_within:
                against.setdefault(recall.answer, recall)
        for candidate in candidates if against else ():
            speaking = against.get((candidate.corpus, candidate.id))
            if speaking is not None:
                self._against(candidate, speaking)
        for answer, recall in against.items():
            if trust(self._pooled[answer]) <= BARRED:
                self._drop(recall, "turned_down", "turned down for demands like this one")

    def _against(self, candidate: Candidate, recall: Recall) -> None:
        found = self._pooled[recall.answer]
        barred = trust(found) <= BARRED
        factor = 1.0 if barred else 1.0 - 0.5 * trust(found)
        use = _use("none", recall, found, candidate.distance, factor, ["role"])
        candidate.memory = msgspec.structs.replace(use, turned_down="barred" if barred else "lowered")
        candidate.distance *= factor
        candidate.rejected_by = recall if barred else None

    def _lead(self, recall: Recall) -> Lead | None:
        """Return what an entry says for its answer, None when that is nothing."""
        pooled = self._pooled.get(recall.answer)
        like = recall.distance <= self._rules.inject_within
        found = pooled if pooled is not None and like else posterior(*self._faded(recall))
        if pooled is not None and trust(pooled) < 0:
            return None
        strength = recall.playbook.score * trust(found)
        if strength <= 0:
            if not recall.playbook.bad:
                self._drop(recall, "trust", "nothing good is left of its outcomes")
            return None
        return Lead(
            recall=recall,
            posterior=found,
            strength=strength,
            factor=boost_factor(strength),
            nearness=self._gates.nearness(recall),
            like=like,
        )

    def _may_lead(self, lead: Lead, present: bool) -> bool:
        """Tell whether an entry may put its answer first, beyond moving it closer."""
        if lead.like:
            known = self._gates.role(lead.recall) == "same" or self._rules.inject_unknown
            if known or (present and self._gates.same_text(lead.recall)):
                return True
            if not present:
                self._drop(lead.recall, "role", "the role of this demand or of the recorded one is unknown")
        elif not present:
            far = (
                f"recorded for a demand {lead.recall.distance:.2f} away, put in within {self._rules.inject_within:.2f}"
            )
            self._drop(lead.recall, "distance", far)
        return False

    def _boost(self, candidate: Candidate, lead: Lead) -> None:
        """Move a candidate closer by the entry that moves it most."""
        base = candidate.memory.base_distance if candidate.memory else candidate.distance
        moved = base * lead.factor
        if candidate.memory is None or moved < candidate.distance:
            candidate.distance = moved
            candidate.memory = _use("boost", lead.recall, lead.posterior, base, lead.factor, ["excluded", "role"])

    def _moved_up(self, results: list[Candidate]) -> list[Candidate]:
        """Return the results in their new order, in which nobody has passed somebody who is rated better."""
        moved = [each for each in results if each.memory is not None and each.memory.effect == "boost"]
        still = [each for each in results if not any(each is other for other in moved)]
        ordered = sorted(still, key=lambda candidate: candidate.order)
        before = {id(each): position for position, each in enumerate(results)}
        for candidate in sorted(moved, key=lambda candidate: candidate.order):
            at = 0
            for position, other in enumerate(ordered, 1):
                ahead = before[id(other)] < before[id(candidate)]
                if other.order <= candidate.order or (ahead and self._rated(other) > self._rated(candidate)):
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

    def _inject(
        self,
        ordered: list[Candidate],
        lead: Lead,
        found: Candidate | None,
        placed: list[Candidate],
        *,
        k: int,
        filter: Filter | None,
    ) -> None:
        """Put a missing answer in at its place, or say which gate stopped it."""
        recall = lead.recall
        # Found by the search, but not among the first k: the same as missing, and not to be there twice.
        person = found.metadata if found else self._person(*recall.answer)
        if person is None:
            self._drop(recall, "gone", f"{recall.playbook.answer_id} is not on the roster any more")
            return
        distance = recall.distance * lead.factor
        new = self._gates.candidate(recall, distance, person)
        stopped = self._gates.stopping(new, filter)
        if stopped is not None:
            self._drop(recall, *stopped)
            return
        at = self._place_for(new, ordered, placed)
        last = ordered[k - 1] if len(ordered) >= k else None
        rating = self._rated(new)
        if at >= k or (last is not None and self._rated(last) > rating):
            other = ordered[k - 1]
            reason = f"rated {rating}, {other.id} whom it would displace is rated {self._rated(other)}"
            self._drop(recall, "judge", reason)
            return
        passed: list[Gate] = ["excluded", "role", "distance", "filter", "certs", "place", "judge"]
        new.memory = _use("inject", recall, lead.posterior, recall.distance, lead.factor, passed)
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

    def _drop(self, recall: Recall, gate: Gate, reason: str) -> None:
        entry = recall.playbook
        if recall.answer not in self._dropped:
            self._dropped[recall.answer] = DroppedMemory(
                playbook_id=recall.id,
                answer_id=entry.answer_id,
                corpus=entry.corpus,
                namespace=entry.namespace,
                query_distance=round(recall.distance, 6),
                gate=gate,
                reason=reason,
            )


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
