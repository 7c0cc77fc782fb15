"""What a span is on its way to a collector, by the schema of the OpenTelemetry project, and what may be sent again."""

import functools
import json

from hypothesis import given
from hypothesis import strategies as st

from lakehouse import settings, tracing
from lakehouse.observe.traces import Traces

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)


@functools.cache
def sender():
    return exporter()


class Kept:
    """Keeps spans."""

    def __init__(self):
        self.spans = []

    def take(self, span):
        self.spans.append(span)


def exporter(url="http://127.0.0.1:9/", **config):
    from lakehouse.observe._otlp import Exporter

    options = {"headers": {}, "service": "lakehouse", "version": "1", "timeout_ms": 10_000}
    return Exporter(url, attributes=lambda span: span.attributes, **{**options, **config})


def ended(**attributes):
    kept = Kept()
    with tracing.trace(), tracing.begin(kept, "one", **attributes), tracing.span("two"):
        pass
    return kept.spans


def read(body):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    (scope,) = resource.scope_spans
    return list(scope.spans)


def plain(value):
    kind = value.WhichOneof("value")
    return [plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@given(st.dictionaries(TEXTS, PLAIN | st.lists(PLAIN), max_size=8))
def test_attributes_of_any_kind_come_back_equal(attributes):
    span = ended()[0]
    span.attributes = attributes
    # Twice, as those that were encoded before are taken as they are.
    for _ in range(2):
        (message,) = read(sender()._encoded([span]))
        found = {each.key: plain(each.value) for each in message.attributes}
        assert found == attributes
        assert [type(value) for value in found.values()] == [type(value) for value in attributes.values()]


def test_attributes_that_have_no_kind_are_text_and_nothing_is_left_out():
    span = ended(big=2**64, none=None, odd="\ud800", mapping={"a": 1}, listed=[1, "x"], thing=frozenset({1}))[-1]
    sender = exporter()
    (message,) = read(sender._encoded([span]))
    sender.close()
    assert {each.key: plain(each.value) for each in message.attributes} == {
        "big": str(2**64), "odd": "?", "mapping": json.dumps({"a": 1}), "listed": [1, "x"], "thing": "frozenset({1})",
    }  # fmt: skip


def test_spans_have_their_times_parents_and_errors():
    kept = Kept()
    try:
        with tracing.trace("a" * 32, caller="b" * 16), tracing.begin(kept, "one"), tracing.span("two", calls=True):
            raise KeyError("secret")
    except KeyError:
        pass
    sender = exporter()
    two, one = read(sender._encoded(kept.spans))
    sender.close()
    assert {one.trace_id.hex(), two.trace_id.hex()} == {"a" * 32}
    assert (one.parent_span_id.hex(), two.parent_span_id) == ("b" * 16, one.span_id)
    # Server and client; the parent of the first is known to be of another process.
    assert (one.kind, two.kind, one.flags, two.flags) == (2, 3, 0x301, 0x101)
    assert one.start_time_unix_nano <= two.start_time_unix_nano <= two.end_time_unix_nano <= one.end_time_unix_nano
    assert (two.status.code, two.status.message) == (2, "KeyError")
    assert "secret" not in str(two)


def test_collector_that_is_busy_is_asked_again(collector):
    asked = []

    def busy_once(handler):
        asked.append(1)
        handler.send_response(503)
        handler.end_headers()
        collector.answer = None

    collector.answer = busy_once
    sender = exporter(collector.url)
    assert sender.send(ended()) == 0
    sender.close()
    assert len(asked) == 1
    assert sorted(span.name for _, span in collector.spans) == ["one", "two"]


def test_spans_that_a_collector_leaves_out_are_counted(collector, tmp_path):
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    said = trace_service_pb2.ExportTraceServiceResponse()
    said.partial_success.rejected_spans = 1

    def partly(handler):
        body = said.SerializeToString()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    collector.answer = partly
    config = settings.Traces(endpoint=collector.url, send_every_ms=1)
    traces = Traces(config, tmp_path / "spans.jsonl", version="1")
    with traces.phase("one"), tracing.span("two"):
        pass
    assert traces.flush()
    traces.close()
    assert 1 <= traces.dropped <= 2
