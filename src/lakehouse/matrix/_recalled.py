"""What memory says to one demand, before it meets the results.

Worked out once for a demand and a state of memory: the same demand asked again finds it at hand. Nothing here depends
on who is excluded, on the caller's filter, or on who is among the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import msgspec

from lakehouse.matrix._candidates import Candidate
from lakehouse.matrix._gates import Gates, Lead
from lakehouse.matrix.base import DroppedMemory, Gate
from lakehouse.memory.base import Recall, boost_factor
from lakehouse.memory.evidence import BARRED, Posterior, fading, posterior, trust

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
    """

    def __init__(
        self,
        recalls: Sequence[Recall],
        gates: Gates,
        rules: Rules,
        *,
        person: Callable[[str, str], dict[str, Any] | None],
    ) -> None:
        self.gates = gates
        self.count = len(recalls)
        self._rules = rules
        self._person = person
        self._people: dict[Answer, Candidate | None] = {}
        self._left: dict[str, float] = {}
        self.dropped, self.dropped_missing = Dropped(), Dropped()
        self.nearest: dict[Answer, Recall] = {}
        for recall in recalls:
            self.nearest.setdefault(recall.answer, recall)
        usable = self._usable(recalls)
        self.pooled = self._pool(usable)
        self.against = self._speaking_against(usable)
        self.boosts: dict[Answer, Lead] = {}
        self._leading: dict[Answer, Lead] = {}
        self.missing: dict[Answer, Lead] = {}
        for recall in usable:
            lead = self._lead(recall)
            if lead is not None:
                self._take(lead)
        among = [(lead, True) for lead in self._leading.values()]
        missing = [(lead, False) for lead in self.missing.values()]
        self.leads = sorted([*among, *missing], key=lambda each: each[0].order)

    def missing_person(self, recall: Recall) -> Candidate | None:
        """Return who is remembered as a candidate, not to be changed; None when they are not on the roster any more."""
        if recall.answer not in self._people:
            person = self._person(*recall.answer)
            self._people[recall.answer] = None if person is None else self.gates.candidate(recall, person)
        return self._people[recall.answer]

    def _usable(self, recalls: Sequence[Recall]) -> list[Recall]:
        usable = []
        apart = self.gates.apart(recalls)
        for recall in recalls:
            if self.gates.role(recall) == "other":
                self.dropped.add(recall, "role", f"recorded for {recall.playbook.role}")
            elif recall.id in apart:
                self.dropped.add(recall, "role", f"recorded for {recall.playbook.role}, which this client tells apart")
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
        left = self._left.get(entry.evidence_on)
        if left is None:
            left = fading(entry.evidence_on, self._rules.today, self._rules.half_life_days)
            self._left[entry.evidence_on] = left
        return entry.good * left, entry.bad * left

    def _speaking_against(self, usable: Sequence[Recall]) -> dict[Answer, Recall]:
        against: dict[Answer, Recall] = {}
        for recall in usable:
            found = self.pooled.get(recall.answer)
            if found and recall.playbook.bad and recall.distance <= self._rules.inject_within and trust(found) < 0:
                against.setdefault(recall.answer, recall)
        for answer, recall in against.items():
            if trust(self.pooled[answer]) <= BARRED:
                self.dropped.add(recall, "turned_down", "turned down for demands like this one")
        return against

    def _lead(self, recall: Recall) -> Lead | None:
        """Return what an entry says for its answer, None when that is nothing."""
        pooled = self.pooled.get(recall.answer)
        like = recall.distance <= self._rules.inject_within
        found = pooled if pooled is not None and like else posterior(*self._faded(recall))
        if pooled is not None and trust(pooled) < 0:
            return None
        strength = recall.playbook.score * trust(found)
        if strength <= 0:
            if not recall.playbook.bad:
                self.dropped.add(recall, "trust", "nothing good is left of its outcomes")
            return None
        return Lead(
            recall=recall,
            posterior=found,
            strength=strength,
            factor=boost_factor(strength),
            nearness=self.gates.nearness(recall),
            alike=self.gates.alike(recall),
        )

    def _take(self, lead: Lead) -> None:
        recall, answer = lead.recall, lead.recall.answer
        boost = self.boosts.get(answer)
        if boost is None or lead.factor < boost.factor:
            self.boosts[answer] = lead
        if recall.distance > self._rules.inject_within:
            far = f"recorded for a demand {recall.distance:.2f} away, put in within {self._rules.inject_within:.2f}"
            self.dropped_missing.add(recall, "distance", far)
            return
        known = self.gates.role(recall) == "same" or self._rules.inject_unknown
        if known:
            _keep_first(self.missing, lead)
        else:
            reason = "the role of this demand or of the recorded one is unknown"
            self.dropped_missing.add(recall, "role", reason)
        if known or self.gates.same_text(recall):
            _keep_first(self._leading, lead)


def _keep_first(leads: dict[Answer, Lead], lead: Lead) -> None:
    best = leads.get(lead.recall.answer)
    if best is None or lead.order < best.order:
        leads[lead.recall.answer] = lead
