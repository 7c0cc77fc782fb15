"""A running stack: the port first, then the lake, then requests until somebody says stop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import gc
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from types import FrameType
from typing import Any

import uvicorn

import lakehouse
from lakehouse.app import Lakehouse, connect
from lakehouse.errors import InvalidInput
from lakehouse.serve import console, logs, ports
from lakehouse.serve._garbage import THRESHOLDS, Garbage
from lakehouse.serve._protocol import Protocol
from lakehouse.serve.api import Api
from lakehouse.serve.console import login
from lakehouse.serve.doors import Doors
from lakehouse.serve.gateway import Gateway
from lakehouse.serve.guard import is_loopback
from lakehouse.settings import Settings

_KEEP_ALIVE_S = 75
_LEAST_DRAIN_MS = 500
# For what can still be closed when a call has been abandoned; it may wait for what that one holds.
_LAST_CLOSE_S = 5.0
# As the server calls `on_tick`.
_TICKS_A_SECOND = 10
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How long a thread at work keeps the interpreter from the one that answers requests, which lets go of it several times
# for each. Python's own 5 ms made one in a hundred searches beside 200 adds a second take two to four times as long.
_TURN_S = 0.0005
# `M_ARENA_MAX`, `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` of <malloc.h>.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_LARGE_BLOCK = 1024 * 1024
_TRIM_EVERY_S = 30.0

_NO_PAGES = console.Pages([], lambda: None)

_log = logging.getLogger("lakehouse.serve")


def serve(
    config: Settings,
    *,
    only: frozenset[str] | None = None,
    environ: Mapping[str, str] | None = None,
    ready: Callable[[str], None] | None = None,
    listener: socket.socket | None = None,
) -> None:
    """Serve a lake until SIGTERM or SIGINT, then let requests finish, close it and return.

    A line on standard error tells when and where it is ready; logs follow there as JSON lines. Requests
    have `server.shutdown_grace_ms` to finish; calls that still run then are abandoned, which loses nothing
    that was acknowledged, and the process ends with status 0.

    Args:
        config: Where to listen, what to open, the limits.
        only: Services to serve; None serves all of them as the gateway, with the console.
        environ: Where the token is, under the name in `server.token_env`; `os.environ` by default.
        ready: Called with the URL when requests are answered.
        listener: Bound by somebody else, who may hold it longer than this process lives; `server.host` and
            `server.port` are not bound then.

    Raises:
        InvalidInput: The host is not loopback and connections are not encrypted, or nobody is asked for a key.
        Unavailable: The port is taken; the message names its holder.
        Conflict, PermissionDenied: The lake cannot be opened, see `lakehouse.connect`.
    """
    environ = os.environ if environ is None else environ
    token = token_of(config, environ)
    require_encrypted(config)
    if _owns_process():
        _settle_heap()
    with (
        logs.configured(config.logging),
        contextlib.closing(listener or ports.bind(config.server.host, config.server.port)) as bound,
    ):
        with _on_stop_signal(_leave):
            lake = connect(config=config)
            pages = _pages(lake, config) if only is None else _NO_PAGES
            try:
                require_safe(config, token, keys=lake.rooms.keys.any)
            except InvalidInput:
                lake.close()
                raise
            stack = Stack(lake, config, bound, token=token, only=only, pages=pages)
            lake.rooms.attend()
        try:
            stack.run(ready=functools.partial(_announce, stack, config, environ, ready))
        finally:
            with _on_stop_signal(_go_on):
                _end(stack, lake, config.server.shutdown_grace_ms)


def _pages(lake: Lakehouse, config: Settings) -> console.Pages:
    return console.pages(lake, most_upload_bytes=config.server.max_ingest_bytes, draft_model=config.chat.draft_model)


def token_of(config: Settings, environ: Mapping[str, str]) -> str:
    """Return the bearer token to ask for, empty for none."""
    return environ.get(config.server.token_env, "").strip()


def require_encrypted(config: Settings) -> None:
    """Refuse to be reached from elsewhere over connections that others can read.

    Raises:
        InvalidInput: The host is not loopback and there is neither a certificate nor a proxy that has one.
    """
    server = config.server
    if bool(server.tls_cert) != bool(server.tls_key):
        raise InvalidInput("server.tls_cert and server.tls_key belong together; set both", field="server.tls_cert")
    if not (is_loopback(server.host) or server.tls_cert or server.behind_tls_proxy):
        raise InvalidInput(
            f"refusing to listen on {server.host} without encryption: set server.tls_cert and server.tls_key, or"
            " server.behind_tls_proxy when a proxy ends TLS in front, or listen on 127.0.0.1",
            field="server.host",
        )


def require_safe(config: Settings, token: str, *, keys: bool) -> None:
    """Refuse to be reached from elsewhere by anybody.

    Raises:
        InvalidInput: The host is not loopback, or a proxy stands in front, and there is neither a token nor an API key.
    """
    if token or keys:
        return
    if config.server.behind_tls_proxy:
        raise InvalidInput(
            "refusing to serve those whom a proxy lets in (server.behind_tls_proxy, or TLS of a divided stack) without"
            f" keys: make one with `lakehouse key add`, or set {config.server.token_env}",
            field="server.behind_tls_proxy",
        )
    if not is_loopback(config.server.host):
        raise InvalidInput(
            f"refusing to listen on {config.server.host} without keys: make one with `lakehouse key add`, or set"
            f" {config.server.token_env}, or listen on 127.0.0.1",
            field="server.host",
        )


class Stack:
    """A lake behind a listening socket.

    Args:
        lake: Embedded in this process; the caller closes it.
        config: See `serve`.
        listener: Bound socket; closed at the end of `run`.
        token: Bearer token to ask for, empty for none.
        only: Services to serve; None serves all.
        pages: The console.
    """

    def __init__(
        self,
        lake: Lakehouse,
        config: Settings,
        listener: socket.socket,
        *,
        token: str = "",
        only: frozenset[str] | None = None,
        pages: console.Pages = _NO_PAGES,
    ) -> None:
        secure = bool(config.server.tls_cert) or config.server.behind_tls_proxy
        alone = is_loopback(config.server.host) and not config.server.behind_tls_proxy
        doors = Doors(token, lake.rooms.keys, reopens=alone)
        routes = [*pages.routes, *login.routes(doors, secure=secure)] if pages.routes else []
        self._api = Api(lake, config, doors=doors, only=only, pages=routes, warm=pages.warm)
        self._listener = listener
        self._grace_ms = config.server.shutdown_grace_ms
        self._server = _Server(_uvicorn(self._api, config), warm=self._api.warm, stop=self._api.runtime.stop)
        self.url = url_of(listener, config)

    def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Answer requests until `stop`, or SIGTERM or SIGINT in the main thread; call `ready` first."""
        self._server.ready = ready
        self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """Make `run` finish its requests and return; from any thread."""
        self._server.should_exit = True

    def drain(self) -> bool:
        """Wait after `run` for calls under way, for what is left of the grace, and tell whether all have finished."""
        spent_ms = (time.monotonic() - self._server.stopping_since) * 1000
        return self._api.runtime.close(within_ms=max(_LEAST_DRAIN_MS, self._grace_ms - spent_ms))


