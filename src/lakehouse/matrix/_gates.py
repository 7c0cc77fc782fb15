"""The gates between memory and the results of one search."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.matrix._candidates import Candidate, Rater
from lakehouse.matrix.base import Gate
from lakehouse.matrix.requirements import ANYONE, Requirements
from lakehouse.memory.base import Recall, boost_factor
from lakehouse.memory.evidence import Posterior
from lakehouse.memory.keys import client_key, text_key
from lakehouse.memory.likeness import facts_of, likeness
from lakehouse.memory.role_gate import narrower
from lakehouse.staffing.titles import role_equal
from lakehouse.vectors.base import Filter
from lakehouse.vectors.filters import passes

if TYPE_CHECKING:
    from lakehouse.memory.asks import Ask
    from lakehouse.memory.role_gate import RoleGate, Verdict

# What a person must meet to be put in, by the names of the rating's checks.
_HARD: Mapping[str, Gate] = {
    "role": "role",
    "certs": "certs",
    "place": "place",
    "shift": "shift",
    "available": "available",
}
# Two demands are likely one when they agree in so many facts and differ in none.
_ONE_DEMAND = 2
# What the rating by rules gives for the wrong role, and for nothing else.
_WRONG_ROLE = 1
_REMEMBERED = 10_000
_DIGITS_ALONE = {ord(sign): None for sign in "-:.+TZ"}


class Lead(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that speaks for its answer.

    Attributes:
        strength: Its score times the trust in the answer, above 0.
        factor: What the distance is multiplied with.
        nearness: 3 for the very text, 2 for the same client in the same city, 1 for the same city.
        alike: Facts that both demands agree in, less those in which they differ; see `memory.likeness`.
        order: Nearer in words, then agreeing in more, then nearer in meaning, then stronger, then newer, then by id.
    """

    recall: Recall
    posterior: Posterior
    strength: float
    factor: float
    nearness: int
    alike: int
    order: tuple[int, int, float, float, int, str]


def lead_of(recall: Recall, found: Posterior, strength: float, *, nearness: int, alike: int) -> Lead:
    """Return what an entry says for its answer; see `Lead`."""
    factor = boost_factor(strength)
    near = round(recall.distance * factor, 6)
    newest = _newest_first(recall.playbook.updated_at)
    return Lead(
        recall=recall,
        posterior=found,
        strength=strength,
        factor=factor,
        nearness=nearness,
        alike=alike,
        order=(-nearness, -alike, near, -strength, newest, recall.id),
    )


@functools.lru_cache(_REMEMBERED)
def _newest_first(updated_at: str) -> int:
    # RFC 3339 in UTC, of one form: its digits alone are the time as one number. What was imported may be anything.
    digits = updated_at.translate(_DIGITS_ALONE)[:17]
    return -int(digits) if digits.isascii() and digits.isdigit() else 0


def _is_a(candidate: Candidate) -> str:
    return f"{candidate.id} is {candidate.metadata.get('role') or 'of an unknown role'}"


