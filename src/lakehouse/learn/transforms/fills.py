"""Fills and what came of them: people promised to a client, and whether they came."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import playbooks, spans
from lakehouse.learn.transforms.iterates import of_session
from lakehouse.learn.transforms.people import workers_of
from lakehouse.learn.transforms.spans import SpanLine
from lakehouse.validate.session import Session

# Fills that a model made are in the log of sessions, those a person made and all outcomes are spans.
LOGS = ("sessions", spans.LOG)
_CAME_OF_IT = frozenset({"showed_up", "completed", "asked_back", "no_show"})


def draft(line: Session | SpanLine) -> Iterable[Draft]:
    """Give one record per fill accepted, and one per outcome of one."""
    if isinstance(line, Session):
        if line.fill_id:
            yield of_session(line, task="fill.accept", status="", metadata={"fill_id": line.fill_id})
    elif line.name == "validate.accept" and line.status == spans.OK:
        asked = spans.arguments(line)
        yield spans.draft(line, task="fill.accept", status="", subjects=workers_of(asked.get("payload")))
    elif line.name in {"playbooks.record", "playbooks.bulk"} and line.status == spans.OK:
        for entry in playbooks.entries(line):
            outcome = str(entry.get("outcome") or "")
            if outcome in _CAME_OF_IT:
                yield spans.draft(
                    line,
                    task="fill.outcome",
                    status=playbooks.SAYS[outcome],
                    subjects=(str(entry.get("answer_id")),),
                    namespace=str(entry.get("namespace") or "default"),
                    labels=("outcome",),
                    metadata={"outcome": outcome},
                )
