"""Resumes of invented people in varied wording, 25 to 40 words, true to the roster row they belong to.

A resume says nothing about who somebody is or where they live: it is searched by meaning, and so it holds
the role, the years, skills, a duty, certifications that are valid, and kinds of sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

SHORTEST, LONGEST = 25, 40

_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_OPENINGS = (
    "I bring {years} of experience as {title}, much of it at {site}.",
    "{Years} as {title}, most recently for {site}.",
    "Worked {years} as {title} for {site}.",
    "My trade is {title}: {years} on the job, last assignment {site}.",
    "Spent {years} working as {title}, mainly for {site}.",
    "Known as dependable {title}; {years} behind me, including {site} and {other}.",
    "Started out with {site}, now {years} as {title}.",
    "Steady {title}, {years} in the trade, last with {site}.",
    "Trained as {title}: {years}, from {site} to {other}.",
    "Employed as {title} by {site}; {years} altogether.",
    "Background: {title}, {years}, {site}.",
    "{Years} of {title} assignments through agencies, among them {site}.",
    "Came to {site} as {title} and stayed; {years} so far.",
    "Have been {title} since leaving {other}; {years} in all, now {site}.",
)
_TOOLS = (
    "Daily work with {tools}.",
    "Comfortable with {first} as well as {rest}.",
    "Confident using {tools}.",
    "Knows {tools} well.",
    "Taught new hires how to use {tools}.",
    "Hands-on with {tools}.",
    "Familiar with {first} and, lately, {rest}.",
    "Strengths: {tools}.",
    "Quick with {first}; careful with {rest}.",
    "Uses {tools} every week.",
    "Equipment: {tools}.",
    "Practiced on {first}, some {rest}.",
)
_DUTIES = (
    "Trusted to {duty}.",
    "My main task was to {duty}.",
    "Day to day I {duty}.",
    "Brought in to {duty}.",
    "Praised for how I {duty}.",
    "Regularly asked to {duty}.",
    "Can {duty} without supervision.",
    "Learned early to {duty}.",
    "Often the one to {duty}.",
    "First on the crew to {duty}.",
    "Paid to {duty}, and did.",
    "Helped others {duty}.",
)
_CERTIFIED = (
    "Holds {certs}.",
    "{certs}, up to date.",
    "Carries {certs}.",
    "Has {certs} in hand.",
    "Active {certs}.",
    "Valid {certs}.",
    "{certs} on file.",
    "Keeps {certs} current.",
)
_MORE = (
    "Crew of {number}.",
    "No lost-time injury in {number} months.",
    "{Number} assignments finished, none left early.",
    "Never missed a start in {number} months.",
    "Works the {shift} shift by choice.",
    "Also stood in at {other}.",
    "Trained {number} newcomers.",
    "Asked back by {other}.",
    "Led a team of {number} for one season.",
    "Good record with {other}.",
    "Used to the {shift} shift.",
    "Calm in rush hours, tidy afterwards.",
    "Learns a new site within days.",
    "Reads work orders, reports problems early.",
    "Own boots and gear, punctual.",
    "Lifts fifty pounds, stands all day.",
)


class Work(msgspec.Struct, frozen=True):
    """What a resume may say. `title` is written as inside a sentence; `certs` are those to be named."""

    title: str
    years: int
    tools: Sequence[str]
    duties: Sequence[str]
    certs: Sequence[str]
    sites: Sequence[str]
    shifts: Sequence[str]


def resume(random: Random, work: Work) -> str:
    """Write a resume of 25 to 40 words.

    Args:
        random: Decides the wording; drawn from a number of times that depends on the work alone.
        work: At least two tools and two sites.
    """
    site, other = _two(random, work.sites)
    years = _years(random, work.years)
    number = 2 + int(random.random() * 29)
    words = {
        "title": work.title,
        "years": years,
        "Years": _capital(_years(random, work.years, in_digits=True)),
        "site": site,
        "other": other,
        "tools": _joined(work.tools),
        "first": work.tools[0],
        "rest": _joined(work.tools[1:]),
        "duty": _one(random, work.duties) if work.duties else "-",
        "certs": _joined(work.certs) if work.certs else "-",
        "number": str(number),
        "Number": str(number),
        "shift": _one(random, work.shifts),
    }
    body = [_one(random, _TOOLS)]
    if work.duties:
        body.append(_one(random, _DUTIES))
    if work.certs:
        body.append(_one(random, _CERTIFIED))
    _shuffle(random, body)
    said = [text.format_map(words) for text in (_one(random, _OPENINGS), *body)]
    if sum(len(text.split()) for text in said) > LONGEST:
        said = [text for text in said if words["duty"] not in text]
    return _of_length(random, said, words)


def _of_length(random: Random, said: list[str], words: dict[str, str]) -> str:
    """Add sentences until the text is long enough; each of them is short enough not to make it too long."""
    left = list(_MORE)
    count = sum(len(text.split()) for text in said)
    while count < SHORTEST or (count < LONGEST - 10 and random.random() < 0.1):
        text = left.pop(int(random.random() * len(left))).format_map(words)
        count += len(text.split())
        said.append(text)
    return " ".join(said)


def _years(random: Random, years: int, *, in_digits: bool = False) -> str:
    if years < 1:
        return "less than a year"
    said = _NUMBERS[years] if not in_digits and years < len(_NUMBERS) and random.random() < 0.5 else str(years)
    return f"{said} year{'s' if years > 1 else ''}"


def _joined(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _one(random: Random, of: Sequence[str]) -> str:
    return of[int(random.random() * len(of))]


def _two(random: Random, of: Sequence[str]) -> tuple[str, str]:
    """Draw two different ones."""
    first = int(random.random() * len(of))
    second = (first + 1 + int(random.random() * (len(of) - 1))) % len(of)
    return of[first], of[second]


def _shuffle(random: Random, texts: list[str]) -> None:
    for last in range(len(texts) - 1, 0, -1):
        at = int(random.random() * (last + 1))
        texts[last], texts[at] = texts[at], texts[last]
