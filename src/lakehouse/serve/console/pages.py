"""The console's addresses: the page itself, what is posted to it, and its files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from lakehouse.app import Lakehouse
from lakehouse.errors import LakehouseError
from lakehouse.matrix.base import Corpus
from lakehouse.serve.console import csrf, security
from lakehouse.serve.console import form as forms
from lakehouse.serve.console.assets import Assets
from lakehouse.serve.console.audit_pages import AuditPages
from lakehouse.serve.console.demand_pages import DemandPages
from lakehouse.serve.console.form import Form
from lakehouse.serve.console.handover_pages import HandoverPages
from lakehouse.serve.console.lake_pages import LakePages
from lakehouse.serve.console.memory_pages import MemoryPages
from lakehouse.serve.console.operations_pages import OperationsPages
from lakehouse.serve.console.outreach_pages import OutreachPages
from lakehouse.serve.console.queue_pages import QueuePages
from lakehouse.serve.console.site import COOKIE, Site, defect, logged_in, posted, remember
from lakehouse.serve.console.turn import Turn
from lakehouse.settings import Server
from lakehouse.staffing.need import whole_number

EXAMPLES = (
    "50 forklift operators in Cleveland OH, Monday day shift, OSHA-30",
    (
        "Hello,\n\nBeacon Freight needs 3 welders in Detroit MI starting at 06:00. They must be AWS D1.1 certified.\n\n"
        "Thank you,\nthe Beacon yard"
    ),
    "Need 2 marine radar technicians in Bozeman MT",
)

_log = logging.getLogger("lakehouse.console")


class Tick(msgspec.Struct, frozen=True):
    """A corpus with whether it is to be searched."""

    corpus: Corpus
    ticked: bool


class Visit(msgspec.Struct, frozen=True):
    """One request with what its form says. `part` asks for what the page swaps in, not for all of it."""

    form: Form
    request: Request
    part: bool


class Pages(NamedTuple):
    """The console: its routes, and what can be made ready before anybody asks for a page."""

    routes: list[BaseRoute]
    warm: Callable[[], None]


def pages(
    lake: Lakehouse,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    most_upload_bytes: int = Server().max_ingest_bytes,
    draft_model: str = "",
) -> Pages:
    """Return the console over a lake, embedded or remote, to be mounted at `/`.

    Args:
        lake: Everything the console shows and does goes through it.
        clock: Time of looking, with a zone; tells what has expired and how old a memory is.
        most_upload_bytes: Largest file that is taken in.
        draft_model: Model that may write to people in place of the template, empty for none.
    """
    assets = Assets(security.HEADERS)
    site = Site(lake, assets, clock)
    console = Console(site)
    rooms = (
        LakePages(site, most_bytes=most_upload_bytes),
        MemoryPages(site),
        AuditPages(site),
        OperationsPages(site),
        QueuePages(site),
        DemandPages(site),
        OutreachPages(site, model=draft_model),
        HandoverPages(site),
    )
    routes: list[BaseRoute] = [
        Route("/", console.answer, methods=["GET", "POST"]),
        Route("/search", console.search, methods=["POST"]),
        *(route for room in rooms for route in room.routes()),
        assets.route(),
    ]
    return Pages(routes, site.compile)


class Console:
    """The page of a demand. Every answer is whole without scripts; with them, only its lower part is sent.

    Args:
        site: What all pages share.
    """

    def __init__(self, site: Site) -> None:
        self._lake = site.lake
        self._clock = site.clock
        site.templates.globals |= {"examples": EXAMPLES, "most_k": forms.MOST_K}
        self._templates = site.templates

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        return await (self.press(request) if request.method == "POST" else self.open(request))

    async def open(self, request: Request) -> Response:
        """Answer with the empty page, or with one of its examples taken."""
        form = Form(coordinator=request.cookies.get(COOKIE, ""))
        chosen = whole_number(request.query_params.get("example", ""))
        if chosen is not None and chosen < len(EXAMPLES):
            form = msgspec.structs.replace(form, text=EXAMPLES[chosen])
        return await run_in_threadpool(self._opened, _visit(request, form))

    async def search(self, request: Request) -> Response:
        """Answer to a text sent from another page with the page of its matches."""
        try:
            form = forms.decode(await posted(request))
        except LakehouseError as error:
            return await run_in_threadpool(self._refused, _visit(request, Form()), error)
        form = Form(text=form.text, coordinator=request.cookies.get(COOKIE, ""))
        return await run_in_threadpool(self._opened, _visit(request, form))

    async def press(self, request: Request) -> Response:
        """Answer to the form of the page."""
        try:
            form = forms.decode(await posted(request))
        except LakehouseError as error:
            return await run_in_threadpool(self._refused, _visit(request, Form()), error)
        return await run_in_threadpool(self._pressed, _visit(request, form))

    def _opened(self, visit: Visit) -> Response:
        corpora, trouble = self._corpora()
        if visit.form.text and corpora:
            form = msgspec.structs.replace(visit.form, corpora=[corpus.name for corpus in corpora])
            visit = msgspec.structs.replace(visit, form=form)
            turn = self._taken(form)
        else:
            turn = Turn(self._lake, visit.form, self._clock())
            turn.trouble = trouble
            turn.nobody_yet = not corpora and trouble is None
        return self._render(visit, turn, [Tick(corpus, True) for corpus in corpora])

    def _pressed(self, visit: Visit) -> Response:
        turn = self._taken(visit.form)
        ticks: list[Tick] = []
        if not visit.part:
            corpora, trouble = self._corpora()
            turn.trouble = turn.trouble or trouble
            ticks = [Tick(corpus, corpus.name in visit.form.corpora) for corpus in corpora]
        response = self._render(visit, turn, ticks)
        if turn.answer is not None:
            remember(response, visit.form.coordinator.strip())
        return response

    def _refused(self, visit: Visit, error: LakehouseError) -> Response:
        turn = Turn(self._lake, visit.form, self._clock())
        turn.trouble = error
        return self._render(visit, turn, ())

    def _taken(self, form: Form) -> Turn:
        turn = Turn(self._lake, form, self._clock())
        try:
            return turn.take()
        except Exception:  # noqa: BLE001 - the page must say so too; the log has the traceback
            _log.exception("the console failed")
            turn.trouble = defect()
            return turn

    def _corpora(self) -> tuple[Sequence[Corpus], LakehouseError | None]:
        try:
            return self._lake.corpora.list().corpora, None
        except LakehouseError as error:
            return [], error
        except Exception:  # noqa: BLE001 - the page must say so too; the log has the traceback
            _log.exception("the console cannot list corpora")
            return [], defect()

    def _render(self, visit: Visit, turn: Turn, ticks: Sequence[Tick]) -> Response:
        template = self._templates.get_template("answer.html" if visit.part else "page.html")
        proof = csrf.proof(visit.request)
        url = visit.request.url
        page = template.render(
            form=visit.form,
            turn=turn,
            ticks=ticks,
            part=visit.part,
            address=f"{url.scheme}://{url.netloc}",
            here="/",
            who=logged_in(),
            csrf=proof,
        )
        # Names and contact data: nothing of it stays in a cache.
        response = HTMLResponse(page, turn.status, {**security.HEADERS, "Cache-Control": "no-store"})
        proof.keep(visit.request, response)
        return response


def _visit(request: Request, form: Form) -> Visit:
    part = request.method == "POST" and request.headers.get("hx-request") == "true"
    return Visit(form, request, part)
