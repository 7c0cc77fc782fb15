"""Both ways to a provider, on this machine and elsewhere, do the same with whatever comes."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from lakehouse.chat._http import Http
from lakehouse.chat.base import Deadline, Failed, Outgoing
from lakehouse.errors import DeadlineExceeded, Upstream

MOST_BYTES = 100_000
# Instead of an answer: the connection is closed upon the request, unread.
UNREAD = b"unread"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Script:
    """A server that answers each request with the next bytes of a list, and closes where it says so."""

    def __init__(self) -> None:
        self.answers: list[tuple[bytes, bool]] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._stopped = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1/chat"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        # A connection of its own wakes the accepting thread up.
        self._stopped = True
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopped:
                connection.close()
                return
            self.connections += 1
            # A client that has had enough goes away in the middle.
            with connection, contextlib.suppress(ConnectionError):
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        while True:
            if self.answers and self.answers[0][0] is UNREAD:
                connection.recv(1, socket.MSG_PEEK)
                self.answers.pop(0)
                return
            request = _request(connection)
            if not request:
                return
            self.requests.append(request)
            answer, close = self.answers.pop(0)
            connection.sendall(answer)
            if close:
                return


def _request(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"BODY"):
        more = connection.recv(65_536)
        if not more:
            return b""
        data += more
    return data


@pytest.fixture
def script():
    made = Script()
    yield made
    made.close()


@pytest.fixture(params=[True, False], ids=["here", "elsewhere"])
def ask(request):
    http = Http(most_bytes=MOST_BYTES)

    def ask_(url: str, seconds: float = 20, **headers: str) -> tuple[int, bytes]:
        outgoing = Outgoing(url, {"Host": "127.0.0.1", "Content-Type": "application/json", **headers}, b"BODY")
        with http.exchange(outgoing, Deadline(seconds), local=request.param) as answer:
            return answer.status, b"".join(answer.chunks)

    yield ask_
    http.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, b"ok"),
        (CHUNKED, 200, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 1\r\n\r\nbusy", 503, b"busy"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
    ],
    ids=["length", "chunked", "continue", "error", "no-content", "empty"],
)
def test_answer_is_read_and_its_connection_kept(script, ask, answer, status, body):
    script.answers += [(answer, False), (OK, False)]
    assert ask(script.url) == (status, body)
    assert ask(script.url) == (200, b"ok")
    assert script.connections == 1
    head, _, sent = script.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat HTTP/1.1\r\n")
    assert b"content-length: 4" in head.lower()
    assert sent == b"BODY"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        OK,
    ],
    ids=["until-closed", "says-so", "unsaid"],
)
def test_connection_that_the_provider_closes_is_not_used_again(script, ask, answer):
    script.answers += [(answer, True), (OK, True)]
    assert ask(script.url) == (200, b"ok")
    assert ask(script.url) == (200, b"ok")
    assert script.connections == 2


def test_request_that_the_provider_closed_upon_without_reading_it_goes_on_a_new_connection(script, ask):
    script.answers += [(OK, False), (UNREAD, True), (OK, False)]
    assert ask(script.url) == (200, b"ok")
    assert ask(script.url) == (200, b"ok")
    assert script.connections == 2
    assert len(script.requests) == 2


def test_request_that_the_provider_read_is_not_sent_twice(script, ask):
    script.answers += [(OK, False), (b"", True), (OK, False)]
    assert ask(script.url) == (200, b"ok")
    with pytest.raises(Failed) as caught:
        ask(script.url)
    assert caught.value.again
    assert len(script.requests) == 2


def test_kept_connection_that_breaks_inside_an_answer_is_not_asked_again(script, ask):
    script.answers += [(OK, False), (b"HTTP/1.1 200 O", True), (OK, False)]
    assert ask(script.url) == (200, b"ok")
    with pytest.raises(Failed):
        ask(script.url)
    assert script.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\no\r\n",
        b"not HTTP at all\r\n\r\n",
        b"\x00\xff\x13" * 100,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400_000,
    ],
    ids=["nothing", "half-a-line", "short", "no-last-chunk", "no-chunk", "text", "bytes", "endless-header"],
)
def test_answer_that_is_none_breaks_off_and_may_be_asked_for_again(script, ask, answer):
    script.answers += [(answer, True), (OK, False)]
    with pytest.raises(Failed) as caught:
        ask(script.url)
    assert isinstance(caught.value.error, Upstream)
    assert caught.value.again
    assert ask(script.url) == (200, b"ok")


def test_answer_that_is_too_large_is_left(script, ask):
    script.answers += [(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000, False), (OK, False)]
    with pytest.raises(Failed, match="max_answer_bytes"):
        ask(script.url)
    assert ask(script.url) == (200, b"ok")
    assert script.connections == 2


@pytest.mark.parametrize(
    "more",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"evil", b"HTTP/1.1 2"],
    ids=["whole", "text", "half-a-line"],
)
def test_what_comes_behind_an_answer_is_nobodys(script, more):
    script.answers += [(OK + more, False), (OK, False)]
    http = Http(most_bytes=MOST_BYTES)
    for connections in (1, 2):
        with http.exchange(Outgoing(script.url, {"Host": "x"}, b"BODY"), Deadline(20), local=True) as answer:
            assert b"".join(answer.chunks) == b"ok"
        assert script.connections == connections
    http.close()


def test_deadline_holds_for_a_body_that_does_not_come(script, ask):
    script.answers.append((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", False))
    with pytest.raises(Failed) as caught:
        ask(script.url, seconds=0.1)
    assert isinstance(caught.value.error, DeadlineExceeded)


def test_nobody_there_is_told_and_may_be_asked_again(ask):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(Failed, match="cannot be reached") as caught:
            ask(f"http://127.0.0.1:{held.getsockname()[1]}/")
    assert caught.value.again


@pytest.mark.parametrize("value", ["Bearer a\nX-Evil: 1", "Bearer a\r\n\r\nPOST /", "Bearer a\0"])
def test_header_that_would_begin_another_is_never_sent(script, ask, value):
    with pytest.raises(Failed) as caught:
        ask(script.url, Authorization=value)
    assert isinstance(caught.value.error, Upstream)
    assert script.requests == []
