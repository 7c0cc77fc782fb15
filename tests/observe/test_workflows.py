"""Workflows: checked before they begin, worked off once, durable."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lakehouse import operations
from lakehouse.errors import Conflict, InvalidInput, NotFound, Unavailable
from lakehouse.evals.workflow_kills import killed_at_every_boundary
from lakehouse.observe import modes, runs
from lakehouse.observe.modes import Mode
from lakehouse.observe.runs import Node, Retry
from serving import stack_of

BUILT_IN = modes.by_name(modes.built_in())
TRIES: list[str] = []


def node(id, mode="fixture.echo", after=(), retry=None, **inputs):
    return Node(id=id, mode=mode, inputs=inputs, after=list(after), retry=retry or Retry())


def source(reference):
    return {"$from": reference}


def test_order_is_what_is_needed_first_then_as_given():
    graph = [node("c", value=source("b")), node("z", value=1), node("b", value=source("a.x")), node("a", value=1)]
    assert [each.id for each in runs.ordered(graph, BUILT_IN)] == ["z", "a", "b", "c"]


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        ([node("a", value=1), node("a", value=2)], "two nodes"),
        ([node("a", mode="none")], "fixture.echo"),
        ([node("a", value=source("b"))], "'b', which is no node"),
        ([node("a", value=1, after=["b"])], "'b', which is no node"),
        ([node("a", value=source("a"))], "circle: a"),
        ([node("a", value=source("b")), node("b", value=1, after=["a"])], "circle: a, b"),
        ([node("a", "fixture.upper")], "'a' .*text"),
        ([node("a", "fixture.upper", text=1)], "expected 'str'|Expected 'str'"),
        ([node("a", "fixture.upper", text="x", more=1)], "more"),
        ([node("b", value=1), node("a", "fixture.upper", txt=source("b"))], "no input 'txt'; there are: text"),
        ([node("b", value=1), node("a", "drift.scorer", verdicts=source("b"), x=1)], "no input 'x'"),
        ([node("a", "distillation.score", record={"rating": "five"})], "rating"),
        (
            [node("b", value=[1]), node("a", "drift.scorer", old_scores=source("b"), new_scores="ten")],
            r"'a' \(drift.scorer\): Expected 'array', got 'str' - at 'new_scores'",
        ),
        (
            [node("b", value=[1]), node("a", "drift.scorer", old_scores=source("b"), verdicts=[{"id": 1}])],
            r"'a' \(drift.scorer\): Expected 'str', got 'int' - at 'verdicts\[0\].id'",
        ),
    ],
)
def test_graph_that_is_wrong_is_refused_before_it_begins(graph, says):
    with pytest.raises(InvalidInput, match=says):
        runs.ordered(graph, BUILT_IN)


def test_graph_with_inputs_beside_a_reference_is_in_order_when_they_have_their_type():
    graph = [node("b", value=[1]), node("a", "drift.scorer", old_scores=source("b"), verdicts=[], new_scores=[1, 2.5])]
    assert [each.id for each in runs.ordered(graph, BUILT_IN)] == ["b", "a"]


def test_input_that_is_wrong_beside_a_reference_begins_no_run(opened):
    lake = opened()
    search = {"query_text": source("a"), "corpora": ["workers"], "k": "ten"}
    with pytest.raises(InvalidInput, match=r"'s' \(matrix.search\): Expected 'int', got 'str' - at 'k'"):
        lake.workflow.run([node("a", value="welder"), node("s", "matrix.search", **search)])
    assert lake.workflow.list().runs == []


def test_reference_reaches_into_an_output():
    outputs = {"a": {"results": [{"id": "w-1"}]}}
    assert runs.resolved({"x": [source("a.results.0.id")], "y": {"z": source("a")}}, outputs.get) == {
        "x": ["w-1"],
        "y": {"z": outputs["a"]},
    }
    for absent in ("a.results.1", "a.nothing", "a.results.0.id.x"):
        with pytest.raises(InvalidInput, match="has no"):
            runs.resolved(source(absent), outputs.get)


def test_provenance_names_every_source():
    assert runs.provenance(node("c", value=[source("a.x"), source("b")], other=1)) == {
        "value": "a.x, b",
        "other": "request",
    }


def test_picture_has_nodes_edges_and_no_markup_of_strangers():
    graph = [node("a", value=1), node("b", value=source("a")), node("c", value=1, after=["b"])]
    went = runs.NodeRun(status="pending", output=None, mode="x", started_at=None, elapsed_ms=None, inputs_from={})
    run = runs.Run(run_id="r", status="running", nodes=dict.fromkeys("abc", went))
    drawn = runs.mermaid([Node(id="a", mode='"]<script>', inputs={"value": 1}), *graph[1:]], run)
    assert 'n0 -- "value" --> n1' in drawn
    assert "n1 -.-> n2" in drawn
    assert "<script>" not in drawn


def test_mode_of_a_function_without_annotations_is_refused():
    with pytest.raises(InvalidInput, match="text"):
        Mode.of("x.y", lambda text: text)


def test_modes_of_the_product_are_all_there(opened):
    listed = {mode.name for mode in opened().workflow.modes().modes}
    named = {"matrix.search", "matrix.relevance", "matrix.downgrade"} & {each.name for each in operations.OPERATIONS}
    assert {"distillation.score", "drift.scorer", "fixture.echo", "fixture.upper", *named} <= listed


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """A package that adds modes by entry points, one of them broken."""
    folder = tmp_path / "site"
    (folder / "acme-1.dist-info").mkdir(parents=True)
    (folder / "acme-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (folder / "acme-1.dist-info" / "entry_points.txt").write_text(
        "[lakehouse.modes]\nacme.flaky = acme_modes:flaky\nacme.greet = acme_modes:greet\n"
        "acme.broken = acme_modes:gone\n"
    )
    (folder / "acme_modes.py").write_text(
        "from lakehouse.errors import InvalidInput, Unavailable\n"
        "tries = []\n"
        "def greet(name: str, times: int = 1) -> str:\n    'Greet somebody.'\n    return f'hello {name}' * times\n"
        "def flaky(fails: int, wrong: bool = False) -> int:\n"
        "    tries.append(1)\n"
        "    if wrong:\n        raise InvalidInput('wrong as written')\n"
        "    if len(tries) <= fails:\n        raise Unavailable('try again')\n"
        "    return len(tries)\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("acme_modes", None)


def test_modes_are_added_by_entry_points_and_a_broken_one_is_left_out(opened, plugged):
    lake = opened()
    listed = {mode.name: mode.summary for mode in lake.workflow.modes().modes}
    assert listed["acme.greet"] == "Greet somebody."
    assert "acme.broken" not in listed
    run = lake.workflow.run([node("a", "acme.greet", name="Ann")])
    assert run.nodes["a"].output == "hello Ann"


def test_node_is_tried_again_as_its_policy_says(opened, plugged):
    run = opened().workflow.run([node("a", "acme.flaky", retry=Retry(attempts=3, wait_ms=1), fails=2)])
    assert (run.status, run.nodes["a"].output, run.nodes["a"].attempts) == ("succeeded", 3, 3)


def test_node_gives_up_when_its_attempts_are_over(opened, plugged):
    run = opened().workflow.run([node("a", "acme.flaky", retry=Retry(attempts=2, wait_ms=1), fails=9)])
    assert (run.status, run.nodes["a"].status, run.nodes["a"].attempts) == ("failed", "failed", 2)
    assert run.nodes["a"].error == "try again"


def test_node_that_is_wrong_as_written_is_not_tried_again(opened, plugged):
    run = opened().workflow.run([node("a", "acme.flaky", retry=Retry(attempts=5, wait_ms=1), fails=9, wrong=True)])
    assert (run.nodes["a"].attempts, run.nodes["a"].error) == (1, "wrong as written")


def test_branch_that_fails_leaves_the_others_alone(opened):
    graph = [
        node("a", value=7),
        node("bad", "fixture.upper", text=source("a")),
        node("below", value=source("bad")),
        node("good", value=source("a")),
    ]
    lake = opened()
    run = lake.workflow.run(graph, name="branches")
    assert {id: each.status for id, each in run.nodes.items()} == {
        "a": "succeeded",
        "bad": "failed",
        "below": "skipped",
        "good": "succeeded",
    }
    assert (run.status, run.nodes["good"].output) == ("failed", 7)
    ops = lake.observer.ops(source="workflow").ops
    assert [(op.kind, op.status) for op in ops] == [
        ("fixture.echo", "ok"),
        ("fixture.upper", "invalid_input"),
        ("fixture.echo", "ok"),
        ("workflow.run", "failed"),
    ]
    assert {op.trace_id for op in ops} == {run.trace_id}


def test_run_is_cancelled_before_its_next_node(opened):
    lake = opened()
    run = lake.workflow.run([node("a", "fixture.wait", ms=1000), node("b", value=source("a"))], wait_ms=None)
    assert run.status == "running"
    assert lake.workflow.cancel(run.run_id).status == "cancelled"
    time.sleep(1.5)
    after = lake.workflow.get(run.run_id)
    assert (after.status, after.nodes["b"].status, after.nodes["b"].output) == ("cancelled", "cancelled", None)
    with pytest.raises(Conflict, match="cancelled"):
        lake.workflow.cancel(run.run_id)


def test_runs_at_once_do_not_mix(opened):
    lake = opened()
    lake.workflow.run([node("a", value=0)])
    found = {}

    def run(number):
        found[number] = lake.workflow.run([node("a", value=number), node("b", value=source("a"))]).nodes["b"].output

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == {number: number for number in range(6)}


def test_runs_that_are_waited_for_keep_no_other_call_waiting(opened):
    lake = opened(server={"threads": 2})
    body = {"nodes": [{"id": "a", "mode": "fixture.wait", "inputs": {"ms": 3_000}}]}
    message = {"artifact": "sms", "payload": {"to": "216-555-0101", "body": "Monday 06:00"}}
    with (
        stack_of(lake) as stack,
        httpx.Client(base_url=stack.url, timeout=60, trust_env=False) as http,
        ThreadPoolExecutor(4) as callers,
    ):
        waiting = [callers.submit(http.post, "/v1/observer/workflow/run", json=body) for _ in range(4)]
        until = time.monotonic() + 20
        while len(lake.workflow.list("running").runs) < 2:
            assert time.monotonic() < until, "no run began"
            time.sleep(0.01)
        assert http.post("/v1/validate", json=message).status_code == 200
        assert not any(call.done() for call in waiting), "it was answered after a run had ended"
        assert [call.result().json()["status"] for call in waiting] == ["succeeded"] * 4


def test_run_of_another_lake_is_not_found(opened):
    with pytest.raises(NotFound):
        opened().workflow.get("run-x")


def test_too_many_nodes_are_refused(opened):
    with pytest.raises(InvalidInput, match="max_nodes"):
        opened(workflow={"max_nodes": 1}).workflow.run([node("a", value=1), node("b", value=1)])


def test_output_that_is_too_large_fails_its_node(opened):
    run = opened(workflow={"max_output_bytes": 100}).workflow.run([node("a", value="x" * 200)])
    assert "max_output_bytes" in run.nodes["a"].error


def test_killed_at_every_boundary_each_node_ran_once(tmp_path):
    kills = killed_at_every_boundary(tmp_path, 2)
    assert (kills.kills, kills.status) == (2, "succeeded")
    assert kills.once


def test_retryable_errors_are_those_that_may_pass():
    from lakehouse.observe.workflows import _retryable

    assert _retryable(Unavailable("x"))
    assert _retryable(ZeroDivisionError())
    assert not _retryable(InvalidInput("x"))
