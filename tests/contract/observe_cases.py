"""Ops, inbox, workflows and traces: what a client can do with them."""

from __future__ import annotations

from typing import Any

from contract import cases
from contract.cases import Arguments, Case
from lakehouse.errors import Conflict, InvalidInput, NotFound, TooLarge

TWO = "Need 2 Forklift Operators in Cleveland OH, day shift, OSHA-30, and 3 Welders in Detroit MI"
EML = (
    b"From: Bob <bob@example.com>\r\nSubject: Order\r\nMessage-ID: <eml-1@example.com>\r\nX-Priority: 1 (Highest)\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nNeed 4 Line Cooks in Detroit MI\r\n"
)


def said(id: str, **more: Any) -> tuple[str, Arguments]:
    fields = {"type": "email", "sender": f"{id}@example.com", "body": cases.FORKLIFT, "message_id": f"<{id}>"}
    return "inbox.receive", {**fields, **more}


def node(id: str, mode: str, **inputs: Any) -> dict[str, Any]:
    return {"id": id, "mode": mode, "inputs": inputs}


def ran(*nodes: dict[str, Any], **more: Any) -> tuple[str, Arguments]:
    return "workflow.run", {"nodes": list(nodes), **more}


ECHO = ran(node("a", "fixture.echo", value="hello"), node("b", "fixture.upper", text={"$from": "a"}))

OPS = [
    Case("op", [("observer.event", {"source": "scenario", "kind": "contract.op"})], lambda op: bool(op.op_id)),
    Case("op-source", [("observer.event", {"source": "call", "kind": "x"})], raises=InvalidInput, says="source"),
    Case("op-kind", [("observer.event", {"source": "mcp", "kind": ""})], raises=InvalidInput, says="kind"),
    Case(
        "op-detail",
        [("observer.event", {"source": "mcp", "kind": "x", "detail": {"text": "x" * 8192}})],
        raises=TooLarge,
        says="detail",
    ),
    Case(
        "ops",
        [("observer.event", {"source": "mcp", "kind": "contract.one", "summary": "a\r\nb", "elapsed_ms": 1.5}),
         ("observer.ops", {"kind": "contract.one"})],
        lambda listed: [(op.source, op.summary) for op in listed.ops] == [("mcp", "a b")],
    ),
    Case("ops-limit", [("observer.ops", {"limit": 0})], raises=InvalidInput, says="limit"),
    Case(
        "op-stats",
        [("observer.event", {"source": "scenario", "kind": "contract.took", "elapsed_ms": 2.0}),
         ("observer.stats", {})],
        lambda stats: stats.by_kind["contract.took"].p99_ms == 2.0 and stats.dropped == 0,
    ),
    Case(
        "trace",
        [("observer.event", {"source": "scenario", "kind": "contract.traced", "trace_id": "contract-1"}),
         ("traces.show", {"trace_id": "contract-1"})],
        lambda trace: [line.name for line in trace.spans] == ["contract.traced"],
    ),
    Case("trace-absent", [("traces.show", {"trace_id": "nothing"})], raises=NotFound, says="traces.log"),
]  # fmt: skip

INBOX = [
    Case("inbox", [said("in1")], lambda receipt: receipt.created and receipt.id.startswith("in-")),
    Case("inbox-again", [said("in2"), said("in2")], lambda receipt: not receipt.created),
    Case("inbox-type", [said("in3", type="fax")], raises=InvalidInput, says="type"),
    Case("inbox-priority", [said("in4", priority="nonsense")], raises=InvalidInput, says="priority"),
    Case("inbox-no-body", [said("in5", body=" \n ")], raises=InvalidInput, says="body"),
    Case("inbox-8-kib", [said("in6", body="\u00e4" * 4096)], lambda receipt: receipt.created),
    Case("inbox-over-8-kib", [said("in7", body="x" * 8193)], raises=TooLarge, says="body"),
    Case("inbox-unknown-field", [said("in8", text="x")], raises=InvalidInput, says="text"),
    Case(
        "inbox-read",
        [said("in9", body=TWO, subject="a\r\nb"), ("inbox.get", lambda seen: {"id": seen[0].id})],
        lambda message: [(demand.count, demand.location.city) for demand in message.demands]
        == [(2, "Cleveland"), (3, "Detroit")] and message.priority == "medium" and message.subject == "a\r\nb",
    ),
    Case(
        "inbox-cancelled",
        [said("in10", subject="Order 7"),
         said("in11", sender="in10@example.com", subject="Re: Order 7", body="Please cancel this."),
         ("inbox.get", lambda seen: {"id": seen[0].id})],
        lambda message: message.status == "cancelled" and [later.kind for later in message.follow_ups] == ["cancel"],
    ),
    Case("inbox-absent", [("inbox.get", {"id": "nothing"})], raises=NotFound, says="nothing"),
    Case(
        "inbox-list",
        [said("in12", tag="contract"), ("inbox.list", {"tag": "contract"})],
        lambda listed: [message.asks for message in listed.messages] == [["2 x Forklift Operator in Cleveland"]],
    ),
    Case(
        "inbox-match",
        [said("in13"), ("inbox.match", lambda seen: {"id": seen[0].id, "corpora": ["workers"]})],
        lambda matched: [best.rating for best in matched.matches] == [5] and matched.matches[0].distance > 0,
    ),
    Case(
        "inbox-match-absent-corpus",
        [said("in14"), ("inbox.match", lambda seen: {"id": seen[0].id, "corpora": ["nobody"]})],
        raises=NotFound,
        says="nobody",
    ),
    Case(
        "inbox-file",
        [("inbox.file", {"source": EML})],
        lambda done: len(done.created) == 1 and not done.refused,
    ),
    Case("inbox-file-again", [("inbox.file", {"source": EML})], lambda done: (done.created, done.known) == ([], 1)),
    Case("inbox-file-empty", [("inbox.file", {"source": b" "})], raises=InvalidInput, says="empty"),
]  # fmt: skip

