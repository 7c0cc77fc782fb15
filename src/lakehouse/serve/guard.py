"""What every request passes: who may come in, its trace id, its errors and its line in the log."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import time
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lakehouse import caller, tracing
from lakehouse.errors import InternalError, LakehouseError, PermissionDenied, Unauthenticated, Unavailable
from lakehouse.serve import answers
from lakehouse.serve._access import AccessLog
from lakehouse.serve.answers import Reply
from lakehouse.serve.doors import LOGIN, Doors, is_open, is_wire
from lakehouse.serve.fresh import Fresh
from lakehouse.serve.requests import Disconnected, header
from lakehouse.state.following import note_looked

_LONGEST_TRACE_ID = 64
_TRACE_HEADER = tracing.HEADER.lower().encode()
_PARENT_HEADER = tracing.PARENT_HEADER.encode()

_log = logging.getLogger("lakehouse.serve")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def accepted_trace_id(given: str, parent: str = "") -> str:
    """Return a trace id from outside when it may be used, else that of the calling span, else a new one.

    At most 64 visible ASCII characters: anything else could forge a log line or a header.
    """
    if given and len(given) <= _LONGEST_TRACE_ID and given.isascii() and given.isprintable() and " " not in given:
        return given
    return tracing.parent_of(parent)[0] or tracing.new_id()


def calling_span(trace_id: str, parent: str) -> str:
    """Return the caller's span, empty when it names none of this trace."""
    trace, span = tracing.parent_of(parent)
    return span if trace and trace == tracing.otel_trace_id(trace_id) else ""


class Guard:
    """Wraps an ASGI application.

    A request carries `X-Lakehouse-Trace-Id` out in every case. Whatever is raised inside becomes the one
    error shape: errors of the product as they are, all else as `InternalError` with the traceback in the
    log and nothing of it in the answer.

    Args:
        app: What is wrapped.
        doors: Who may come in; by default everybody, as the local operator.
        local: Serve loopback names only: a `Host` from elsewhere means that a web page has pointed its own
            name at this machine (DNS rebinding).
        fresh: Waits until what other replicas wrote is known here; None where there are no others.
    """

    def __init__(
        self, app: ASGIApp, *, doors: Doors | None = None, local: bool = True, fresh: Fresh | None = None
    ) -> None:
        self._app = app
        self._fresh = fresh
        self._doors = doors or Doors()
        self._local = local
        self._access = AccessLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens inside."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        parent = header(scope, _PARENT_HEADER)
        trace_id = accepted_trace_id(header(scope, _TRACE_HEADER), parent)

        async def send_traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_TRACE_HEADER, trace_id.encode("ascii"))]
            await send(message)

        with tracing.trace(trace_id, caller=calling_span(trace_id, parent) if parent else ""):
            try:
                self._admit(scope)
                if self._fresh is not None and not is_open(scope["path"]):
                    await self._fresh.wait()
                    note_looked()
                with caller.calling(await self._doors.caller(scope)):
                    await self._app(scope, receive, send_traced)
            except Disconnected:
                status = status or 499
            except (Exception, asyncio.CancelledError) as error:
                if status:
                    _log.exception("a request failed after its answer had begun")
                    raise
                await _refused(scope, error, trace_id).send(send_traced)
            finally:
                self._access.note(scope, status, round((time.perf_counter() - started) * 1000, 2), trace_id)

    def _admit(self, scope: Scope) -> None:
        host = header(scope, b"host")
        if self._local and not _is_served_locally(host):
            raise PermissionDenied(f"host {host!r} is not served; use 127.0.0.1 or localhost", host=host)
        origin = header(scope, b"origin")
        if origin and origin.partition("://")[2] != host:
            raise PermissionDenied(f"requests from pages of {origin!r} are refused", origin=origin)


def _refused(scope: Scope, error: BaseException, trace_id: str) -> Reply:
    ours = _as_ours(error)
    if isinstance(ours, Unauthenticated) and not is_wire(scope["path"]) and _is_navigation(scope):
        # Somebody with a browser, maybe one whose session is over: there is a page to log in.
        return Reply(303, [(b"location", LOGIN.encode()), (b"content-length", b"0")])
    return answers.refusal(ours, trace_id, head=scope["method"] == "HEAD")


def _is_navigation(scope: Scope) -> bool:
    """Tell whether a browser asks for a whole page; a script that asks for a part of one keeps what was typed there."""
    return "text/html" in header(scope, b"accept") and not header(scope, b"hx-request")


@functools.lru_cache(maxsize=64)
def _is_served_locally(host: str) -> bool:
    """Tell whether a `Host` header means this machine; those who ask mostly send the same one."""
    return is_loopback(_hostname(host))


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _as_ours(error: BaseException) -> LakehouseError:
    if isinstance(error, asyncio.CancelledError):
        # Requests are cancelled for one reason only: the grace of a stopping server is over.
        return Unavailable("the stack stopped before this was done; try again when it is back")
    if isinstance(error, LakehouseError):
        if error.status >= 500:
            _log.warning("%s: %s", type(error).__name__, error.message)
        return error
    _log.error("unexpected %s", type(error).__name__, exc_info=error)
    return InternalError("something went wrong inside; the log of the server has the details under the trace id")
