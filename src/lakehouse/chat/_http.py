"""Requests to providers: kept connections, an answer's size bounded, one deadline over every step.

`httpcore` (what httpx is made on) is used directly, for two reasons: its network layer can be wrapped, so that each
single read waits no longer than what is left of the deadline, where a client's time-outs begin anew with every read;
and a call through it costs less than through the client. What stays on this machine goes by `_local`, for a fraction of
that. Imported at the first call only.
"""

from __future__ import annotations

import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpcore

from lakehouse.chat._local import Local
from lakehouse.chat.base import Deadline, Failed, Incoming, Outgoing
from lakehouse.errors import DeadlineExceeded, Upstream

_MOST_CONNECTIONS = 64
_KEEP_S = 30.0
_UNREACHED = (httpcore.ConnectError, ConnectionRefusedError, socket.gaierror)


class Http:
    """Sends requests. Thread-safe; connects when needed.

    Args:
        most_bytes: Largest answer.
    """

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._pools: dict[str, httpcore.ConnectionPool] = {}
        self._at_hand = _AtHand()
        self._local = Local()

    @contextmanager
    def exchange(self, request: Outgoing, deadline: Deadline, *, local: bool) -> Iterator[Incoming]:
        """Send a request and give its answer while the block lasts.

        Args:
            request: It.
            deadline: For all of it, reading included.
            local: Never through a proxy.

        Raises:
            Failed: Nobody answers, the connection breaks, the answer is too large, or the deadline passes; also
                while the chunks are read.
        """
        if local and request.url.startswith("http://"):
            with self._mapped(request.url, deadline):
                answer = self._local.begin(request, deadline)
            try:
                chunks = self._chunks(answer.chunks(deadline), request.url, deadline)
                yield Incoming(answer.status, answer.headers, chunks)
            finally:
                self._local.end(answer)
            return
        pool = self._pool(request.url, local)
        with self._mapped(request.url, deadline):
            opened, response = self._opened(pool, request, deadline)
        try:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            yield Incoming(response.status, headers, self._chunks(response.iter_stream(), request.url, deadline))
        finally:
            opened.__exit__(None, None, None)

    def close(self) -> None:
        """Close the connections; idempotent."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()
        self._local.close()

    def _opened(
        self, pool: httpcore.ConnectionPool, request: Outgoing, deadline: Deadline
    ) -> tuple[AbstractContextManager[httpcore.Response], httpcore.Response]:
        while True:
            self._at_hand.kept, self._at_hand.refused = True, False
            timeouts = dict.fromkeys(("connect", "read", "write", "pool"), deadline.remaining())
            opened = pool.stream(
                "POST",
                request.url,
                headers=list(request.headers.items()),
                content=request.body,
                extensions={"timeout": timeouts},
            )
            try:
                return opened, opened.__enter__()
            except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
                # The other side gave up a kept connection just when it was taken: that says nothing of the request.
                if not (self._at_hand.kept and self._at_hand.refused):
                    raise

    def _chunks(self, stream: Iterator[bytes], url: str, deadline: Deadline) -> Iterator[bytes]:
        size = 0
        while True:
            with self._mapped(url, deadline):
                chunk = next(stream, None)
            if chunk is None:
                return
            size += len(chunk)
            if size > self._most_bytes:
                reason = f"{_host(url)} answered with more than {self._most_bytes} bytes"
                raise Failed(Upstream(f"{reason}, the limit set by chat.max_answer_bytes"), again=False)
            yield chunk

    @contextmanager
    def _mapped(self, url: str, deadline: Deadline) -> Iterator[None]:
        """Bound what is done in the block by the deadline, and name its errors."""
        self._at_hand.deadline = deadline
        try:
            yield
        except (httpcore.TimeoutException, TimeoutError):
            raise Failed(too_late(deadline), again=False) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            if not deadline.remaining():
                raise Failed(too_late(deadline), again=False) from None
            what = "cannot be reached" if isinstance(error, _UNREACHED) else "broke off"
            raise Failed(Upstream(f"{_host(url)} {what}: {error}", url=_host(url)), again=True) from None
        finally:
            self._at_hand.deadline = None

    def _pool(self, url: str, local: bool) -> httpcore.ConnectionPool:
        parts = urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = httpcore.ConnectionPool(
                    proxy=None if local else _proxy(parts.scheme, parts.hostname or ""),
                    max_connections=_MOST_CONNECTIONS,
                    keepalive_expiry=_KEEP_S,
                    network_backend=_Backend(self._at_hand),
                )
            return pool


def too_late(deadline: Deadline) -> DeadlineExceeded:
    """Return the error of a deadline that passed."""
    allowed = round(deadline.seconds * 1000)
    return DeadlineExceeded(f"the model did not answer within {allowed} ms", timeout_ms=allowed)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _proxy(scheme: str, host: str) -> httpcore.Proxy | None:
    if urllib.request.proxy_bypass(host):
        return None
    url = urllib.request.getproxies().get(scheme)
    return httpcore.Proxy(url) if url else None


def _pending_error(stream: httpcore.NetworkStream) -> int:
    opened: socket.socket = stream.get_extra_info("socket")
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


class _AtHand(threading.local):
    """What this thread does just now.

    Attributes:
        deadline: Of it.
        kept: Whether it uses a connection of an earlier request, on which nothing has come back yet.
        refused: Whether the other side had closed before it read what was sent, which its system then says.
    """

    deadline: Deadline | None = None
    kept = False
    refused = False

    def left(self, timeout: float | None) -> float | None:
        if self.deadline is None:
            return timeout
        remaining = self.deadline.remaining()
        if not remaining:
            raise httpcore.ReadTimeout("the deadline has passed")
        return remaining if timeout is None else min(timeout, remaining)


class _Stream(httpcore.NetworkStream):
    """A connection that never waits past the deadline of the thread that uses it."""

    def __init__(self, inner: httpcore.NetworkStream, at_hand: _AtHand) -> None:
        self._inner = inner
        self._at_hand = at_hand

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = self._inner.read(max_bytes, self._at_hand.left(timeout))
        except httpcore.ReadError:
            self._at_hand.refused = True
            raise
        if data:
            self._at_hand.kept = False
        else:
            self._at_hand.refused |= _pending_error(self._inner) != 0
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._inner.write(buffer, self._at_hand.left(timeout))
        except httpcore.WriteError:
            self._at_hand.refused = True
            raise

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._at_hand.left(timeout))
        return _Stream(inner, self._at_hand)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    """Opens such connections."""

    def __init__(self, at_hand: _AtHand) -> None:
        self._at_hand = at_hand

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self._at_hand.kept = False
        allowed = self._at_hand.left(timeout)
        return _Stream(super().connect_tcp(host, port, allowed, local_address, socket_options), self._at_hand)
