"""Ops of every source but the inbox: what was called or recorded, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.observe.base import Op

LOG = "ops"


def draft(op: Op) -> Iterable[Draft]:
    """Give one record per op. That a call returned says nothing of how good its answer was.

    Learning is left out: a run over the logs must not make new evidence of itself.
    """
    if op.source != "inbox" and not op.kind.startswith("learn."):
        yield Draft(
            time=op.time,
            task=op.kind,
            status=op.status,
            trace_id=op.trace_id,
            latency_ms=op.elapsed_ms,
            metadata={"op_id": op.op_id, "source": op.source, **({"summary": op.summary} if op.summary else {})},
        )
