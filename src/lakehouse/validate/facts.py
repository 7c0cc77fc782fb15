"""What a message says of people: only those it is about, and only what their rows or the ask say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from lakehouse.staffing.places import place_key
from lakehouse.validate.base import Context, Finding, People, consistency, policy, quoted
from lakehouse.validate.fill import Vocabulary
from lakehouse.validate.message import addresses_in
from lakehouse.validate.roster import address_key, addresses_of, full_name

_WORD = r"[^\W\d_][^\W\d_'\u2019.-]*"
_PAIR = re.compile(rf"(?=(?<![\w'\u2019])((?-i:[A-Z]){_WORD})[ ]((?-i:[A-Z]){_WORD}(?:[-'\u2019]{_WORD})?)(?!\w))")
_GREETING = re.compile(
    r"\A\s*(?:hi|hello|hey|dear|good\s+(?:morning|afternoon|evening))[ ,]+(?:(?:mr|ms|mrs|dr)\.?\s+)?"
    r"([^\W\d_][\w'\u2019-]*)(?:\s+((?-i:[A-Z])[\w'\u2019-]+))?",
    re.IGNORECASE,
)
_ANYBODY = frozenset(
    "all there team sir madam everyone everybody folks both hiring friend colleague colleagues from again and "
    "manager customer client partner this we your our".split()
)
_YEARS = re.compile(r"\b(\d{1,2})\+?\s*(?:-\s*)?(?:years?|yrs?)\b(?!\s+old)", re.IGNORECASE)
_PAY = re.compile(r"\$\s?(\d{1,3}(?:\.\d{1,2})?)\s*(?:/|per|an|a)\s*(?:hr|hour)\b", re.IGNORECASE)
_ID = re.compile(r"(?<![\w-])([A-Za-z]{1,12}-\d{1,12})(?![\w-])")


class Said(msgspec.Struct, frozen=True):
    """What of a text must be looked up in the roster: full names, addresses, ids."""

    names: list[str]
    addresses: list[str]
    ids: list[str]


def said(text: str, words: Vocabulary) -> Said:
    """Return what a text says that only the roster can confirm."""
    places = [(match.start, match.end) for match in words.places.find(text)]
    names = [
        f"{match[1]} {match[2].rstrip('.')}"
        for match in _PAIR.finditer(text)
        if not any(start <= match.start() < end for start, end in places)
    ]
    ids = [match[1] for match in _ID.finditer(text)]
    return Said(list(dict.fromkeys(names)), addresses_in(text), list(dict.fromkeys(ids)))


def check(
    text: str, context: Context, *, people: People, words: Vocabulary, prefixes: Sequence[str]
) -> Iterator[Finding]:
    """Yield what a text says of people that it must not, or that is not so.

    Args:
        text: The body, and behind it the subject.
        context: Whom it is about, and what it may say beside their rows.
        people: Answer to a question with the ids of the context and what `said` returned.
        words: Roles, places and certifications.
        prefixes: Of the corpora, by which an id is known for one.
    """
    about = {id: people.rows[id] for id in context.worker_ids if id in people.rows}
    for id in context.worker_ids:
        if id not in about:
            reason = f"worker {quoted(id)} is not in the roster"
            yield consistency("phantom_worker", "context.worker_ids", reason, retryable=False)
    yield from _others(text, context, people, about, words=words, prefixes=prefixes)
    if about:
        yield from _greeting(text, context, about)
        yield from _claims(text, context, about, words)


def _others(
    text: str,
    context: Context,
    people: People,
    about: Mapping[str, Mapping[str, Any]],
    *,
    words: Vocabulary,
    prefixes: Sequence[str],
) -> Iterator[Finding]:
    found = said(text, words)
    own = {address_key(address) for row in about.values() for address in addresses_of(row)}
    own |= {address_key(address) for address in context.contacts}
    for address in found.addresses:
        if people.by_address.get(address) and address_key(address) not in own:
            yield policy("other_worker", "body", f"{quoted(address)} is the address of another worker")
    known = {_plain(name) for name in (*context.names, *(full_name(row) for row in about.values()))}
    free = [_plain(text) for text in (*context.names, *context.facts, str(context.demand.get("client") or ""))]
    for name in found.names:
        if _plain(name) in known or any(_plain(name) in text for text in free):
            continue
        if people.by_name.get(name):
            yield policy("other_worker", "body", f"{quoted(name)} is another worker")
        elif name in people.given and about:
            yield consistency("unknown_name", "body", f"{quoted(name)} is nobody whom this message is about")
    for id in found.ids:
        if id in about or not any(id.startswith(prefix) for prefix in prefixes):
            continue
        if id in people.rows:
            yield policy("other_worker", "body", f"{quoted(id)} is another worker")
        else:
            yield consistency("phantom_worker", "body", f"worker {quoted(id)} is not in the roster")


def _greeting(text: str, context: Context, about: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    match = _GREETING.match(text)
    if match is None or match[1].casefold() in _ANYBODY:
        return
    names = (*context.names, *(full_name(row) for row in about.values()))
    known = {part for name in names for part in _plain(name).split()}
    if names and _plain(match[1]) not in known:
        yield consistency("wrong_name", "body", f"the message greets {quoted(match[1])}, which is nobody's name here")


def _claims(
    text: str, context: Context, about: Mapping[str, Mapping[str, Any]], words: Vocabulary
) -> Iterator[Finding]:
    rows = list(about.values())
    facts = " \n ".join(context.facts)
    held = {name for row in rows for name in row.get("certs") or []}
    asked = {words.certifications.canonical(str(name)) or str(name) for name in context.demand.get("certs") or []}
    asked |= {match.name for match in words.certifications.find(facts)}
    for match in words.certifications.find(text):
        covered = any(words.certifications.covers(name, match.name) for name in held)
        if not covered and match.name not in asked:
            yield consistency("untrue_certification", "body", f"nobody here holds {quoted(match.name)}")
    years = {float(row["years"]) for row in rows if isinstance(row.get("years"), int | float)}
    yield from _numbers(_YEARS, text, years, facts, code="untrue_years", what="years of experience")
    pay = {float(row["pay_hourly"]) for row in rows if isinstance(row.get("pay_hourly"), int | float)}
    yield from _numbers(_PAY, text, pay, facts, code="untrue_pay", what="dollars an hour")
    yield from _places(text, context, rows, words, facts)


def _numbers(
    pattern: re.Pattern[str], text: str, known: set[float], facts: str, *, code: str, what: str
) -> Iterator[Finding]:
    if not known:
        return
    allowed = known | {float(match[1]) for match in pattern.finditer(facts)}
    for match in pattern.finditer(text):
        if float(match[1]) not in allowed:
            yield consistency(code, "body", f"{match[1]} {what} is not what the roster says")


def _places(
    text: str, context: Context, rows: Sequence[Mapping[str, Any]], words: Vocabulary, facts: str
) -> Iterator[Finding]:
    cities = {place_key(str(row["city"])) for row in rows if row.get("city")}
    if not cities:
        return
    location = context.demand.get("location")
    if isinstance(location, dict) and location.get("city"):
        cities.add(place_key(str(location["city"])))
    for match in words.places.find(text):
        city = match.location.city
        if city and place_key(city) not in cities and _plain(city) not in _plain(facts):
            yield consistency("untrue_place", "body", f"{quoted(city)} is neither the home nor the place of work")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
