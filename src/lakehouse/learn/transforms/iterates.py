"""Iterates: what a model was asked to make, and what passed its validator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms.people import workers_of
from lakehouse.validate.session import Session

LOG = "sessions"


def of_session(session: Session, **more: Any) -> Draft:
    """Return a draft with what every session says."""
    return Draft(
        time=session.time,
        model=session.model,
        provider=session.provider,
        namespace=session.namespace,
        trace_id=session.session_id,
        grounded_in_roster=session.grounded_in_roster,
        subjects=workers_of(session.artifact),
        **more,
    )


def draft(session: Session) -> Iterable[Draft]:
    """Give one record per iterate, whatever its end."""
    tries = session.attempts
    yield of_session(
        session,
        task=f"iterate.{session.kind}",
        status=session.status,
        input=session.prompt,
        output="" if session.artifact is None else _json(session.artifact),
        labels=() if session.status == "infra_error" else ("validator",),
        attempts=len(tries),
        prompt_tokens=sum(each.prompt_tokens for each in tries),
        completion_tokens=sum(each.completion_tokens for each in tries),
        latency_ms=round(sum(each.latency_ms for each in tries), 3),
        metadata={"codes": sorted({code for each in tries for code in each.codes})},
    )


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
