"""Vector servers that are not there, silent, somebody else or another one: what is said, and what to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from frozen import Relay
from lakehouse.errors import IntegrityError, InvalidInput, PermissionDenied, Unavailable
from lakehouse.vectors.base import Item
from qdrant_stand_in import QdrantStandIn
from vectors.test_engines import Engine


def _urls(port: int) -> list[tuple[str, str]]:
    return [
        ("qdrant", f"http://somebody:secret@127.0.0.1:{port}"),
        ("pgvector", f"postgresql+pg8000://somebody:secret@127.0.0.1:{port}/vectors"),
    ]


def _refusal(folder: Path, error: type[Exception], **section: Any) -> str:
    engine = Engine(**section)
    with pytest.raises(error) as raised:
        engine.open(folder).create("people", 3)
    engine.close()
    return str(raised.value)


@pytest.mark.parametrize("at", [0, 1])
def test_server_that_is_not_there_is_named_without_its_password(tmp_path: Path, at: int) -> None:
    engine, url = _urls(9)[at]
    said = _refusal(tmp_path, Unavailable, engine=engine, url=url)
    assert "127.0.0.1:9" in said
    assert "Connection refused" in said
    assert "mend vectors.url" in said
    assert "secret" not in said


@pytest.mark.parametrize("at", [0, 1])
def test_server_that_never_answers_is_given_up_in_time(tmp_path: Path, at: int) -> None:
    with Relay() as relay:
        engine, url = _urls(relay.port)[at]
        began = time.monotonic()
        said = _refusal(tmp_path, Unavailable, engine=engine, url=url, timeout_ms=1_000)
        assert time.monotonic() - began < 8
    assert f"127.0.0.1:{relay.port}" in said
    assert "raise vectors.timeout_ms (1000) if it is slow, or mend vectors.url" in said


@pytest.fixture(params=[200, 404])
def page(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of somebody who answers everything with a page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_server_that_is_no_qdrant_is_not_taken_for_one_without_the_table(page: str, tmp_path: Path) -> None:
    with QdrantStandIn(tmp_path / "qdrant") as service:
        engine = Engine(engine="qdrant", url=service.url)
        engine.open(tmp_path / "lake").create("people", 3)
        engine.close()
    engine = Engine(engine="qdrant", url=page)
    with pytest.raises(InvalidInput, match=rf"what is at {page} is no Qdrant.*mend vectors\.url"):
        engine.open(tmp_path / "lake").ids("people")
    engine.close()


@pytest.mark.parametrize("kind", ["qdrant", "pgvector"])
def test_another_server_of_the_kind_is_named_before_anything_is_advised(
    kind: str, postgres: Callable[[], str], tmp_path: Path
) -> None:
    with QdrantStandIn(tmp_path / "a") as one, QdrantStandIn(tmp_path / "b") as two:
        urls = [one.url, two.url] if kind == "qdrant" else [postgres(), postgres()]
        engine = Engine(engine=kind, url=urls[0])
        engine.open(tmp_path / "lake").create("people", 3)
        engine.close()
        engine = Engine(engine=kind, url=urls[1])
        shown = urls[1].partition("?")[0]
        with pytest.raises(IntegrityError, match=r"mend vectors\.url if the index is on another one") as raised:
            engine.open(tmp_path / "lake").ids("people")
        assert shown in str(raised.value)
        engine.close()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"database": "nowhere"}, InvalidInput, "does not exist; create it, or mend vectors.url"),
        ({"username": "nobody_here"}, PermissionDenied, "check its user, and the password in $OUR_KEY"),
    ],
)
def test_what_postgres_refuses_comes_with_the_way_out(
    postgres: Callable[[], str], tmp_path: Path, change: dict[str, str], error: type[Exception], says: str
) -> None:
    url = make_url(postgres()).set(**change).render_as_string(hide_password=False)
    assert says in _refusal(tmp_path, error, engine="pgvector", url=url, key_env="OUR_KEY")


def test_postgres_that_freezes_is_asked_again_when_it_is_back(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    with Relay.before(url) as relay:
        engine = Engine(engine="pgvector", url=relay.url(url), timeout_ms=1_000)
        vectors = engine.open(tmp_path / "lake")
        vectors.create("people", 3)
        vectors.add("people", [Item(id="a", vector=[1, 0, 0])])
        relay.going.clear()
        with pytest.raises(Unavailable, match=r"it did not answer in time; .*mend vectors\.url"):
            vectors.ids("people")
        relay.going.set()
        assert vectors.ids("people").ids == ["a"]
        engine.close()
