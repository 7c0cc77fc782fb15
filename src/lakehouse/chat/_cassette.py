"""Exchanges with providers written to a file, and requests answered from such a file without any network.

One JSON object a line: the request's URL and body, the answer's status, content type and body. No other header is
kept, so no key can be in it. A request is answered by the first exchange of the same URL and body that has not been
used yet; the last one is used again and again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from lakehouse.chat.base import Deadline, Failed, Incoming, Outgoing
from lakehouse.decoding import ready
from lakehouse.errors import InvalidInput, Unavailable
from lakehouse.state.log import Log

_KEPT_HEADERS = ("content-type", "retry-after")


class Exchanges(Protocol):
    """What sends a request and gives the answer while a block lasts."""

    def exchange(self, request: Outgoing, deadline: Deadline, *, local: bool) -> Any:
        """See `Http.exchange`."""

    def close(self) -> None:
        """Release everything; idempotent."""


@ready
class Recorded(msgspec.Struct, frozen=True):
    """One exchange."""

    url: str
    request: msgspec.Raw
    status: int
    headers: Mapping[str, str]
    body: bytes


class Recording:
    """Passes requests on and writes each whole exchange down.

    Args:
        inner: Where they go.
        path: The file; lines are added.
    """

    def __init__(self, inner: Exchanges, path: Path) -> None:
        self._inner = inner
        self._log = Log(path, max_bytes=0)

    @contextmanager
    def exchange(self, request: Outgoing, deadline: Deadline, *, local: bool) -> Iterator[Incoming]:
        """Send a request; what of the answer was read is written down when the block ends."""
        with self._inner.exchange(request, deadline, local=local) as answer:
            seen: list[bytes] = []

            def chunks() -> Iterator[bytes]:
                for chunk in answer.chunks:
                    seen.append(chunk)
                    yield chunk

            try:
                yield Incoming(answer.status, answer.headers, chunks())
            finally:
                headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
                kept = Recorded(request.url, msgspec.Raw(request.body), answer.status, headers, b"".join(seen))
                self._log.write([msgspec.json.encode(kept)])

    def close(self) -> None:
        """Close the file and what is behind; idempotent."""
        self._log.close()
        self._inner.close()


class Replaying:
    """Answers requests from a file.

    Args:
        path: Written by `Recording`.

    Raises:
        InvalidInput: The file does not exist, or a line is not an exchange.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[tuple[str, bytes], list[Recorded]] = {}
        if not path.is_file():
            raise InvalidInput(f"chat.replay: there is no file {path}", path=str(path))
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                one = msgspec.json.decode(line, type=Recorded)
            except msgspec.DecodeError as error:
                raise InvalidInput(f"{path}, line {number}: {error}", line=number) from None
            self._known.setdefault((one.url, bytes(one.request)), []).append(one)

    @contextmanager
    def exchange(self, request: Outgoing, deadline: Deadline, *, local: bool) -> Iterator[Incoming]:  # noqa: ARG002 - the shape of an exchange
        """Give the recorded answer.

        Raises:
            Failed: There is none of this request.
        """
        with self._lock:
            recorded = self._known.get((request.url, request.body))
            if not recorded:
                missing = Unavailable(f"{self._path} holds no answer to this request to {request.url}", url=request.url)
                raise Failed(missing, again=False)
            one = recorded.pop(0) if len(recorded) > 1 else recorded[0]
        yield Incoming(one.status, one.headers, iter([one.body]))

    def close(self) -> None:
        """Nothing to release."""
