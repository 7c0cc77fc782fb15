import asyncio
import json
import logging

import httpx
import pytest

from lakehouse import tracing
from lakehouse.errors import InternalError, NotFound, from_wire
from lakehouse.serve.doors import Doors
from lakehouse.serve.guard import Guard, accepted_trace_id, is_loopback

LOCAL = "http://127.0.0.1:3110"


async def answering(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": tracing.current().encode()})


def raising(error):
    async def app(scope, receive, send):
        raise error

    return app


def ask(app, path="/x", *, url=LOCAL, method="GET", **headers):
    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            return await client.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return asyncio.run(run())


def test_guard_request_without_trace_id_gets_one():
    answer = ask(Guard(answering))
    assert answer.text == answer.headers[tracing.HEADER]
    assert len(answer.text) == 32


def test_guard_trace_id_from_outside_is_used():
    answer = ask(Guard(answering), X_Lakehouse_Trace_Id="abc-123")
    assert answer.text == answer.headers[tracing.HEADER] == "abc-123"


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", "caf\u00e9", "tab\there"])
def test_accepted_trace_id_unfit_one_is_replaced(given):
    assert accepted_trace_id(given) != given


def test_guard_our_error_keeps_its_shape_and_status():
    answer = ask(Guard(raising(NotFound("no such thing", name="x"))), X_Lakehouse_Trace_Id="t1")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "not_found", "message": "no such thing", "retryable": False, "detail": {"name": "x"}},
        "trace_id": "t1",
    }
    assert answer.headers[tracing.HEADER] == "t1"


def test_guard_unexpected_error_says_nothing_and_logs_everything(caplog):
    with caplog.at_level(logging.ERROR, "lakehouse.serve"):
        answer = ask(Guard(raising(KeyError("secret detail"))), X_Lakehouse_Trace_Id="t2")
    assert type(from_wire(answer.status_code, answer.json())) is InternalError
    assert "secret" not in answer.text
    assert answer.json()["trace_id"] == "t2"
    assert "secret detail" in caplog.text


def test_guard_error_of_a_head_stands_in_a_header():
    answer = ask(Guard(raising(NotFound("not here: \u4f60"))), method="HEAD")
    assert answer.status_code == 404
    assert answer.content == b""
    assert json.loads(answer.headers["X-Lakehouse-Error"])["error"]["message"] == "not here: \u4f60"


def test_guard_with_token_asks_for_it_everywhere_but_health():
    guard = Guard(answering, doors=Doors("s3cret"))
    assert ask(guard, "/health").status_code == 200
    refused = ask(guard)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert ask(guard, Authorization="Bearer wrong").status_code == 401
    assert ask(guard, Authorization="Basic s3cret").status_code == 401
    assert ask(guard, Authorization="Bearer s3cret").status_code == 200
    assert ask(guard, Authorization="bearer s3cret").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[", "10.0.0.1:3110", ""])
def test_guard_on_loopback_refuses_foreign_host(host):
    assert ask(Guard(answering), Host=host).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:3110", "[::1]:3110", "127.9.9.9:1"])
def test_guard_on_loopback_serves_loopback_names(host):
    assert ask(Guard(answering), Host=host).status_code == 200


def test_guard_off_loopback_serves_any_host():
    assert ask(
        Guard(answering, doors=Doors("t"), local=False), Host="stack.example", Authorization="Bearer t"
    ).is_success


def test_guard_page_of_another_origin_is_refused():
    assert ask(Guard(answering), Origin="https://evil.example").status_code == 403
    assert ask(Guard(answering), Origin="null").status_code == 403
    assert ask(Guard(answering), Origin=LOCAL).status_code == 200


def test_guard_failure_after_the_answer_began_is_raised():
    async def half(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise NotFound("too late")

    with pytest.raises(NotFound):
        ask(Guard(half))


def test_guard_access_log_has_the_facts_and_no_query(caplog):
    with caplog.at_level(logging.INFO, "lakehouse.access"):
        ask(Guard(raising(NotFound("x"))), "/people?name=Ann", X_Lakehouse_Trace_Id="t3")
    (record,) = [record for record in caplog.records if record.name == "lakehouse.access"]
    assert record.facts.pop("ms") >= 0
    assert record.facts == {"method": "GET", "path": "/people", "status": 404, "trace_id": "t3"}


def test_guard_requests_answered_together_each_have_their_line(caplog):
    async def both():
        transport = httpx.ASGITransport(app=Guard(answering))
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            await asyncio.gather(*(client.get(f"/{name}", headers={tracing.HEADER: name}) for name in ("a", "b", "c")))

    with caplog.at_level(logging.INFO, "lakehouse.access"):
        asyncio.run(both())
    records = [record for record in caplog.records if record.name == "lakehouse.access"]
    assert sorted((record.facts["path"], record.facts["trace_id"]) for record in records) == [
        ("/a", "a"),
        ("/b", "b"),
        ("/c", "c"),
    ]
    assert not records[-1].more


def test_new_trace_ids_are_32_hexadecimal_digits_and_never_the_same():
    ids = [tracing.new_id() for _ in range(2_000)]
    assert len({*ids}) == len(ids)
    assert {len(id) for id in ids} == {32}
    assert set("".join(ids)) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("box", False)],
)
def test_is_loopback_tells_this_machine_from_others(host, local):
    assert is_loopback(host) is local
