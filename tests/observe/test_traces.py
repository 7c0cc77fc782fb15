"""Traces: one tree over services, nothing personal unless asked for, and no collector that can do harm."""

import itertools
import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

import lakehouse
from lakehouse import operations, settings, tracing
from lakehouse.errors import InvalidInput, NotFound, Upstream, ValidationFailed
from lakehouse.evals.fake_provider import FakeProvider
from lakehouse.observe import _conventions
from lakehouse.observe.traces import Traces
from lakehouse.serve import ports
from lakehouse.serve.run import Stack

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight, call Ann at 216-555-0101"


def made(tmp_path, **config) -> Traces:
    return Traces(settings.Traces(send_every_ms=1, **config), tmp_path / "spans.jsonl", version="1")


def named(collector) -> dict:
    return {span.name: span for _, span in collector.spans}


def attributes(span) -> dict:
    def plain(value):
        kind = value.WhichOneof("value")
        return [plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {each.key: plain(each.value) for each in span.attributes}


def test_span_without_a_recorder_is_nothing():
    with tracing.span("embed") as span:
        span.set(texts=1)
    assert tracing.current_span() is None


def test_nothing_is_recorded_by_default(opened):
    lake = opened()
    lake.demand.parse(FORKLIFT)
    assert not lake.rooms.traces.on
    assert not (lake.rooms.settings.data and (lake.rooms.observer.path.parent / "spans.jsonl").exists())
    assert lake.rooms.traces.around not in lake.rooms.around


def test_exporter_is_not_imported_by_a_lake(tmp_path):
    script = (
        "import sys, lakehouse\n"
        f"lakehouse.connect({str(tmp_path / 'lake')!r}).close()\n"
        "assert not {'opentelemetry', 'dbos', 'prometheus_client'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_collector_gets_a_tree_with_the_words_of_the_conventions(collector, built, people, tmp_path):
    config = settings.load(
        environ={},
        overrides={
            "data": str(shutil.copytree(built(people), tmp_path / "lake")),
            "traces": {"endpoint": collector.url, "send_every_ms": 1, "log": True},
        },
    )
    with lakehouse.connect(config=config) as lake:
        with lake.phase("baseline", hour=0) as trace_id:
            lake.matrix.search(FORKLIFT, ["workers"], 3, use_playbook=True)
        assert lake.rooms.traces.flush()
        shown = lake.traces.show(trace_id).spans
    spans = named(collector)
    root, search = spans["baseline"], spans["matrix.search"]
    assert {span.trace_id.hex() for span in spans.values()} == {trace_id}
    assert root.parent_span_id == b""
    assert search.parent_span_id == root.span_id
    assert {spans[name].parent_span_id for name in ("embed", "matrix.corpus", "memory", "rate")} == {search.span_id}
    facts = attributes(search)
    assert (facts["gen_ai.operation.name"], facts["gen_ai.request.top_k"]) == ("retrieval", 3)
    assert facts["gen_ai.data_source.id"] == "workers"
    assert facts["lakehouse.results"] == 3
    assert attributes(root)["lakehouse.hour"] == 0
    assert [(line.depth, line.name) for line in shown] == [
        (0, "baseline"), (1, "matrix.search"), (2, "embed"), (2, "matrix.corpus"), (2, "memory"), (2, "rate"),
    ]  # fmt: skip
    for text in ("Beacon", "Ann", "0101", "Person", "Number"):
        assert text not in str([attributes(span) for span in spans.values()])


def test_content_on_demand_is_masked_and_in_langfuses_words(collector, opened, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_OTLP_HEADERS", "Authorization=Basic eDp5, X-Other=1")
    traces = {"endpoint": collector.url, "send_every_ms": 1, "content": True, "langfuse": True}
    lake = opened(traces={**traces, "session": "stress-1", "tags": "stress, inbox"})
    lake.demand.parse(FORKLIFT)
    assert lake.rooms.traces.flush()
    facts = attributes(named(collector)["demand.parse"])
    assert "Beacon Freight, call Ann at [phone]" in facts["langfuse.observation.input"]
    assert json.loads(facts["langfuse.observation.output"])["client"] == "Beacon Freight"
    assert facts["langfuse.session.id"] == "stress-1"
    assert facts["langfuse.trace.tags"] == ["stress", "inbox"]
    assert facts["langfuse.trace.name"] == "demand.parse"
    assert (collector.headers[0]["authorization"], collector.headers[0]["x-other"]) == ("Basic eDp5", "1")


def test_error_is_named_and_its_message_is_not_told(collector, opened):
    lake = opened(traces={"endpoint": collector.url, "send_every_ms": 1})
    with pytest.raises(NotFound):
        lake.vectors.get("secret-name", "x")
    assert lake.rooms.traces.flush()
    span = named(collector)["vectors.get"]
    assert (span.status.code, attributes(span)["error.type"]) == (2, "NotFound")
    assert "secret-name" not in str(span)


def test_trace_id_of_any_form_is_one_trace(collector, tmp_path):
    traces = made(tmp_path, endpoint=collector.url)
    with tracing.trace("session-42"), traces.phase("one"), tracing.span("two"):
        pass
    assert traces.flush()
    assert {span.trace_id.hex() for _, span in collector.spans} == {tracing.otel_trace_id("session-42")}
    assert attributes(named(collector)["two"])["lakehouse.trace_id"] == "session-42"
    traces.close()


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        (f"00-{'a' * 32}-{'b' * 16}-01", ("a" * 32, "b" * 16)),
        (f"00-{'0' * 32}-{'b' * 16}-01", ("", "")),
        (f"00-{'A' * 32}-{'b' * 16}-01", ("", "")),
        (f"00-{'a' * 31}-{'b' * 16}-01", ("", "")),
        ("nonsense", ("", "")),
    ],
)
def test_parent_header_is_read_strictly(header, parsed):
    assert tracing.parent_of(header) == parsed


def test_client_and_two_services_make_one_tree(collector, tmp_path):
    """A client in this process, two stacks in this process over HTTP: three services, one tree."""
    lakes, stacks, running = [], [], []
    for service in ("first", "second"):
        traces = {"endpoint": collector.url, "send_every_ms": 1, "service": service}
        config = settings.load(environ={}, overrides={"data": str(tmp_path / service), "traces": traces})
        lakes.append(lakehouse.connect(config=config))
        stacks.append(Stack(lakes[-1], config, ports.bind("127.0.0.1", 0)))
        ready = threading.Event()
        running.append(threading.Thread(target=stacks[-1].run, kwargs={"ready": ready.set}))
        running[-1].start()
        assert ready.wait(30)
    client = Traces(settings.Traces(endpoint=collector.url, service="client", send_every_ms=1), None, version="1")
    nodes = [{"id": "a", "mode": "fixture.upper", "inputs": {"text": "x"}}]
    with client.phase("job") as trace_id:
        for stack in stacks:
            with lakehouse.connect(stack.url) as remote:
                remote.demand.parse(FORKLIFT)
                remote.workflow.run(nodes)
    for each in (client, *(lake.rooms.traces for lake in lakes)):
        assert each.flush()
    for stack, thread in zip(stacks, running, strict=True):
        stack.stop()
        thread.join()
        assert stack.drain()
    client.close()
    [lake.close() for lake in lakes]
    ours = [(service, span) for service, span in collector.spans if span.trace_id.hex() == trace_id]
    assert {service for service, _ in ours} == {"client", "first", "second"}
    ids = {span.span_id for _, span in ours}
    roots = [span.name for _, span in ours if span.parent_span_id not in ids]
    assert roots == ["job"]
    by_id = {span.span_id: (service, span) for service, span in ours}
    for service, span in ours:
        if span.name == "demand.parse" and service != "client":
            above, parent = by_id[span.parent_span_id]
            assert (above, parent.name, parent.kind, span.kind) == ("client", "demand.parse", 3, 2)
    assert sum(span.name == "workflow.node" for _, span in ours) == 2


def slow(handler):
    time.sleep(2)


def garbage(handler):
    handler.wfile.write(b"\x00\xff not HTTP at all \r\n\r\n")
    handler.close_connection = True


def refusing(handler):
    handler.send_response(403)
    handler.end_headers()


@pytest.mark.parametrize("answer", [slow, garbage, refusing])
def test_bad_collector_loses_spans_counted_and_holds_nobody_up(collector, tmp_path, answer):
    collector.answer = answer
    traces = made(tmp_path, endpoint=collector.url, queue=20, timeout_ms=300)
    began = time.perf_counter()
    for _ in range(100):
        with traces.phase("call"):
            pass
    assert time.perf_counter() - began < 10
    traces.close()
    assert traces.dropped == 100
    assert collector.spans == []


def test_dead_collector_loses_spans_counted(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        traces = made(tmp_path, endpoint=f"http://127.0.0.1:{held.getsockname()[1]}/v1/traces", timeout_ms=300)
        with traces.phase("call"):
            pass
        assert traces.flush()
        assert traces.dropped == 1
        traces.close()


def test_collector_that_comes_back_gets_what_follows(collector, tmp_path):
    traces = made(tmp_path, endpoint=collector.url, timeout_ms=500)
    collector.answer = refusing
    with traces.phase("lost"):
        pass
    assert traces.flush()
    collector.answer = None
    with traces.phase("kept"):
        pass
    assert traces.flush()
    assert (list(named(collector)), traces.dropped) == (["kept"], 1)
    traces.close()


@pytest.mark.parametrize("config", [{"endpoint": "localhost:4318"}, {"endpoint": "ftp://x"}])
def test_endpoint_that_is_none_is_refused(tmp_path, config):
    with pytest.raises(InvalidInput, match="endpoint"):
        made(tmp_path, **config)


def test_headers_that_are_none_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="Name=value"):
        Traces(settings.Traces(endpoint="http://127.0.0.1:1"), None, version="1", headers="Bearer x")


def test_trace_without_spans_shows_its_ops(opened):
    lake = opened()
    with lake.phase("no spans here") as trace_id:
        lake.demand.parse(FORKLIFT)
    assert [line.name for line in lake.traces.show(trace_id).spans] == ["demand.parse"]


def test_trace_that_nobody_knows_is_not_found(opened):
    with pytest.raises(NotFound, match=r"traces\.log"):
        opened().traces.show("f" * 32)


def test_spans_are_a_table_in_sql(opened):
    lake = opened(traces={"log": True})
    lake.demand.parse(FORKLIFT)
    lake.rooms.traces.flush()
    assert lake.sql.query("SELECT name, status FROM spans").rows[0] == ["demand.parse", "ok"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a.b+c@example.co.uk!", "[email]!"),
        ("(216) 555-0101 or +1 216.555.0101", "[phone] or [phone]"),
        ("SSN 123-45-6789", "SSN [ssn]"),
        ("53-7051.00 and OSHA-30 and 2026-03-01", "53-7051.00 and OSHA-30 and 2026-03-01"),
    ],
)
def test_masked(text, masked):
    assert _conventions.masked(text) == masked


