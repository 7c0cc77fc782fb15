"""Runs as pictures."""

from lakehouse.observe.runs import NodeRun, Run
from lakehouse.serve.console.run_picture import HIGH, WIDE, draw


def node(**inputs_from: str) -> NodeRun:
    return NodeRun(
        status="succeeded", output=None, mode="m" * 40, started_at=None, elapsed_ms=1.5, inputs_from=inputs_from
    )


def test_node_stands_to_the_right_of_all_it_took_something_from():
    nodes = {"a": node(x="request"), "b": node(x="a.results"), "c": node(x="request"), "d": node(x="b", y="c.y")}
    drawn = draw(Run(run_id="r", status="succeeded", nodes=nodes))
    at = {box.id: (box.x, box.y) for box in drawn.boxes}
    assert at["a"][0] == at["c"][0] < at["b"][0] < at["d"][0]
    assert at["a"][1] != at["c"][1]
    assert len(drawn.arrows) == 3
    assert all(arrow.x1 < arrow.x2 for arrow in drawn.arrows)
    assert all(box.x + WIDE <= drawn.width and box.y + HIGH <= drawn.height for box in drawn.boxes)
    assert drawn.boxes[0].mode.endswith("…")
    assert "d succeeded after b, c" in drawn.title


def test_run_without_nodes_is_an_empty_picture():
    assert draw(Run(run_id="r", status="running", nodes={})).boxes == []
