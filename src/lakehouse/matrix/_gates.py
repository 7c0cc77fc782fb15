"""The gates between memory and the results of one search."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lakehouse.matrix._candidates import Candidate, Rater
from lakehouse.matrix.base import Gate
from lakehouse.matrix.requirements import ANYONE, Requirements
from lakehouse.memory.base import Recall, boost_factor
from lakehouse.memory.evidence import Posterior
from lakehouse.memory.keys import text_key
from lakehouse.memory.likeness import facts_of, likeness
from lakehouse.memory.role_gate import narrower, same_title
from lakehouse.staffing.folding import client_key
from lakehouse.staffing.places import place_key
from lakehouse.vectors.base import Filter
from lakehouse.vectors.filters import passes

if TYPE_CHECKING:
    from lakehouse.memory.asks import Ask
    from lakehouse.memory.base import Remembered
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
SAME_TEXT = 3
_REMEMBERED = 2_048
_DIGITS_ALONE = {ord(sign): None for sign in "-:.+TZ"}


class Lead(msgspec.Struct, frozen=True, gc=False):
    """An entry that speaks for its answer.

    Attributes:
        posterior: Of its outcomes, with those of others for the same answer where it may put the answer first.
        factor: What the distance is multiplied with.
        order: Nearer in words, then agreeing in more, then nearer in meaning, then stronger, then newer, then by id.
    """

    recall: Recall
    posterior: Posterior
    factor: float
    order: tuple[int, int, float, float, int, str]


class Side(NamedTuple):
    """How the demand of an entry stands to this one, but for what is wanted beside role and place.

    Attributes:
        verdict: On both roles.
        nearness: `SAME_TEXT` for the very text, 2 for the same client in the same city, 1 for the same city.
        ours: Whether it may be of the same client in the same city.
        named: Whether it is from here and names the role by the same title.
        kind: Whether it is from here and its title is this one with more or fewer words.
    """

    verdict: Verdict
    nearness: int
    ours: bool
    named: bool
    kind: bool


class Weighed(msgspec.Struct, frozen=True, gc=False):
    """An entry by itself, before others are heard.

    Attributes:
        verdict: On the role.
        side: How its demand stands to this one.
        rank: What the order begins with in which it puts its answer first; see `Lead`.
        good, bad: What is left today of its outcomes.
    """

    recall: Recall
    verdict: Verdict
    side: Side
    rank: tuple[int, int]
    good: float
    bad: float


@functools.lru_cache(_REMEMBERED)
def newest_first(updated_at: str) -> int:
    """Return what orders times of change, the newest first."""
    # RFC 3339 in UTC, of one form: its digits alone are the time as one number. What was imported may be anything.
    digits = updated_at.translate(_DIGITS_ALONE)[:17]
    return -int(digits) if digits.isascii() and digits.isdigit() else 0


def _is_a(candidate: Candidate) -> str:
    return f"{candidate.id} is {candidate.metadata.get('role') or 'of an unknown role'}"


@functools.lru_cache(_REMEMBERED)
def _side(same_role: RoleGate, asked: tuple[str, str], its: tuple[str, str], nearness: int, *, ours: bool) -> Side:
    """Return how a demand for a role stands to another of some nearness: those of a day are for few roles.

    Args:
        same_role: Compares roles.
        asked, its: Their roles, each with its code.
        nearness: As in `Side`.
        ours: Whether both may be of the same client.
    """
    here = bool(nearness and its[0] and asked[0])
    return Side(
        verdict=same_role.verdict(*asked, *its),
        nearness=nearness,
        ours=here and ours,
        named=here and same_title(*its, *asked),
        kind=here and narrower(its[0], asked[0]),
    )


class Gates:
    """Says of entries and of people whether they may act on one search.

    Args:
        ask: What is asked for.
        wanted: Its requirements.
        role: Of the demand with its code, empty when unknown.
        rater: Rates against the ask.
        same_role: Compares roles.
        open_unknown: Whether what is not known counts as met.

    Attributes:
        rated: What ratings depend on beside the person.
        role: Title of what is asked for, empty when unknown.
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
        self.role = role[0]
        self._rater = rater
        self._same_role = same_role
        self._open_unknown = open_unknown
        self._text = text_key(ask.text)
        self._client = client_key(ask.demand.client)
        place = ask.demand.location
        self._city = place_key((place.city or "") if place else "")
        self._facts = tuple(facts_of(ask.demand))
        # Entries of many days and people are of few roles, places and clients.
        self.rated: Hashable = rater.asked
        self._sides: dict[tuple[str, str, str, str, bool], Side] = {}
        self._ranks: dict[tuple[int, tuple[str, ...]], tuple[int, int]] = {}

    def weighed(self, recall: Recall, left: float) -> Weighed:
        """Return an entry by itself; `left` of its outcomes has not faded yet."""
        entry = recall.playbook
        # The same words are the same demand, whatever is noted of them.
        name = (entry.role, entry.role_code, entry.city, entry.client, entry.text == self._text)
        side = self._sides.get(name)
        if side is None:
            nearness = self._nearness(entry)
            ours = nearness > 1 or not (self._client and entry.client)
            its = entry.role, entry.role_code
            side = self._sides[name] = _side(self._same_role, self._role, its, nearness, ours=ours)
        verdict = side.verdict
        if verdict == "other" and entry.role_code == self._role[1] and self._is_one_demand(entry, side):
            verdict = self._same_role.verdict(*self._role, entry.role, entry.role_code, otherwise_same=True)
        rank = self._ranks.get((side.nearness, entry.facts))
        if rank is None:
            alike = likeness(self._facts, entry.facts).order
            rank = self._ranks[side.nearness, entry.facts] = -side.nearness, -alike
        return Weighed(recall, verdict, side, rank, entry.good * left, entry.bad * left)

    @staticmethod
    def lead(weighed: Weighed, found: Posterior, strength: float) -> Lead:
        """Return what an entry says for its answer: its score times the trust in it is above 0."""
        recall, factor = weighed.recall, boost_factor(strength)
        near, newest = round(recall.distance * factor, 6), newest_first(recall.playbook.updated_at)
        return Lead(recall, found, factor, (*weighed.rank, near, -strength, newest, recall.id))

    def _nearness(self, entry: Remembered) -> int:
        """Return how much else than the need two demands have in common."""
        if entry.text == self._text:
            return SAME_TEXT
        if not self._city or place_key(entry.city) != self._city:
            return 0
        return 2 if self._client and entry.client == self._client else 1

    def _is_one_demand(self, entry: Remembered, side: Side) -> bool:
        """Tell whether a recorded demand and this one agree in all that they say beside the role, and say enough."""
        nearness = side.nearness
        if not nearness or (nearness == 1 and (self._client or entry.client)):
            return False
        both = likeness(self._facts, entry.facts)
        return not both.differing and both.agreeing + (nearness > 1) >= _ONE_DEMAND

    def candidate(self, recall: Recall, person: dict[str, Any]) -> Candidate:
        """Return a remembered person as a candidate, at the distance of the recorded demand."""
        entry = recall.playbook
        return Candidate(entry.answer_id, entry.corpus, recall.distance, person, self._wanted.standing(person))

    def other_role(self, candidate: Candidate) -> str | None:
        """Return what a result is who surely is of another role, and not even of a related one; else None.

        A record that they did well is then no reason to move them: it would be the way of one role into another.
        """
        if not self._wanted.role_code or self._rater.of(candidate).rating != _WRONG_ROLE:
            return None
        return _is_a(candidate) if candidate.facts.get("role_code") else None

    def stopping(self, new: Candidate, filter: Filter | None) -> tuple[Gate, str] | None:
        """Return the gate that keeps a missing person out, and why; None when all are open."""
        if filter is not None and not passes(filter, new.metadata):
            return "filter", "does not meet the filter of this search"
        if self._wanted.role and new.standing >= ANYONE:
            return "role", _is_a(new)
        rating = self._rater.of(new)
        for name, reason in zip(rating.checks, rating.reasons, strict=True):
            met = rating.checks[name]
            if name in _HARD and not (met or (met is None and self._open_unknown)):
                return _HARD[name], reason
        return None
