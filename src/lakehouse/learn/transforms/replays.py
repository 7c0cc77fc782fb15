"""Replays: a task done again, and whether the answer is still the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms.spans import text

LOG = "replay_runs"


class ReplayLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a line of the log of replays."""

    replay_id: str
    time: str
    task: str
    overlap: float
    was: dict[str, Any]
    now: dict[str, Any]
    trace_id: str = ""
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def draft(run: ReplayLine) -> Iterable[Draft]:
    """Give one record per replay."""
    yield Draft(
        time=run.time,
        task="replay",
        input=run.task,
        output=text(run.now.get("results")),
        subjects=tuple(hit["id"] for hit in run.now.get("results", ())),
        model=run.model,
        trace_id=run.trace_id,
        prompt_tokens=run.prompt_tokens,
        completion_tokens=run.completion_tokens,
        metadata={"replay_id": run.replay_id, "overlap": run.overlap, "was": run.was.get("snapshots", {})},
    )
