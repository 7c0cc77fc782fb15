"""Every limit of what comes in from outside, under, at and over its edge; and whatever it is, a line stays a line."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import InvalidInput, TooLarge
from lakehouse.serve import logs, ports
from lakehouse.serve.run import Stack
from lakehouse.settings import Logging

KIB_8 = 8 * 1024
WIDE = "\u00e4"
EMAIL = {"type": "email", "body": "hello"}
EVENT = {"source": "mcp", "kind": "limits.one"}
NODE = {"id": "a", "mode": "fixture.echo", "inputs": {"value": 1}}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits") / "lake"
    config = settings.load(environ={}, overrides={"data": str(folder), "workflow": {"max_nodes": 3}})
    with lakehouse.connect(config=config) as opened:
        yield opened


def detail_of(size):
    return {"x": "y" * (size - len(json.dumps({"x": ""}, separators=(",", ":"))))}


def nodes(count):
    return {"nodes": [{**NODE, "id": f"n{number}"} for number in range(count)]}


# Operation, field, what is under or at its limit, what is over it, and the error of that.
LIMITS = [
    ("inbox.receive", "type", ["email", "sms"], ["", "Email", "fax", None], InvalidInput),
    ("inbox.receive", "priority", ["", "urgent", "high", "medium", "low"], ["URGENT", "none", 1], InvalidInput),
    ("inbox.receive", "body", ["x", "x" * (KIB_8 - 1), "x" * KIB_8, WIDE * 4096], ["x" * (KIB_8 + 1), WIDE * 4097],
     TooLarge),
    ("inbox.receive", "body", ["\u200b"], ["", " ", "\r\n\t "], InvalidInput),
    *(("inbox.receive", field, ["", "x" * (KIB_8 - 1), "x" * KIB_8], ["x" * (KIB_8 + 1), WIDE * 4097], TooLarge)
      for field in ("sender", "subject", "tag")),
    *(("inbox.receive", field, ["", "<" + "x" * 996, "<" + "x" * 997], ["x" * 999], InvalidInput)
      for field in ("message_id", "in_reply_to")),
    ("inbox.list", "limit", [1, 999, 1_000], [0, 1_001], InvalidInput),
    ("observer.event", "source", ["mcp", "scenario", "workflow", "inbox"], ["", "call", "MCP"], InvalidInput),
    ("observer.event", "kind", ["k", "k" * 99, "k" * 100], ["", "k" * 101], InvalidInput),
    ("observer.event", "status", ["s", "s" * 100], ["", "s" * 101], InvalidInput),
    ("observer.event", "trace_id", ["", "t" * 63, "t" * 64], ["t" * 65], InvalidInput),
    ("observer.event", "elapsed_ms", [0, 0.0, 1e9], [-0.001], InvalidInput),
    ("observer.event", "detail", [{}, detail_of(KIB_8 - 1), detail_of(KIB_8)], [detail_of(KIB_8 + 1)], TooLarge),
    ("observer.ops", "limit", [1, 9_999, 10_000], [0, 10_001], InvalidInput),
    ("workflow.run", "name", ["", "n" * 199, "n" * 200], ["n" * 201], InvalidInput),
    ("workflow.run", "nodes", [nodes(1)["nodes"], nodes(2)["nodes"], nodes(3)["nodes"]], [[], nodes(4)["nodes"]],
     InvalidInput),
    ("workflow.list", "limit", [1, 1_000], [0, 1_001], InvalidInput),
]  # fmt: skip
GIVEN = {
    "inbox.receive": EMAIL,
    "inbox.list": {},
    "observer.event": EVENT,
    "observer.ops": {},
    "workflow.run": nodes(1),
    "workflow.list": {},
}


@pytest.mark.parametrize("limit", LIMITS, ids=[f"{nth}-{limit[0]}-{limit[1]}" for nth, limit in enumerate(LIMITS)])
def test_limit_holds_at_its_edge(lake, limit):
    name, field, within, over, error = limit
    operation = lakehouse.operations.BY_NAME[name]
    for value in within:
        lake.call(operation, {**GIVEN[name], field: value})
    for value in over:
        with pytest.raises(error, match=field):
            lake.call(operation, {**GIVEN[name], field: value})


@pytest.mark.parametrize("length", [255, 256, 257, KIB_8])
@pytest.mark.parametrize("field", ["sender", "subject", "tag", "body"])
def test_field_of_any_length_is_a_short_line_in_the_log_and_whole_in_the_inbox(lake, field, length):
    text = "v" * (length - 2) + "\r\n" if field != "body" else "b" * length
    receipt = lake.inbox.receive(**{**EMAIL, field: text})
    assert getattr(lake.inbox.get(receipt.id), field) == text
    op = lake.observer.ops(source="inbox").ops[-1]
    assert len(op.summary) <= 256
    assert all(len(value) <= 256 for value in op.detail.values())
    assert not any(sign in op.summary + op.detail["tag"] for sign in "\r\n")
    listed = lake.inbox.list(limit=1).messages[0]
    assert all(len(shown) <= 256 for shown in (listed.sender, listed.subject, listed.body, listed.tag))


@pytest.mark.parametrize(("length", "shown"), [(255, 255), (256, 256), (257, 256)])
def test_summary_of_an_event_is_capped(lake, length, shown):
    lake.observer.event(**EVENT, summary="s" * length)
    assert len(lake.observer.ops(kind="limits.one").ops[-1].summary) == shown


def test_every_naughty_string_is_one_line_of_every_log(tmp_path, naughty):
    """In a message, in an event, as a path: one request, one line; one op, one line."""
    config = settings.load(environ={}, overrides={"data": str(tmp_path / "lake")})
    stream = io.StringIO()
    requests = kept = 0
    with logs.configured(Logging(level="info"), stream), lakehouse.connect(config=config) as lake:
        stack = Stack(lake, config, ports.bind("127.0.0.1", 0))
        ready = threading.Event()
        running = threading.Thread(target=stack.run, kwargs={"ready": ready.set})
        running.start()
        try:
            assert ready.wait(30)
            with httpx.Client(base_url=stack.url, trust_env=False, timeout=30) as client:
                for texts in (naughty[at : at + 4] for at in range(0, len(naughty), 4)):
                    fields = dict(zip(("body", "sender", "subject", "tag"), texts, strict=False)) | {"type": "sms"}
                    sent = client.post("/v1/observer/inbox", json=fields)
                    assert sent.status_code == (202 if texts[0].strip() else 400)
                    requests += 1
                    kept += sent.is_success
                for text in naughty:
                    lake.observer.event(**EVENT, summary=text, detail={"x": text})
                    found = client.get("/v1/observer/inbox/" + quote(text, safe=""))
                    requests += 1
                    # What was recorded, and what was looked for under a name that can be one.
                    kept += 1 + (found.status_code != 400)
        finally:
            stack.stop()
            running.join()
            assert stack.drain()
        assert lake.rooms.observer.flush()
    written = (Path(config.data) / "logs" / "ops.jsonl").read_text(encoding="utf-8").splitlines()
    shown = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sum(line["message"] == "request" for line in shown) == requests
    assert all(json.loads(line)["kind"] for line in written)
    assert len(written) == kept > len(naughty)
