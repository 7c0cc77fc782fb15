"""What the page of an open demand shows, put together from the demand, its people and those who could be called."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from lakehouse.demands.base import Learned, OpenDemand, PeopleOf, Placed, RefusedPerson, Relaxed, Stage
from lakehouse.matrix.base import Match, SearchAnswer
from lakehouse.observe.messages import Message
from lakehouse.serve.console import distances
from lakehouse.serve.console.cards import Card, card
from lakehouse.serve.console.distances import DistanceMap
from lakehouse.serve.console.marks import Segment, segments
from lakehouse.serve.console.outcomes import OUTCOMES, words_of
from lakehouse.serve.console.site import View
from lakehouse.serve.console.why_not import WhyNot
from lakehouse.staffing.demand import Demand
from lakehouse.staffing.need import Fields, fields_of, in_number

BACKUPS = 5
MOST_CALLS = 100
GROUPS: tuple[tuple[Stage, str], ...] = (
    ("filled", "Filled"),
    ("proposed", "Proposed"),
    ("shortlisted", "Shortlist"),
    ("excluded", "Left out"),
    ("do_not_return", "Do not return"),
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in a list.

    Attributes:
        value: Names them in a form.
        distance: In meaning, empty for those whom the search did not find.
        placed: Null for those who are only found.
        gone: They are no longer in the roster.
    """

    value: str
    card: Card
    km: str
    distance: str
    placed: Placed | None = None
    gone: bool = False


class DemandView(View, kw_only=True):
    """What the page shows.

    Attributes:
        fields: What stands in the fields, as typed when it was refused.
        pieces: The text cut at what was read from it; empty when the fields were edited since.
        groups: People on the demand by stage, with the stage's name.
        calls: Who could be called, in order; the first `first` would fill it, the others are backups.
        refused: People whom the validators did not let pass.
        compared: Two people side by side.
    """

    one: OpenDemand | None = None
    fields: Fields = Fields()
    pieces: list[Segment] = msgspec.field(default_factory=list)
    groups: list[tuple[str, str, list[Row]]] = msgspec.field(default_factory=list)
    calls: list[Row] = msgspec.field(default_factory=list)
    first: int = 0
    answer: SearchAnswer | None = None
    map: DistanceMap | None = None
    why: str = ""
    why_not: WhyNot | None = None
    relaxed: Relaxed | None = None
    refused: list[RefusedPerson] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)
    learned: Learned | None = None
    compared: list[Row] = msgspec.field(default_factory=list)
    message: Message | None = None
    outcomes: tuple[tuple[str, str], ...] = OUTCOMES

    def words(self, outcome: str) -> str:
        """Return an outcome in words."""
        return words_of(outcome)


def says(demand: Demand) -> str:
    """Return what a demand asks for as a heading: role and place."""
    place = demand.location
    where = ", ".join(filter(None, (place.city, place.state))) if place else ""
    role = in_number(str(demand.count), demand.role) if demand.role else "somebody"
    return f"{role}{f' in {where}' if where else ''}"


def complete(view: DemandView, one: OpenDemand, people: PeopleOf, answer: SearchAnswer | None, now: datetime) -> None:
    """Fill a view with a demand, its people and those found for it."""
    view.one, view.answer = one, answer
    if view.fields == Fields():
        view.fields = fields_of(one.demand)
    view.pieces = segments(one.text, one.demand.spans) if one.line == one.text else []
    place = one.demand.location
    matches = {match.id: match for match in answer.results} if answer else {}
    placed = {each.id: each for each in one.people}
    on = {}
    for number, person in enumerate(people.items, 1):
        found = matches.get(person.id)
        match = found or Match(
            id=person.id,
            corpus=person.corpus,
            distance=0.0,
            metadata=person.metadata,
            rating=None,
            reasons=[],
            memory=None,
        )
        shown = row(match, number, one, now)
        on[person.id] = msgspec.structs.replace(
            shown, distance=shown.distance if found else "", placed=placed[person.id], gone=not person.metadata
        )
    view.groups = [
        (stage, name, [each for each in on.values() if each.placed and each.placed.stage == stage])
        for stage, name in GROUPS
    ]
    free = [match for match in matches.values() if match.id not in on]
    view.calls = [row(match, number, one, now) for number, match in enumerate(free, 1)]
    view.first = max(0, one.remaining - one.proposed)
    drawn = [
        (each.card.name, matches[each.card.id].metadata, "call" if each.card.number <= view.first else "backup")
        for each in view.calls
    ]
    by_id = {person.id: person for person in people.items}
    drawn += [
        (each.card.name, by_id[id].metadata, "on")
        for id, each in on.items()
        if each.placed and each.placed.stage in {"filled", "proposed", "shortlisted"}
    ]
    view.map = distances.draw(place, drawn)


def row(match: Match, number: int, one: OpenDemand, now: datetime) -> Row:
    """Return somebody who was found as a row."""
    place = one.demand.location
    km = distances.km_of(place, match.metadata)
    shown = card(match, number=number, place=place, now=now)
    return Row(
        value=msgspec.json.encode([match.corpus, match.id]).decode(),
        card=shown,
        km="" if km is None else f"{km:,.0f} km",
        distance=shown.distance,
    )


def pick(view: DemandView, values: Sequence[str]) -> list[Row]:
    """Return the rows that are named by their values, in the order of the page."""
    every = [*(each for _, _, rows in view.groups for each in rows), *view.calls]
    return [each for each in every if each.value in values]
