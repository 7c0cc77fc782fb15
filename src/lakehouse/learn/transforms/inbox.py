"""Messages that came in. The op names the message; its sender and words stay in the inbox."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.observe.base import Op

LOG = "ops"


def draft(op: Op) -> Iterable[Draft]:
    """Give one record per op of the inbox."""
    if op.source == "inbox":
        yield Draft(
            time=op.time,
            task=op.kind,
            status=op.status,
            trace_id=op.trace_id,
            metadata={"op_id": op.op_id, **{name: op.detail.get(name, "") for name in ("message", "kind", "tag")}},
        )
