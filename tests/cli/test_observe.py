"""`ops`, `trace`, `inbox` and `workflow` on the command line."""

from __future__ import annotations

import json

TWO = "Need 3 welders in Toledo OH and 2 cooks in Akron OH"


def test_ops_are_recorded_listed_and_counted(run, folder) -> None:
    code, out, err = run("ops", "record", "stress.baseline", "--elapsed-ms", "12.5", "--detail", '{"hour": 0}')
    assert (code, err) == (0, "")
    assert out.startswith("op-")
    listed = json.loads(run("ops", "list", "--kind", "stress", "--json")[1])["ops"]
    assert [(op["op_id"], op["detail"]) for op in listed] == [(out.strip(), {"hour": 0})]
    assert "stress.baseline" in run("ops", "stats")[1]
    assert json.loads(run("ops", "stats", "--json")[1])["by_kind"]["stress.baseline"]["p50_ms"] == 12.5
    assert run("ops", "tail", "--kind", "stress")[1].count("\n") == 1
    assert run("ops", "record", "x", "--detail", "no json")[0] == 2


def test_trace_is_shown_from_the_ops(run, folder) -> None:
    run("inbox", "send", TWO)
    trace_id = json.loads(run("ops", "list", "--source", "inbox", "--json")[1])["ops"][0]["trace_id"]
    code, out, _ = run("trace", "show", trace_id)
    assert code == 0
    assert "inbox.email" in out
    assert run("trace", "show", "nothing")[0] == 3


def test_inbox_is_sent_listed_shown_and_matched(run, folder) -> None:
    order = "Need 2 Forklift Operators in Cleveland OH"
    code, out, _ = run("inbox", "send", order, "--from", "bob@example.com", "--message-id", "<1@x>")
    id = out.partition(":")[0]
    assert (code, out) == (0, f"{id}: recorded\n")
    assert run("inbox", "send", order, "--message-id", "<1@x>")[1] == f"{id}: known before, nothing changed\n"
    run("inbox", "send", "Please cancel the forklift operators", "--from", "bob@example.com")
    assert "2 x Forklift Operator in Cleveland" in run("inbox", "list")[1]
    shown = run("inbox", "show", id)[1]
    assert "cancelled" in shown
    assert "from the text" in shown
    run("inbox", "send", order, "--message-id", "<2@x>")
    second = json.loads(run("inbox", "list", "--kind", "demand", "--json")[1])["messages"][0]["id"]
    best = json.loads(run("inbox", "match", second, "--corpus", "workers", "--json")[1])["matches"][0]
    assert best["rating"] is not None
    assert best["query_text"] == order
    assert best["id"] in run("inbox", "match", second, "--corpus", "workers")[1]
    assert run("inbox", "show", "nothing")[0] == 3


def test_inbox_takes_a_mail_file_in(run, folder, stdin) -> None:
    stdin(b"From: bob@example.com\r\nMessage-ID: <9@x>\r\n\r\nNeed 2 cooks in Akron OH\r\n")
    assert run("inbox", "file", "-")[1] == "1 taken in, 0 known before, 0 refused\n"
    stdin(b"From x\nFrom: bob@example.com\nSubject: empty\n\n\n")
    assert run("inbox", "file", "-")[0] == 1


def test_workflow_that_is_no_json_on_standard_input_is_called_that(run, stdin) -> None:
    stdin(b"{")
    code, _, err = run("workflow", "run", "-")
    assert code == 2
    assert err.startswith("error: standard input is not a JSON object: ")


def test_workflow_is_run_listed_shown_and_drawn(run, folder, tmp_path) -> None:
    graph = tmp_path / "graph.json"
    nodes = [
        {"id": "a", "mode": "fixture.echo", "inputs": {"value": "hi"}},
        {"id": "b", "mode": "fixture.upper", "inputs": {"text": {"$from": "a"}}},
    ]
    graph.write_text(json.dumps({"name": "try", "nodes": nodes}))
    ended = json.loads(run("workflow", "run", str(graph), "--json")[1])
    assert ended["nodes"]["b"]["output"] == "HI"
    assert ended["run_id"] in run("workflow", "list")[1]
    assert "succeeded" in run("workflow", "show", ended["run_id"])[1]
    assert run("workflow", "picture", ended["run_id"])[1].startswith("flowchart TD\n")
    assert "fixture.echo" in run("workflow", "modes")[1]
    assert run("workflow", "resume")[1] == "no run is unfinished\n"
    assert run("workflow", "cancel", ended["run_id"])[0] == 4
    nodes[0]["inputs"]["value"] = 7
    graph.write_text(json.dumps({"nodes": nodes}))
    assert run("workflow", "run", str(graph))[0] == 1
    graph.write_text("no json")
    assert run("workflow", "run", str(graph))[0] == 2
