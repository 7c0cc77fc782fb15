"""A proposed fill against the demand and the roster: real people, the right ones, free, allowed, near."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse.staffing.demand import LONGEST_ROLE, Location, Role
from lakehouse.staffing.folding import client_key
from lakehouse.staffing.places import distance_km
from lakehouse.staffing.rate import expiry
from lakehouse.staffing.titles import role_equal
from lakehouse.validate.base import (
    Context,
    Finding,
    People,
    completeness,
    consistency,
    policy,
    quoted,
    unchecked,
)
from lakehouse.validate.period import Period, period
from lakehouse.validate.roster import full_name

if TYPE_CHECKING:
    from lakehouse.staffing.certifications import Certifications
    from lakehouse.staffing.places import Places
    from lakehouse.staffing.roles import Roles

_GONE = frozenset({"inactive", "terminated", "deceased", "retired", "left", "suspended", "blocked"})
_RETURN = ("do_not_return", "dnr", "do_not_return_to", "dnr_clients")


class FillDemand(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; fields of a parsed demand that are not named here may stand beside these.

    Attributes:
        start, end: See `period.period`.
        role_code: O*NET-SOC; worked out from the role when absent.
    """

    role: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ROLE)]
    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    client: str | None = None
    role_code: str | None = None
    location: Location | None = None
    certs: list[str] = []
    shift: str | None = None
    start: str | None = None
    end: str | None = None


class FillWorker(msgspec.Struct, frozen=True, kw_only=True):
    """One person of a fill; further fields may stand beside these."""

    id: str
    name: str | None = None
    role: Role | None = None


class Fill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """People proposed for a demand."""

    demand: FillDemand
    workers: list[FillWorker]


class Vocabulary(msgspec.Struct, frozen=True):
    """What validators know of roles, places and certifications."""

    roles: Roles
    places: Places
    certifications: Certifications


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A demand with its words resolved: code, canonical certifications, place with coordinates, period."""

    demand: FillDemand
    code: str | None
    certs: list[str]
    place: Location | None
    period: Period | None
    first_day: date
    last_day: date
    near_km: float


def resolve(demand: FillDemand, words: Vocabulary, *, today: date, near_km: float) -> Ask:
    """Resolve the words of a demand."""
    match = words.roles.resolve(demand.role)
    place = demand.location
    if place is not None and place.city and (place.lat is None or place.lon is None):
        place = words.places.lookup(place.city, place.state) or place
    when = period(demand.start, demand.end, demand.shift, today=today)
    return Ask(
        demand=demand,
        code=demand.role_code or (match.code if match else None),
        certs=[words.certifications.canonical(name) or name for name in demand.certs],
        place=place,
        period=when,
        first_day=when.start.date() if when else today,
        last_day=when.last_day if when else today,
        near_km=near_km,
    )


def check(fill: Fill, context: Context, *, ask: Ask, people: People, words: Vocabulary) -> Iterator[Finding]:
    """Yield what is wrong with a fill, person by person in its order; bookings are the caller's."""
    yield from _counts(fill, context)
    yield from _changed(fill.demand, context)
    excluded, unwanted = set(context.exclude_ids), set(context.do_not_return)
    seen: set[str] = set()
    for at, proposed in enumerate(fill.workers):
        field = f"workers[{at}].id"
        row = people.rows.get(proposed.id)
        if row is None:
            yield consistency(
                "phantom_worker",
                field,
                f"worker {quoted(proposed.id)} is not in the roster {quoted(people.roster)}; ids are compared to the"
                " letter, use one that a search returned",
            )
            continue
        if proposed.id in seen:
            yield consistency("duplicate_worker", field, f"worker {quoted(proposed.id)} is proposed twice")
            continue
        seen.add(proposed.id)
        if proposed.id in excluded:
            yield policy("excluded", field, f"worker {quoted(proposed.id)} is excluded by the request")
        if proposed.id in unwanted or _is_unwanted(row, fill.demand.client):
            yield policy("do_not_return", field, f"worker {quoted(proposed.id)} must not return to this client")
        yield from _person(proposed, at, row, ask=ask, words=words)


def _counts(fill: Fill, context: Context) -> Iterator[Finding]:
    asked, given = fill.demand.count, len(fill.workers)
    if given < asked and not (context.allow_partial and given):
        yield completeness("count_short", "workers", f"{given} of {asked} workers are proposed")
    if given > asked:
        yield completeness("count_over", "workers", f"{given} workers are proposed where {asked} are asked for")


def _changed(demand: FillDemand, context: Context) -> Iterator[Finding]:
    """Yield what of the demand is not as it was asked: a model must not lower what it cannot meet."""
    stated = msgspec.to_builtins(demand)
    for name, asked in context.demand.items():
        if name in stated and asked not in (None, "", []) and not _same(asked, stated[name]):
            yield consistency("changed_demand", f"demand.{name}", f"demand.{name} must be {quoted(asked)} as asked")


def _same(asked: Any, stated: Any) -> bool:
    if isinstance(asked, dict):
        return isinstance(stated, dict) and all(
            _same(value, stated.get(key)) for key, value in asked.items() if value is not None
        )
    return bool(asked == stated)


