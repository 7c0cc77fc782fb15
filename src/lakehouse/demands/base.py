"""The shapes of open demands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from lakehouse.memory.evidence import Outcome, Posterior
from lakehouse.staffing.demand import Demand

Urgency = Literal["urgent", "high", "medium", "low"]
Status = Literal["open", "closed"]
# `filled` is reached by `demands.fill` alone, which asks the validators.
Stage = Literal["shortlisted", "proposed", "excluded", "do_not_return", "filled"]
Chosen = Literal["shortlisted", "proposed", "excluded", "do_not_return", "none"]

URGENCIES: tuple[Urgency, ...] = ("urgent", "high", "medium", "low")
OUT: tuple[Stage, ...] = ("excluded", "do_not_return")

Text = Annotated[str, msgspec.Meta(max_length=8_192)]
Word = Annotated[str, msgspec.Meta(max_length=200)]
Owner = Annotated[str, msgspec.Meta(max_length=64)]


class Candidate(msgspec.Struct, frozen=True):
    """A person as the roster names them: the corpus, and the id in it."""

    corpus: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


Candidates = Annotated[list[Candidate], msgspec.Meta(min_length=1, max_length=1_000)]


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who was thought of for a demand.

    Attributes:
        stage: `filled` as long as the accepted fill stands; one that was released elsewhere makes it `proposed` again.
        by, why: Who put them there and the reason, empty when they did not say.
        at: RFC 3339, UTC.
        fill_id: The accepted fill, empty before there was one.
        outcome: What came of it, empty as long as nobody said.
        entry: The playbook entry that remembers the outcome.
        made: Whether that entry is new with the outcome, so that undoing takes it away.
    """

    corpus: str
    id: str
    stage: Stage
    by: str = ""
    why: str = ""
    at: str = ""
    fill_id: str = ""
    outcome: Outcome | Literal[""] = ""
    entry: str = ""
    made: bool = False


class Note(msgspec.Struct, frozen=True):
    """What a coordinator wrote down, when (RFC 3339, UTC) and who."""

    text: str
    by: str
    at: str


class OpenDemand(msgspec.Struct, frozen=True, kw_only=True):
    """A demand that lives until it is closed.

    Attributes:
        text: As it came.
        line: What is searched for: the text, or the line that says the edited fields.
        demand: What `line` asks for.
        namespace: Whose memory is used and learns.
        starts: First day of work (ISO), reckoned from the day it came; empty when the demand names none.
        opened_at, changed_at: RFC 3339, UTC.
        message: Id of the message it came with, empty when it came another way.
        people: In the order they were put there.
        barred: Ids of people whom the same client does not want back, by any demand.
        filled, proposed, shortlisted: How many people there are of each.
    """

    id: str
    text: str
    line: str
    demand: Demand
    owner: str
    namespace: str
    urgency: Urgency
    status: Status
    starts: str
    opened_at: str
    changed_at: str
    message: str = ""
    people: list[Placed] = []
    notes: list[Note] = []
    barred: list[str] = []
    filled: int = 0
    proposed: int = 0
    shortlisted: int = 0

    @property
    def remaining(self) -> int:
        """How many people are still looked for."""
        return max(0, self.demand.count - self.filled)


class DemandList(msgspec.Struct, frozen=True):
    """Demands without their people and notes: more urgent first, then by start (none last), then oldest first."""

    demands: list[OpenDemand]


class RefusedLine(msgspec.Struct, frozen=True):
    """A line of a file that opened nothing: its number from 1, the heading included, and why."""

    line: int
    reason: str


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What was opened: ids in order, ids of demands `known` before, and refused lines of a file."""

    created: list[str]
    known: list[str] = []
    refused: list[RefusedLine] = []


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on a demand with what the roster says of them; `metadata` is empty for those who left it."""

    corpus: str
    id: str
    stage: Stage
    metadata: dict[str, Any]


class PeopleOf(msgspec.Struct, frozen=True):
    """Everybody on a demand, in the order they were put there."""

    items: list[Person]


class RefusedPerson(msgspec.Struct, frozen=True):
    """Somebody who cannot be put to work: what the validators found."""

    id: str
    reasons: list[str]


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of filling: people booked now, people refused, warnings, and the demand after."""

    filled: list[str]
    refused: list[RefusedPerson]
    warnings: list[str]
    demand: OpenDemand


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What memory made of an outcome.

    Attributes:
        entry: The playbook entry; `created` when it is new.
        posterior: What all outcomes for this demand say of the person now.
        demand: The demand after.
    """

    entry: str
    created: bool
    posterior: Posterior
    demand: OpenDemand


class Relaxation(msgspec.Struct, frozen=True, kw_only=True):
    """What a demand would find if it asked for less, found by asking so.

    Attributes:
        what: What is given up, in words ("within 80 km").
        line: What was asked.
        more: Good matches (rated 4 or 5) that the demand itself does not find.
        people: The first five of them.
    """

    what: str
    line: str
    more: int
    people: list[Candidate]


class Relaxed(msgspec.Struct, frozen=True):
    """The demand as it stands has `good` matches; `relaxations` find more, most first."""

    good: int
    relaxations: list[Relaxation]
