"""Traces: what a call did inside, to a local log and to a collector, without ever holding a call up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse import tracing
from lakehouse.errors import InvalidInput, LakehouseError, NotFound
from lakehouse.observe import _conventions
from lakehouse.observe._drain import Drain, paced
from lakehouse.observe.base import OK, Op, Trace, TraceLine
from lakehouse.observe.lines import json_line, one_line
from lakehouse.observe.ops import SELF, Named
from lakehouse.tracing import Span

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.observe._sender import Sender
    from lakehouse.state.log import Log

_LOG_EVERY_MS = 200
# Spans go to the process that sends them a few at a time: many at once would show in a search.
_HAND_OVER_EVERY_MS = 5
_HANDED_OVER = 32
_LONGEST_ID = 64

_log = logging.getLogger(__name__)


class SpanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One span in `logs/spans.jsonl`."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    started: str
    elapsed_ms: float
    status: str
    attributes: dict[str, Any]


class Traces:
    """Records spans where a setting asks for it; nothing is recorded, imported or started otherwise.

    Spans wait in bounded queues, one for the log and one for the collector. What does not fit, and what the collector
    does not take, is dropped and counted. What a span says holds no personal data unless `traces.content` is set.

    Args:
        config: The settings section.
        path: Of the log of spans; None keeps none.
        version: Of this program.
        headers: For the collector, `Name=value` parted by commas.
        ops_of: The ops of a trace, shown where no spans were kept of it.

    Raises:
        InvalidInput: `traces.endpoint` is not an HTTP address, or a header is not `Name=value`.

    >>> import tempfile
    >>> from lakehouse import settings
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     traces = Traces(settings.Traces(log=True), Path(scratch) / "spans.jsonl", version="1")
    ...     with traces.phase("baseline"), tracing.span("embed"):
    ...         trace_id = tracing.current()
    ...     print([(line.depth, line.name) for line in traces.show(trace_id).spans])
    ...     traces.close()
    [(0, 'baseline'), (1, 'embed')]
    """

    def __init__(
        self,
        config: settings.Traces,
        path: Path | None,
        *,
        version: str,
        headers: str = "",
        ops_of: Callable[[str], Sequence[Op]] = lambda _: (),
    ) -> None:
        self._config = config
        self._path = path
        self._ops_of = ops_of
        self._tags = tuple(tag.strip() for tag in config.tags.split(",") if tag.strip())
        self._log: Log | None = None
        self._sender: Sender | None = None
        self._to_log: Drain[Span] | None = None
        self._to_collector: Drain[Span] | None = None
        if config.log and path is not None:
            self._to_log = Drain(self._write, name="spans", most=config.queue, every_ms=_LOG_EVERY_MS)
        if config.endpoint:
            self._sender = self._make_sender(headers, version)
            self._to_collector = Drain(
                self._sender.send, name="otlp", most=config.queue, every_ms=_HAND_OVER_EVERY_MS, batch=_HANDED_OVER
            )

    @property
    def on(self) -> bool:
        """Whether anybody records."""
        return self._to_log is not None or self._to_collector is not None

    @property
    def dropped(self) -> int:
        """Spans that were not kept or not delivered, since this process began."""
        counting = (self._to_log, self._to_collector, self._sender)
        return sum(each.dropped for each in counting if each is not None)

    def take(self, span: Span) -> None:
        """Take a span that has ended; never waits, never raises."""
        if not self._config.content:
            # Dropped here, so that it is neither held in a queue nor anywhere later to be left behind.
            span.content = {}
        if self._to_log is not None:
            self._to_log.put(span)
        if self._to_collector is not None:
            self._to_collector.put(span)

    def around(self, operation: Named, arguments: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Do the work of an operation under a span of its name."""
        if operation.service in SELF:
            return work()
        name = operation.name
        with tracing.taken_up(name) or tracing.begin(self, name) as span:
            # Before the work: a call that fails is the one whose arguments are asked for.
            _conventions.ask(span, arguments, content=self._config.content)
            answer = work()
            # Looked at here, because an answer may be large and must not be kept for later.
            _conventions.answer(span, arguments, answer, content=self._config.content)
            return answer

    @contextmanager
    def ahead(self, operation: Named) -> Iterator[None]:
        """Open the span of a call before it, for what is prepared on its behalf outside of it."""
        if not self.on:
            yield
            return
        with tracing.ahead(self, operation.name):
            yield

    @contextmanager
    def phase(self, name: str, **attributes: Any) -> Iterator[str]:
        """Put everything the block calls under one span of one trace, and give the trace's id."""
        with tracing.trace() as trace_id:
            if not self.on:
                yield trace_id
                return
            with tracing.begin(self, name, **attributes):
                yield trace_id

    def show(self, trace_id: str) -> Trace:
        """Look a trace up in the local log.

        Every span that was kept of it, in the form of a tree; where none was, the operations called under it.

        Args:
            trace_id: As an answer, an error or an op gave it.

        Raises:
            NotFound: Neither log knows it.
        """
        if not trace_id or len(trace_id) > _LONGEST_ID:
            raise InvalidInput("a trace id has 1 to 64 characters; an answer or an error gives it", field="trace_id")
        rows = self._rows(trace_id)
        lines = _tree(rows) if rows else [_of_op(op) for op in self._ops_of(trace_id)]
        if not lines:
            hint = "" if self._config.log else "; set traces.log to keep the spans of every call from now on"
            raise NotFound(f"nothing is known of the trace {one_line(trace_id)!r}{hint}", trace_id=trace_id)
        return Trace(trace_id, lines)

    def flush(self) -> bool:
        """Wait until all spans so far are written and sent or dropped, and tell whether that took less than 10 s."""
        return all(each.flush() for each in (self._to_log, self._to_collector, self._sender) if each is not None)

    def close(self) -> None:
        """Write what waits; what the collector does not take within 2 s is dropped. Idempotent."""
        if self._to_log is not None:
            self._to_log.close()
        if self._to_collector is not None and self._sender is not None:
            handed = self._to_collector.close()
            if not self._sender.close() or not handed:
                _log.warning("the collector at %s is too slow; spans were dropped", self._config.endpoint)
        if self._log is not None:
            self._log.close()
            self._log = None

    def _make_sender(self, headers: str, version: str) -> Sender:
        config = self._config
        if not config.endpoint.startswith(("http://", "https://")):
            raise InvalidInput(
                f"traces.endpoint {config.endpoint!r} is not an HTTP address; "
                "write it like http://127.0.0.1:4318/v1/traces",
                field="traces.endpoint",
            )
        from lakehouse.observe._sender import Collector, Sender

        return Sender(
            Collector(
                endpoint=config.endpoint,
                headers=_headers(headers),
                service=config.service,
                version=version,
                queue=config.queue,
                send_every_ms=config.send_every_ms,
                timeout_ms=config.timeout_ms,
                langfuse=config.langfuse,
                session=config.session,
                tags=self._tags,
            )
        )

    def _attributes(self, span: Span) -> dict[str, Any]:
        return _conventions.attributes(
            span, langfuse=self._config.langfuse, session=self._config.session, tags=self._tags
        )

    def _write(self, spans: Sequence[Span]) -> None:
        from lakehouse.state.log import Log

        if self._path is None:
            return
        log = self._log = self._log or Log(self._path)
        try:
            log.write([json_line(msgspec.json.encode(self._row(span))) for span in paced(spans)])
        except LakehouseError:
            self._log = None
            log.close()
            raise

    def _row(self, span: Span) -> SpanRow:
        return SpanRow(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_id=span.parent_id,
            name=span.name,
            kind=span.kind,
            service=self._config.service,
            started=_moment(span.started_ns),
            elapsed_ms=round((span.ended_ns - span.started_ns) / 1e6, 4),
            status=span.error or OK,
            attributes=self._attributes(span),
        )

    def _rows(self, trace_id: str) -> list[SpanRow]:
        from lakehouse.state.log import lines

        if self._path is None:
            return []
        if self._to_log is not None:
            self._to_log.flush()
        sought = msgspec.json.encode(trace_id)
        rows = []
        for _, _, line in lines(self._path):
            # Most lines are of other traces and need no decoding.
            if sought in line:
                row = msgspec.json.decode(line, type=SpanRow)
                if row.trace_id == trace_id:
                    rows.append(row)
        return rows


