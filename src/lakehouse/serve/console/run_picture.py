"""A workflow run as a picture: a box for each node, to the right of those it took something from."""

from __future__ import annotations

import msgspec

from lakehouse.observe.runs import Run

WIDE = 190
HIGH = 58
_ACROSS = 60
_DOWN = 22
_EDGE = 8
_LONGEST = 24


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A node; `x` and `y` are its upper left corner in pixels."""

    id: str
    mode: str
    status: str
    took: str
    x: int
    y: int


class Arrow(msgspec.Struct, frozen=True):
    """From the right edge of one box to the left edge of another."""

    x1: int
    y1: int
    x2: int
    y2: int


class RunPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be drawn; `title` says the same to those who do not see it."""

    title: str
    width: int
    height: int
    boxes: list[Box]
    arrows: list[Arrow]


def draw(run: Run) -> RunPicture:
    """Place the nodes of a run: each to the right of every node it took something from."""
    takes = {
        id: sorted({source.partition(".")[0] for source in node.inputs_from.values()} & (run.nodes.keys() - {id}))
        for id, node in run.nodes.items()
    }
    column: dict[str, int] = {}
    # Nodes come in the order of work, so what a node needs has its place already.
    for id in run.nodes:
        column[id] = 1 + max((column.get(source, 0) for source in takes[id]), default=-1)
    rows: dict[int, int] = {}
    boxes: dict[str, Box] = {}
    for id, node in run.nodes.items():
        across = column[id]
        down = rows.get(across, 0)
        rows[across] = down + 1
        boxes[id] = Box(
            id=_short(id),
            mode=_short(node.mode),
            status=node.status,
            took="" if node.elapsed_ms is None else f"{node.elapsed_ms:,.1f} ms",
            x=_EDGE + across * (WIDE + _ACROSS),
            y=_EDGE + down * (HIGH + _DOWN),
        )
    arrows = [
        Arrow(boxes[source].x + WIDE, boxes[source].y + HIGH // 2, boxes[id].x, boxes[id].y + HIGH // 2)
        for id in run.nodes
        for source in takes[id]
    ]
    said = [
        f"{id} {node.status}" + (f" after {', '.join(takes[id])}" if takes[id] else "")
        for id, node in run.nodes.items()
    ]
    width = _EDGE * 2 + WIDE + max((box.x for box in boxes.values()), default=0)
    height = _EDGE * 2 + HIGH + max((box.y for box in boxes.values()), default=0)
    title = f"Run {run.name or run.run_id}: {'; '.join(said)}"
    return RunPicture(title=title, width=width, height=height, boxes=[*boxes.values()], arrows=arrows)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
