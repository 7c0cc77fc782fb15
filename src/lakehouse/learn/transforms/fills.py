"""Fills and what came of them: people promised to a client, and whether they came."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import demands, playbooks, spans
from lakehouse.learn.transforms.iterates import of_session
from lakehouse.learn.transforms.people import workers_of
from lakehouse.learn.transforms.spans import SpanLine
from lakehouse.validate.session import Session

# Fills that a model made are in the log of sessions; those a person made and all outcomes are spans.
LOGS = ("sessions", spans.LOG)
_CAME_OF_IT = frozenset({"showed_up", "completed", "asked_back", "no_show"})


def draft(line: Session | SpanLine) -> Iterable[Draft]:
    """Give one record per fill accepted, one per outcome of one, and one per outcome taken back."""
    if isinstance(line, Session):
        if line.fill_id:
            yield of_session(line, task="fill.accept", status="", metadata={"fill_id": line.fill_id})
    elif line.status == spans.OK:
        yield from _of_span(line)


def _of_span(span: SpanLine) -> Iterable[Draft]:
    if span.name == "validate.accept":
        asked = spans.arguments(span)
        yield spans.draft(span, task="fill.accept", status="", subjects=workers_of(asked.get("payload")))
    elif span.name == demands.FILL:
        yield from demands.fills(span)
    elif span.name == demands.UNDO:
        yield from demands.taken_back(span, "fill.undo")
    elif span.name in playbooks.RECORD:
        yield from _outcomes(span)


def _outcomes(span: SpanLine) -> Iterable[Draft]:
    for entry in playbooks.entries(span):
        outcome = str(entry.get("outcome") or "")
        if outcome in _CAME_OF_IT:
            yield spans.draft(
                span,
                task="fill.outcome",
                status=playbooks.SAYS[outcome],
                subjects=(str(entry.get("answer_id")),),
                namespace=str(entry.get("namespace") or "default"),
                labels=("outcome",),
                metadata={name: entry[name] for name in ("outcome", "demand") if name in entry},
            )
