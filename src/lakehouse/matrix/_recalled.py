"""What memory says to one demand, before it meets the results.

Worked out once for a demand and a state of memory: the same demand asked again finds it at hand, and after a write only
what is said of that answer is worked out again. Nothing here depends on who is excluded, on the caller's filter, or on
who is among the results.

Not every entry of the same client in the same city is for the same job. A client who asks for cooks and for line cooks
means two, although both are one occupation: titles are *apart* when this demand's own title was recorded, too. A client
that is not named may be any client of the city. A title that is only the other with more words is apart in the whole
city.
"""

from __future__ import annotations

import bisect
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lakehouse.matrix._candidates import Candidate
from lakehouse.matrix._gates import SAME_TEXT, Gates, Lead, Weighed, newest_first
from lakehouse.matrix.base import DroppedMemory, Gate, MemoryUse
from lakehouse.memory.base import NEAREST_FIRST, Change, Recall, boost_factor
from lakehouse.memory.evidence import BARRED, Posterior, believed, fading
from lakehouse.vectors.base import Filter

if TYPE_CHECKING:
    from lakehouse.matrix._replay import Applied

# An entry of a score of next to nothing, or faded to that, puts nobody first: what leads is decided by rank, in which
# any strength above 0 would do.
LEAST_STRENGTH = 0.01
_JUDGED = "rated {}, {} whom it would displace is rated {}"
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


class Drop(msgspec.Struct, gc=False):
    """An entry that a gate stopped.

    Attributes:
        reason: Or what `_JUDGED` is filled with: of many that are stopped few are shown.
    """

    recall: Recall
    gate: Gate
    reason: str | tuple[int, str, int]
    _told: DroppedMemory | None = None

    @property
    def order(self) -> tuple[float, str]:
        """Nearest first, ties by entry id."""
        return self.recall.distance, self.recall.id

    @property
    def told(self) -> DroppedMemory:
        """What the answer to a search says of it."""
        if self._told is None:
            recall, reason = self.recall, self.reason
            entry = recall.playbook
            self._told = DroppedMemory(
                playbook_id=recall.id,
                answer_id=entry.answer_id,
                corpus=entry.corpus,
                namespace=entry.namespace,
                query_distance=round(recall.distance, 6),
                gate=self.gate,
                reason=reason if isinstance(reason, str) else _JUDGED.format(*reason),
            )
        return self._told


class Said(msgspec.Struct, gc=False):
    """What is remembered of one answer.

    Attributes:
        weighed: The entries about it, nearest first.
        trust: In what all outcomes for demands like this one say, None without any.
        pooled: What they say.
        against: The nearest entry that speaks against it.
        boost: What moves it most when it is among the results.
        leading: What puts it first when it is among the results.
        missing: What puts it first when it is not.
        dropped: The first that a gate stopped, wherever the answer is.
        dropped_missing: The first that a gate stopped because the answer is not among the results.
        boosted, injected, stopped: What was told last of its being moved or put in, or of the gate in its way: mostly
            that is so again.
    """

    weighed: tuple[Weighed, ...]
    trust: float | None = None
    pooled: Posterior | None = None
    against: Recall | None = None
    boost: Lead | None = None
    leading: Lead | None = None
    missing: Lead | None = None
    dropped: Drop | None = None
    dropped_missing: Drop | None = None
    boosted: MemoryUse | None = None
    injected: MemoryUse | None = None
    stopped: Drop | None = None


class Leading(NamedTuple):
    """What puts an answer first: one that is among the results, one that is not, or either (None)."""

    order: tuple[Any, ...]
    among: bool | None
    lead: Lead


class Missing(NamedTuple):
    """Remembered people who were not among the results of some demand, and what keeps them out of it."""

    people: dict[Answer, Candidate | None]
    stopped: dict[Answer, tuple[Gate, str] | None]


