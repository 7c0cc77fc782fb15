"""A draft by a model, which is told what is asked for and nobody's name.

Names stand as marks in what it writes and are put in here, so nothing of a person goes to any provider, on this machine
or another. What it writes is judged like what anybody types.
"""

from __future__ import annotations

import re

import msgspec

from lakehouse.app import Lakehouse
from lakehouse.chat.base import Message
from lakehouse.demands.base import OpenDemand, Person
from lakehouse.errors import Upstream
from lakehouse.serve.console.outreach import Draft, Kind, drafted
from lakehouse.staffing.need import fields_of, need_line

_TIMEOUT_MS = 60_000
_MOST_TOKENS = 600
_MARK = re.compile(r"[\[{<]+ *(first[ _]?name|client|sender) *[\]}>]+", re.IGNORECASE)
_SUBJECT = re.compile(r"^\W*subject\W*:\W*(.*)$", re.IGNORECASE)
_ASKED: dict[Kind, str] = {
    "email": "an email of up to 120 words. Its first line is 'Subject: ' and a subject; the text follows an empty line",
    "sms": "a text message of at most 140 characters in plain ASCII, which asks for YES or NO. No subject",
}
_RULES = (
    "You write for a staffing coordinator to a worker and ask whether they are free for the work below. Write {kind}."
    " Say nothing that is not in the facts: no pay, no address, no promise. Where a name belongs write its mark, and no"
    " other mark: {marks}. Answer with the message alone."
)


def written(lake: Lakehouse, model: str, kind: Kind, one: OpenDemand, person: Person, me: str) -> Draft:
    """Have a model write to somebody about a demand.

    Raises:
        Upstream: It wrote nothing, or did not come to an end.
        LakehouseError: It could not be asked, as `chat.complete`.
    """
    template = drafted(kind, one, person, me)
    names = _names(one, person, me)
    marks = ", ".join(f"[{name}]" for name, value in names.items() if value)
    rules = _RULES.format(kind=_ASKED[kind], marks=marks or "none")
    # Of the demand what was read from it, without the client; the client's own words may name anybody.
    facts = need_line(msgspec.structs.replace(fields_of(one.demand), count="", client=""))
    told = f"{facts}\nStarts: {one.starts}" if one.starts else facts
    answer = lake.chat.complete(
        model=model,
        messages=[Message("system", rules), Message("user", told)],
        max_tokens=_MOST_TOKENS,
        temperature=0,
        timeout_ms=_TIMEOUT_MS,
        namespace=one.namespace,
    )
    text = answer.content.strip()
    if not text or answer.finish_reason == "length":
        raise Upstream(f"{model} {'did not come to an end' if text else 'wrote nothing'}", provider=answer.provider)
    subject, body = _parted(text)
    if kind == "sms":
        return Draft(kind=kind, to=template.to, body=" ".join(_named(body, names).split()))
    subject = _named(subject, names) or template.subject
    return Draft(kind=kind, to=template.to, subject=subject, body=f"{_named(body, names)}\n")


def _names(one: OpenDemand, person: Person, me: str) -> dict[str, str]:
    first = str(person.metadata.get("name") or "").partition(" ")[0]
    return {"first name": first, "client": one.demand.client or "", "sender": me}


def _named(text: str, names: dict[str, str]) -> str:
    """Put names where marks stand; the mark of a name that nobody knows stays, and the validators refuse it."""
    return _MARK.sub(lambda found: names[_name_of(found[1])] or found[0], text)


def _name_of(mark: str) -> str:
    word = mark.casefold()
    return word if word in {"client", "sender"} else "first name"


def _parted(text: str) -> tuple[str, str]:
    first, _, rest = text.partition("\n")
    found = _SUBJECT.match(first)
    return (found[1].strip(), rest.strip()) if found else ("", text)
