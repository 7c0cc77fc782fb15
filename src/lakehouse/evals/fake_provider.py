"""A provider of chat models on loopback that says what it is told to, and misbehaves on demand.

It speaks Chat Completions and Ollama's protocol, whole and streamed. It stands in for paid and unreachable providers
wherever the product is measured or tested.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal, Self

Manner = Literal[
    "well",
    "slow",
    "drip",
    "429",
    "500",
    "400",
    "404",
    "truncated",
    "garbage",
    "no_choices",
    "huge",
    "not_utf8",
    "closed",
    "cut",
]
Say = Callable[[dict[str, Any]], str]

_HUGE_BYTES = 64 * 1024 * 1024
_CHUNK = b"x" * 65_536
_WORDS_PER_ANSWER = 4


def echo(request: dict[str, Any]) -> str:
    """Say what was said last."""
    return str(request["messages"][-1]["content"])


class FakeProvider:
    """The server; also a context manager.

    Args:
        say: Gives the text of an answer for a decoded request.

    Attributes:
        url: Of the server.
        manners: How the next requests are met, in order; `well` when it is empty.
        requests: Path, headers and decoded body of what came.
        finish_reason: Given with every answer.
        counts: Whether answers say how many tokens they took.
        slow_s: How long `slow` waits.

    >>> with FakeProvider() as provider:
    ...     provider.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, say: Say = echo) -> None:
        self.say = say
        self.manners: deque[Manner] = deque()
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.finish_reason = "stop"
        self.counts = True
        self.slow_s = 30.0
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the server; idempotent."""
        self._stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than the server runs."""
        self._stopped.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of the play."""


def _handler(fake: FakeProvider) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One packet per answer: otherwise the network's delayed acknowledgement would be measured.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.requests.append((self.path, dict(self.headers), body))
            manner = fake.manners.popleft() if fake.manners else "well"
            with suppress(ConnectionError):
                _MANNERS[manner](self, fake, body)
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def _send(
    handler: Any, status: int, data: bytes, *, length: int | None = None, media: str = "application/json"
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", media)
    handler.send_header("Content-Length", str(len(data) if length is None else length))
    if status == 429:
        handler.send_header("Retry-After", "0")
    handler.end_headers()
    handler.wfile.write(data)


def _tokens(fake: FakeProvider, request: dict[str, Any], text: str) -> tuple[int | None, int | None]:
    if not fake.counts:
        return None, None
    prompt = sum(len(message["content"].split()) for message in request["messages"])
    return prompt, len(text.split())


def _well(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    text = fake.say(request)
    ollama = handler.path == "/api/chat"
    if request.get("stream"):
        _streamed(handler, fake, request, text)
        return
    prompt, completion = _tokens(fake, request, text)
    if ollama:
        answer: dict[str, Any] = {
            "model": request["model"],
            "message": {"role": "assistant", "content": text},
            "done": True,
            "done_reason": fake.finish_reason,
            "prompt_eval_count": prompt,
            "eval_count": completion,
        }
    else:
        answer = {
            "id": "fake",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                         "finish_reason": fake.finish_reason}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": completion},
        }  # fmt: skip
    _send(handler, 200, json.dumps(answer).encode())


def _streamed(handler: Any, fake: FakeProvider, request: dict[str, Any], text: str, *, cut: bool = False) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    ollama = handler.path == "/api/chat"
    for event in _events(fake, request, text, ollama=ollama, cut=cut):
        data = json.dumps(event).encode() if event else b"[DONE]"
        line = data + b"\n" if ollama else b"data: " + data + b"\n\n"
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        handler.wfile.flush()
    handler.wfile.write(b"0\r\n\r\n")


def _events(
    fake: FakeProvider, request: dict[str, Any], text: str, *, ollama: bool, cut: bool
) -> Iterator[dict[str, Any]]:
    size = max(1, len(text) // _WORDS_PER_ANSWER)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    for part in parts[: 1 if cut else None]:
        yield (
            {"message": {"role": "assistant", "content": part}, "done": False}
            if ollama
            else {"choices": [{"index": 0, "delta": {"content": part}, "finish_reason": None}]}
        )
    if cut:
        return
    prompt, completion = _tokens(fake, request, text)
    if ollama:
        yield {"message": {"content": ""}, "done": True, "done_reason": fake.finish_reason,
               "prompt_eval_count": prompt, "eval_count": completion}  # fmt: skip
        return
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": fake.finish_reason}]}
    yield {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}
    yield {}


def _slow(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    fake.wait(fake.slow_s)
    _well(handler, fake, request)


def _drip(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    """Send a byte now and then, so that no single read ever waits long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    end = time.monotonic() + fake.slow_s
    while time.monotonic() < end:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        fake.wait(0.02)


def _status(status: int, message: str) -> Callable[..., None]:
    def answer(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
        said = f"{message} {handler.headers.get('Authorization', '')}".strip()
        body = {"error": said} if handler.path == "/api/chat" else {"error": {"message": said, "code": status}}
        _send(handler, status, json.dumps(body).encode())

    return answer


def _truncated(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    _send(handler, 200, b'{"choices": [{"mess', length=1_000)
    handler.wfile.flush()
    handler.close_connection = True


def _garbage(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    _send(handler, 200, b"<html>It works!</html>", media="text/html")


def _no_choices(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    _send(handler, 200, b'{"choices": [], "done": true}')


def _huge(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(_HUGE_BYTES))
    handler.end_headers()
    for _ in range(_HUGE_BYTES // len(_CHUNK)):
        handler.wfile.write(_CHUNK)


def _not_utf8(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    _send(
        handler,
        200,
        b'{"choices": [{"message": {"content": "\xff\xfe"}}], "message": {"content": "\xff"}, "done": true}',
    )


def _closed(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    handler.close_connection = True


def _cut(handler: Any, fake: FakeProvider, request: dict[str, Any]) -> None:
    """Stream a first part and then end as if that had been all."""
    _streamed(handler, fake, request, fake.say(request), cut=True)


_MANNERS: dict[str, Callable[..., None]] = {
    "well": _well,
    "slow": _slow,
    "drip": _drip,
    "429": _status(429, "too many requests"),
    "500": _status(500, "out of memory"),
    "400": _status(400, "no such option"),
    "404": _status(404, "model not found"),
    "truncated": _truncated,
    "garbage": _garbage,
    "no_choices": _no_choices,
    "huge": _huge,
    "not_utf8": _not_utf8,
    "closed": _closed,
    "cut": _cut,
}