class Recalled:
    """The entries near a demand, through the gates that know of nobody else.

    Args:
        recalls: Nearest first.
        gates: Of the demand.
        rules: What memory may do.
        person: Gives the metadata of somebody of a corpus, None when there is nobody of that id.
        missing: What is known already of those who are missing, also from other demands that want the same; added to.
        before: What memory said to the same demand, on the same day and of the same people, before it changed.
        change: What is different from then, None when that is not known.

    Attributes:
        gates: As given.
        count: How many entries are near.
        said: What is said of each answer.
        opposed: Whether outcomes speak against any of them.
        leads: What puts answers first, best first.
        known_missing: As given in `missing`.
        applied: What it made of results, kept by `_replay`.
    """

    def __init__(
        self,
        recalls: Sequence[Recall],
        gates: Gates,
        rules: Rules,
        *,
        person: Callable[[str, str], dict[str, Any] | None],
        missing: Missing,
        before: Recalled | None = None,
        change: Change | None = None,
    ) -> None:
        self.gates = gates
        self.count = len(recalls)
        self._recalls = recalls
        self.applied: dict[Hashable, Applied] = {}
        self._rules = rules
        self._person = person
        self.known_missing = missing
        self._left: dict[str, float] = before._left if before is not None else {}
        # How many entries of this client name the role by this demand's own title.
        self._named = 0
        self.said: dict[Answer, Said] = {}
        self.leads: list[Leading] = []
        if before is None or not self._follow(before, change if change is not None else _change(before, recalls)):
            weighed = list(map(self._weigh, recalls))
            self._named = sum(map(_names_role, weighed))
            self.said = self._say_of(weighed)
            self.leads = _leads(self.said)
        self.opposed = any(said.against is not None for said in self.said.values())

    def says(self, recalls: Sequence[Recall], change: Change | None) -> bool:
        """Tell whether it was made of these very entries; `change` is what differs from them, None when not known."""
        return _same(recalls, self._recalls) if change is None else not (change.gone or change.came)

    def missing_person(self, recall: Recall) -> Candidate | None:
        """Return who is remembered as a candidate, not to be changed; None when they are not on the roster any more."""
        people, answer = self.known_missing.people, recall.answer
        known = people.get(answer)
        if known is None and answer not in people:
            person = self._person(*answer)
            known = people[answer] = None if person is None else self.gates.candidate(recall, person)
        return known

    def stopping(self, person: Candidate, answer: Answer, filter: Filter | None) -> tuple[Gate, str] | None:
        """Return the gate that keeps a missing person out, and why; None when all are open."""
        if filter is not None:
            return self.gates.stopping(person, filter)
        stopped = self.known_missing.stopped
        known = stopped.get(answer)
        if known is None and answer not in stopped:
            known = stopped[answer] = self.gates.stopping(person, None)
        return known

    def _follow(self, before: Recalled, change: Change) -> bool:
        """Work out again only what is said of answers whose entries changed; False when that is not enough."""
        gone = {recall.id for recall in change.gone}
        about: dict[Answer, list[Weighed]] = {}
        old: list[Weighed] = []
        for answer in {recall.answer for recall in (*change.gone, *change.came)}:
            known = before.said[answer].weighed if answer in before.said else []
            about[answer] = [weighed for weighed in known if weighed.recall.id not in gone]
            old += [weighed for weighed in known if weighed.recall.id in gone]
        new = list(map(self._weigh, change.came))
        named = before._named + sum(map(_names_role, new)) - sum(map(_names_role, old))
        if bool(named) != bool(before._named):
            return False
        self._named = named
        for weighed in new:
            bisect.insort(about[weighed.recall.answer], weighed, key=_nearest_first)
        said = {answer: self._say(entries) for answer, entries in about.items() if entries}
        self.said = {**before.said, **said}
        for answer in about.keys() - said.keys():
            self.said.pop(answer, None)
        self.leads = before.leads.copy()
        for each in _leads({answer: before.said[answer] for answer in about if answer in before.said}):
            del self.leads[bisect.bisect_left(self.leads, each)]
        for each in _leads(said):
            bisect.insort(self.leads, each)
        return True

    def _weigh(self, recall: Recall) -> Weighed:
        day = recall.playbook.evidence_on
        left = self._left.get(day)
        if left is None:
            left = self._left[day] = fading(day, self._rules.today, self._rules.half_life_days)
        return self.gates.weighed(recall, left)

    def _say_of(self, entries: Iterable[Weighed]) -> dict[Answer, Said]:
        """Work out what entries, nearest first, say of each of their answers."""
        by_answer: dict[Answer, list[Weighed]] = {}
        for weighed in entries:
            about = by_answer.get(weighed.recall.answer)
            if about is None:
                by_answer[weighed.recall.answer] = [weighed]
            else:
                about.append(weighed)
        return {answer: self._say(about) for answer, about in by_answer.items()}

    def _say(self, about: list[Weighed]) -> Said:
        """Work out what is said of one answer; of all that gates stop the first is noted."""
        # A tuple, for Python's search for garbage passes it over.
        said = Said(tuple(about))
        usable = []
        for weighed in about:
            reason = self._of_other_role(weighed)
            if not reason:
                usable.append(weighed)
            elif said.dropped is None:
                said.dropped = Drop(weighed.recall, "role", reason)
        if usable:
            self._pool(said, usable)
            # Whom outcomes speak against, no entry speaks for.
            if said.trust is None or said.trust >= 0:
                self._speak_for(said, usable)
        return said

    def _of_other_role(self, weighed: Weighed) -> str:
        """Return why an entry is not for this job, empty when it may be."""
        if weighed.verdict == "other":
            return f"recorded for {weighed.recall.playbook.role}"
        side = weighed.side
        entry = weighed.recall.playbook
        if side.kind:
            return f"recorded for {entry.role}, a wider or narrower title than {self.gates.role}"
        if self._named and side.ours and not side.named:
            who = "this client asks" if entry.client and side.nearness > 1 else "demands of this city ask"
            return f"recorded for {entry.role}, while {who} for {self.gates.role} as well"
        return ""

    def _pool(self, said: Said, usable: list[Weighed]) -> None:
        """Note what all outcomes for demands like this one say."""
        within = self._rules.inject_within
        like = [weighed for weighed in usable if weighed.recall.distance <= within]
        if not like:
            return
        good = bad = 0.0
        for weighed in like:
            good += weighed.good
            bad += weighed.bad
        said.pooled, said.trust = believed(good, bad)
        if said.trust < 0:
            said.against = next((weighed.recall for weighed in like if weighed.recall.playbook.bad), None)
            if said.against is not None and said.trust <= BARRED and said.dropped is None:
                said.dropped = Drop(said.against, "turned_down", "turned down for demands like this one")

    def _speak_for(self, said: Said, usable: list[Weighed]) -> None:
        within = self._rules.inject_within
        for weighed in usable:
            recall = weighed.recall
            like = recall.distance <= within
            if like and said.pooled is not None and said.trust is not None:
                found, trust = said.pooled, said.trust
            else:
                found, trust = believed(weighed.good, weighed.bad)
            strength = recall.playbook.score * trust
            if strength >= LEAST_STRENGTH:
                self._take(said, weighed, found, strength)
            elif said.dropped is None and (recall.playbook.good or not recall.playbook.bad):
                said.dropped = Drop(recall, "trust", _weak(recall.playbook.score, trust))

    def _take(self, said: Said, weighed: Weighed, found: Posterior, strength: float) -> None:
        recall, lead = weighed.recall, None
        if said.boost is None or boost_factor(strength) < said.boost.factor:
            said.boost = lead = self.gates.lead(weighed, found, strength)
        if recall.distance > self._rules.inject_within:
            if said.dropped_missing is None:
                far = f"recorded for a demand {recall.distance:.2f} away, put in within {self._rules.inject_within:.2f}"
                said.dropped_missing = Drop(recall, "distance", far)
            return
        known = weighed.verdict == "same" or self._rules.inject_unknown
        if not known and said.dropped_missing is None:
            reason = "the role of this demand or of the recorded one is unknown"
            said.dropped_missing = Drop(recall, "role", reason)
        if not known and weighed.side.nearness != SAME_TEXT:
            return
        first = _may_come_first(weighed, said.leading, strength)
        if first or (known and said.missing is not said.leading and _may_come_first(weighed, said.missing, strength)):
            if lead is None:
                lead = self.gates.lead(weighed, found, strength)
            said.leading = _better(said.leading, lead)
            if known:
                said.missing = _better(said.missing, lead)


