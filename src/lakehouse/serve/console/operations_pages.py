"""Whether everything is well: each service asked something small, and what the lake holds."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import lakehouse
from lakehouse.app import Lakehouse
from lakehouse.errors import LakehouseError
from lakehouse.learn.drift import DriftReport
from lakehouse.matrix.base import Corpus
from lakehouse.observe.base import Op, OpStats, TraceLine
from lakehouse.observe.runs import RunInfo
from lakehouse.serve import services
from lakehouse.serve.console import plot, run_picture
from lakehouse.serve.console.site import Pages, View, asked
from lakehouse.validate.session_list import SessionList
from lakehouse.vectors.base import IndexStats

_MOST_SESSIONS = 15
_MOST_OPS = 300


def _seen(lake: Lakehouse) -> str:
    latest = lake.observer.ops(limit=1).ops
    return f"last saw {latest[0].kind}" if latest else "has seen nothing yet"


# A question to each service that costs it little, and what the answer says.
_PROBES: dict[str, Callable[[Lakehouse], str]] = {
    "storaged": lambda lake: f"{len(lake.storage.list(prefix='').objects):,} objects",
    "catalogd": lambda lake: f"{len(lake.catalog.datasets().datasets):,} datasets",
    "queryd": lambda lake: f"answered {lake.sql.query(sql='SELECT 6 * 7').rows[0][0]}",
    "vectord": lambda lake: f"{len(lake.vectors.list().indexes):,} indexes",
    "embedd": lambda lake: f"{lake.embed.texts(['forklift operator']).dimension} dimensions",
    "pathwayd": lambda lake: f"{lake.pathways.stats().pathways:,} pathways",
    "observerd": _seen,
    "chatd": lambda lake: f"{len(lake.chat.providers().providers):,} providers",
    "validatord": lambda lake: f"{lake.iterate.sessions(limit=1).total:,} sessions",
    "matrixd": lambda lake: f"reads {lake.demand.parse('Need 2 Welders in Toledo OH').role}",
}


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One service: `said` what it answered or why it did not, in `ms`."""

    name: str
    does: str
    well: bool
    said: str
    ms: float


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A span of a trace in its waterfall; `left` and `width` in hundredths of the trace's time."""

    name: str
    depth: int
    status: str
    ms: float | None
    left: float
    width: float


class OperationsView(View, kw_only=True):
    """What the page shows.

    Attributes:
        stats: What was called, and `chart`, how often by the hour.
        sessions: What models were asked to make and how it ended, with the alarm.
        slow: The slowest of the latest 300 calls.
        spans: Of the trace `trace_id`, when one was asked for.
        picture: Of the workflow run `run_id`, when one was asked for.
        drift: What changed in the evidence, when it was asked for: all of it is read for that.
    """

    version: str = lakehouse.__version__
    services: list[Health] = msgspec.field(default_factory=list)
    stats: OpStats | None = None
    chart: plot.Chart | None = None
    sessions: SessionList | None = None
    slow: list[Op] = msgspec.field(default_factory=list)
    runs: list[RunInfo] = msgspec.field(default_factory=list)
    trace_id: str = ""
    spans: list[Bar] = msgspec.field(default_factory=list)
    run_id: str = ""
    picture: run_picture.RunPicture | None = None
    drift: DriftReport | None = None
    indexes: list[IndexStats] = msgspec.field(default_factory=list)
    corpora: list[Corpus] = msgspec.field(default_factory=list)

    @property
    def ill(self) -> int:
        """How many services did not answer."""
        return sum(not one.well for one in self.services)


class OperationsPages(Pages):
    """The page at `/operations`."""

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [Route("/operations", self.open, methods=["GET"])]

    async def open(self, request: Request) -> Response:
        """Ask every service how it is."""
        wanted = asked(request)
        view = OperationsView(trace_id=wanted.one("trace"), run_id=wanted.one("run"))
        fill = functools.partial(self._fill, drift="drift" in wanted)
        return await self._site.show(request, "operations.html", view, fill)

    def _fill(self, view: OperationsView, *, drift: bool = False) -> None:
        lake = self._site.lake
        view.services = [health(lake, service) for service in services.SERVICES]
        view.corpora = lake.corpora.list().corpora
        view.indexes = lake.vectors.list().indexes
        view.sessions = lake.iterate.sessions(limit=_MOST_SESSIONS)
        view.stats = lake.observer.stats()
        view.chart = plot.chart(["hour", "calls"], [[hour[5:] + " h", count] for hour, count in _hours(view.stats)])
        view.runs = lake.workflow.list(limit=10).runs
        ops = [op for op in lake.observer.ops(limit=_MOST_OPS).ops if op.elapsed_ms is not None and op.trace_id]
        view.slow = sorted(ops, key=lambda op: -(op.elapsed_ms or 0))[:10]
        if view.run_id:
            view.picture = run_picture.draw(lake.workflow.get(view.run_id))
        if drift:
            view.drift = lake.learn.drift()
        if view.trace_id:
            view.spans = waterfall(lake.traces.show(view.trace_id).spans)


def waterfall(lines: list[TraceLine]) -> list[Bar]:
    """Place the spans of a trace along its time."""
    begun = [datetime.fromisoformat(line.started) for line in lines]
    first = min(begun, default=None)
    if first is None:
        return []
    starts = [(at - first).total_seconds() * 1000 for at in begun]
    whole = max(start + (line.elapsed_ms or 0) for start, line in zip(starts, lines, strict=True)) or 1
    return [
        Bar(
            name=line.name,
            depth=line.depth,
            status=line.status,
            ms=line.elapsed_ms,
            left=round(100 * start / whole, 2),
            width=round(max(100 * (line.elapsed_ms or 0) / whole, 0.4), 2),
        )
        for start, line in zip(starts, lines, strict=True)
    ]


def _hours(stats: OpStats) -> list[tuple[str, int]]:
    return [*stats.by_hour.items()][-24:]


def health(lake: Lakehouse, service: services.Service) -> Health:
    """Ask one service something small."""
    probe = _PROBES.get(service.name)
    started = time.perf_counter()
    well = True
    try:
        said = probe(lake) if probe else "asked nothing: every question to it changes something"
    except LakehouseError as error:
        well, said = False, error.message
    return Health(
        name=service.name,
        does=", ".join(service.rooms),
        well=well,
        said=said,
        ms=round((time.perf_counter() - started) * 1000, 1),
    )
