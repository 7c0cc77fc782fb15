"""Spans to a collector, by OTLP over HTTP, in the OpenTelemetry project's own protobuf messages.

The only module that knows them. The project's exporter is not used: on its way a span becomes an object of the SDK and
then a message, which costs three times as much (decision 60).
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httpx
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from lakehouse import tracing
from lakehouse.errors import Upstream

if TYPE_CHECKING:
    from lakehouse.observe._sender import EndedSpan
    from lakehouse.tracing import Span

_KINDS = {
    "internal": trace_pb2.Span.SPAN_KIND_INTERNAL,
    "server": trace_pb2.Span.SPAN_KIND_SERVER,
    "client": trace_pb2.Span.SPAN_KIND_CLIENT,
}
_SAMPLED = 1
_KNOWN_PARENT = trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK | _SAMPLED
_REMOTE_PARENT = _KNOWN_PARENT | trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_ERROR = trace_pb2.Status.STATUS_CODE_ERROR
_HEADERS = {"Content-Type": "application/x-protobuf", "Accept": "application/x-protobuf"}
# What the protocol says may be sent again.
_AGAIN = frozenset({429, 502, 503, 504})
_FIRST_PAUSE_S = 0.5
_MOST_ANSWER = 64 * 1024
_KEPT_CHARACTERS = 64
_INT64 = range(-(2**63), 2**63)
# A proxy cannot reach this machine's own collector.
_NEVER_BY_PROXY: Mapping[str, None] = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"))


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
        attributes: Callable[[Span | EndedSpan], dict[str, Any]],
    ) -> None:
        self._endpoint = endpoint
        self._attributes = attributes
        self._timeout_s = timeout_ms / 1000
        who = {"service.name": service, "service.version": version}
        self._resource = Resource(attributes=[KeyValue(key=name, value=_value(text)) for name, text in who.items()])
        self._scope = InstrumentationScope(name="lakehouse", version=version)
        # Certificates are read for those that have one only: that takes a tenth of a second.
        encrypted = endpoint.startswith("https://")
        self._client = httpx.Client(headers={**_HEADERS, **headers}, mounts=dict(_NEVER_BY_PROXY), verify=encrypted)
        self._closing = threading.Event()

    def send(self, spans: Sequence[Span | EndedSpan]) -> int:
        """Send a batch, and return how many spans of it the collector took and refused.

        Raises:
            Upstream: The collector did not take it in time.
        """
        body = self._encoded(spans)
        until = time.monotonic() + self._timeout_s
        pause = _FIRST_PAUSE_S
        while True:
            reason, again, rejected = self._posted(body, max(0.001, until - time.monotonic()))
            if not reason:
                return min(rejected, len(spans))
            if not again or time.monotonic() + pause >= until or self._closing.wait(pause):
                raise Upstream(f"the collector at {self._endpoint} {reason}", url=self._endpoint)
            pause *= 2

    def hurry(self) -> None:
        """Send nothing a second time from now on."""
        self._closing.set()

    def close(self) -> None:
        """Give up what is under way."""
        self.hurry()
        self._client.close()

    def _posted(self, body: bytes, timeout_s: float) -> tuple[str, bool, int]:
        """Return what went wrong, if anything, whether it may be sent again, and how many spans were refused."""
        try:
            with self._client.stream("POST", self._endpoint, content=body, timeout=timeout_s) as answer:
                if not answer.is_success:
                    return f"answered {answer.status_code}", answer.status_code in _AGAIN, 0
                return "", False, _rejected(answer, time.monotonic() + timeout_s)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, RuntimeError) as error:
            return f"cannot be reached: {type(error).__name__}", isinstance(error, httpx.ConnectError), 0

    def _encoded(self, spans: Sequence[Span | EndedSpan]) -> bytes:
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add(resource=self._resource)
        scope = resource.scope_spans.add(scope=self._scope)
        for span in spans:
            self._add(scope.spans, span)
        encoded: bytes = request.SerializeToString()
        return encoded

    def _add(self, spans: Any, span: Span | EndedSpan) -> None:
        message = spans.add(
            trace_id=bytes.fromhex(tracing.otel_trace_id(span.trace_id)),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id),
            name=_sound(span.name),
            kind=_KINDS[span.kind],
            start_time_unix_nano=span.started_ns,
            end_time_unix_nano=span.ended_ns,
            flags=_REMOTE_PARENT if span.kind == "server" and span.parent_id else _KNOWN_PARENT,
        )
        if span.error:
            message.status.code = _ERROR
            message.status.message = span.error
        facts = self._attributes(span)
        # Encoded attributes put together are what a message with all of them is, and most are at hand already.
        message.MergeFromString(b"".join([_attribute(key, facts[key]) for key in facts]))


def _rejected(answer: httpx.Response, until: float) -> int:
    """Return how many spans a collector says it left out; 0 when it says nothing that can be read."""
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > _MOST_ANSWER or time.monotonic() > until:
            return 0
    try:
        return max(0, int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans))
    except DecodeError:
        return 0


def _attribute(key: str, value: Any) -> bytes:
    """Return a span that has this attribute and nothing else, encoded."""
    # Words, counts and flags repeat from span to span.
    if isinstance(value, int) or (isinstance(value, str) and len(value) <= _KEPT_CHARACTERS):
        return _kept(key, type(value).__name__, value)
    return _encoded(key, value)


@functools.lru_cache(4_096)
def _kept(key: str, _kind: str, value: str | int) -> bytes:
    return _encoded(key, value)


def _encoded(key: str, value: Any) -> bytes:
    if value is None:
        return b""
    encoded: bytes = trace_pb2.Span(attributes=[KeyValue(key=_sound(key), value=_value(value))]).SerializeToString()
    return encoded


def _value(value: Any) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=_sound(value))
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and value in _INT64:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
    return AnyValue(string_value=_sound(json.dumps(value, default=str) if isinstance(value, dict) else str(value)))


def _sound(text: str) -> str:
    """Return text as UTF-8 can hold it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
