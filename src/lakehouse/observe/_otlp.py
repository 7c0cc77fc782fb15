"""Spans to a collector, by OTLP over HTTP. The only module that knows OpenTelemetry's packages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from lakehouse import tracing
from lakehouse.errors import Upstream
from lakehouse.tracing import Span

# It says for every batch and attempt what is counted and told once a minute by whoever sends.
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Exporter:
    """Sends batches of spans, each within a time limit.

    Args:
        endpoint: Address of the collector, path included.
        headers: Sent along, such as an authorization.
        service, version: Who sends.
        timeout_ms: Longest time a batch may take, attempts included.
        attributes: What others shall read of a span.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        service: str,
        version: str,
        timeout_ms: int,
        attributes: Callable[[Span], dict[str, Any]],
    ) -> None:
        self._endpoint = endpoint
        self._attributes = attributes
        self._resource = Resource({"service.name": service, "service.version": version})
        self._scope = InstrumentationScope("lakehouse", version)
        self._exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=timeout_ms / 1000)

    def send(self, spans: Sequence[Span]) -> None:
        """Send a batch.

        Raises:
            Upstream: The collector did not take it in time.
        """
        result = self._exporter.export([self._readable(span) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            raise Upstream(f"the collector at {self._endpoint} did not take {len(spans)} spans", url=self._endpoint)

    def close(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        trace_id = int(tracing.otel_trace_id(span.trace_id), 16)
        return ReadableSpan(
            name=span.name,
            context=_context(trace_id, span.span_id),
            parent=_context(trace_id, span.parent_id, remote=span.kind == "server") if span.parent_id else None,
            resource=self._resource,
            attributes=self._attributes(span),
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=span.started_ns,
            end_time=span.ended_ns,
            instrumentation_scope=self._scope,
        )


def _context(trace_id: int, span_id: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), is_remote=remote, trace_flags=_SAMPLED)