class Gates:
    """Says of entries and of people whether they may act on one search.

    Args:
        ask: What is asked for.
        wanted: Its requirements.
        role: Of the demand with its code, empty when unknown.
        rater: Rates against the ask.
        same_role: Compares roles.
        open_unknown: Whether what is not known counts as met.
    """

    def __init__(
        self,
        ask: Ask,
        wanted: Requirements,
        role: tuple[str, str],
        *,
        rater: Rater,
        same_role: RoleGate,
        open_unknown: bool,
    ) -> None:
        self._wanted = wanted
        self._role = role
        self._rater = rater
        self._same_role = same_role
        self._open_unknown = open_unknown
        self._text = text_key(ask.text)
        self._client = client_key(ask.demand.client)
        place = ask.demand.location
        self._city = ((place.city or "") if place else "").casefold()
        self._facts = facts_of(ask.demand)
        self._nearness: dict[str, int] = {}
        self._verdicts: dict[tuple[str, str], Verdict] = {}

    def role(self, recall: Recall) -> Verdict:
        """Compare the roles of a recorded demand and of this one."""
        entry = recall.playbook
        verdict = self._verdicts.get((entry.role, entry.role_code))
        if verdict is None:
            verdict = self._same_role.verdict(*self._role, entry.role, entry.role_code)
            self._verdicts[entry.role, entry.role_code] = verdict
        if verdict == "other" and entry.role_code == self._role[1] and self._is_one_demand(recall):
            return self._same_role.verdict(*self._role, entry.role, entry.role_code, otherwise_same=True)
        return verdict

    def alike(self, recall: Recall) -> int:
        """Return how many facts two demands agree in, less those in which they differ."""
        return likeness(self._facts, recall.playbook.facts).order

    def _is_one_demand(self, recall: Recall) -> bool:
        """Tell whether a recorded demand and this one agree in all that they say beside the role, and say enough."""
        nearness, entry = self.nearness(recall), recall.playbook
        if not nearness or (nearness == 1 and (self._client or entry.client)):
            return False
        both = likeness(self._facts, entry.facts)
        return not both.differing and both.agreeing + (nearness > 1) >= _ONE_DEMAND

    def apart(self, recalls: Sequence[Recall]) -> frozenset[str]:
        """Return the ids of entries for what the same client in the same city calls by another title.

        A client who asks for cooks and for line cooks means two jobs, although both are one occupation. Titles count as
        apart when this demand's own title was recorded too. A client that is not named may be any client of the city.
        A title that is only the other with more words counts as apart in the whole city.
        """
        local = [recall for recall in recalls if self.nearness(recall) and recall.playbook.role]
        ours = [recall for recall in local if self._may_be_same_client(recall)]
        named = {recall.id for recall in local if role_equal(recall.playbook.role, self._role[0])}
        other = [recall for recall in ours if recall.id not in named] if any(r.id in named for r in ours) else []
        kinds = [recall for recall in local if narrower(recall.playbook.role, self._role[0])]
        return frozenset(recall.id for recall in [*other, *kinds])

    def same_text(self, recall: Recall) -> bool:
        """Tell whether the recorded demand has the same words."""
        return recall.playbook.text == self._text

    def nearness(self, recall: Recall) -> int:
        """Return how much else than the need two demands have in common, see `Lead`."""
        known = self._nearness.get(recall.id)
        if known is None:
            known = self._nearness[recall.id] = self._near_in_words(recall)
        return known

    def _near_in_words(self, recall: Recall) -> int:
        if self.same_text(recall):
            return 3
        if not self._city or recall.playbook.city.casefold() != self._city:
            return 0
        return 2 if self._client and recall.playbook.client == self._client else 1

    def _may_be_same_client(self, recall: Recall) -> bool:
        nearness = self.nearness(recall)
        return nearness > 1 or (nearness == 1 and not (self._client and recall.playbook.client))

    def candidate(self, recall: Recall, person: dict[str, Any]) -> Candidate:
        """Return a remembered person as a candidate, at the distance of the recorded demand."""
        entry = recall.playbook
        return Candidate(entry.answer_id, entry.corpus, recall.distance, person, self._wanted.standing(person))

    def other_role(self, candidate: Candidate) -> str | None:
        """Return what a result is who surely is of another role, and not even of a related one; else None.

        A record that they did well is then no reason to move them: it would be the way of one role into another.
        """
        sure = self._wanted.role_code and candidate.facts.get("role_code")
        return _is_a(candidate) if sure and self._rater.of(candidate).rating == _WRONG_ROLE else None

    def stopping(self, new: Candidate, filter: Filter | None) -> tuple[Gate, str] | None:
        """Return the gate that keeps a missing person out, and why; None when all are open."""
        if filter is not None and not passes(filter, new.metadata):
            return "filter", "does not meet the filter of this search"
        if self._wanted.role and new.standing == ANYONE:
            return "role", _is_a(new)
        rating = self._rater.of(new)
        for name, reason in zip(rating.checks, rating.reasons, strict=True):
            met = rating.checks[name]
            if name in _HARD and not (met or (met is None and self._open_unknown)):
                return _HARD[name], reason
        return None
