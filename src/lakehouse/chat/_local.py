"""Requests to providers on this machine: plain HTTP over kept connections, for a fraction of a general client's cost.

A model beside the stack answers in milliseconds, so what the way to it costs is felt. There is no TLS, no proxy and no
redirect on this way; all else goes through `_http`. Answers are read by `httptools`, the parser that serves the stack.
"""

from __future__ import annotations

import functools
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit

import httptools

from lakehouse.chat.base import Deadline, Failed, Outgoing
from lakehouse.errors import Upstream

_KEEP_S = 30.0
_MOST_HEAD_BYTES = 256 * 1024
_READ_BYTES = 64 * 1024

Address = tuple[str, int]


class Local:
    """Sends requests to loopback addresses. Thread-safe; connects when needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Address, list[_Connection]] = {}

    def begin(self, request: Outgoing, deadline: Deadline) -> Answer:
        """Send a request and return its answer, read up to the end of its headers; `end` it in any case.

        Raises:
            OSError: Nobody answers, the connection breaks, or what comes is no answer of HTTP; `TimeoutError` when the
                deadline passes. Also while the chunks are read.
            Failed: A header cannot be sent.
        """
        address, target = _parsed(request.url)
        data = _encoded(request, target)
        while True:
            connection = self._taken(address, deadline)
            answer = Answer(connection, address)
            try:
                connection.send(data, deadline)
                while not answer.begun:
                    answer.read(deadline)
                return answer
            except ConnectionError:
                # The other side gave up a kept connection just when it was taken: that says nothing of the request.
                again = connection.used and answer.silent and connection.refused
                connection.close()
                if not again:
                    raise
            except BaseException:
                connection.close()
                raise

    def end(self, answer: Answer) -> None:
        """Keep the connection of an answer that was read to its end, and close any other."""
        connection = answer.connection
        if not answer.reusable:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        connection.used = True
        with self._lock:
            self._idle.setdefault(answer.address, []).append(connection)

    def close(self) -> None:
        """Close the connections that nobody uses; idempotent."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _taken(self, address: Address, deadline: Deadline) -> _Connection:
        while True:
            with self._lock:
                idle = self._idle.get(address)
                connection = idle.pop() if idle else None
            if connection is None:
                return _Connection(address, deadline)
            if connection.is_fresh():
                return connection
            connection.close()


class _Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, address: Address, deadline: Deadline) -> None:
        self.idle_since = 0.0
        self.used = False
        self._reset = False
        self._socket = socket.create_connection(address, _left(deadline))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def is_fresh(self) -> bool:
        """Tell whether the other side still waits for a request: it has neither closed nor said anything."""
        if time.monotonic() - self.idle_since > _KEEP_S:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send a request; one that is not read to its end may have been answered all the same."""
        self._socket.settimeout(_left(deadline))
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self._reset = True

    def receive(self, deadline: Deadline) -> bytes:
        """Return what comes next, nothing when the other side has closed."""
        self._socket.settimeout(_left(deadline))
        try:
            return self._socket.recv(_READ_BYTES)
        except ConnectionResetError:
            self._reset = True
            raise

    @property
    def refused(self) -> bool:
        """Whether the other side had closed before it read what was sent, which its system then says."""
        return self._reset or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def close(self) -> None:
        self._socket.close()


class Answer:
    """An answer as it comes; also what the parser tells."""

    def __init__(self, connection: _Connection, address: Address) -> None:
        self.connection = connection
        self.address = address
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self.silent = True
        self._parts: list[bytes] = []
        # Something has begun behind the end of the answer; it is nobody's.
        self._spoilt = False
        self.begun = False
        self.ended = False
        self.reusable = False
        self.status = 0
        self.headers: dict[str, str] = {}

    def read(self, deadline: Deadline) -> None:
        """Take in what comes next."""
        data = self.connection.receive(deadline)
        if not data:
            self._closed()
            return
        self.silent = False
        if not self.begun:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                raise _no_answer("headers without end")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._spoilt = True
            self.reusable = False
            if not self.ended:
                raise _no_answer(str(error)) from None

    def chunks(self, deadline: Deadline) -> Iterator[bytes]:
        """Yield the body as it comes."""
        while True:
            parts, self._parts = self._parts, []
            yield from parts
            if self.ended:
                return
            self.read(deadline)

    def _closed(self) -> None:
        # Without a length an answer lasts until the connection is closed.
        if not self.begun or "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise ConnectionResetError("the answer ended early")
        self.ended = True

    def on_message_begin(self) -> None:
        if self.ended:
            self._spoilt = True
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._spoilt:
            return
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._spoilt:
            return
        self.status = self._parser.get_status_code()
        # What comes before the answer proper (100 Continue) is passed over.
        self.begun = self.status >= 200
        if not self.begun:
            self.headers = {}

    def on_body(self, body: bytes) -> None:
        if not self._spoilt:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._spoilt:
            return
        self.ended = self.begun
        self.reusable = self.ended and bool(self._parser.should_keep_alive())


def _left(deadline: Deadline) -> float:
    left = deadline.remaining()
    if not left:
        raise TimeoutError
    return left


@functools.lru_cache(64)
def _parsed(url: str) -> tuple[Address, str]:
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")
    return (parts.hostname or "", parts.port or 80), target


def _encoded(request: Outgoing, target: str) -> bytes:
    """Return a request as one piece: the other side wakes up once for it."""
    lines = _lines(request.headers)
    head = f"POST {target} HTTP/1.1\r\n{lines}Content-Length: {len(request.body)}\r\n\r\n"
    return head.encode("latin-1", "replace") + request.body


def _lines(headers: Mapping[str, str]) -> str:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        error = Upstream("a header of the request holds a line break; look at the key of the provider")
        raise Failed(error, again=False)
    return lines


def _no_answer(what: str) -> ConnectionResetError:
    return ConnectionResetError(f"what came is no answer of HTTP: {what}")