def url_of(listener: socket.socket, config: Settings) -> str:
    """Return the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if config.server.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def serve_gateway(config: Settings, service: str, listener: socket.socket, *, ready: Callable[[str], None]) -> None:
    """Forward requests to a service until SIGTERM or SIGINT, then let those under way finish and return.

    Who may come in is decided by the service, which has the keys.

    Args:
        config: Limits, logs, certificates.
        service: URL of what is behind.
        listener: Bound socket.
        ready: Called with the URL when requests are answered.

    Raises:
        InvalidInput: The host is not loopback and connections are not encrypted.
    """
    # Whether there are keys is looked at by the service that has them, before this is started (`require_safe`).
    require_encrypted(config)
    gateway = Gateway(service, local=is_loopback(config.server.host))
    server = _Server(_uvicorn(gateway, config), warm=gateway.warm)
    server.ready = functools.partial(ready, url_of(listener, config))
    with logs.configured(config.logging), _on_stop_signal(_leave):
        server.run(sockets=[listener])


def _uvicorn(app: Api | Gateway, config: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        ssl_certfile=config.server.tls_cert or None,
        ssl_keyfile=config.server.tls_key or None,
        timeout_graceful_shutdown=math.ceil(config.server.shutdown_grace_ms / 1000),
    )


class _Server(uvicorn.Server):
    """Says when it is ready, and takes a stop signal as a normal end."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        warm: Callable[[], Coroutine[Any, Any, None]],
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._stop = stop
        self.ready: Callable[[], None] = lambda: None
        self.stopping_since = 0.0
        self._warm = warm
        self._warming: asyncio.Task[None] | None = None
        self._settled = 0
        self._garbage = Garbage()
        self._thresholds = gc.get_threshold()
        self._turn_s = sys.getswitchinterval()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()
            if _owns_process():
                gc.set_threshold(*THRESHOLDS)
                sys.setswitchinterval(_TURN_S)
            self._warming = asyncio.create_task(self._warmed())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.stopping_since = time.monotonic()
        self._stop()
        await super().shutdown(sockets)
        if self._warming:
            await asyncio.wait([self._warming], timeout=self.config.timeout_graceful_shutdown)
        if _owns_process():
            gc.set_threshold(*self._thresholds)
            sys.setswitchinterval(self._turn_s)

    async def on_tick(self, counter: int) -> bool:
        if self._warming and self._warming.done() and _owns_process():
            if counter % _TICKS_A_SECOND == 0:
                self._settle()
            self._garbage.tick(self.server_state.total_requests)
        return await super().on_tick(counter)

    async def _warmed(self) -> None:
        if not _owns_process():
            await self._warm()
            return
        gc.disable()
        try:
            await self._warm()
        finally:
            gc.enable()

    def _settle(self) -> None:
        """Keep what was loaded out of every later search for garbage.

        A full collection stops all requests while it visits every object there is, for a tenth of a second, and most of
        them are vocabularies and modules that stay to the end. Modules are also loaded by the first call that needs
        them. A process that has other things to do than to serve is left as it is.
        """
        modules = len(sys.modules)
        if modules == self._settled:
            return
        self._settled = modules
        gc.collect(1)
        gc.freeze()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # The inherited one raises the signal again at the end, so that the process would die of it.
        with _on_stop_signal(self.handle_exit):
            yield


