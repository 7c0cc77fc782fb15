"""Rows of workflow runs: what was asked for, and how every node went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, Integer, MetaData, String, Table, Text, func, insert, select, update

from lakehouse.observe.runs import Node, NodeRun, Run, RunInfo, provenance

TABLES = MetaData()
RUNS = Table(
    "workflow_runs",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("trace_id", String(64), nullable=False),
    Column("spec", Text, nullable=False),
)
NODES = Table(
    "workflow_nodes",
    TABLES,
    Column("run_id", String(64), primary_key=True),
    Column("node", String(64), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("output", Text),
    Column("started_at", String(40)),
    Column("elapsed_ms", Float),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
)


def add(connection: Connection, run: Run, nodes: Sequence[Node]) -> None:
    """Add a run whose nodes have not begun."""
    connection.execute(
        insert(RUNS).values(
            run_id=run.run_id,
            name=run.name,
            status=run.status,
            created_at=run.created_at,
            trace_id=run.trace_id,
            spec=msgspec.json.encode(nodes).decode(),
        )
    )
    rows = [
        {"run_id": run.run_id, "node": node.id, "position": nth, "status": "pending", "attempts": 0}
        for nth, node in enumerate(nodes)
    ]
    connection.execute(insert(NODES), rows)


def spec(connection: Connection, run_id: str) -> list[Node] | None:
    """Return the nodes of a run in the order of work, None when there is no such run."""
    text = connection.scalar(select(RUNS.c.spec).where(RUNS.c.run_id == run_id))
    return msgspec.json.decode(text, type=list[Node]) if text is not None else None


def one(connection: Connection, run_id: str) -> Run | None:
    """Return a run with its nodes."""
    row = connection.execute(select(RUNS).where(RUNS.c.run_id == run_id)).first()
    if row is None:
        return None
    specs = {node.id: node for node in msgspec.json.decode(row.spec, type=list[Node])}
    query = select(NODES).where(NODES.c.run_id == run_id).order_by(NODES.c.position)
    return Run(
        run_id=row.run_id,
        status=row.status,
        nodes={each.node: _node(each, specs[each.node]) for each in connection.execute(query)},
        name=row.name,
        created_at=row.created_at,
        trace_id=row.trace_id,
    )


def output(connection: Connection, run_id: str, node: str) -> Any:
    """Return what a node that has succeeded returned."""
    text = connection.scalar(select(NODES.c.output).where(NODES.c.run_id == run_id, NODES.c.node == node))
    return msgspec.json.decode(text) if text is not None else None


def node_status(connection: Connection, run_id: str) -> dict[str, str]:
    """Return the status of every node of a run."""
    rows = connection.execute(select(NODES.c.node, NODES.c.status).where(NODES.c.run_id == run_id))
    return {row.node: row.status for row in rows}


def run_status(connection: Connection, run_id: str) -> str | None:
    """Return the status of a run, None when there is no such run."""
    found: str | None = connection.scalar(select(RUNS.c.status).where(RUNS.c.run_id == run_id))
    return found


def begin(connection: Connection, run_id: str, node: str, started_at: str) -> None:
    """Note that a node begins once more."""
    connection.execute(
        update(NODES)
        .where(NODES.c.run_id == run_id, NODES.c.node == node)
        .values(status="running", started_at=started_at, attempts=NODES.c.attempts + 1, error=None)
    )


def end(connection: Connection, run_id: str, node: str, **values: Any) -> None:
    """Note how a node ended."""
    connection.execute(update(NODES).where(NODES.c.run_id == run_id, NODES.c.node == node).values(**values))


def end_all(connection: Connection, run_id: str, status: str) -> None:
    """Note that the nodes which have not ended never will."""
    connection.execute(
        update(NODES).where(NODES.c.run_id == run_id, NODES.c.status.in_(("pending", "running"))).values(status=status)
    )


def settle(connection: Connection, run_id: str, status: str) -> None:
    """Note how a run ended, unless it has ended already."""
    connection.execute(update(RUNS).where(RUNS.c.run_id == run_id, RUNS.c.status == "running").values(status=status))


def newest(connection: Connection, status: str | None, limit: int) -> list[RunInfo]:
    """Return the newest runs, newest first."""
    done = func.sum((NODES.c.status == "succeeded").cast(Integer))
    query = (
        select(RUNS, func.count(NODES.c.node).label("nodes"), done.label("done"))
        .join(NODES, NODES.c.run_id == RUNS.c.run_id)
        .group_by(*RUNS.c)
        .order_by(RUNS.c.number.desc())
        .limit(limit)
    )
    if status:
        query = query.where(RUNS.c.status == status)
    return [
        RunInfo(
            run_id=row.run_id,
            name=row.name,
            status=row.status,
            created_at=row.created_at,
            nodes=row.nodes,
            done=row.done or 0,
        )
        for row in connection.execute(query)
    ]


def _node(row: Any, node: Node) -> NodeRun:
    return NodeRun(
        status=row.status,
        output=msgspec.json.decode(row.output) if row.output is not None else None,
        mode=node.mode,
        started_at=row.started_at,
        elapsed_ms=row.elapsed_ms,
        inputs_from=provenance(node),
        attempts=row.attempts,
        error=row.error,
    )
