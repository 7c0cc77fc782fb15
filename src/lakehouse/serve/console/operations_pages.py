"""Whether everything is well: each service asked something small, and what the lake holds."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import lakehouse
from lakehouse.app import Lakehouse
from lakehouse.errors import LakehouseError
from lakehouse.matrix.base import Corpus
from lakehouse.serve import services
from lakehouse.serve.console.site import Site, View
from lakehouse.vectors.base import IndexStats

# A question to each service that costs it little, and what the answer says.
_PROBES: dict[str, Callable[[Lakehouse], str]] = {
    "storaged": lambda lake: f"{len(lake.storage.list(prefix='').objects):,} objects",
    "catalogd": lambda lake: f"{len(lake.catalog.datasets().datasets):,} datasets",
    "queryd": lambda lake: f"answered {lake.sql.query(sql='SELECT 6 * 7').rows[0][0]}",
    "vectord": lambda lake: f"{len(lake.vectors.list().indexes):,} indexes",
    "embedd": lambda lake: f"{lake.embed.texts(['forklift operator']).dimension} dimensions",
    "matrixd": lambda lake: f"reads {lake.demand.parse('Need 2 Welders in Toledo OH').role}",
}


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One service: `said` what it answered or why it did not, in `ms`."""

    name: str
    does: str
    well: bool
    said: str
    ms: float


class OperationsView(View, kw_only=True):
    """What the page shows."""

    version: str = lakehouse.__version__
    services: list[Health] = msgspec.field(default_factory=list)
    indexes: list[IndexStats] = msgspec.field(default_factory=list)
    corpora: list[Corpus] = msgspec.field(default_factory=list)

    @property
    def ill(self) -> int:
        """How many services did not answer."""
        return sum(not one.well for one in self.services)


class OperationsPages:
    """The page at `/operations`.

    Args:
        site: What all pages share.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [Route("/operations", self.open, methods=["GET"])]

    async def open(self, request: Request) -> Response:
        """Ask every service how it is."""
        return await self._site.show(request, "operations.html", OperationsView(), self._fill)

    def _fill(self, view: OperationsView) -> None:
        lake = self._site.lake
        view.services = [health(lake, service) for service in services.SERVICES]
        view.corpora = lake.corpora.list().corpora
        view.indexes = lake.vectors.list().indexes


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
