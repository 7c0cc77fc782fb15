"""Cases of the validators."""

from __future__ import annotations

from contract.cases import Arguments, Case
from lakehouse.errors import InvalidInput, NotFound, ValidationFailed

DEMAND = {
    "role": "Forklift Operator",
    "count": 2,
    "client": "Beacon Freight",
    "location": {"city": "Cleveland", "state": "OH"},
}


def fill(*ids: str, start: str = "2031-03-03", **more: object) -> tuple[str, Arguments]:
    payload = {"demand": {**DEMAND, "count": len(ids), "start": start}, "workers": [{"id": id} for id in ids]}
    return "validate.check", {"artifact": "fill", "payload": payload, **more}


def accepted(*ids: str, start: str) -> tuple[str, Arguments]:
    payload = {"demand": {**DEMAND, "count": len(ids), "start": start}, "workers": [{"id": id} for id in ids]}
    return "validate.accept", {"payload": payload}


def message(kind: str, **fields: str) -> tuple[str, Arguments]:
    return "validate.check", {"artifact": kind, "payload": fields}


CASES = [
    Case("fill", [fill("w-1", "w-2")], lambda verdict: verdict.ok and verdict.roster == "workers"),
    Case("fill-phantom", [fill("w-1", "w-99")], raises=ValidationFailed, says="'w-99' is not in the roster"),
    Case("fill-wrong-role", [fill("w-1", "w-13")], raises=ValidationFailed, says="w-13"),
    Case(
        "fill-excluded",
        [fill("w-1", "w-2", context={"exclude_ids": ["w-2"]})],
        raises=ValidationFailed,
        says="excluded",
    ),
    Case(
        "fill-wrong-shape",
        [("validate.check", {"artifact": "fill", "payload": {"workers": []}})],
        raises=ValidationFailed,
        says="demand",
    ),
    Case("fill-absent-roster", [fill("w-1", context={"roster": "nobody"})], raises=NotFound, says="nobody"),
    Case("fill-unknown-context", [fill("w-1", context={"rooster": "x"})], raises=InvalidInput, says="rooster"),
    Case("validate-unknown-kind", [("validate.check", {"artifact": "letter", "payload": {}})], raises=InvalidInput),
    Case(
        "email",
        [message("email", to="ann@beacon.example", subject="Monday", body="Two people will be there at 06:00.")],
        lambda verdict: verdict.ok and verdict.findings[0].code == "recipient_unchecked",
    ),
    Case(
        "email-ssn",
        [message("email", to="ann@beacon.example", subject="Monday", body="Her SSN is 219-09-9999.")],
        raises=ValidationFailed,
        says="social security",
    ),
    Case("sms-long", [message("sms", to="216-555-0101", body="x" * 161)], raises=ValidationFailed, says="161"),
    Case("accept", [accepted("w-1", start="2031-04-01")], lambda done: done.fill_id and done.roster == "workers"),
    Case(
        "accept-twice",
        [accepted("w-2", start="2031-04-02"), accepted("w-2", start="2031-04-02")],
        raises=ValidationFailed,
    ),
    Case("accept-phantom", [accepted("w-0", start="2031-04-03")], raises=ValidationFailed, says="w-0"),
    Case(
        "fills",
        [accepted("w-3", start="2031-04-04"), ("validate.fills", {"worker_id": "w-3"})],
        lambda listed: [booking.starts for booking in listed.bookings] == ["2031-04-04T00:00:00"],
    ),
    Case(
        "release",
        [
            accepted("w-1", start="2031-04-05"),
            ("validate.release", lambda seen: {"fill_id": seen[0].fill_id}),
        ],
        lambda answer: answer is None,
    ),
    Case("release-absent", [("validate.release", {"fill_id": "f-0"})], raises=NotFound, says="f-0"),
]
