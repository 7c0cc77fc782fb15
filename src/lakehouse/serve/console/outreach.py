"""What is written to somebody about a demand: a draft from a template, what the validators say of it, and its links."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from lakehouse.app import Lakehouse
from lakehouse.demands.base import OpenDemand, Person
from lakehouse.errors import ValidationFailed
from lakehouse.staffing.need import fields_of, need_line

Kind = Literal["email", "sms"]
KINDS: tuple[Kind, ...] = ("email", "sms")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it stands in the form; a text message has no subject."""

    kind: Kind
    to: str
    subject: str = ""
    body: str = ""

    @property
    def payload(self) -> dict[str, Any]:
        """What the validators are asked about."""
        subject = {"subject": self.subject} if self.kind == "email" else {}
        return {"to": self.to, **subject, "body": self.body}

    @property
    def link(self) -> str:
        """Address that opens the message in the program that sends it."""
        if self.kind == "sms":
            return f"sms:{re.sub(r'[^0-9+]', '', self.to)}?&body={quote(self.body, safe='')}"
        said = f"subject={quote(self.subject, safe='')}&body={quote(_lines(self.body), safe='')}"
        return f"mailto:{quote(self.to, safe='@')}?{said}"

    @property
    def file(self) -> tuple[str, bytes]:
        """Name and bytes of the message as a file."""
        if self.kind == "sms":
            return "message.txt", f"{self.to}\n\n{self.body}\n".encode()
        from email.message import EmailMessage
        from email.policy import SMTP

        message = EmailMessage(policy=SMTP)
        message["To"], message["Subject"] = self.to, self.subject
        message["X-Unsent"] = "1"
        message.set_content(self.body)
        return "message.eml", message.as_bytes()


class Said(msgspec.Struct, frozen=True):
    """One thing the validators found; `bad` when the message may not go because of it."""

    field: str
    reason: str
    bad: bool


class Verdict(msgspec.Struct, frozen=True):
    """What the validators say of a draft."""

    ok: bool
    findings: list[Said]


def drafted(kind: Kind, one: OpenDemand, person: Person, me: str) -> Draft:
    """Write to somebody about a demand, with nothing in it that the demand or their row does not say."""
    row, demand = person.metadata, one.demand
    first = str(row.get("name") or "").partition(" ")[0]
    place = demand.location
    where = f" in {place.city or place.state}" if place and (place.city or place.state) else ""
    starts = one.starts or demand.start or ""
    role = demand.role or "work"
    if kind == "sms":
        said = ", ".join(filter(None, (f"{role}{where}", starts and f"from {starts}", _shift(demand.shift))))
        body = (
            f"{f'Hi {first}, ' if first else ''}{said}. Are you free? Please reply YES or NO.{f' {me}' if me else ''}"
        )
        return Draft(kind=kind, to=str(row.get("phone") or ""), body=body)
    who = demand.client or "A client of ours"
    facts = ", ".join(filter(None, (starts and f"starting {starts}", _shift(demand.shift))))
    certs = f" You would need {_joined(demand.certs)}." if demand.certs else ""
    body = (
        f"Hello{f' {first}' if first else ''},\n\n"
        f"{who} is looking for {_article(role)} {role}{where}{f', {facts}' if facts else ''}.{certs}\n\n"
        "Are you free, and may we put you forward? Please answer this email or call us.\n\n"
        f"Thank you{f',{chr(10)}{me}' if me else ''}\n"
    )
    return Draft(kind=kind, to=str(row.get("email") or ""), subject=f"{role}{where}: are you free?", body=body)


def judged(lake: Lakehouse, draft: Draft, one: OpenDemand, person: Person, me: str, *, leaves: bool) -> Verdict:
    """Ask the validators about a draft.

    Args:
        lake: Where the validators are.
        draft: As typed.
        one, person: What it is about, and whom.
        me: The coordinator, whom it may name.
        leaves: Whether it may be sent if it passes, which is written into the audit of the person.

    Raises:
        LakehouseError: They could not be asked.
    """
    asked: dict[str, Any] = msgspec.to_builtins(one.demand)
    context = {
        "roster": person.corpus,
        "worker_ids": [person.id],
        "names": [name for name in (one.demand.client, me) if name],
        # The fields alone: the client's own words may name somebody else.
        "facts": [need_line(fields_of(one.demand)), one.starts],
        "demand": {name: asked[name] for name in ("role", "count", "location", "certs", "shift", "start", "client")},
        "draft": not leaves,
    }
    try:
        passed = lake.validate.check(draft.kind, draft.payload, context)  # type: ignore[arg-type]
    except ValidationFailed as refused:
        found = refused.detail.get("findings") or [{"field": "", "reason": refused.message}]
        return Verdict(False, [Said(str(one["field"]), str(one["reason"]), True) for one in found])
    return Verdict(True, [Said(finding.field, finding.reason, False) for finding in passed.findings])


def _article(role: str) -> str:
    return "an" if role[:1].lower() in set("aeio") else "a"


def _shift(shift: str | None) -> str:
    return f"{shift} shift" if shift else ""


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")
