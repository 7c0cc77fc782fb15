"""What all pages of the console share: templates, headers, what a form sent, and how trouble is shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs

import jinja2
import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lakehouse import caller
from lakehouse.app import Lakehouse
from lakehouse.errors import InternalError, LakehouseError, TooLarge
from lakehouse.ledger.gate import allowed
from lakehouse.operations import BY_NAME
from lakehouse.serve.console import csrf, security
from lakehouse.serve.console.assets import Assets
from lakehouse.serve.console.words import age, in_bytes, number

MAX_BODY_BYTES = 256 * 1024
COOKIE = "coordinator"
_YEAR_S = 365 * 24 * 3600

_FOLDER = Path(__file__).parent / "templates"
# Address, name, and the operation without which it has nothing to show; in the order of a coordinator's day.
_ROOMS = (
    ("/queue", "Work queue", "demands.list"),
    ("/", "Demand", "matrix.search"),
    ("/memory", "Memory", "playbooks.list"),
    ("/lake", "Lake", "sql.query"),
    ("/operations", "Operations", "workflow.list"),
    ("/audit", "Audit", "subjects.audit"),
)

_log = logging.getLogger("lakehouse.console")


class View(msgspec.Struct, kw_only=True):
    """What a page shows; each page has its own kind.

    Attributes:
        trouble: What went wrong; what was found out before stays to be shown.
        notice: What was done.
    """

    trouble: LakehouseError | None = None
    notice: str = ""

    @property
    def field(self) -> str:
        """Name of the form field that the trouble is about, empty when it is about none."""
        return str(self.trouble.detail.get("field", "")) if self.trouble else ""


V = TypeVar("V", bound=View)


class Sent:
    """The fields of a form as they were sent, or of an address; fields that no page of ours sends are ignored."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def one(self, name: str, default: str = "") -> str:
        """Return the last value of a field without space around it."""
        return self._fields.get(name, [default])[-1].replace("\r\n", "\n").strip()

    def all(self, name: str) -> list[str]:
        """Return every value of a field, in order."""
        return [*self._fields.get(name, [])]


class Site:
    """The common ground of all pages.

    Args:
        lake: Embedded or remote; everything a page shows and does goes through it.
        assets: Where the pages' files are.
        clock: Time of looking, with a zone.
    """

    def __init__(self, lake: Lakehouse, assets: Assets, clock: Callable[[], datetime]) -> None:
        self.lake = lake
        self.clock = clock
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER),
            autoescape=True,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self.templates.globals |= {"asset": assets.address, "rooms": rooms, "may": may}
        self.templates.filters |= {"age": self._age, "field": getattr, "number": number, "in_bytes": in_bytes}

    def compile(self) -> None:
        """Compile every template, once, so that no page waits for it."""
        for name in self.templates.list_templates():
            self.templates.get_template(name)

    async def show(self, request: Request, template: str, view: V, fill: Callable[[V], None]) -> Response:
        """Answer with a page whose view `fill` completes in a thread; what it raises is shown on the page."""

        def work() -> Response:
            try:
                fill(view)
            except LakehouseError as error:
                view.trouble = view.trouble or error
            except Exception:  # noqa: BLE001 - the page must say so too; the log has the traceback
                _log.exception("a page of the console failed")
                view.trouble = defect()
            return self.render(request, template, view)

        return await run_in_threadpool(work)

    def render(self, request: Request, template: str, view: View) -> Response:
        """Return a page with its status. Names and contact data: nothing of it stays in a cache."""
        proof = csrf.proof(request)
        page = self.templates.get_template(template).render(
            view=view,
            here=request.url.path,
            coordinator=request.cookies.get(COOKIE, ""),
            who=logged_in(),
            csrf=proof,
        )
        status = view.trouble.status if view.trouble else 200
        response = HTMLResponse(page, status, {**security.HEADERS, "Cache-Control": "no-store"})
        proof.keep(request, response)
        return response

    async def sent(self, request: Request) -> Sent:
        """Read a form that a page of ours has posted. Raises as `posted`."""
        body = await posted(request)
        return Sent(parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True))

    def _age(self, text: str) -> str:
        try:
            then = datetime.fromisoformat(text)
        except ValueError:
            return text
        return age(then if then.tzinfo else then.replace(tzinfo=UTC), self.clock())


def logged_in() -> str:
    """Return who asks, empty for the local operator: nobody logs out who never had to log in."""
    who = caller.current()
    return "" if who is caller.LOCAL else who.id


def may(operation: str) -> bool:
    """Tell whether the roles of who asks let them call an operation; pages leave out what they do not."""
    who = caller.current()
    return who is caller.LOCAL or bool(allowed(BY_NAME[operation]) & who.roles)


def rooms() -> list[tuple[str, str]]:
    """Return address and name of the pages that whoever asks has a use for."""
    return [(address, name) for address, name, needs in _ROOMS if may(needs)]


def asked(request: Request) -> Sent:
    """Return what stands in the address after `?`."""
    return Sent(parse_qs(request.url.query, keep_blank_values=True))


def sent_on(address: str) -> Response:
    """Send the browser on to look at what was done, so that loading the page again does not do it again."""
    return RedirectResponse(address, 303, {**security.HEADERS, "Cache-Control": "no-store"})


def remember(response: Response, coordinator: str) -> None:
    """Let the browser name this coordinator from now on, or nobody."""
    if coordinator:
        response.set_cookie(COOKIE, coordinator, max_age=_YEAR_S, httponly=True, samesite="lax")
    else:
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")


async def posted(request: Request) -> bytes:
    """Return the body of a form that a page of ours has posted.

    Raises:
        PermissionDenied: It was posted by a page of another origin, or without the token of this browser.
        TooLarge: It is over 256 KiB.
    """
    security.require_same_origin(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(
                f"That is over {MAX_BODY_BYTES // 1024} KiB of text; paste the demand without what hangs on it.",
                limit_bytes=MAX_BODY_BYTES,
            )
    whole = bytes(body)
    csrf.require(request, csrf.field_of(whole))
    return whole


def defect() -> InternalError:
    """Return what a page says when the product itself is at fault."""
    return InternalError("Something went wrong inside. The log of the server has the details.")


class Pages:
    """Pages that belong together.

    Args:
        site: What all pages share.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
