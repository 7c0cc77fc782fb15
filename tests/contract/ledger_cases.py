"""Cases of subjects and their audits."""

from __future__ import annotations

from contract.cases import Case, search
from lakehouse.errors import InvalidInput, NotFound, PermissionDenied

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
    Case("subject-absent", [("subjects.get", {"id": "w-9999"})], raises=NotFound, says="w-9999"),
    Case(
        "audit",
        [("vectors.get", {"name": "workers", "id": "w-23"}), ("subjects.audit", {"id": "w-23"})],
        lambda audit: audit.rows[-1].action == "view" and "name" in audit.rows[-1].fields,
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
    Case("erase-absent", [("subjects.erase", {"id": "w-9999"})], raises=NotFound, says="w-9999"),
]  # fmt: skip
