"""What chat and validators are on the wire, to the letter."""

import json
import threading

import httpx
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.evals.fake_provider import FakeProvider
from serving import stack_of


@pytest.fixture(scope="module")
def model():
    with FakeProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def client(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve") / "lake"
    chat = {"ollama_url": model.url, "retries": 0}
    config = settings.load(environ={}, overrides={"data": str(folder), "chat": chat})
    with (
        lakehouse.connect(config=config) as lake,
        stack_of(lake, config) as stack,
        httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as http,
    ):
        yield http


@pytest.fixture(autouse=True)
def well(model):
    model.manners.clear()


def said(text="one two three four"):
    return {"model": "small", "messages": [{"role": "user", "content": text}]}


STREAM = {"Accept": "text/event-stream"}


def test_chat_answer_has_exactly_its_fields(client):
    answer = client.post("/v1/chat", json=said())
    fields = "content model provider finish_reason prompt_tokens completion_tokens latency_ms".split()
    assert answer.status_code == 200
    assert list(answer.json()) == fields


def test_chat_stream_is_server_sent_events(client):
    with client.stream("POST", "/v1/chat", json=said(), headers=STREAM) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-lakehouse-trace-id"]
        lines = [line for line in answer.iter_lines() if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert "".join(event["content"] for event in events) == events[-1]["done"]["content"] == "one two three four"


def test_chat_stream_that_breaks_off_ends_in_an_error_event(client, model):
    model.manners.append("cut")
    lines = client.post("/v1/chat", json=said(), headers=STREAM).text.splitlines()
    at = lines.index("event: error")
    error = json.loads(lines[at + 1].removeprefix("data: "))
    assert (error["status"], error["error"]["code"]) == (502, "upstream")
    assert error["trace_id"]


@pytest.mark.parametrize("headers", [{}, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("manner", "status", "code"),
    [
        ("500", 502, "upstream"),
        ("404", 502, "upstream"),
        ("429", 429, "limit_exceeded"),
        ("no_choices", 502, "upstream"),
    ],
)
def test_chat_upstream_failure_has_its_status(client, model, manner, status, code, headers):
    model.manners.append(manner)
    answer = client.post("/v1/chat", json=said(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"messages": said()["messages"]}, 400),
        ({**said(), "model": "kimi/x"}, 404),
        ({**said(), "stream": True}, 400),
    ],
)
def test_chat_wrong_request_has_its_status(client, body, status):
    assert client.post("/v1/chat", json=body).status_code == status


def test_chat_remote_client_raises_what_comes_inside_a_stream(client, model):
    model.manners.append("cut")
    with lakehouse.connect(str(client.base_url)) as remote:
        events = remote.chat.stream("small", said()["messages"])
        assert next(events).content
        with pytest.raises(lakehouse.errors.Upstream):
            list(events)


def test_validate_refusal_body_is_the_variant_alone(client):
    sms = {"to": "216-555-0101", "body": "x" * 161}
    answer = client.post("/v1/validate", json={"artifact": "sms", "payload": sms})
    assert answer.status_code == 422
    assert answer.json() == {"Completeness": {"reason": "the message has 161 characters, at most 160"}}
    assert json.loads(answer.headers["x-lakehouse-findings"])["findings"][0]["code"] == "too_long"


def test_validate_refusal_of_shape_names_the_field(client):
    answer = client.post("/v1/validate", json={"artifact": "sms", "payload": {"to": "216-555-0101"}})
    assert answer.json() == {"Schema": {"field": "body", "reason": "Object missing required field body"}}


def test_iterate_ends_have_their_status(client, model):
    asked = {"artifact": "sms", "prompt": "no JSON here", "model": "small", "max_iterations": 1}
    exhausted = client.post("/v1/iterate", json=asked)
    assert exhausted.status_code == 422
    detail = exhausted.json()["error"]["detail"]
    assert (detail["status"], len(detail["attempts"])) == ("max_iter_exhausted", 1)
    assert detail["session_id"] == exhausted.headers["x-lakehouse-trace-id"]
    model.manners.append("500")
    broken = client.post("/v1/iterate", json=asked)
    assert (broken.status_code, broken.json()["error"]["detail"]["status"]) == (502, "infra_error")


def test_slow_models_do_not_hold_up_other_calls(client, model):
    held, usual = threading.Event(), model.say
    model.say = lambda request: "done" if held.wait(60) else ""
    calls = [threading.Thread(target=client.post, args=("/v1/chat",), kwargs={"json": said()}) for _ in range(12)]
    try:
        for call in calls:
            call.start()
        # More than there are threads for calls, and none of them can end before this is answered.
        assert client.get("/v1/catalog/datasets").status_code == 200
        assert all(call.is_alive() for call in calls)
    finally:
        held.set()
        for call in calls:
            call.join()
        model.say = usual