def _is_unwanted(row: Mapping[str, Any], client: str | None) -> bool:
    for column in _RETURN:
        value = row.get(column)
        if value is True or (isinstance(value, str) and value.strip().casefold() in {"true", "yes", "all", "1"}):
            return True
        clients = value if isinstance(value, list) else str(value or "").split(";")
        wanted = client_key(client)
        if wanted and wanted in {client_key(str(each)) for each in clients}:
            return True
    return False


def _person(proposed: FillWorker, at: int, row: Mapping[str, Any], *, ask: Ask, words: Vocabulary) -> Iterator[Finding]:
    field, who = f"workers[{at}]", f"worker {quoted(proposed.id)}"
    name = full_name(row)
    if proposed.name and name and " ".join(proposed.name.split()).casefold() != name.casefold():
        yield consistency("wrong_name", f"{field}.name", f"{who} is not called {quoted(proposed.name)} in the roster")
    yield from _role(ask, row, field=field, who=who)
    yield from _certifications(ask, row, words, field=field, who=who)
    yield from _availability(ask, row, field=field, who=who)
    yield from _place(ask, row, field=field, who=who)


def _role(ask: Ask, row: Mapping[str, Any], *, field: str, who: str) -> Iterator[Finding]:
    has, code = row.get("role"), row.get("role_code")
    if not has and not code:
        yield unchecked("role_unknown", field, f"{who}: the roster has no role")
    elif not ((ask.code and ask.code == code) or (has and role_equal(ask.demand.role, str(has)))):
        shown = f"{quoted(has or '')} ({code or 'no O*NET code'})"
        yield consistency(
            "wrong_role",
            field,
            f"{who} is {shown}, asked for is {quoted(ask.demand.role)} ({ask.code or 'no O*NET code'})",
        )


def _certifications(ask: Ask, row: Mapping[str, Any], words: Vocabulary, *, field: str, who: str) -> Iterator[Finding]:
    if not ask.certs:
        return
    if row.get("certs") is None:
        yield unchecked("certifications_unknown", field, f"{who}: the roster does not tell certifications")
        return
    held = expiry(row)
    for wanted in ask.certs:
        fitting = [until or date.max for name, until in held.items() if words.certifications.covers(name, wanted)]
        if not fitting:
            yield consistency("certification_missing", field, f"{who} does not hold {quoted(wanted)}")
        elif max(fitting) < ask.last_day:
            yield consistency(
                "certification_expired",
                field,
                f"{who}: {quoted(wanted)} is valid until {max(fitting)}, the work lasts until {ask.last_day}",
            )
        elif max(fitting) == date.max:
            yield unchecked("certification_undated", field, f"{who}: until when {quoted(wanted)} is valid is not known")


def _availability(ask: Ask, row: Mapping[str, Any], *, field: str, who: str) -> Iterator[Finding]:
    status = str(row.get("status") or "").strip().casefold()
    if status in _GONE or row.get("active") is False:
        yield consistency("not_active", field, f"{who} is not active in the roster")
    free, until = _day(row.get("available_from")), _day(row.get("available_until") or row.get("available_to"))
    if free is not None and free > ask.first_day:
        yield consistency("not_available", field, f"{who} is free from {free}, the work begins {ask.first_day}")
    if until is not None and until < ask.last_day:
        yield consistency("not_available", field, f"{who} is free until {until}, the work ends {ask.last_day}")
    shifts = row.get("shifts")
    if ask.demand.shift and shifts and ask.demand.shift not in shifts:
        shown = ", ".join(map(str, shifts))
        yield consistency("wrong_shift", field, f"{who} works {shown}, asked for is {quoted(ask.demand.shift)}")


def _place(ask: Ask, row: Mapping[str, Any], *, field: str, who: str) -> Iterator[Finding]:
    asked, point, state = ask.place, row.get("location"), row.get("state")
    if asked is None:
        return
    if asked.city is None:
        if asked.state and state and state != asked.state:
            yield consistency("too_far", field, f"{who} lives in {state}, the work is in {asked.state}")
        return
    km = distance_km(asked, Location(None, None, point["lat"], point["lon"])) if point else None
    if km is not None:
        if km > ask.near_km:
            yield consistency(
                "too_far", field, f"{who} lives {km:.0f} km from {asked.city}, farther than {ask.near_km:g} km"
            )
        return
    same = str(row.get("city") or "").casefold() == asked.city.casefold() and state in {None, asked.state}
    if not same:
        yield unchecked("place_unknown", field, f"{who}: how far the home is from {asked.city} is not known")


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        return None


def booked(fill: Fill, taken: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a finding for each worker of a fill whom an accepted fill has at the same time (`in_the_way`)."""
    for at, proposed in enumerate(fill.workers):
        booking = taken.get(proposed.id)
        if booking is not None:
            yield consistency(
                "double_booked",
                f"workers[{at}].id",
                f"worker {quoted(proposed.id)} is booked from {booking.starts} to {booking.ends}",
            )


def ids_of(fill: Fill) -> Sequence[str]:
    """Return the ids of a fill, in its order."""
    return [proposed.id for proposed in fill.workers]
