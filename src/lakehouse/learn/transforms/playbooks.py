"""Playbooks recorded, and playbooks that changed an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import searches, spans
from lakehouse.learn.transforms.spans import SpanLine

LOG = spans.LOG
# What an outcome says of the answer, in the words that scoring knows.
SAYS = {
    **dict.fromkeys(("worked", "accepted", "showed_up", "completed", "asked_back"), "worked"),
    **dict.fromkeys(("rejected", "no_show"), "rejected"),
}


def entries(span: SpanLine) -> list[dict[str, Any]]:
    """Return what a span of `playbooks.record` or `bulk` recorded, empty when content is not recorded."""
    asked = spans.arguments(span)
    if span.name == "playbooks.record" and asked:
        return [asked]
    return [entry for entry in asked.get("entries", ()) if isinstance(entry, dict)]


def draft(span: SpanLine) -> Iterable[Draft]:
    """Give one record per entry recorded, and one per search that memory changed."""
    if span.name in {"playbooks.record", "playbooks.bulk"} and span.status == spans.OK:
        for entry in entries(span):
            outcome = str(entry.get("outcome") or "worked")
            yield spans.draft(
                span,
                task="playbook.record",
                status=SAYS.get(outcome, ""),
                input=spans.text(entry.get("query_text")),
                output=spans.text({"answer_id": entry.get("answer_id"), "outcome": outcome}),
                subjects=(str(entry["answer_id"]),) if entry.get("answer_id") else (),
                namespace=str(entry.get("namespace") or "default"),
                labels=("human",),
                metadata={"corpus": entry.get("corpus"), "score": entry.get("score")},
            )
    elif span.name == searches.NAME:
        used = {name: spans.fact(span, name) or 0 for name in ("boosted", "injected")}
        if any(used.values()):
            asked = spans.arguments(span)
            yield spans.draft(
                span,
                task="playbook.use",
                status="",
                input=spans.text(asked.get("query_text")),
                namespace=asked.get("playbook") or "",
                metadata=used,
            )
