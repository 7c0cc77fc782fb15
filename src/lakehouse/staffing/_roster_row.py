"""One invented worker as a roster row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

from lakehouse.staffing import _roster_tables as tables
from lakehouse.staffing._gazetteer import City
from lakehouse.staffing._resume_text import Work, resume
from lakehouse.staffing._roster_jobs import Job, in_sentence
from lakehouse.staffing._roster_people import person
from lakehouse.staffing.shifts import SHIFTS
from lakehouse.staffing.worker import SEPARATOR

_MOST_YEARS = 28
_FEWEST_SKILLS = 2
_THIRD_SKILL = 0.5
_MOST_CERTS = 3
_SAID_CERTS = 2
# Of the certifications, the share that has expired, and the share that expires within a year.
_EXPIRED, _EXPIRING = 0.06, 0.06
_LONGEST_EXPIRED = 500
_FREE_NOW = 0.88
# How far a home is at most from the city's own point on each axis, in degrees; within 5 km of it.
_SPREAD = 0.03
# A resume calls somebody by another title of the same occupation this often.
_OTHER_TITLE = 0.12


def row(random: Random, id: int, job: Job, city: City, reference: date) -> tuple[Any, ...]:
    """Draw a worker of an occupation who lives in a city: the values of `worker.COLUMNS`, in order."""
    who = person(random, city.state)
    title = _title(random, job)
    years = int(_MOST_YEARS * random.random() * random.random())
    shifts = _shifts(random, job)
    skills = _some(random, job.tools, _FEWEST_SKILLS + (random.random() < _THIRD_SKILL))
    held = _certifications(random, job, title, city.state)
    expiry = [_expiry(random, name, reference) for name in held]
    valid = [name for name, until in zip(held, expiry, strict=True) if until > reference]
    called = _title(random, job) if random.random() < _OTHER_TITLE else title
    if set(job.said[called]) - set(valid):
        called = title
    work = Work(
        title=in_sentence(called),
        years=years,
        tools=skills,
        duties=job.duties,
        certs=_some(random, valid, _SAID_CERTS),
        sites=job.sites,
        shifts=shifts,
    )
    return (
        id,
        who.name,
        title,
        job.code,
        SEPARATOR.join(skills),
        SEPARATOR.join(held) or None,
        SEPARATOR.join(map(date.isoformat, expiry)) or None,
        years,
        city.name,
        city.state,
        _near(random, city.lat),
        _near(random, city.lon),
        SEPARATOR.join(shifts),
        _available(random, reference),
        _pay(random, job, years, city.state),
        who.phone,
        who.email,
        resume(random, work),
    )


def _title(random: Random, job: Job) -> str:
    at = bisect_right(job.title_weights, random.random() * job.title_weights[-1])
    return job.titles[min(at, len(job.titles) - 1)]


def _shifts(random: Random, job: Job) -> list[str]:
    taken = [shift for shift, share in zip(SHIFTS, job.shifts, strict=True) if random.random() < share]
    return taken or [SHIFTS[0]]


def _certifications(random: Random, job: Job, title: str, state: str) -> list[str]:
    """Draw what somebody holds: what the title names or better always, the rest by its share in the occupation."""
    local = [(name, share) for prefix, name, share in tables.OF_STATE.get(state, ()) if job.code.startswith(prefix)]
    held = [*job.said[title]]
    for name, share in (*job.certs, *local):
        if random.random() < share and name not in held:
            held.append(name)
    for better, lesser in tables.EXCLUSIVE:
        if better in held and lesser in held:
            held.remove(lesser)
    return held[:_MOST_CERTS]


def _expiry(random: Random, name: str, reference: date) -> date:
    kind = random.random()
    span = 365 * tables.RENEWAL.get(name, 3)
    if kind < _EXPIRED:
        return reference - timedelta(days=1 + int(random.random() * _LONGEST_EXPIRED))
    if kind < _EXPIRED + _EXPIRING:
        return reference + timedelta(days=1 + int(random.random() * 365))
    return reference + timedelta(days=365 + int(random.random() * (span - 365)))


def _available(random: Random, reference: date) -> date:
    if random.random() < _FREE_NOW:
        return reference - timedelta(days=int(random.random() ** 2 * 200))
    return reference + timedelta(days=1 + int(random.random() * 75))


def _pay(random: Random, job: Job, years: int, state: str) -> float:
    """Return an hourly pay in US dollars, in quarters."""
    low, high = job.pay
    grown = min(1.0, years / 20 + random.random() * 0.35)
    pay = (low + (high - low) * grown) * (tables.DEAR if state in tables.DEAR_STATES else 1)
    return int(pay * 4 + 0.5) / 4


def _near(random: Random, degrees: float) -> float:
    return round(degrees + (random.random() * 2 - 1) * _SPREAD, 4)


def _some(random: Random, of: Sequence[str], count: int) -> list[str]:
    """Draw different ones, in the order drawn."""
    taken: list[str] = []
    while len(taken) < min(count, len(of)):
        one = of[int(random.random() * len(of))]
        if one not in taken:
            taken.append(one)
    return taken
