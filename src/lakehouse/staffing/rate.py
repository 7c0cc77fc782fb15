"""How well a person fits the original ask: 1 to 5, by rules, with reasons.

    5   everything the demand states is met, and known to be
    4   everything stated is met, but the place is only near, or a stated fact is not known of the person
    3   the role and its certifications are right; the place (same state, or within twice the near
        distance), the shift, the availability or the years are not
    2   the role is right and a certification is missing or expired, or the place is far; or the role is a
        related one and the rest is right
    1   the wrong role
    -   not rated: the demand states no role, certification or place, or nothing is known of the person

Null is not 0: "not rated" says nothing about the person. The text of the ask alone counts, never how near a
search found the person or what memory says.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from lakehouse.staffing.demand import Demand, Location
from lakehouse.staffing.places import distance_km, place_key
from lakehouse.staffing.titles import role_equal

# A place this many near-distances away is still thinkable, one beyond is far.
_THINKABLE = 2


class Rating(msgspec.Struct, frozen=True):
    """A rating and why.

    Attributes:
        rating: 1 to 5, null when not rated.
        reasons: Short sentences, role first.
        checks: Of what the demand states (`role`, `certs`, `place`, `shift`, `available`, `years`): met, not met, or
            null when it is not known of the person.
    """

    rating: int | None
    reasons: list[str]
    checks: dict[str, bool | None]


class _Finding(msgspec.Struct, frozen=True):
    """One check: whether it is met (null: unknown), the best rating it allows, and the reason to show."""

    met: bool | None
    at_most: int
    reason: str


def rate(
    demand: Demand,
    worker: Mapping[str, Any],
    *,
    related: Callable[[str, str], bool] | None = None,
    covers: Callable[[str, str], bool] = operator.eq,
    on: date | None = None,
    near_km: float = 40.0,
    years: int | None = None,
) -> Rating:
    """Rate a person against a demand.

    Args:
        demand: The original ask.
        worker: Metadata of the person, as `worker.metadata` makes it.
        related: Tells of two O*NET-SOC codes whether their occupations are related.
        covers: Tells whether holding one certification satisfies a demand for another; by default only itself.
        on: Day on which certifications must be valid and the person available, when the demand names no date.
        near_km: What counts as near.
        years: Years of experience that are asked for, see `experience.years_wanted`.

    Returns:
        The rating of the table above: the lowest that any check allows.
    """
    day = day_of(demand, on)
    findings: dict[str, _Finding] = {}
    if demand.role:
        findings["role"] = _role(demand, worker, related)
    if demand.certs:
        findings["certs"] = _certifications(demand.certs, worker, day, covers)
    if demand.location:
        findings["place"] = _place(demand.location, worker, near_km)
    rateable = any(finding.met is not None for finding in findings.values())
    if demand.shift:
        findings["shift"] = _shift(demand.shift, worker)
    free = _date(worker.get("available_from"))
    if day is not None and free is not None:
        findings["available"] = _available(free, day)
    if years is not None:
        findings["years"] = _experience(years, worker.get("years"))
    checks = {name: finding.met for name, finding in findings.items()}
    reasons = [finding.reason for finding in findings.values()]
    if not rateable:
        return Rating(None, reasons, checks)
    return Rating(min(finding.at_most for finding in findings.values()), reasons, checks)


def day_of(demand: Demand, today: date | None) -> date | None:
    """Return the day the work starts when the demand names a date, else `today`."""
    return _date(demand.start) or today


def expiry(worker: Mapping[str, Any]) -> dict[str, date | None]:
    """Return each certification a person holds with its last valid day, null when that is not known."""
    held: Sequence[str] = worker.get("certs") or []
    dates: Sequence[Any] = worker.get("cert_expiry") or []
    # Dates stand in the order of the certifications; a list of another length cannot be told apart.
    if len(dates) != len(held):
        return dict.fromkeys(held)
    return {name: _date(until) for name, until in zip(held, dates, strict=True)}


def _role(demand: Demand, worker: Mapping[str, Any], related: Callable[[str, str], bool] | None) -> _Finding:
    asked, code = demand.role or "", demand.role_code
    has, has_code = worker.get("role"), worker.get("role_code")
    if not has and not has_code:
        return _Finding(None, 4, "role not known")
    if (code and code == has_code) or (has and role_equal(asked, str(has))):
        return _Finding(True, 5, f"role: {has or asked}")
    if code and has_code and related is not None and related(code, str(has_code)):
        return _Finding(False, 2, f"related role: {has or has_code}, asked for {asked}")
    return _Finding(False, 1, f"wrong role: {has or has_code}, asked for {asked}")


def _certifications(
    wanted: Sequence[str], worker: Mapping[str, Any], day: date | None, covers: Callable[[str, str], bool]
) -> _Finding:
    if worker.get("certs") is None:
        return _Finding(None, 4, f"not known: {', '.join(wanted)}")
    held = expiry(worker)
    missing, expired, valid = [], [], []
    for name in wanted:
        # The one that lasts longest; an unknown last day counts as far off.
        fitting = [(until or date.max, other) for other, until in held.items() if covers(other, name)]
        until, has = max(fitting, default=(None, name))
        if until is None:
            missing.append(f"no {name}")
        elif day is not None and until < day:
            expired.append(f"{has} expired {until}")
        else:
            valid.append(f"{has} until {until}" if until < date.max else has)
    if missing or expired:
        return _Finding(False, 2, "; ".join([*missing, *expired]))
    return _Finding(True, 5, ", ".join(valid))


def _place(asked: Location, worker: Mapping[str, Any], near_km: float) -> _Finding:
    city, state, point = worker.get("city"), worker.get("state"), worker.get("location")
    home = ", ".join(str(part) for part in (city, state) if part)
    if not home and not point:
        return _Finding(None, 4, "place not known")
    if asked.city is None:
        same = state == asked.state
        return _Finding(same, 5 if same else 2, f"in {home}" if same else f"in {home}, asked for {asked.state}")
    km = distance_km(asked, Location(None, None, point["lat"], point["lon"])) if point else None
    same_state = not asked.state or not state or state == asked.state
    named = city is not None and place_key(str(city)) == place_key(asked.city) and same_state
    if named and (asked.state or km is None or km <= near_km):
        return _Finding(True, 5, f"in {home}")
    if km is None:
        return _Finding(False, 3 if asked.state and same_state else 2, f"in {home}, asked for {asked.city}")
    far = f"{km:.0f} km from {asked.city}" + (f" ({home})" if home else "")
    if km <= near_km:
        return _Finding(True, 4, far)
    thinkable = (asked.state is not None and state == asked.state) or km <= _THINKABLE * near_km
    return _Finding(False, 3 if thinkable else 2, far)


def _shift(asked: str, worker: Mapping[str, Any]) -> _Finding:
    shifts = worker.get("shifts")
    if not shifts:
        return _Finding(None, 4, f"{asked} shift: not known")
    if asked in shifts:
        return _Finding(True, 5, f"works the {asked} shift")
    return _Finding(False, 3, f"works {', '.join(map(str, shifts))}, asked for {asked}")


def _available(free: date, day: date) -> _Finding:
    if free <= day:
        return _Finding(True, 5, "available")
    return _Finding(False, 3, f"available from {free}")


def _experience(asked: int, has: Any) -> _Finding:
    if not isinstance(has, int | float):
        return _Finding(None, 4, f"{asked} years of experience: not known")
    if has >= asked:
        return _Finding(True, 5, f"{has:g} years of experience")
    return _Finding(False, 3, f"{has:g} years of experience, asked for {asked}")


def _date(text: Any) -> date | None:
    try:
        return date.fromisoformat(str(text)[:10]) if text else None
    except ValueError:
        return None
