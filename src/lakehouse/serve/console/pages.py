"""The console's addresses: the page itself, what is posted to it, and its files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from lakehouse.app import Lakehouse
from lakehouse.errors import InternalError, LakehouseError, TooLarge
from lakehouse.matrix.base import Corpus
from lakehouse.serve.console import form as forms
from lakehouse.serve.console import security
from lakehouse.serve.console.assets import Assets
from lakehouse.serve.console.form import Form
from lakehouse.serve.console.turn import Turn

EXAMPLES = (
    "50 forklift operators in Cleveland OH, Monday day shift, OSHA-30",
    (
        "Hello,\n\nBeacon Freight needs 3 welders in Detroit MI starting at 06:00. They must be AWS D1.1 certified.\n\n"
        "Thank you,\nthe Beacon yard"
    ),
    "Need 2 marine radar technicians in Bozeman MT",
)
MAX_BODY_BYTES = 256 * 1024

_COOKIE = "coordinator"
_YEAR_S = 365 * 24 * 3600
_FOLDER = Path(__file__).parent / "templates"

_log = logging.getLogger("lakehouse.console")


class Tick(msgspec.Struct, frozen=True):
    """A corpus with whether it is to be searched."""

    corpus: Corpus
    ticked: bool


def routes(lake: Lakehouse, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[BaseRoute]:
    """Return the routes of the console over a lake, embedded or remote, to be mounted at `/`.

    Args:
        lake: Everything the console shows and does goes through it.
        clock: Time of looking, with a zone; tells what has expired and how old a memory is.
    """
    assets = Assets(security.HEADERS)
    console = Console(lake, assets, clock)
    return [
        Route("/", console.open, methods=["GET"]),
        Route("/", console.press, methods=["POST"]),
        assets.route(),
    ]


class Console:
    """The one page of the console. Every answer is whole without scripts; with them, only its lower part is sent.

    Args:
        lake: Where the work is done.
        assets: Where the page's files are.
        clock: Time of looking.
    """

    def __init__(self, lake: Lakehouse, assets: Assets, clock: Callable[[], datetime]) -> None:
        self._lake = lake
        self._clock = clock
        templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER),
            autoescape=True,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        templates.globals |= {"asset": assets.address, "examples": EXAMPLES, "most_k": forms.MOST_K}
        # Compiled here, once, so that no request waits for it.
        for name in templates.list_templates():
            templates.get_template(name)
        self._whole = templates.get_template("page.html")
        self._part = templates.get_template("answer.html")

    async def open(self, request: Request) -> Response:
        """Answer with the empty page, or with one of its examples taken."""
        form = Form(coordinator=request.cookies.get(_COOKIE, ""))
        chosen = request.query_params.get("example", "")
        if chosen.isascii() and chosen.isdigit() and int(chosen) < len(EXAMPLES):
            form = msgspec.structs.replace(form, text=EXAMPLES[int(chosen)])
        return await run_in_threadpool(self._opened, form)

    async def press(self, request: Request) -> Response:
        """Answer to the form of the page."""
        part = request.headers.get("hx-request") == "true"
        try:
            security.require_same_origin(request)
            form = forms.decode(await _body(request))
        except LakehouseError as error:
            return await run_in_threadpool(self._refused, error, part)
        return await run_in_threadpool(self._pressed, form, part)

    def _opened(self, form: Form) -> Response:
        corpora, trouble = self._corpora()
        turn = Turn(self._lake, form, self._clock())
        turn.trouble = trouble
        turn.nobody_yet = not corpora and trouble is None
        if form.text and corpora:
            form = msgspec.structs.replace(form, corpora=[corpus.name for corpus in corpora])
            turn = self._taken(form)
        ticks = [Tick(corpus, True) for corpus in corpora]
        return self._render(self._whole, form, turn, ticks=ticks)

    def _pressed(self, form: Form, part: bool) -> Response:
        turn = self._taken(form)
        if part:
            response = self._render(self._part, form, turn)
        else:
            corpora, trouble = self._corpora()
            turn.trouble = turn.trouble or trouble
            ticks = [Tick(corpus, corpus.name in form.corpora) for corpus in corpora]
            response = self._render(self._whole, form, turn, ticks=ticks)
        if turn.answer is not None:
            _remember(response, form.coordinator.strip())
        return response

    def _refused(self, error: LakehouseError, part: bool) -> Response:
        turn = Turn(self._lake, Form(), self._clock())
        turn.trouble = error
        return self._render(self._part if part else self._whole, Form(), turn)

    def _taken(self, form: Form) -> Turn:
        turn = Turn(self._lake, form, self._clock())
        try:
            return turn.take()
        except Exception:  # noqa: BLE001 - the page must say so too; the log has the traceback
            _log.exception("the console failed")
            turn.trouble = _defect()
            return turn

    def _corpora(self) -> tuple[Sequence[Corpus], LakehouseError | None]:
        try:
            return self._lake.corpora.list().corpora, None
        except LakehouseError as error:
            return [], error
        except Exception:  # noqa: BLE001 - the page must say so too; the log has the traceback
            _log.exception("the console cannot list corpora")
            return [], _defect()

    def _render(self, template: jinja2.Template, form: Form, turn: Turn, *, ticks: Sequence[Tick] = ()) -> Response:
        values: dict[str, Any] = {"form": form, "turn": turn, "ticks": ticks, "part": template is self._part}
        # Names and contact data: nothing of it stays in a cache.
        headers = {**security.HEADERS, "Cache-Control": "no-store"}
        return HTMLResponse(template.render(values), turn.status, headers)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(
                f"That is over {MAX_BODY_BYTES // 1024} KiB of text; paste the demand without what hangs on it.",
                limit_bytes=MAX_BODY_BYTES,
            )
    return bytes(body)


def _remember(response: Response, coordinator: str) -> None:
    if coordinator:
        response.set_cookie(_COOKIE, coordinator, max_age=_YEAR_S, httponly=True, samesite="lax")
    else:
        response.delete_cookie(_COOKIE, httponly=True, samesite="lax")


def _defect() -> InternalError:
    return InternalError("Something went wrong inside. The log of the server has the details.")
