"""Cases of subjects and their audits."""

from __future__ import annotations

from contract.cases import ROSTER, Case, dataset, search
from lakehouse.errors import AlreadyExists, InvalidInput, NotFound, PermissionDenied

HELD = {"id": "w-20", "purposes": ["staffing"], "consent": "given", "legal_hold": "case 17"}

CASES = [
    Case(
        "subject",
        [("subjects.put", {"id": "w-21", "purposes": ["staffing"], "consent": "given", "retain_until": "2030-01-31"})],
        lambda subject: (subject.consent, [each.dataset for each in subject.datasets]) == ("given", ["people"]),
    ),
    Case("subject-bad-day", [("subjects.put", {"id": "w-21", "retain_until": "2030-02-31"})], raises=InvalidInput,
         says="2030-02-31"),
    Case("subject-reserved", [("subjects.put", {"id": "lakehouse:keys"})], raises=InvalidInput, says="reserved"),
    Case(
        "subject-of-a-roster",
        [("subjects.get", {"id": "w-22"})],
        lambda subject: (subject.datasets[0].rows, subject.legal_hold, subject.consent) == (1, "", "unknown"),
    ),
    Case(
        "subjects-due",
        [("subjects.put", {"id": "w-25", "retain_until": "2020-01-31"}), ("subjects.due", {"on": "2020-02-10"})],
        lambda found: [(each.id, each.days_over) for each in found.due] == [("w-25", 10)] and found.on == "2020-02-10",
    ),
    Case("subjects-due-bad-day", [("subjects.due", {"on": "2020-02-31"})], raises=InvalidInput, says="2020-02-31"),
    Case("subject-absent", [("subjects.get", {"id": "w-9999"})], raises=NotFound, says="w-9999"),
    Case(
        "audit",
        [("vectors.get", {"name": "workers", "id": "w-23"}), ("subjects.audit", {"id": "w-23"})],
        lambda audit: audit.rows[-1].action == "view" and "name" in audit.rows[-1].fields,
        varies=True,
    ),
    Case(
        "audit-lines",
        [search(k=1), ("subjects.audit_log", lambda seen: {"id": seen[0].results[0].id})],
        lambda data: data.startswith(b'{"accessor":{') and data.endswith(b'"}\n'),
        varies=True,
    ),
    Case("audit-absent", [("subjects.audit", {"id": "w-9999"})], raises=NotFound, says="w-9999"),
    Case(
        "audit-verified",
        [("vectors.get", {"name": "workers", "id": "w-24"}), ("vectors.get", {"name": "workers", "id": "w-24"}),
         ("subjects.verify", {"id": "w-24"})],
        lambda found: (found.rows >= 2, found.verified, found.error) == (True, True, ""),
        varies=True,
    ),
    Case("erase-held", [("subjects.put", HELD), ("subjects.erase", {"id": "w-20"})], raises=PermissionDenied,
         says="case 17"),
    Case(
        "erase",
        [dataset("er1", b"id,name,role,resume\n1,Ophelia Quartermain,cook,grill and prep\n2,Bo,welder,MIG and TIG\n"),
         ("corpora.build", {"name": "er1", "dataset": "er1", "id_prefix": "er-", **ROSTER}),
         ("subjects.erase", {"id": "er-1", "reason": "asked for"})],
        # Refused builds of other cases, whose errors are kept, still hold files open; the receipt may name them.
        lambda receipt: (receipt.reason, receipt.probed) == ("asked for", 1),
        varies=True,
    ),
    Case("erase-absent", [("subjects.erase", {"id": "w-9999"})], raises=NotFound, says="w-9999"),
    Case(
        "key",
        [("keys.add", {"name": "anna", "roles": ["coordinator"], "namespaces": ["anna"]})],
        lambda made: made.key.startswith(f"lh_{made.id}_") and made.rate_per_s == 50,
        varies=True,
    ),
    Case("key-twice", [("keys.add", {"name": "ben", "roles": ["auditor"]}),
                       ("keys.add", {"name": "ben", "roles": ["operator"]})], raises=AlreadyExists, says="ben"),
    Case("key-bad-role", [("keys.add", {"name": "x", "roles": ["king"]})], raises=InvalidInput, says="roles"),
    Case("keys", [("keys.list", {})], lambda listed: [key.name for key in listed.keys] == ["anna", "ben"], varies=True),
    Case("key-revoked", [("keys.add", {"name": "eve", "roles": ["operator"]}), ("keys.revoke", {"id": "eve"})],
         lambda answer: answer is None),
    Case("key-absent", [("keys.revoke", {"id": "nothing"})], raises=NotFound, says="nothing"),
]  # fmt: skip
