"""Rooms of observe over a folder of their own."""

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import lakehouse
from lakehouse import settings
from lakehouse.observe.inbox import Inbox
from lakehouse.observe.ops import Ops
from lakehouse.staffing.parse import Parser
from lakehouse.state.database import Database

SHARED = Path(os.environ.get("LAKEHOUSE_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def parser() -> Parser:
    return Parser.shipped()


@pytest.fixture
def ops(tmp_path) -> Iterator[Ops]:
    made = Ops(settings.Observer(write_every_ms=1), tmp_path / "logs" / "ops.jsonl", clock=now, start="t")
    yield made
    made.close()


@pytest.fixture
def inbox(tmp_path, ops, parser) -> Iterator[Inbox]:
    state = Database.open(tmp_path / "state.db")
    numbers = iter(range(1, 1_000_000))
    yield Inbox(
        state,
        ops,
        parse_all=parser.parse_all,
        search=lambda text, corpora: pytest.fail("the inbox only records"),
        clock=now,
        new_id=lambda: f"{next(numbers):06d}",
    )
    state.close()


@pytest.fixture(scope="session")
def naughty() -> list[str]:
    """The big list of naughty strings."""
    file = SHARED / "data" / "blns" / "blns.json"
    if not file.is_file():
        pytest.skip(f"the list of naughty strings is not at {file}")
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture
def opened(tmp_path) -> Iterator[Callable[..., lakehouse.Lakehouse]]:
    """Open the lake of this test under settings of its own; closed at the end."""
    lakes = []

    def get(**sections) -> lakehouse.Lakehouse:
        config = settings.load(environ={}, overrides={"data": str(tmp_path / "lake"), **sections})
        lakes.append(lakehouse.connect(config=config))
        return lakes[-1]

    yield get
    for lake in lakes:
        lake.close()


class Collector:
    """An OTLP/HTTP receiver: takes spans as the schema of the OpenTelemetry project says, or misbehaves on demand."""

    def __init__(self) -> None:
        self.spans: list = []
        self.headers: list = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.answer is not None:
                    receiver.answer(self)
                    return
                receiver.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"

    def take(self, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            service = next(
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            )
            for scope in resource.scope_spans:
                self.spans += [(service, span) for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Collector]:
    """A collector for all tests of a module."""
    made = Collector()
    yield made
    made.close()
