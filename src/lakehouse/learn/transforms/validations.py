"""Artifacts that were checked: what was proposed, and whether it passed."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import spans
from lakehouse.learn.transforms.people import workers_of
from lakehouse.learn.transforms.spans import SpanLine

LOG = spans.LOG
# A span is called by the class of its error, an op by the error's code.
_ENDS = {spans.OK: "passed", "ValidationFailed": "failed", "validation": "failed"}


def draft(span: SpanLine) -> Iterable[Draft]:
    """Give one record per `validate.check`. What could not be checked for want of a roster says nothing."""
    if span.name == "validate.check":
        asked = spans.arguments(span)
        yield spans.draft(
            span,
            status=_ENDS.get(span.status, ""),
            output=spans.text(asked.get("payload")),
            subjects=workers_of(asked.get("payload")),
            labels=("validator",) if span.status in _ENDS else (),
            metadata={"artifact": spans.fact(span, "artifact") or asked.get("artifact", "")},
        )
