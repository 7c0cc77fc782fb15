"""A refusal on the wire: one variant per kind of failure, `{"Policy": {"reason": ...}}`, and the older flat form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from lakehouse.errors import InvalidInput, ValidationFailed
from lakehouse.validate.base import VARIANTS, Finding, Variant

MOST_FINDINGS = 10
MOST_REASON = 240


class Refusal(msgspec.Struct, frozen=True):
    """What a variant object says; `field` is empty for all but `Schema`."""

    variant: Variant
    reason: str
    field: str = ""


def write(refusal: Refusal) -> dict[str, dict[str, str]]:
    """Return the variant object."""
    if refusal.variant == "Schema":
        return {"Schema": {"field": refusal.field, "reason": refusal.reason}}
    return {refusal.variant: {"reason": refusal.reason}}


def read(body: Any) -> Refusal:
    """Read a decoded variant object, or the legacy flat form `{"Kind", "Field", "Reason"}`.

    >>> read({"Policy": {"reason": "no"}}) == read({"Kind": "policy", "Field": "", "Reason": "no"})
    True

    Raises:
        InvalidInput: It is neither, or names a variant that does not exist.
    """
    if not isinstance(body, dict):
        raise InvalidInput("a refusal must be a JSON object with one variant", field="body")
    if "Kind" in body:
        return _read_flat(body)
    if len(body) != 1:
        raise InvalidInput(f"a refusal holds one variant, not {len(body)} fields", field="body")
    ((name, inner),) = body.items()
    variant = _known(name)
    fields = {"field", "reason"} if variant == "Schema" else {"reason"}
    if not isinstance(inner, dict) or set(inner) != fields or not all(isinstance(x, str) for x in inner.values()):
        raise InvalidInput(f"the variant {variant} holds {' and '.join(sorted(fields))} as text", field=variant)
    return Refusal(variant, inner["reason"], inner.get("field", ""))


def _read_flat(body: dict[str, Any]) -> Refusal:
    unknown = set(body) - {"Kind", "Field", "Reason"}
    if unknown or not all(isinstance(text, str) for text in body.values()):
        raise InvalidInput("the flat form of a refusal holds Kind, Field and Reason as text", field="Kind")
    variant = _known(body["Kind"])
    return Refusal(variant, body.get("Reason", ""), body.get("Field", "") if variant == "Schema" else "")


def _known(name: str) -> Variant:
    for variant in VARIANTS:
        if name.casefold() == variant.casefold():
            return variant
    raise InvalidInput(f"unknown variant {name[:80]!r}; there are {', '.join(VARIANTS)}", field="variant")


def refused(findings: Sequence[Finding], *, roster: str | None, snapshot_id: str | None) -> ValidationFailed:
    """Build the error of an artifact that did not pass.

    The variant is that of the first error in the order schema, completeness, consistency, policy; all findings stand
    beside it in the detail, at most ten.
    """
    errors = sorted(
        (finding for finding in findings if finding.severity == "error"),
        key=lambda finding: VARIANTS.index(finding.variant),
    )
    first = errors[0]
    refusal = Refusal(first.variant, first.reason[:MOST_REASON], first.field if first.variant == "Schema" else "")
    return failure(
        refusal,
        {
            "findings": [_shortened(finding) for finding in errors[:MOST_FINDINGS]],
            "roster": roster,
            "snapshot_id": snapshot_id,
        },
    )


def failure(refusal: Refusal, more: dict[str, Any] | None = None) -> ValidationFailed:
    """Return the error that a refusal is in process and across the wire."""
    return ValidationFailed(refusal.reason, variant=write(refusal), **(more or {}))


def _shortened(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(finding)
    return {**found, "reason": finding.reason[:MOST_REASON]}