def test_chat_is_told_in_the_form_of_the_conventions(collector, opened):
    def text(role, words, **more):
        return [{"role": role, "parts": [{"type": "text", "content": words}], **more}]

    with FakeProvider() as model:
        traces = {"endpoint": collector.url, "send_every_ms": 1, "content": True, "langfuse": True}
        lake = opened(traces=traces, chat={"ollama_url": model.url})
        said = [{"role": "user", "content": "call 216-555-0101"}]
        lake.chat.complete("m", said)
        events = lake.chat.stream("m", said)
        next(events)
        # It ends with the stream, whoever reads it and wherever.
        reading = threading.Thread(target=list, args=(events,))
        reading.start()
        reading.join()
        assert lake.rooms.traces.flush()
    spans = named(collector)
    whole, streamed = attributes(spans["chat.complete"]), attributes(spans["chat.answer"])
    assert spans["chat.answer"].parent_span_id == spans["chat.stream"].span_id
    assert json.loads(whole["gen_ai.input.messages"]) == text("user", "call [phone]")
    assert json.loads(whole["gen_ai.output.messages"]) == text("assistant", "call [phone]", finish_reason="stop")
    assert json.loads(streamed["gen_ai.output.messages"]) == text("assistant", "call [phone]")
    assert json.loads(whole["langfuse.observation.input"]) == text("user", "call [phone]")
    for facts in (whole, streamed):
        assert (facts["gen_ai.operation.name"], facts["gen_ai.provider.name"]) == ("chat", "ollama")
        assert (facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"]) == (2, 2)
        assert (facts["gen_ai.response.model"], facts["langfuse.observation.type"]) == ("m", "generation")
    assert attributes(spans["chat.stream"])["langfuse.observation.type"] == "span"


def test_failed_model_call_says_what_was_asked_and_of_whom(collector, opened):
    with FakeProvider() as model:
        traces = {"endpoint": collector.url, "send_every_ms": 1, "content": True, "langfuse": True}
        chat = {"ollama_url": model.url, "retries": 0}
        lake = opened(traces=traces, chat=chat)
        said = [{"role": "user", "content": "call 216-555-0101"}]
        for ask in (lake.chat.complete, lake.chat.stream):
            model.manners.append("500")
            with pytest.raises(Upstream):
                ask("m", said, max_tokens=9)
        with pytest.raises(NotFound):
            lake.chat.complete("openrouter/m", said)
        assert lake.rooms.traces.flush()
    whole, streamed, nowhere = (attributes(span) for _, span in collector.spans)
    asked = [{"role": "user", "parts": [{"type": "text", "content": "call [phone]"}]}]
    for facts in (whole, streamed):
        assert (facts["gen_ai.request.model"], facts["gen_ai.request.max_tokens"]) == ("m", 9)
        assert (facts["gen_ai.provider.name"], facts["error.type"]) == ("ollama", "Upstream")
        assert json.loads(facts["langfuse.observation.input"]) == asked
        assert "langfuse.observation.output" not in facts
    assert json.loads(whole["gen_ai.input.messages"]) == asked
    # Nobody was asked, least of all this product.
    assert (nowhere["gen_ai.request.model"], nowhere.get("gen_ai.provider.name")) == ("openrouter/m", None)


def test_span_of_a_call_that_asks_a_model_besides_is_not_of_its_provider(collector, opened):
    with FakeProvider(lambda request: "widget whisperer") as model:
        traces = {"endpoint": collector.url, "send_every_ms": 1}
        lake = opened(traces=traces, chat={"ollama_url": model.url}, models={"local_parse": "small"})
        assert lake.demand.parse("our widget whisperer left, same again please", use_model=True).source == "model"
        assert lake.rooms.traces.flush()
    assert "gen_ai.provider.name" not in attributes(named(collector)["demand.parse"])


def test_failed_call_says_what_it_was_about(opened):
    lake = opened(traces={"log": True, "content": True})
    with lake.phase("failing") as trace_id:
        with pytest.raises(NotFound):
            lake.matrix.search(FORKLIFT, ["nowhere"], 3)
        with pytest.raises(ValidationFailed):
            lake.validate.check("sms", {"to": "Ann", "body": "x" * 500})
    told = {line.name: line.attributes for line in lake.traces.show(trace_id).spans}
    search, check = told["matrix.search"], told["validate.check"]
    assert (search["gen_ai.request.top_k"], search["gen_ai.data_source.id"]) == (3, "nowhere")
    assert json.loads(search["gen_ai.retrieval.query.text"])["corpora"] == ["nowhere"]
    assert (check["lakehouse.artifact"], check["error.type"]) == ("sms", "ValidationFailed")
    assert json.loads(check["lakehouse.input"])["payload"]["to"] == "Ann"


def test_failed_call_without_content_tells_no_words(opened):
    lake = opened(traces={"log": True})
    with lake.phase("failing") as trace_id, pytest.raises(ValidationFailed):
        lake.validate.check("sms", {"to": "Ann", "body": "x" * 500})
    _, check = lake.traces.show(trace_id).spans
    assert check.attributes == {"lakehouse.artifact": "sms", "error.type": "ValidationFailed"}


def test_conventions_name_operations_that_there_are():
    tables = (_conventions._ASKED, _conventions._ANSWERED, _conventions._OUTPUT_OF, _conventions._WITH_CONTENT)
    assert {*itertools.chain(*tables)} <= operations.BY_NAME.keys()
    assert _conventions._OUTPUT_OF.keys() <= _conventions._WITH_CONTENT


def test_chat_reads_as_generation():
    class Answer:
        model, provider, prompt_tokens, completion_tokens, finish_reason = "m-1", "ollama", 10, 5, "stop"

    traces = Traces(settings.Traces(), None, version="1")
    span = tracing.begin(traces, "chat.complete")
    asked = {"model": "ollama/m", "max_tokens": 9}
    _conventions.ask(span, asked, content=False)
    _conventions.answer(span, asked, Answer(), content=False)
    found = _conventions.attributes(span, langfuse=True, session="", tags=())
    assert found["gen_ai.operation.name"] == "chat"
    assert (found["gen_ai.request.model"], found["gen_ai.response.model"]) == ("ollama/m", "m-1")
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (10, 5)
    assert (found["gen_ai.provider.name"], found["gen_ai.response.finish_reasons"]) == ("ollama", ["stop"])
    assert found["langfuse.observation.type"] == "generation"
