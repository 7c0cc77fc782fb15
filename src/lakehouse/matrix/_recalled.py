"""What memory says to one demand, before it meets the results.

Worked out once for a demand and a state of memory: the same demand asked again finds it at hand. Nothing here depends
on who is excluded, on the caller's filter, or on who is among the results.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.matrix._candidates import Candidate
from lakehouse.matrix._gates import Gates, Lead, lead_of
from lakehouse.matrix.base import DroppedMemory, Gate
from lakehouse.memory.base import Recall
from lakehouse.memory.evidence import BARRED, Posterior, fading, posterior, trust
from lakehouse.vectors.base import Filter

if TYPE_CHECKING:
    from lakehouse.matrix._replay import Applied

# An entry of a score of next to nothing, or faded to that, puts nobody first: what leads is decided by rank, in which
# any strength above 0 would do.
LEAST_STRENGTH = 0.01
Answer = tuple[str, str]
_Pairs = list[tuple[Recall, Answer]]


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


class Dropped:
    """Remembered answers that a gate stopped: one reason per answer, the first one."""

    def __init__(self, so_far: Dropped | None = None) -> None:
        self.by_answer: dict[Answer, DroppedMemory] = dict(so_far.by_answer) if so_far else {}

    def add(self, recall: Recall, gate: Gate, reason: str) -> None:
        """Note that a gate stopped an entry."""
        entry = recall.playbook
        if recall.answer not in self.by_answer:
            self.by_answer[recall.answer] = DroppedMemory(
                playbook_id=recall.id,
                answer_id=entry.answer_id,
                corpus=entry.corpus,
                namespace=entry.namespace,
                query_distance=round(recall.distance, 6),
                gate=gate,
                reason=reason,
            )


class Recalled:
    """The entries near a demand, through the gates that know of nobody else.

    Args:
        recalls: Nearest first.
        gates: Of the demand.
        rules: What memory may do.
        person: Gives the metadata of somebody of a corpus, None when there is nobody of that id.
        before: What memory said to the same demand, on the same day and of the same people, before it changed.

    Attributes:
        gates: As given.
        count: How many entries are near.
        nearest: The nearest entry of each answer.
        pooled: What all outcomes for demands like this one say of each answer.
        against: The nearest entry that speaks against an answer.
        boosts: What moves an answer most that is among the results.
        missing: What puts an answer first that is not among the results.
        leads: What puts answers first, best first; each with whether that is for those among the results.
        dropped: Answers stopped, wherever they are.
        dropped_missing: Answers stopped that are not among the results.
        applied: What it made of results, kept by `_replay`.
    """

    def __init__(
        self,
        recalls: Sequence[Recall],
        gates: Gates,
        rules: Rules,
        *,
        person: Callable[[str, str], dict[str, Any] | None],
        before: Recalled | None = None,
    ) -> None:
        self.gates = gates
        self.count = len(recalls)
        self._recalls = recalls
        self.applied: dict[Hashable, Applied] = {}
        self._rules = rules
        self._person = person
        self._people: dict[Answer, Candidate | None] = before._people if before is not None else {}
        self._stopped: dict[Answer, tuple[Gate, str] | None] = before._stopped if before is not None else {}
        self._before: dict[str, Lead] = before._by_id if before is not None else {}
        self._by_id: dict[str, Lead] = {}
        self._left: dict[str, float] = {}
        self.dropped, self.dropped_missing = Dropped(), Dropped()
        self.nearest: dict[Answer, Recall] = {}
        pairs = [(recall, recall.answer) for recall in recalls]
        for recall, answer in pairs:
            self.nearest.setdefault(answer, recall)
        usable = self._usable(pairs)
        self.pooled = self._pool(usable)
        self.against = self._speaking_against(usable)
        self.boosts: dict[Answer, Lead] = {}
        self._leading: dict[Answer, Lead] = {}
        self.missing: dict[Answer, Lead] = {}
        for recall, answer in usable:
            lead = self._lead(recall, answer)
            if lead is not None:
                self._take(lead, answer)
        among = [(lead, True) for lead in self._leading.values()]
        missing = [(lead, False) for lead in self.missing.values()]
        self.leads = sorted([*among, *missing], key=lambda each: each[0].order)
        self._before = {}

    def says(self, recalls: Sequence[Recall]) -> bool:
        """Tell whether it was made of these very entries."""
        return len(recalls) == self.count and all(
            one.playbook is other.playbook and one.id == other.id and one.distance == other.distance
            for one, other in zip(recalls, self._recalls, strict=True)
        )

    def missing_person(self, recall: Recall) -> Candidate | None:
        """Return who is remembered as a candidate, not to be changed; None when they are not on the roster any more."""
        if recall.answer not in self._people:
            person = self._person(*recall.answer)
            self._people[recall.answer] = None if person is None else self.gates.candidate(recall, person)
        return self._people[recall.answer]

    def stopping(self, person: Candidate, answer: Answer, filter: Filter | None) -> tuple[Gate, str] | None:
        """Return the gate that keeps a missing person out, and why; None when all are open."""
        if filter is not None:
            return self.gates.stopping(person, filter)
        if answer not in self._stopped:
            self._stopped[answer] = self.gates.stopping(person, None)
        return self._stopped[answer]

    def _usable(self, pairs: _Pairs) -> _Pairs:
        usable = []
        gates = self.gates
        apart = gates.apart([recall for recall, _ in pairs])
        for pair in pairs:
            recall = pair[0]
            if gates.role(recall) == "other":
                self.dropped.add(recall, "role", f"recorded for {recall.playbook.role}")
            elif recall.id in apart:
                self.dropped.add(recall, "role", f"recorded for {recall.playbook.role}, which this client tells apart")
            else:
                usable.append(pair)
        return usable

    def _pool(self, usable: _Pairs) -> dict[Answer, Posterior]:
        """Return, for each answer, what all outcomes for demands like this one say."""
        sums: dict[Answer, tuple[float, float]] = {}
        for recall, answer in usable:
            if recall.distance <= self._rules.inject_within:
                good, bad = sums.get(answer, (0.0, 0.0))
                more_good, more_bad = self._faded(recall)
                sums[answer] = good + more_good, bad + more_bad
        return {answer: posterior(good, bad) for answer, (good, bad) in sums.items()}

    def _faded(self, recall: Recall) -> tuple[float, float]:
        entry = recall.playbook
        left = self._left.get(entry.evidence_on)
        if left is None:
            left = fading(entry.evidence_on, self._rules.today, self._rules.half_life_days)
            self._left[entry.evidence_on] = left
        return entry.good * left, entry.bad * left

    def _speaking_against(self, usable: _Pairs) -> dict[Answer, Recall]:
        against: dict[Answer, Recall] = {}
        for recall, answer in usable:
            if recall.playbook.bad and recall.distance <= self._rules.inject_within:
                found = self.pooled.get(answer)
                if found and trust(found) < 0:
                    against.setdefault(answer, recall)
        for answer, recall in against.items():
            if trust(self.pooled[answer]) <= BARRED:
                self.dropped.add(recall, "turned_down", "turned down for demands like this one")
        return against

    def _lead(self, recall: Recall, answer: Answer) -> Lead | None:
        """Return what an entry says for its answer, None when that is nothing."""
        pooled = self.pooled.get(answer)
        like = recall.distance <= self._rules.inject_within
        found = pooled if pooled is not None and like else posterior(*self._faded(recall))
        if pooled is not None and trust(pooled) < 0:
            return None
        known = self._before.get(recall.id)
        if known is None or known.recall != recall or known.posterior != found:
            strength = recall.playbook.score * trust(found)
            if strength < LEAST_STRENGTH:
                if not recall.playbook.bad:
                    what = "nothing" if strength <= 0 else "hardly anything"
                    self.dropped.add(recall, "trust", f"{what} good is left of its outcomes")
                return None
            nearness, alike = self.gates.nearness(recall), self.gates.alike(recall)
            known = lead_of(recall, found, strength, nearness=nearness, alike=alike)
        self._by_id[recall.id] = known
        return known

    def _take(self, lead: Lead, answer: Answer) -> None:
        recall = lead.recall
        boost = self.boosts.get(answer)
        if boost is None or lead.factor < boost.factor:
            self.boosts[answer] = lead
        if recall.distance > self._rules.inject_within:
            far = f"recorded for a demand {recall.distance:.2f} away, put in within {self._rules.inject_within:.2f}"
            self.dropped_missing.add(recall, "distance", far)
            return
        known = self.gates.role(recall) == "same" or self._rules.inject_unknown
        if known:
            _keep_first(self.missing, lead, answer)
        else:
            reason = "the role of this demand or of the recorded one is unknown"
            self.dropped_missing.add(recall, "role", reason)
        if known or self.gates.same_text(recall):
            _keep_first(self._leading, lead, answer)


def _keep_first(leads: dict[Answer, Lead], lead: Lead, answer: Answer) -> None:
    best = leads.get(answer)
    if best is None or lead.order < best.order:
        leads[answer] = lead