def _weak(score: float, trust: float) -> str:
    """Return why an entry has no strength."""
    if trust >= LEAST_STRENGTH:
        return f"recorded with a score of {score:g}"
    return f"{'nothing' if trust <= 0 else 'hardly anything'} good is left of its outcomes"


def _nearest_first(weighed: Weighed) -> tuple[float, str]:
    return NEAREST_FIRST(weighed.recall)


def _change(before: Recalled, recalls: Sequence[Recall]) -> Change:
    """Return in what recalls differ from those before."""
    known = {recall.id: recall for recall in before._recalls}
    left = {recall.id: recall for recall in recalls}
    gone = [recall for recall in before._recalls if recall != left.get(recall.id)]
    return Change(gone, [recall for recall in recalls if recall != known.get(recall.id)])


def _names_role(weighed: Weighed) -> bool:
    return weighed.side.named and weighed.side.ours


def _may_come_first(weighed: Weighed, best: Lead | None, strength: float) -> bool:
    """Tell whether an entry may come before another, nearer one of its answer; hardly any does."""
    if best is None or weighed.rank != best.order[:2]:
        return best is None or weighed.rank < best.order[:2]
    recall = weighed.recall
    if recall.distance != best.recall.distance or -strength != best.order[3]:
        return True
    return newest_first(recall.playbook.updated_at) < best.order[4]


def _better(best: Lead | None, lead: Lead) -> Lead:
    return lead if best is None or lead.order < best.order else best


def _same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _leads(said: Mapping[Answer, Said]) -> list[Leading]:
    """Return what puts answers first, best first."""
    found = []
    for each in said.values():
        if each.leading is not None and each.leading is each.missing:
            found.append(Leading(each.leading.order, None, each.leading))
            continue
        if each.leading is not None:
            found.append(Leading(each.leading.order, True, each.leading))
        if each.missing is not None:
            found.append(Leading(each.missing.order, False, each.missing))
    # No two of one answer are of one entry, and orders end with its id.
    found.sort()
    return found
