"""What spans of open demands say: who was filled, what came of them, and what was taken back.

All of it is the content of spans. Who booked or recorded it and why stays there: both are words about people.
"""

from __future__ import annotations

from typing import Any

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import spans
from lakehouse.learn.transforms.spans import SpanLine

FILL, OUTCOME, UNDO = "demands.fill", "demands.outcome", "demands.undo"


def fills(span: SpanLine) -> list[Draft]:
    """Return one draft per person booked: each is an accepted fill of its own."""
    told, demand = _answer(span)
    return [
        spans.draft(
            span,
            task="fill.accept",
            status="",
            subjects=(str(each["id"]),),
            namespace=demand.get("namespace", ""),
            metadata={"fill_id": each["fill_id"], "demand": demand["id"]},
        )
        for each in told.get("filled", ())
    ]


def entry(span: SpanLine) -> dict[str, Any] | None:
    """Return what an outcome recorded, in the words of `playbooks.record`; null when it does not say."""
    asked, (told, demand) = spans.arguments(span), _answer(span)
    if not asked or not demand:
        return None
    return {
        "query_text": demand["line"],
        "answer_id": asked["worker_id"],
        "corpus": told["corpus"],
        "namespace": demand["namespace"],
        "outcome": asked["outcome"],
        "demand": demand["id"],
    }


def taken_back(span: SpanLine, task: str) -> list[Draft]:
    """Return the draft that the last outcome of somebody on a demand does not hold; the outcome's own stays."""
    asked, (_, demand) = spans.arguments(span), _answer(span)
    if not asked or not demand:
        return []
    return [
        spans.draft(
            span,
            task=task,
            status="",
            subjects=(str(asked["worker_id"]),),
            namespace=demand["namespace"],
            metadata={"demand": demand["id"]},
        )
    ]


def _answer(span: SpanLine) -> tuple[dict[str, Any], dict[str, Any]]:
    told = spans.answer(span) or {}
    return told, told.get("demand", {})
