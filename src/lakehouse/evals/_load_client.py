"""Connections that send JSON as quickly as one event loop can, and what their calls took."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from lakehouse import operations
from lakehouse.errors import InvalidInput, Unavailable

_encode = msgspec.json.Encoder().encode
_SHARES = (50.0, 90.0, 95.0, 99.0, 99.9)


class Answer(msgspec.Struct, frozen=True):
    """The answer of one request; status 0 means that the connection broke."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """Decode the body."""
        return msgspec.json.decode(self.body)


class Address:
    """Where a stack listens.

    Raises:
        InvalidInput: Not the `http` URL of a stack.
    """

    def __init__(self, url: str, token: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise InvalidInput(f"{url!r} cannot be loaded; name a stack like http://127.0.0.1:3110", field="url")
        self.host, self.port = parts.hostname, parts.port or 80
        extra = f"Authorization: Bearer {token}\r\n" if token else ""
        self.head = f"Host: {parts.netloc}\r\nContent-Type: application/json\r\n{extra}"


class Connection:
    """One keep-alive HTTP/1.1 connection; opened anew when it broke. An asynchronous context manager."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, name: str, values: dict[str, Any]) -> Answer:
        """Call an operation whose arguments all stand in the body."""
        operation = _BY_NAME[name]
        return await self.send(operation.verb, operation.path, _encode(values))

    async def send(self, verb: str, path: str, data: bytes = b"") -> Answer:
        """Send one request and read the whole answer."""
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(self._address.host, self._address.port)
            self._writer.write(
                f"{verb} {path} HTTP/1.1\r\n{self._address.head}Content-Length: {len(data)}\r\n\r\n".encode() + data
            )
            return await self._read()
        except (OSError, asyncio.IncompleteReadError, ValueError, StopIteration):
            self._drop()
            return Answer(0, b"")

    async def _read(self) -> Answer:
        if self._reader is None:
            raise ConnectionResetError
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in head if line.startswith("content-length:")), 0)
        body = await self._reader.readexactly(length)
        if "connection: close" in head:
            self._drop()
        return Answer(int(head[0].split()[1]), body)

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        writer = self._writer
        self._drop()
        if writer is not None:
            try:
                await writer.wait_closed()
            except OSError:
                return


_BY_NAME = operations.BY_NAME


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one kind of work; times in milliseconds, from when it was due.

    Attributes:
        failures: How often, by reason.
        p50, p90, p95, p99, p999: Exact, from every time measured, not from buckets.
    """

    kind: str
    count: int
    failed: int
    per_s: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    longest: float
    failures: dict[str, int]


class Tally:
    """Times and failures by kind, kept whole."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self.failures: dict[str, Counter[str]] = {}
        self.statuses: Counter[int] = Counter()
        self.began = time.perf_counter()

    def add(self, kind: str, took_ms: float, failure: str | None) -> None:
        """Count one piece of work; `failure` is why it failed, None when it did not."""
        self.times.setdefault(kind, []).append(took_ms)
        if failure is not None:
            self.failures.setdefault(kind, Counter())[failure] += 1

    def kinds(self, seconds: float) -> list[Kind]:
        """Return every kind, most frequent first, and `all` at the end."""
        if not self.times:
            raise Unavailable("nothing was answered at all; is the stack up?")
        ordered = sorted(self.times, key=lambda kind: -len(self.times[kind]))
        found = [self._kind(kind, self.times[kind], self.failures.get(kind, Counter()), seconds) for kind in ordered]
        if len(found) > 1:
            every = [took for times in self.times.values() for took in times]
            found.append(self._kind("all", every, sum(self.failures.values(), Counter()), seconds))
        return found

    def _kind(self, kind: str, times: list[float], failures: Counter[str], seconds: float) -> Kind:
        import numpy as np

        shares = [round(float(value), 3) for value in np.percentile(np.array(times), _SHARES)]
        return Kind(
            kind=kind,
            count=len(times),
            failed=failures.total(),
            per_s=round(len(times) / seconds, 1),
            p50=shares[0],
            p90=shares[1],
            p95=shares[2],
            p99=shares[3],
            p999=shares[4],
            longest=round(max(times), 3),
            failures=dict(failures.most_common()),
        )
