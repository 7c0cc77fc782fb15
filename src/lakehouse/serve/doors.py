"""Who comes in: API keys and the stack's own token on every request, sessions of the console by cookie."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

import msgspec
from starlette.types import Scope

from lakehouse import caller
from lakehouse.caller import Caller
from lakehouse.errors import InvalidInput, Unauthenticated
from lakehouse.ledger.access import Access
from lakehouse.serve.requests import header

COOKIE = "lakehouse_session"
LOGIN = "/login"
# What a page needs before anybody has logged in.
OPEN_PATHS = frozenset({"/health", LOGIN, "/logout"})
OPEN_PREFIX = "/console/static/"
_WIRE_PREFIX = "/v1/"
_WIRE_PATHS = frozenset({"/metrics", "/openapi.json"})
_SESSION_S = 12 * 3600
_MOST_SESSIONS = 10_000
_MOST_PURPOSE = 64
_TOKEN = Caller(kind="token", id="token", roles=frozenset(caller.ROLES))


def is_open(path: str) -> bool:
    """Tell whether a path answers everybody, from nothing that a lake holds."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)


def is_wire(path: str) -> bool:
    """Tell whether a path is for programs, and no page of the console."""
    return path in _WIRE_PATHS or path.startswith(_WIRE_PREFIX)


class Session(msgspec.Struct, frozen=True):
    """Somebody at the console, until a moment of the monotonic clock."""

    who: Caller
    until: float


class Doors:
    """Finds out who sends a request.

    Args:
        token: The stack's own token, which may do everything; empty for none.
        access: API keys; None knows none.
        monotonic: Seconds, for sessions.
        reopens: Whether everybody is the operator again once the last key is revoked. Never where others than those on
            this machine come in: whose key was revoked would come back without one, and may do everything.
    """

    def __init__(
        self,
        token: str = "",
        access: Access | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        reopens: bool = True,
    ) -> None:
        self._token = token.encode()
        self._access = access
        self._monotonic = monotonic
        self._sessions: dict[bytes, Session] = {}
        self._reopens = reopens
        self._was_closed = False
        # Known from the start on, also when the last key is revoked before anybody asks.
        self._was_closed = self.closed and not reopens

    @property
    def closed(self) -> bool:
        """Whether callers must say who they are."""
        if self._was_closed:
            return True
        closed = bool(self._token) or (self._access is not None and self._access.any)
        self._was_closed = closed and not self._reopens
        return closed

    async def caller(self, scope: Scope) -> Caller:
        """Return who sends a request: the local operator where nobody is asked.

        Raises:
            Unauthenticated: No valid key was sent, or no valid session.
            LimitExceeded: The key's rate is used up.
            InvalidInput: The purpose cannot be written down.
        """
        path = scope["path"]
        if not self.closed or is_open(path):
            return _purposed(caller.LOCAL, scope)
        scheme, _, given = header(scope, b"authorization").partition(" ")
        if scheme.lower() == "bearer":
            return _purposed(await self.known(given.strip()), scope)
        # A page of the console, never the wire: a cookie is sent by whichever page asks for it.
        who = None if is_wire(path) else self._by_session(scope)
        if who is None:
            if not self._token and (self._access is None or not self._access.any):
                raise Unauthenticated(
                    "the last key of this stack was revoked: stop it, make one with `lakehouse key add`, start it"
                )
            raise Unauthenticated("this stack asks for a key; send it as 'Authorization: Bearer <key>'")
        return who

    async def known(self, given: str) -> Caller:
        """Return whose key or token this is. Raises as `caller`."""
        if self._token and hmac.compare_digest(given.encode("utf-8", "replace"), self._token):
            return _TOKEN
        if self._access is not None and given:
            known = self._access.quick(given)
            return known if known is not None else await asyncio.to_thread(self._access.check, given)
        raise Unauthenticated("the key is not known; send one as 'Authorization: Bearer <key>'")

    def open_session(self, who: Caller) -> str:
        """Begin a session of the console; returns what its cookie holds."""
        now = self._monotonic()
        self._sessions = {name: kept for name, kept in self._sessions.items() if kept.until > now}
        while len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        secret = secrets.token_urlsafe(32)
        self._sessions[_name(secret)] = Session(who, now + _SESSION_S)
        return secret

    def end_session(self, scope: Scope) -> None:
        """End the session of a request, if it has one."""
        self._sessions.pop(_name(_cookie(scope)), None)

    def _by_session(self, scope: Scope) -> Caller | None:
        session = self._sessions.get(_name(_cookie(scope)))
        if session is None or session.until <= self._monotonic():
            return None
        if session.who.kind != "key":
            return session.who
        # A session does not outlive its key, and its calls count as the key's.
        return self._access.again(session.who.id) if self._access else None


def _name(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _cookie(scope: Scope) -> str:
    try:
        found = SimpleCookie(header(scope, b"cookie")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _purposed(who: Caller, scope: Scope) -> Caller:
    given = header(scope, b"x-lakehouse-purpose")
    if not given:
        return who
    if len(given) > _MOST_PURPOSE or not given.isascii() or not given.isprintable():
        raise InvalidInput(
            f"X-Lakehouse-Purpose has at most {_MOST_PURPOSE} visible ASCII characters", field="X-Lakehouse-Purpose"
        )
    return msgspec.structs.replace(who, purpose=given)