def _headers(text: str) -> dict[str, str]:
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, value = part.partition("=")
        if not separator or not name.strip() or not part.isascii():
            raise InvalidInput(
                "a header for the collector is not written as Name=value in ASCII", field="traces.headers_env"
            )
        found[name.strip()] = value.strip()
    return found


def _moment(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _tree(rows: Sequence[SpanRow]) -> list[TraceLine]:
    """Order spans as a tree; one whose parent was not kept stands at the root."""
    by_id = {row.span_id: row for row in rows}
    below: dict[str, list[SpanRow]] = {}
    for row in sorted(by_id.values(), key=lambda row: (row.started, row.span_id)):
        below.setdefault(row.parent_id if row.parent_id in by_id else "", []).append(row)
    ordered: list[TraceLine] = []
    waiting = [(0, row) for row in reversed(below.get("", []))]
    while waiting:
        depth, row = waiting.pop()
        ordered.append(_line(row, depth))
        waiting += [(depth + 1, child) for child in reversed(below.get(row.span_id, []))]
    return ordered


def _line(row: SpanRow, depth: int) -> TraceLine:
    return TraceLine(
        name=row.name,
        depth=depth,
        started=row.started,
        elapsed_ms=row.elapsed_ms,
        status=row.status,
        service=row.service,
        span_id=row.span_id,
        parent_id=row.parent_id,
        attributes=row.attributes,
    )


def _of_op(op: Op) -> TraceLine:
    return TraceLine(
        name=op.kind,
        depth=0,
        started=op.time,
        elapsed_ms=op.elapsed_ms,
        status=op.status,
        service=op.source,
        attributes={"summary": op.summary} if op.summary else {},
    )
