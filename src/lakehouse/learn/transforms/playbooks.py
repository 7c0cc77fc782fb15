"""Playbooks recorded, and playbooks that changed an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import demands, searches, spans
from lakehouse.learn.transforms.spans import SpanLine

LOG = spans.LOG
RECORD = frozenset({"playbooks.record", "playbooks.bulk", demands.OUTCOME})
# What an outcome says of the answer, in the words that scoring knows.
SAYS = {
    **dict.fromkeys(("worked", "accepted", "showed_up", "completed", "asked_back"), "worked"),
    **dict.fromkeys(("rejected", "no_show"), "rejected"),
}


def entries(span: SpanLine) -> list[dict[str, Any]]:
    """Return what a span of `RECORD` recorded, empty when content is not recorded."""
    if span.name == demands.OUTCOME:
        return [made] if (made := demands.entry(span)) else []
    asked = spans.arguments(span)
    if span.name == "playbooks.record" and asked:
        return [asked]
    return [entry for entry in asked.get("entries", ()) if isinstance(entry, dict)]


def draft(span: SpanLine) -> Iterable[Draft]:
    """Give one record per entry recorded, one per outcome taken back, and one per search that memory changed."""
    if span.name in RECORD and span.status == spans.OK:
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
                metadata={name: entry[name] for name in ("corpus", "score", "demand") if name in entry},
            )
    elif span.name == demands.UNDO and span.status == spans.OK:
        yield from demands.taken_back(span, "playbook.undo")
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