WORKFLOWS = [
    Case(
        "run",
        [ECHO],
        lambda run: run.status == "succeeded" and run.nodes["b"].output == "HELLO"
        and run.nodes["b"].inputs_from == {"text": "a"},
    ),
    Case(
        "run-search",
        [ran(node("s", "matrix.search", query_text=cases.FORKLIFT, corpora=["workers"], k=1),
             node("e", "fixture.echo", value={"$from": "s.results.0.id"}))],
        lambda run: run.status == "succeeded" and run.nodes["e"].output.startswith("w-"),
    ),
    Case(
        "run-fails",
        [ran(node("a", "fixture.echo", value=7), node("b", "fixture.upper", text={"$from": "a"}),
             node("c", "fixture.echo", value={"$from": "b"}))],
        lambda run: [each.status for each in run.nodes.values()] == ["succeeded", "failed", "skipped"]
        and "text" in run.nodes["b"].error,
    ),
    Case("run-mode", [ran(node("a", "no.mode"))], raises=InvalidInput, says="no.mode"),
    Case("run-input", [ran(node("a", "fixture.upper", text=7))], raises=InvalidInput, says="text"),
    Case("run-no-nodes", [("workflow.run", {"nodes": []})], raises=InvalidInput, says="nodes"),
    Case(
        "run-circle",
        [ran(node("a", "fixture.echo", value={"$from": "b"}), node("b", "fixture.echo", value={"$from": "a"}))],
        raises=InvalidInput,
        says="circle",
    ),
    Case(
        "modes",
        [("workflow.modes", {})],
        lambda listed: {"distillation.score", "drift.scorer", "fixture.echo", "fixture.upper", "matrix.search"}
        <= {mode.name for mode in listed.modes},
    ),
    Case(
        "runs",
        [ECHO, ("workflow.list", {"status": "succeeded", "limit": 1})],
        lambda listed: [(run.nodes, run.done) for run in listed.runs] == [(2, 2)],
    ),
    Case("run-get", [ECHO, ("workflow.get", lambda seen: {"run_id": seen[0].run_id})],
         lambda run: list(run.nodes) == ["a", "b"]),
    Case("run-absent", [("workflow.get", {"run_id": "nothing"})], raises=NotFound, says="nothing"),
    Case("run-picture", [ECHO, ("workflow.picture", lambda seen: {"run_id": seen[0].run_id})],
         lambda picture: picture.mermaid.startswith("flowchart TD")),
    Case(
        "run-cancel",
        [ran(node("a", "fixture.wait", ms=4_000), node("b", "fixture.echo", value={"$from": "a"}), wait_ms=1_500),
         ("workflow.cancel", lambda seen: {"run_id": seen[0].run_id})],
        lambda run: run.status == "cancelled" and run.nodes["b"].status == "cancelled",
    ),
    Case("run-cancel-ended", [ECHO, ("workflow.cancel", lambda seen: {"run_id": seen[0].run_id})],
         raises=Conflict, says="ended"),
    Case("run-cancel-absent", [("workflow.cancel", {"run_id": "nothing"})], raises=NotFound, says="nothing"),
    Case("resume", [("workflow.resume", {})], lambda resumed: resumed.run_ids == []),
]  # fmt: skip

CASES = [*OPS, *INBOX, *WORKFLOWS]