@contextlib.contextmanager
def _on_stop_signal(handler: Callable[[int, FrameType | None], None]) -> Generator[None, None, None]:
    """Call `handler` for SIGTERM and SIGINT; without effect outside of the main thread, which alone gets them."""
    if not _owns_process():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Nothing has been acknowledged yet, so there is nothing to finish.
    raise SystemExit(0)


def _go_on(_number: int, _frame: FrameType | None) -> None:
    # The end is under way already.
    return


def _announce(stack: Stack, config: Settings, environ: Mapping[str, str], ready: Callable[[str], None] | None) -> None:
    sys.stderr.write(f"lakehouse {lakehouse.__version__} ready on {stack.url} (data in {config.data})\n")
    sys.stderr.flush()
    if ready is not None:
        ready(stack.url)
    _notify(environ.get("NOTIFY_SOCKET", ""))


def _notify(address: str) -> None:
    """Tell a service manager that waits for it (`Type=notify` in a systemd unit) that the stack is ready."""
    if not address:
        return
    name = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(name)
            channel.send(b"READY=1")
    except OSError as error:
        _log.warning("the service manager at %s was not told: %s", address, error)


def _end(stack: Stack, lake: Lakehouse, grace_ms: int) -> None:
    if stack.drain():
        lake.close()
        return
    # A call that does not end would hold the interpreter's exit, and the rooms it is in, for ever.
    _log.warning("abandoning calls that still run after %d ms", grace_ms)
    closing = threading.Thread(target=lake.close, daemon=True)
    closing.start()
    closing.join(min(_LAST_CLOSE_S, grace_ms / 1000))
    logging.shutdown()
    os._exit(0)


def _settle_heap() -> None:
    """Have threads allocate from one heap and large blocks lie outside of it, where the C library can be told (glibc).

    By default each thread gets a heap of its own, and what one thread makes and another lets go leaves holes in them:
    over hours a process grew by megabytes that held nothing. Threads of Python rarely allocate at the same time.
    Large blocks stay outside of it: by default the first one that is let go moves the limit up, and those to come
    push the end of the heap away from what was there before. Arrow, which keeps heaps for each thread as well, is told
    to use this one; it looks when it is imported first. What is free between other things is given back now and then.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_ARENA_MAX, 1)
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)
        library.mallopt(_TRIM_THRESHOLD, 4 * _LARGE_BLOCK)
        threading.Thread(target=_trim_heap, args=[library.malloc_trim, _TRIM_EVERY_S], name="heap", daemon=True).start()


def _trim_heap(trim: Callable[[int], int], every_s: float) -> None:
    """Give whole pages that are free back to the system, which by itself is done at the end of a heap only."""
    while True:
        time.sleep(every_s)
        trim(_LARGE_BLOCK)


def _owns_process() -> bool:
    """Tell whether serving is what this process is for: a server in another thread than the main one is a guest."""
    return threading.current_thread() is threading.main_thread()
