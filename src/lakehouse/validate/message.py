"""An email or text message: to the right person, finished, without secrets, true to the roster, short enough."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from lakehouse.validate import secrets, sms
from lakehouse.validate.base import (
    Context,
    Finding,
    People,
    completeness,
    consistency,
    policy,
    quoted,
    unchecked,
    warned,
)
from lakehouse.validate.roster import address_key, addresses_of

MOST_SUBJECT = 200
MOST_SMS = 160

_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
_PHONE = re.compile(r"\+?[\d(][\d ().\-/]*\d(?:\s*(?:x|ext\.?)\s*\d{1,6})?", re.IGNORECASE)
_LEAST_DIGITS, _MOST_DIGITS = 7, 15
_IN_BODY = re.compile(rf"{_EMAIL.pattern}|(?<![\w$.])\+?\(?\d{{3}}\)?[ .-]?\d{{3}}[ .-]?\d{{4}}(?![\w])")

_PLACEHOLDER = re.compile(
    r"""\{\{.*?\}\} | \$?\{[A-Za-z_][\w .-]{0,60}\} | <<[^<>]{1,60}>> | %[A-Z_]{2,40}%
      | \[(?:[A-Z][A-Z _/-]{1,60}|(?:[Ii]nsert|[Yy]our|[Ee]nter|[Ff]ill|[Aa]dd|[Nn]ame|[Dd]ate|[Tt]ime|[Cc]lient
          |[Cc]ompany|[Ww]orker|[Rr]ole|[Ll]ocation|[Pp]hone|[Ee]mail|[Rr]ecipient|[Ff]irst|[Ll]ast)\b[^\]\n]{0,60})\]
      | <(?:name|first[ _]name|last[ _]name|your[ _]\w+|client|company|date|time|role|location|phone|email)>
      | \b(?:TBD|TBA|TODO|FIXME|XXX+)\b | lorem\ ipsum | _{4,}
    """,
    re.VERBOSE,
)


class Email(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An email to one recipient."""

    to: Annotated[str, msgspec.Meta(min_length=1)]
    subject: str
    body: str


class Sms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text message to one recipient."""

    to: Annotated[str, msgspec.Meta(min_length=1)]
    body: str


def addresses_in(text: str) -> list[str]:
    """Return the email addresses and telephone numbers in a text, in order, each once."""
    return list(dict.fromkeys(match[0] for match in _IN_BODY.finditer(text)))


def check_email(email: Email, context: Context, people: People | None) -> Iterator[Finding]:
    """Yield what is wrong with an email, but for what it says of people (`facts`)."""
    if not _EMAIL.fullmatch(email.to):
        yield Finding(
            code="bad_recipient", variant="Schema", field="to", reason=f"{quoted(email.to)} is no email address"
        )
    if not email.subject.strip():
        yield completeness("no_subject", "subject", "the subject is empty")
    if len(email.subject) > MOST_SUBJECT:
        yield completeness(
            "long_subject", "subject", f"the subject has {len(email.subject)} characters, at most {MOST_SUBJECT}"
        )
    if "\n" in email.subject or "\r" in email.subject:
        yield Finding(code="subject_lines", variant="Schema", field="subject", reason="the subject must be one line")
    yield from _texts([("subject", email.subject), ("body", email.body)])
    yield from _recipient(email.to, context, people)


def check_sms(message: Sms, context: Context, people: People | None, *, most_segments: int = 1) -> Iterator[Finding]:
    """Yield what is wrong with a text message, but for what it says of people (`facts`).

    It may have 160 characters for each of `most_segments`. That the network needs more segments is a warning: its own
    alphabet has few letters, some of them count twice, and with any other one 70 make a segment.
    """
    digits = sum(letter.isdigit() for letter in message.to.partition("x")[0])
    if not _PHONE.fullmatch(message.to.strip()) or not _LEAST_DIGITS <= digits <= _MOST_DIGITS:
        yield Finding(
            code="bad_recipient", variant="Schema", field="to", reason=f"{quoted(message.to)} is no telephone number"
        )
    yield from _texts([("body", message.body)])
    yield from _length(message.body, most_segments)
    yield from _recipient(message.to, context, people)


def _length(body: str, most_segments: int) -> Iterator[Finding]:
    length = sms.measure(body)
    most = MOST_SMS * most_segments
    if len(body) > most:
        yield completeness("too_long", "body", f"the message has {len(body)} characters, at most {most}")
    elif length.segments > most_segments:
        # It is sent all the same, and costs more.
        why = f"; {length.outside!a} is not in GSM-7, without it more fits" if length.outside else ""
        yield warned(
            "many_segments",
            "body",
            f"the network sends the message as {length.segments} segments ({length.units} units of {length.encoding}),"
            f" not as {most_segments}{why}",
        )


def _texts(texts: list[tuple[str, str]]) -> Iterator[Finding]:
    for field, text in texts:
        if field == "body" and not text.strip():
            yield completeness("no_body", "body", "the body is empty")
        placeholder = _PLACEHOLDER.search(text)
        if placeholder:
            yield completeness("placeholder", field, f"the placeholder {quoted(placeholder[0], 40)} is left over")
        for kind in secrets.find(text):
            yield policy(f"secret_{kind}", field, f"the {field} holds {_CALLED[kind]}; leave it out")


_CALLED = {
    "ssn": "a social security number",
    "card": "a card number",
    "bank": "a bank account or routing number",
    "credential": "a password or key",
}


def _recipient(to: str, context: Context, people: People | None) -> Iterator[Finding]:
    allowed = {address_key(address) for address in context.contacts}
    if context.worker_ids and people is not None:
        row = people.rows.get(context.worker_ids[0])
        allowed |= {address_key(address) for address in addresses_of(row or {})}
    elif not context.contacts:
        yield unchecked(
            "recipient_unchecked", "to", "neither a worker nor contacts are given to check the recipient by"
        )
        return
    if address_key(to) not in allowed:
        yield consistency(
            "wrong_recipient", "to", f"{quoted(to)} is neither the worker's own address nor one of the client's"
        )
