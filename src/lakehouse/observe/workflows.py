"""Workflows: nodes that need each other's outputs, worked off once each, also when the process dies in between."""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse import tracing
from lakehouse.errors import InvalidInput, LakehouseError, NotFound, TooLarge, WrongState
from lakehouse.observe import modes, runs
from lakehouse.observe.base import OK
from lakehouse.observe.lines import one_line
from lakehouse.observe.modes import Mode, ModeList
from lakehouse.observe.runs import Node, Picture, Resumed, Run, RunList, RunStatus

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.observe._durable import Durable
    from lakehouse.observe.ops import Ops
    from lakehouse.state.database import Database

Nodes = Annotated[list[Node], msgspec.Meta(min_length=1)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
WaitMs = Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]
Many = Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class Workflows:
    """Runs graphs of modes. Thread-safe.

    Nodes of a run are worked off one after the other, what is needed first. A finished node is on disk with its output
    before the next begins, and is never done again; one that was under way when the process died begins anew.

    Args:
        config: The settings section.
        state: Where runs are kept.
        path: Of the engine's own database.
        ops: Where every node is recorded as an op of the source `workflow`.
        modes: What nodes can do, beside what is built in and what installed packages add.
        clock: The time, with its zone.
        new_id: Makes an id.
    """

    def __init__(
        self,
        config: settings.Workflow,
        state: Database,
        path: Path,
        *,
        ops: Ops,
        modes: Callable[[], Iterable[Mode]],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        from lakehouse.observe import _run_rows

        self._rows = _run_rows
        self._config = config
        self._state = state
        self._path = path
        self._ops = ops
        self._wired = modes
        self._clock = clock
        self._new_id = new_id
        self._contexts: dict[str, contextvars.Context] = {}
        self._ended: dict[str, threading.Event] = {}
        self._engine_lock = threading.Lock()
        self._engine: Durable | None = None
        self.is_own: Callable[[str], bool] = lambda _: True
        state.prepare("workflows", _run_rows.TABLES)

    def run(self, nodes: Nodes, name: Name = "", wait_ms: WaitMs | None = 600_000) -> Run:
        """Run a graph of nodes and return how it went.

        Args:
            nodes: Each names a mode and gives its inputs; `{"$from": "node.part"}` is the output of another node.
            name: Of the workflow, for those who look at runs later.
            wait_ms: How long to wait for the end; a run that takes longer goes on and is answered as `running`. Null
                does not wait at all.

        Raises:
            InvalidInput: Too many nodes, an id twice, an unknown mode or node, a circle, or an input that its mode
                refuses; nothing has begun then.
            Conflict: Another lake of this process has runs under way.
        """
        if len(nodes) > self._config.max_nodes:
            raise InvalidInput(
                f"{len(nodes)} nodes, the limit set by workflow.max_nodes is {self._config.max_nodes}", field="nodes"
            )
        order = runs.ordered(nodes, self._modes)
        run = Run(
            run_id=f"run-{self._new_id()}",
            status="running",
            nodes={},
            name=name,
            created_at=self._now(),
            trace_id=tracing.current(),
        )
        engine = self._durable()
        with self._state.write() as connection:
            self._rows.add(connection, run, order)
        # The engine works in threads of its own, which shall belong to the trace of whoever called.
        self._contexts[run.run_id] = contextvars.copy_context()
        ended = self._ended[run.run_id] = threading.Event()
        engine.start(run.run_id)
        if wait_ms is not None:
            ended.wait(wait_ms / 1000)
        return self.get(run.run_id)

    def modes(self) -> ModeList:
        """List what nodes can do, with the inputs of each."""
        return ModeList([modes.info(mode) for _, mode in sorted(self._modes.items())])

    def list(self, status: RunStatus | None = None, limit: Many = 50) -> RunList:
        """List runs, newest first.

        Args:
            status: Only those.
            limit: At most this many.
        """
        with self._state.read() as connection:
            return RunList(self._rows.newest(connection, status, limit))

    def get(self, run_id: str) -> Run:
        """Return one run with the output of every node.

        Raises:
            NotFound: There is none of that id.
        """
        with self._state.read() as connection:
            run = self._rows.one(connection, run_id)
        if run is None:
            raise NotFound(f"there is no run {run_id!r}; `lakehouse workflow list` shows those there are", id=run_id)
        return run

    def cancel(self, run_id: str) -> Run:
        """Let no further node of a run begin; the one under way may finish, but counts no more.

        Raises:
            NotFound: There is none of that id.
            WrongState: It has ended.
        """
        run = self.get(run_id)
        if run.status != "running":
            raise WrongState(f"the run has ended ({run.status}); nothing is left to cancel", status=run.status)
        with self._state.write() as connection:
            self._rows.settle(connection, run_id, "cancelled")
            self._rows.end_all(connection, run_id, "cancelled")
        engine = self._durable()
        if engine.knows(run_id):
            engine.cancel(run_id)
        self._record("workflow.run", f"{run.name or run_id}: cancelled", status="cancelled", trace_id=run.trace_id)
        return self.get(run_id)

    def picture(self, run_id: str) -> Picture:
        """Draw a run as a Mermaid flowchart: nodes with mode, status and time, edges with the inputs they carry.

        Raises:
            NotFound: There is none of that id.
        """
        run = self.get(run_id)
        with self._state.read() as connection:
            nodes = self._rows.spec(connection, run_id)
        return Picture(runs.mermaid(nodes or [], run))

    def resume(self) -> Resumed:
        """Take up the runs that an earlier process left unfinished; a running stack does so when it starts."""
        running = [info.run_id for info in self.list("running", 1_000).runs if self.is_own(info.run_id)]
        unfinished = [run_id for run_id in running if run_id not in self._ended]
        if not unfinished:
            return Resumed([])
        engine = self._durable()
        self._ended |= {run_id: threading.Event() for run_id in unfinished}
        for run_id in unfinished:
            # Those it has seen it takes up itself; one may have been written down and not begun.
            if not engine.knows(run_id):
                engine.start(run_id)
        return Resumed(unfinished)

    def wait(self, run_id: str, timeout_s: float) -> Run:
        """Wait until a run has ended, for at most this long, and return it as it is then."""
        ended = self._ended.get(run_id)
        if ended is not None:
            ended.wait(timeout_s)
        return self.get(run_id)

    def close(self) -> None:
        """Stop; runs under way go on when the lake is opened again. Idempotent."""
        with self._engine_lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    @functools.cached_property
    def _modes(self) -> dict[str, Mode]:
        return modes.by_name([*modes.built_in(), *self._wired(), *modes.installed()])

    def _durable(self) -> Durable:
        with self._engine_lock:
            if self._engine is None:
                from lakehouse.observe._durable import Durable

                self._engine = Durable(self._path, self._execute)
            return self._engine

    def _execute(self, run_id: str) -> None:
        """Work off what is left of a run, in a thread of the engine."""
        with self._state.read() as connection:
            nodes = self._rows.spec(connection, run_id)
            run = self._rows.one(connection, run_id)
        if nodes is None or run is None:
            return
        context = self._contexts.get(run_id) or contextvars.Context()
        try:
            for node in nodes:
                self._node(run, node, context)
            self._settle(run)
        finally:
            self._contexts.pop(run_id, None)
            ended = self._ended.pop(run_id, None)
            if ended is not None:
                ended.set()

    def _node(self, run: Run, node: Node, context: contextvars.Context) -> None:
        from lakehouse.observe._durable import step

        with self._state.read() as connection:
            status = self._rows.node_status(connection, run.run_id)
        if any(status[needed] != "succeeded" for needed in runs.needs(node)):
            if status[node.id] == "pending":
                self._end(run.run_id, node.id, status="skipped")
            return
        work = functools.partial(context.run, self._attempt, run, node)
        try:
            step(node.id, work, node.retry, _retryable)
        except Exception as error:  # noqa: BLE001 - a mode may raise anything; the other branches go on
            with self._state.read() as connection:
                status = self._rows.node_status(connection, run.run_id)
            if status[node.id] != "failed":
                self._end(run.run_id, node.id, status="failed", error=_words(error))

    def _attempt(self, run: Run, node: Node) -> None:
        """Do the work of a node once; nothing when it is done, which the engine may not have heard of."""
        with self._state.write() as connection:
            if self._rows.node_status(connection, run.run_id)[node.id] == "succeeded":
                return
            if self._rows.run_status(connection, run.run_id) != "running":
                raise InvalidInput(f"run {run.run_id} was cancelled", id=run.run_id)
            self._rows.begin(connection, run.run_id, node.id, self._now())
        started = time.perf_counter()
        error = ""
        status = OK
        try:
            with tracing.trace(run.trace_id), tracing.span("workflow.node", node=node.id, mode=node.mode):
                output = self._called(run, node)
        except Exception as failure:
            error = _words(failure)
            status = failure.code if isinstance(failure, LakehouseError) else "internal"
            raise
        finally:
            elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
            if error:
                self._end(run.run_id, node.id, status="failed", elapsed_ms=elapsed_ms, error=error)
            summary = f"{run.name or run.run_id}: {node.id}"
            self._record(node.mode, summary, status=status, elapsed_ms=elapsed_ms, trace_id=run.trace_id)
        self._end(run.run_id, node.id, status="succeeded", elapsed_ms=elapsed_ms, output=output)

    def _called(self, run: Run, node: Node) -> str:
        with self._state.read() as connection:
            values = runs.resolved(node.inputs, functools.partial(self._rows.output, connection, run.run_id))
        mode = self._modes.get(node.mode)
        if mode is None:
            raise InvalidInput(f"the mode {node.mode!r} is not installed any more", node=node.id)
        returned = mode.run(**runs.converted(node, mode, values))
        text = msgspec.json.encode(returned).decode()
        if len(text) > self._config.max_output_bytes:
            raise TooLarge(
                f"the output of node {node.id!r} has {len(text)} characters as JSON, the limit set by"
                f" workflow.max_output_bytes is {self._config.max_output_bytes}",
                node=node.id,
            )
        return text

    def _settle(self, run: Run) -> None:
        with self._state.write() as connection:
            status = self._rows.node_status(connection, run.run_id).values()
            ended = "succeeded" if all(each == "succeeded" for each in status) else "failed"
            self._rows.settle(connection, run.run_id, ended)
        self._record(
            "workflow.run",
            f"{run.name or run.run_id}: {ended}",
            status=OK if ended == "succeeded" else ended,
            trace_id=run.trace_id,
        )

    def _end(self, run_id: str, node: str, **values: Any) -> None:
        with self._state.write() as connection:
            if self._rows.run_status(connection, run_id) == "running":
                self._rows.end(connection, run_id, node, **values)

    def _record(
        self, kind: str, summary: str, *, trace_id: str, status: str = OK, elapsed_ms: float | None = None
    ) -> None:
        self._ops.record(
            "workflow", one_line(kind), status=status, summary=summary, elapsed_ms=elapsed_ms, trace_id=trace_id
        )

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _retryable(error: BaseException) -> bool:
    # What is wrong as written stays wrong; of what a mode of somebody else raises, nothing is known.
    return error.retryable if isinstance(error, LakehouseError) else isinstance(error, Exception)


def _words(error: BaseException) -> str:
    return error.message if isinstance(error, LakehouseError) else f"{type(error).__name__}: {one_line(str(error))}"
