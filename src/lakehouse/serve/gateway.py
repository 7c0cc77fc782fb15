"""The front door of a divided stack: passes each request to the part behind it, as it came."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lakehouse import idempotency, operations, tracing
from lakehouse.errors import Unavailable, Upstream
from lakehouse.operations import Operation
from lakehouse.serve.endpoints import health
from lakehouse.serve.guard import Guard
from lakehouse.serve.requests import Disconnected, header
from lakehouse.serve.services import GATEWAY

_TIMEOUT_S = 600.0
# How long a request waits for a service that is being started again.
_PATIENCE_S = 20.0
_PAUSE_S = 0.05
# Bodies up to this size are kept until they are answered.
_KEEP_BYTES = 1024 * 1024
# Of one connection, not of the message.
_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"proxy-connection"})
# Looked at here; they name this address and not that of the part behind it.
_ADMITTED = frozenset({b"host", b"origin"})
_TRACE = tracing.HEADER.lower().encode()
_KEY = idempotency.HEADER.lower().encode()


class Gateway:
    """An ASGI application that forwards.

    A connection that is refused has carried nothing, so such a request waits and is sent again; so is one that breaks
    off later, when sending it twice is as good as once; where that takes a key, a request without one is given one. Any
    other is answered with 502 `upstream`, retryable: what it changed may or may not have happened.

    Args:
        service: URL of the part behind it.
        local: Serve loopback names only.
    """

    def __init__(self, service: str, *, local: bool = True) -> None:
        self._service = service
        self._health = health(GATEWAY)
        self._client: httpx.AsyncClient | None = None
        self._app: ASGIApp = Guard(self._answer, local=local)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def warm(self) -> None:
        """Have nothing to load."""

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/health":
            await self._health(scope, receive, send)
            return
        response = await self._sent(scope, _Body(receive))
        try:
            await send({"type": "http.response.start", "status": response.status_code, "headers": _kept(response)})
            async for data in response.aiter_raw():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await response.aclose()

    async def _sent(self, scope: Scope, body: _Body) -> httpx.Response:
        clock = asyncio.get_running_loop().time
        until = clock() + _PATIENCE_S
        called = _called(scope)
        repeatable = all(each.repeatable for each in called) if called else scope["method"] in {"GET", "HEAD"}
        key = idempotency.new_key() if any(each.keyed for each in called) and not header(scope, _KEY) else ""
        while True:
            try:
                return await self._connections().send(self._request(scope, body, key), stream=True)
            except httpx.ConnectError as error:
                if clock() >= until or not body.can_be_sent_again:
                    raise Unavailable(f"the service behind {scope['path']} does not answer: {error}") from None
            except httpx.TransportError as error:
                if clock() >= until or not (repeatable and body.can_be_sent_again):
                    raise Upstream(f"the service behind {scope['path']} broke off: {type(error).__name__}") from None
            await asyncio.sleep(_PAUSE_S)

    def _request(self, scope: Scope, body: _Body, key: str) -> httpx.Request:
        url = self._service + scope["raw_path"].decode("ascii")
        if scope["query_string"]:
            url += "?" + scope["query_string"].decode("ascii")
        headers = [(name, value) for name, value in scope["headers"] if name not in {*_HOP, *_ADMITTED, _TRACE}]
        headers.append((_TRACE, tracing.current().encode("ascii")))
        if key:
            headers.append((_KEY, key.encode("ascii")))
        has_body = any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
        content = body.chunks() if has_body else None
        return self._connections().build_request(scope["method"], url, headers=headers, content=content)

    def _connections(self) -> httpx.AsyncClient:
        if self._client is None:
            # None is kept: one that a service closes while it stops would break the request that is sent on it.
            limits = httpx.Limits(max_keepalive_connections=0, max_connections=None)
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(_TIMEOUT_S, connect=10.0), limits=limits, trust_env=False
            )
        return self._client


class _Body:
    """The body of a request as it comes in: an upload is never held as a whole, a small body may be sent again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: list[bytes] = []
        self._size = 0
        self._whole = False

    @property
    def can_be_sent_again(self) -> bool:
        """Whether everything that came so far is still here."""
        return self._size <= _KEEP_BYTES

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what has come and what comes; raises `Disconnected` when the client goes away."""
        for data in list(self._kept):
            yield data
        while not self._whole:
            message: Message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            self._whole = not message.get("more_body", False)
            data = message.get("body", b"")
            self._size += len(data)
            if self.can_be_sent_again:
                self._kept.append(data)
            yield data


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], Operation]]:
    return [
        (
            re.compile(re.sub(r"{\w+(:path)?}", lambda at: ".*" if at[1] else "[^/]*", operation.path)),
            operation,
        )
        for operation in operations.OPERATIONS
    ]


def _called(scope: Scope) -> list[Operation]:
    """Return the operations that a request may mean."""
    path = scope["raw_path"].decode("ascii")
    return [each for pattern, each in _patterns() if each.verb == scope["method"] and pattern.fullmatch(path)]


def _kept(response: httpx.Response) -> list[tuple[bytes, bytes]]:
    """Return the headers that go on; the trace id is put in by the guard."""
    dropped: set[Any] = {*_HOP, _TRACE}
    return [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in dropped]
