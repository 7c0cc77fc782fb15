"""Ops: every operation witnessed, in memory and in a log, at a cost of microseconds and no risk to the caller."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec

from lakehouse import tracing
from lakehouse.errors import LakehouseError, TooLarge
from lakehouse.observe._drain import Drain, paced
from lakehouse.observe._summaries import Counters, Row, Tally, written
from lakehouse.observe.base import OK, Op, OpId, OpList, OpStats, Said, Source, Word
from lakehouse.observe.lines import json_line, one_line

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.state.log import Log

MAX_DETAIL_BYTES = 8 * 1024
_INTERNAL = "internal"
# Looking at the witness is not witnessed, and what records itself is not recorded twice.
SELF = frozenset({"observer", "traces"})
_SELF_RECORDED = frozenset({"inbox.receive", "workflow.run"})

Elapsed = Annotated[float, msgspec.Meta(ge=0)]
Many = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class Named(Protocol):
    """What is read of an operation of the table."""

    @property
    def service(self) -> str:
        """Service it belongs to."""

    @property
    def name(self) -> str:
        """Dotted name."""


class Ops:
    """Witnesses what is done. Thread-safe; recording takes microseconds, never waits for the disk and never raises.

    The newest ops are kept in a ring in memory; all of them go to `logs/ops.jsonl`, in batches that share a sync. What
    the disk cannot take in time is dropped and counted. A process that dies loses what it recorded in the last
    `observer.write_every_ms`.

    Args:
        config: The settings section.
        path: Of the log.
        clock: The time, with its zone.
        start: A word unique to this run of the process, part of every op's id.

    >>> import tempfile
    >>> from datetime import UTC
    >>> from lakehouse import settings
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     ops = Ops(settings.Observer(), Path(scratch) / "ops.jsonl", clock=lambda: datetime.now(UTC), start="s")
    ...     recorded = ops.event("scenario", "stress.baseline", elapsed_ms=12.5)
    ...     print(recorded.op_id, ops.stats().by_kind["stress.baseline"].p50_ms)
    ...     ops.close()
    op-s-1 12.5
    """

    def __init__(self, config: settings.Observer, path: Path, *, clock: Callable[[], datetime], start: str) -> None:
        self.path = path
        self._clock = clock
        self._prefix = f"op-{start}-"
        self._numbers = itertools.count(1)
        self._ring: deque[Row] = deque(maxlen=config.ring)
        self._older: list[Op] | None = None
        self._older_lock = threading.Lock()
        self._tally = Tally()
        self._tally_lock = threading.Lock()
        self._log: Log | None = None
        self._queue: Drain[Row] = Drain(
            self._write, name="ops", most=config.queue, every_ms=config.write_every_ms, batch=config.queue
        )
        self.counters = Counters()
        # How many spans were lost is told with the ops; who knows it is wired in later.
        self.spans_dropped: Callable[[], int] = int

    def event(
        self,
        source: Said,
        kind: Word,
        status: Word = OK,
        summary: str = "",
        elapsed_ms: Elapsed | None = None,
        trace_id: Annotated[str, msgspec.Meta(max_length=64)] = "",
        detail: dict[str, Any] = {},  # noqa: B006 - never changed; the request type needs a value
    ) -> OpId:
        """Record an op; the answer does not wait for the disk.

        Args:
            source: By what way it was done.
            kind: What was done, a word of the recorder's own.
            status: `ok`, or how it failed.
            summary: What a reader of the log should see; becomes one line of at most 256 characters.
            elapsed_ms: How long it took.
            trace_id: Of its trace; the request's own when empty.
            detail: Further facts, at most 8 KiB as JSON.

        Raises:
            InvalidInput: A field is of the wrong kind, or `source` is none of those there are.
            TooLarge: `detail` is over 8 KiB.
        """
        size = len(msgspec.json.encode(detail))
        if size > MAX_DETAIL_BYTES:
            raise TooLarge(
                f"field 'detail' has {size} bytes, the limit is {MAX_DETAIL_BYTES}; store it and record its key",
                field="detail",
                limit_bytes=MAX_DETAIL_BYTES,
            )
        return OpId(
            self.record(
                source,
                one_line(kind),
                status=one_line(status),
                summary=summary,
                elapsed_ms=elapsed_ms,
                trace_id=one_line(trace_id),
                detail=detail,
            )
        )

    def record(
        self,
        source: Source,
        kind: str,
        *,
        status: str = OK,
        summary: str = "",
        elapsed_ms: float | None = None,
        trace_id: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> str:
        """Record an op of this process and return its id; never raises, never waits."""
        number = next(self._numbers)
        trace_id = trace_id or tracing.current()
        self._take((number, self._clock(), source, kind, status, elapsed_ms, trace_id, one_line(summary), detail or {}))
        return f"{self._prefix}{number}"

    def around(self, operation: Named, arguments: Mapping[str, Any], work: Callable[[], Any]) -> Any:  # noqa: ARG002 - the shape of `Rooms.around`
        """Do the work of an operation and record it; its answer or error is passed on as it is."""
        if operation.service in SELF or operation.name in _SELF_RECORDED:
            return work()
        started = time.perf_counter()
        status = _INTERNAL
        try:
            answer = work()
            status = OK
            return answer
        except LakehouseError as error:
            status = error.code
            raise
        finally:
            elapsed_ms = (time.perf_counter() - started) * 1000
            kind = operation.name
            trace_id = tracing.current()
            self._take((next(self._numbers), self._clock(), "call", kind, status, elapsed_ms, trace_id, "", {}))

    def stats(self) -> OpStats:
        """Count what the ring holds, by source, kind and hour, with percentiles of the time each kind took."""
        with self._tally_lock:
            # The rows as they are: to make an object of each would take most of the time.
            rows = list(self._ring)
            earlier = self._before(rows)
            self._tally.bring(earlier, rows)
            return self._tally.stats(
                oldest=earlier[0].time if earlier else written(rows[0][1]) if rows else "",
                newest=written(rows[-1][1]) if rows else earlier[-1].time if earlier else "",
                recorded=rows[-1][0] if rows else 0,
                dropped=self.dropped,
                spans_dropped=self.spans_dropped(),
            )

    def ops(
        self,
        source: Source | None = None,
        kind: str = "",
        status: Literal["ok", "failed"] | None = None,
        after: str = "",
        limit: Many = 100,
    ) -> OpList:
        """List the newest ops in the ring, oldest first.

        Args:
            source: Only of this source.
            kind: Only kinds that begin with this word (`matrix`, `matrix.search`).
            status: Only those that went well, or only those that failed.
            after: Only those that came after the op of this id, as far as the ring reaches back.
            limit: At most this many, the newest; with `after`, the oldest of them.
        """
        if not after:
            return OpList(self._newest(limit, lambda *facts: _matches(facts, source, kind, status)))
        found = self._all()
        at = next((index for index, op in enumerate(found) if op.op_id == after), -1)
        fit = (op for op in found[at + 1 :] if _matches((op.source, op.kind, op.status), source, kind, status))
        return OpList([*itertools.islice(fit, limit)])

    @property
    def dropped(self) -> int:
        """Ops that never reached the log, since this process began."""
        return self._queue.dropped

    def of_trace(self, trace_id: str) -> list[Op]:
        """Return the ops of a trace that the ring holds, oldest first."""
        return [op for op in self._all() if op.trace_id == trace_id]

    def flush(self) -> bool:
        """Wait until everything recorded so far is in the log, and tell whether that was so within 10 s."""
        return self._queue.flush()

    def rewrite(self, change: Callable[[Sequence[str]], Sequence[str] | None]) -> None:
        """Offer the texts of every op in memory to `change`, and let the log be read anew; the log itself is a file.

        Args:
            change: Gets summary and detail, this as JSON; returns them changed, or None to leave them.
        """
        self.flush()
        before = self._ring
        rows = list(before)
        changed: deque[Row] = deque((_changed(row, change) for row in rows), maxlen=before.maxlen)
        self._ring = changed
        # What came meanwhile; it cannot hold what is no longer in any place.
        changed.extend(row for row in list(before) if not rows or row[0] > rows[-1][0])
        with self._older_lock:
            self._older = None

    def close(self) -> None:
        """Write what waits and close the log; idempotent."""
        self._queue.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _take(self, row: Row) -> None:
        self._ring.append(row)
        self._queue.put(row)

    def _write(self, rows: Sequence[Row]) -> None:
        from lakehouse.state.log import Log

        self.counters.add(rows)
        log = self._log = self._log or Log(self.path)
        try:
            log.write([json_line(msgspec.json.encode(self._op(row))) for row in paced(rows)])
        except LakehouseError:
            # It takes no rows any more; the next batch tries anew.
            self._log = None
            log.close()
            raise

    def _op(self, row: Row) -> Op:
        number, moment, source, kind, status, elapsed_ms, trace_id, summary, detail = row
        return Op(
            op_id=f"{self._prefix}{number}",
            time=written(moment),
            source=source,
            kind=kind,
            status=status,
            elapsed_ms=None if elapsed_ms is None else round(elapsed_ms, 4),
            trace_id=trace_id,
            summary=summary,
            detail=dict(detail),
        )

    def _all(self) -> list[Op]:
        """Return what the ring holds, filled up with what an earlier process wrote."""
        # A copy in one step: others append meanwhile.
        rows = list(self._ring)
        return [*self._before(rows), *map(self._op, rows)]

    def _newest(self, limit: int, fits: Callable[[str, str, str], bool]) -> list[Op]:
        """Return the newest ops whose source, kind and status fit, oldest first; only of these an object is made."""
        rows = list(self._ring)
        found = [self._op(row) for row in itertools.islice((row for row in reversed(rows) if fits(*row[2:5])), limit)]
        if len(found) < limit:
            earlier = (op for op in reversed(self._before(rows)) if fits(op.source, op.kind, op.status))
            found += itertools.islice(earlier, limit - len(found))
        return found[::-1]

    def _before(self, rows: Sequence[Row]) -> Sequence[Op]:
        """Return what an earlier process wrote, as far as the ring's own rows leave room."""
        room = (self._ring.maxlen or 0) - len(rows)
        return self._earlier()[-room:] if room > 0 else []

    def _earlier(self) -> list[Op]:
        with self._older_lock:
            if self._older is None:
                self._older = _last_ops(self.path, self._ring.maxlen or 0, self._prefix)
            return self._older


def _changed(row: Row, change: Callable[[Sequence[str]], Sequence[str] | None]) -> Row:
    texts = change([row[7], msgspec.json.encode(row[8]).decode()])
    return row if texts is None else (*row[:7], texts[0], msgspec.json.decode(texts[1]))


def _matches(facts: tuple[str, str, str], source: str | None, kind: str, status: str | None) -> bool:
    if source is not None and facts[0] != source:
        return False
    if kind and facts[1] != kind and not facts[1].startswith(f"{kind}."):
        return False
    return status is None or (facts[2] == OK) == (status == OK)


def _last_ops(path: Path, most: int, own: str) -> list[Op]:
    """Read the newest ops of earlier processes from the log; a line that is none is passed over."""
    from lakehouse.state.log import files

    decode = msgspec.json.Decoder(Op).decode
    found: deque[Op] = deque()
    for file in reversed(files(path)):
        with file.open("rb") as handle:
            lines = deque((line for line in handle if line.endswith(b"\n")), maxlen=most)
        for line in reversed(lines):
            try:
                op = decode(line)
            except msgspec.MsgspecError:
                continue
            if not op.op_id.startswith(own):
                found.appendleft(op)
            if len(found) >= most:
                return list(found)
    return list(found)
