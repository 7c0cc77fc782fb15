import http.server
import socket
import threading

import msgspec
import pytest

import lakehouse
from lakehouse import errors, operations, tracing
from lakehouse.errors import DeadlineExceeded, InvalidInput, NotFound, Unavailable, Upstream
from lakehouse.remote import Remote

LIST = next(operation for operation in operations.OPERATIONS if operation.name == "storage.list")
GET = next(operation for operation in operations.OPERATIONS if operation.name == "storage.get")
PUT = next(operation for operation in operations.OPERATIONS if operation.name == "storage.put")


def error_body(error: errors.LakehouseError) -> bytes:
    return msgspec.json.encode(error.to_wire("t"))


@pytest.fixture
def answering():
    """Start servers that give one fixed answer and note what they were asked."""
    servers = []

    def start(status, body, content_type="application/json", before=()):
        """Give each answer of `before` once, None for a connection that breaks, and then always the same."""
        script = list(before)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append((self.path, dict(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = script.pop(0) if script else (status, body)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer[0])
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            do_POST = do_GET  # noqa: N815 - the name that the base class looks for

            def log_message(self, *words):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.asked = []
        running = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        running.start()
        servers.append((server, running))
        server.url = f"http://127.0.0.1:{server.server_port}"
        return server

    yield start
    for server, running in servers:
        server.shutdown()
        running.join()
        server.server_close()


def call(url, operation=LIST, values=None, **options):
    remote = Remote(url, **options)
    try:
        return remote.call(operation, values or {})
    finally:
        remote.close()


@pytest.mark.parametrize("url", ["127.0.0.1:3110", "ftp://host", "http://", "./lake", ""])
def test_remote_what_is_no_url_is_refused(url):
    with pytest.raises(InvalidInput, match="not the URL of a stack"):
        Remote(url)


def test_remote_nobody_there_says_how_to_start_one():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match=rf"nothing answers at http://127\.0\.0\.1:{port} .*lakehouse up"):
        call(f"http://127.0.0.1:{port}")


def test_remote_slow_answer_is_a_deadline():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(DeadlineExceeded, match="within 50 ms") as caught:
            call(url, timeout_ms=50)
    assert caught.value.detail["timeout_ms"] == 50


def test_remote_connection_cut_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept_and_close():
            server.accept()[0].close()

        cut = threading.Thread(target=accept_and_close)
        cut.start()
        with pytest.raises(Unavailable, match="broke"):
            call(f"http://127.0.0.1:{server.getsockname()[1]}")
        cut.join()


def test_remote_error_of_the_stack_is_raised_as_its_class(answering):
    error = NotFound("no object 'x'", key="x")
    server = answering(404, error_body(error))
    with pytest.raises(NotFound) as caught:
        call(server.url)
    assert (caught.value.message, caught.value.detail) == (error.message, error.detail)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, b"<html>bad gateway</html>", Upstream),
        (404, b"\xff", Upstream),
        (500, b"{}", Upstream),
        (200, b"<html>hello</html>", Upstream),
        (200, b'{"objects": 3}', Upstream),
    ],
)
def test_remote_answer_of_something_else_is_upstream(answering, status, body, kind):
    with pytest.raises(kind):
        call(answering(status, body).url)


def test_remote_sends_token_trace_and_quoted_path(answering):
    server = answering(200, b"bytes", "application/octet-stream")
    with tracing.trace("t-1"):
        assert call(server.url + "/", GET, {"key": "a b/\u00fc?#/../%2F"}, token="s3cret") == b"bytes"
    ((path, headers),) = server.asked
    assert path == "/v1/storage/a%20b/%C3%BC%3F%23/%2E%2E/%252F"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers[tracing.HEADER] == "t-1"


def test_remote_wrong_arguments_are_refused_without_a_request(answering):
    server = answering(200, b"{}")
    with pytest.raises(InvalidInput, match="did you mean 'prefix'"):
        call(server.url, LIST, {"prefx": "a"})
    with pytest.raises(InvalidInput, match="must not be empty"):
        call(server.url, GET, {"key": ""})
    assert server.asked == []


def test_remote_text_that_cannot_be_sent_is_refused(answering):
    with pytest.raises(InvalidInput, match="not valid Unicode"):
        call(answering(200, b"{}").url, GET, {"key": "\ud800"})


def test_remote_file_that_cannot_be_read_is_refused(answering, tmp_path):
    with pytest.raises(InvalidInput, match="cannot read"):
        call(answering(200, b"{}").url, PUT, {"key": "x", "data": tmp_path / "absent"})


def test_remote_closed_one_says_so(answering):
    remote = Remote(answering(200, b"{}").url)
    remote.close()
    remote.close()
    with pytest.raises(Unavailable, match="connect again"):
        remote.call(LIST, {})


def test_connect_to_a_url_gives_a_lake_without_rooms():
    with lakehouse.connect("http://127.0.0.1:1") as lake, pytest.raises(Unavailable, match="remote"):
        _ = lake.rooms


OBJECTS = b'{"objects":[]}'
CREATE = next(operation for operation in operations.OPERATIONS if operation.name == "vectors.create")
MERGE = next(operation for operation in operations.OPERATIONS if operation.name == "vectors.merge")


@pytest.mark.parametrize(
    "before",
    [
        [(503, error_body(Unavailable("busy")))] * 2,
        [(502, error_body(Upstream("a part broke off"))), (200, OBJECTS)],
        [(200, OBJECTS), None],
    ],
    ids=["unavailable", "upstream", "broken"],
)
def test_remote_waits_out_what_passes(answering, before):
    server = answering(200, OBJECTS, before=before)
    remote = Remote(server.url)
    for _ in range(2):
        assert remote.call(LIST, {}).objects == []
    remote.close()
    assert len({headers[tracing.HEADER] for _, headers in server.asked}) == 2


def test_remote_gives_up_in_time(answering):
    server = answering(503, error_body(Unavailable("busy")))
    with pytest.raises(Unavailable, match="busy"):
        call(server.url, retry_within_ms=200)
    assert len(server.asked) > 1


@pytest.mark.parametrize("error", [NotFound("no"), InvalidInput("wrong"), errors.InternalError("defect")])
def test_remote_does_not_repeat_what_stays_so(answering, error):
    server = answering(error.status, error_body(error))
    with pytest.raises(type(error)):
        call(server.url)
    assert len(server.asked) == 1


def test_remote_repeats_a_change_only_when_twice_is_as_good_as_once(answering):
    merged = b'{"merged":0,"skipped":0,"cleared":0}'
    lost = (502, error_body(Upstream("a part broke off")))
    server = answering(200, merged, before=[lost])
    assert call(server.url, MERGE, {"src": "a", "dest": "b"}).merged == 0
    server = answering(201, b"{}", before=[lost])
    with pytest.raises(Upstream, match="broke off"):
        call(server.url, CREATE, {"name": "a", "dimension": 2})
    # A refusal has changed nothing, whatever it was that was refused.
    stats = b'{"name":"a","dimension":2,"distance":"cosine","items":0,"indexed":0,"model":null,"findability":null}'
    server = answering(201, stats, before=[(503, error_body(Unavailable("busy")))])
    assert call(server.url, CREATE, {"name": "a", "dimension": 2}).name == "a"
