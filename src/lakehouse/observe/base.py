"""The shapes of ops: what was done, when, by what way, how long it took and how it ended."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

# `call` is an operation of the table that somebody called; the others are said by whoever records.
Source = Literal["mcp", "scenario", "workflow", "inbox", "call"]
Said = Literal["mcp", "scenario", "workflow", "inbox"]

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]

OK = "ok"


class Op(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that was witnessed.

    Attributes:
        op_id: Unique over restarts, rising within one run of a service.
        time: When it was recorded, RFC 3339, UTC, microseconds.
        source: By what way: `mcp`, `scenario`, `workflow`, `inbox`, or `call` for an operation of the table.
        kind: What: `matrix.search`, `inbox.email`, `workflow.node`, or the recorder's own word.
        status: `ok`, or the code of the error it ended with.
        elapsed_ms: How long it took, null when the recorder does not say.
        trace_id: Of its trace, empty when it had none.
        summary: One line, at most 256 characters.
        detail: Facts of the recorder's own.
    """

    op_id: str
    time: str
    source: Source
    kind: str
    status: str
    elapsed_ms: float | None = None
    trace_id: str = ""
    summary: str = ""
    detail: dict[str, Any] = {}


class OpId(msgspec.Struct, frozen=True):
    """The id under which an op was recorded."""

    op_id: str


class OpList(msgspec.Struct, frozen=True):
    """Ops, oldest first."""

    ops: list[Op]


class KindStats(msgspec.Struct, frozen=True, kw_only=True):
    """Ops of one kind. Percentiles are over those that say how long they took, null when none does."""

    count: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class OpStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the ring holds, counted.

    Attributes:
        total: Ops in the ring; older ones are in the log only.
        errors: Of these, those that did not end `ok`.
        by_source, by_hour: Counts; hours are UTC, `2026-01-31T13`, in order.
        by_kind: Most frequent first.
        oldest, newest: Times of the first and last op in the ring, empty when there is none.
        recorded: Ops recorded since this process began.
        dropped: Ops that were not kept since then, because the disk could not follow or refused.
        spans_dropped: Spans that were not kept or not delivered since then, see `observe.traces`.
    """

    total: int
    errors: int
    by_source: dict[str, int]
    by_kind: dict[str, KindStats]
    by_hour: dict[str, int]
    oldest: str
    newest: str
    recorded: int
    dropped: int
    spans_dropped: int


class TraceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One span of a trace, or one op where no span was kept of it.

    Attributes:
        span_id, parent_id: Empty for an op.
        depth: How far below the root it stands.
        started: RFC 3339, UTC, microseconds.
        status: `ok`, or what it ended with.
    """

    name: str
    depth: int
    started: str
    elapsed_ms: float | None
    status: str
    service: str
    span_id: str = ""
    parent_id: str = ""
    attributes: dict[str, Any] = {}


class Trace(msgspec.Struct, frozen=True):
    """A trace as a tree: every span after the one above it, siblings by the time they began."""

    trace_id: str
    spans: list[TraceLine]


# The columns of the logs in SQL. `at` is a word of the engine's, hence `time`.
OP_COLUMNS = {
    "op_id": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "source": "VARCHAR",
    "kind": "VARCHAR",
    "status": "VARCHAR",
    "elapsed_ms": "DOUBLE",
    "trace_id": "VARCHAR",
    "summary": "VARCHAR",
    "detail": "JSON",
}
SPAN_COLUMNS = {
    "trace_id": "VARCHAR",
    "span_id": "VARCHAR",
    "parent_id": "VARCHAR",
    "name": "VARCHAR",
    "kind": "VARCHAR",
    "service": "VARCHAR",
    "started": "TIMESTAMPTZ",
    "elapsed_ms": "DOUBLE",
    "status": "VARCHAR",
    "attributes": "JSON",
}
