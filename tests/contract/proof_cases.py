"""What fell between two rooms: a message is validated and the ledger writes down whom it is about."""

from __future__ import annotations

from contract.cases import Case

_SMS = {"to": "+18005550100", "body": "Shift open tomorrow 6:00. Call 800-555-1234 or reply YES."}

CASES = [
    Case(
        "validate-message-without-context",
        [("validate.check", {"artifact": "sms", "payload": _SMS})],
        lambda verdict: verdict.ok,
    ),
]
