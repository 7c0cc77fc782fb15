"""The console's login: an API key in, a session cookie out."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from lakehouse.errors import LakehouseError, TooLarge
from lakehouse.serve.console import csrf, security
from lakehouse.serve.console.assets import Assets
from lakehouse.serve.console.site import COOKIE as COORDINATOR
from lakehouse.serve.console.site import remember
from lakehouse.serve.doors import COOKIE, LOGIN, Doors

_FOLDER = Path(__file__).parent / "templates"
_MOST_BYTES = 4096


def routes(doors: Doors, *, secure: bool) -> list[BaseRoute]:
    """Return the routes of logging in and out.

    Args:
        doors: Knows keys and sessions.
        secure: Whether the cookie is for encrypted connections only.
    """
    login = Login(doors, secure=secure)
    return [
        Route(LOGIN, login.answer, methods=["GET", "POST"]),
        Route("/logout", login.leave, methods=["POST"]),
    ]


class Login:
    """The page that asks for a key."""

    def __init__(self, doors: Doors, *, secure: bool) -> None:
        self._doors = doors
        self._secure = secure
        self._address = Assets(security.HEADERS).address
        loader = jinja2.FileSystemLoader(_FOLDER)
        self._page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
            "login.html"
        )

    async def answer(self, request: Request) -> Response:
        """Show the page, or take a key."""
        if request.method == "GET":
            return self._shown(request, "", 200)
        try:
            security.require_same_origin(request)
            body = await _body(request)
            csrf.require(request, csrf.field_of(body), session=False)
            who = await self._doors.known(parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip())
        except LakehouseError as error:
            return self._shown(request, error.message, error.status)
        response = RedirectResponse("/", 303, security.HEADERS)
        response.set_cookie(
            COOKIE, self._doors.open_session(who), httponly=True, samesite="strict", secure=self._secure, path="/"
        )
        if who.namespaces and request.cookies.get(COORDINATOR) not in who.namespaces:
            # A key of certain memories works in one of them, not in one that it may not use.
            mine = who.id if who.id in who.namespaces else min(who.namespaces)
            remember(response, mine)
        return response

    async def leave(self, request: Request) -> Response:
        """End the session."""
        try:
            security.require_same_origin(request)
            csrf.require(request, csrf.field_of(await _body(request)))
        except LakehouseError as error:
            return self._shown(request, error.message, error.status)
        self._doors.end_session(request.scope)
        response = RedirectResponse(LOGIN, 303, security.HEADERS)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._secure, path="/")
        return response

    def _shown(self, request: Request, trouble: str, status: int) -> Response:
        # Whoever logs in may bring the cookie of a session that is over, or not, so no session goes into this token.
        proof = csrf.proof(request, session=False)
        page = self._page.render(asset=self._address, trouble=trouble, csrf=proof)
        response = HTMLResponse(page, status, {**security.HEADERS, "Cache-Control": "no-store"})
        proof.keep(request, response)
        return response


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise TooLarge(f"a key has fewer than {_MOST_BYTES} bytes", limit_bytes=_MOST_BYTES)
    return body
