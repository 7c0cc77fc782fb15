"""The contract of Ollama's `/api/embed`, against a small server that speaks it (a real one is not to be had here)."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy

import lakehouse
from conftest import CORPUS, as_csv, roster
from lakehouse import settings
from lakehouse.embed.service import Embeddings
from lakehouse.errors import NotFound, Unavailable, Upstream, WrongState
from serving import stack_of

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


class FakeOllama:
    """Answers `POST /api/embed` as Ollama documents it; `answer` is exchanged by tests of bad answers."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: Answer = self.embed
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.requests.append(body)
                status, answer = fake.answer(body) if self.path == "/api/embed" else (404, {"error": "no such path"})
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def embed(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body["model"] == "nomic-embed-text:missing":
            return 404, {"error": f'model "{body["model"]}" not found, try pulling it first'}
        rows = [np.random.default_rng(sum(text.encode())).normal(size=768).tolist() for text in body["input"]]
        return 200, {"model": body["model"], "embeddings": rows, "total_duration": 14143917}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    server = FakeOllama()
    yield server
    server.close()


@pytest.fixture
def open_ollama(fake: FakeOllama, tmp_path: Path) -> Iterator[Callable[[str], Embeddings]]:
    opened: list[Embeddings] = []

    def open_(model: str) -> Embeddings:
        opened.append(Embeddings(settings.Embed(model=model, ollama_url=fake.url), tmp_path))
        return opened[-1]

    yield open_
    for embeddings in opened:
        embeddings.close()


@pytest.mark.parametrize("model", ["nomic-embed-text", "nomic-embed-text-v2-moe", "nomic-embed-text:v1.5"])
def test_ollama_family_by_prefix_gives_768_unit_norm(
    open_ollama: Callable[[str], Embeddings], fake: FakeOllama, model: str
) -> None:
    embeddings = open_ollama(model)
    assert (embeddings.model, embeddings.dimension) == (model, 768)
    answer = embeddings.texts(["forklift operator", "x", "forklift operator"])
    assert (answer.model, answer.dimension) == (model, 768)
    assert np.allclose(np.linalg.norm(answer.vectors, axis=1), 1.0, atol=1e-6)
    assert answer.vectors[0] == answer.vectors[2] != answer.vectors[1]
    # What is known is not asked for again.
    assert fake.requests == [{"model": model, "input": ["forklift operator", "x"]}]
    assert embeddings.cached("x")
    assert embeddings.array(["x"]).tolist() == [answer.vectors[1]]
    assert len(fake.requests) == 1


def test_ollama_many_texts_come_in_portions_and_in_order(
    open_ollama: Callable[[str], Embeddings], fake: FakeOllama
) -> None:
    texts = [f"text {number}" for number in range(150)]
    vectors = open_ollama("nomic-embed-text").array(texts)
    assert [text for request in fake.requests for text in request["input"]] == texts
    assert len(fake.requests) == 3
    for text, vector in zip(texts, vectors, strict=True):
        expected = np.random.default_rng(sum(text.encode())).normal(size=768)
        assert float(vector @ expected) / np.linalg.norm(expected) > 0.99999


@pytest.mark.parametrize(
    ("status", "answer", "error", "named"),
    [
        (404, {"error": "model not found"}, NotFound, "ollama pull nomic-embed-text"),
        (500, {"error": "out of memory"}, Upstream, "out of memory"),
        (503, ["busy"], Upstream, "503: no reason given"),
        (200, {"embeddings": [[1.0] * 767]}, Upstream, r"shape \(1, 767\)"),
        (200, {"embeddings": []}, Upstream, "1 vectors of 768"),
        (200, {"embeddings": [["a"] * 768]}, Upstream, "1 vectors of 768"),
        (200, {"embeddings": [[0.0] * 768]}, Upstream, "no direction"),
        (200, {}, Upstream, "1 vectors of 768"),
        (200, b"<html>", Upstream, "other than JSON"),
    ],
)
def test_ollama_bad_answer_is_named(
    open_ollama: Callable[[str], Embeddings],
    fake: FakeOllama,
    status: int,
    answer: Any,
    error: type[Exception],
    named: str,
) -> None:
    fake.answer = lambda body: (status, answer)
    embeddings = open_ollama("nomic-embed-text")
    with pytest.raises(error, match=named):
        embeddings.texts(["x"])
    assert not embeddings.cached("x")


def test_ollama_out_of_reach_is_unavailable(tmp_path: Path, fake: FakeOllama) -> None:
    fake.close()
    embeddings = Embeddings(settings.Embed(model="nomic-embed-text", ollama_url=fake.url), tmp_path)
    with pytest.raises(Unavailable, match="cannot be reached"):
        embeddings.texts(["x"])
    embeddings.close()
    fake._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    fake._thread = threading.Thread(target=fake._server.serve_forever)
    fake._thread.start()


def test_ollama_embeds_files_too(open_ollama: Callable[[str], Embeddings], fake: FakeOllama, tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"id": ["a", "b"], "text": ["x", "y"], "metadata": ["{}", "{}"]})
    with pa.ipc.new_file(str(tmp_path / "in"), table.schema) as writer:
        writer.write_table(table)
    done = open_ollama("nomic-embed-text").embed_file(tmp_path / "in", tmp_path / "out")
    assert (done.embedded, done.reused) == (2, 0)
    with pa.ipc.open_file(str(tmp_path / "out")) as reader:
        assert reader.schema.field("vector").type.list_size == 768


DEMAND = "Need 2 forklift operators in Cleveland OH"


def make_without_index(config: settings.Settings) -> None:
    """Make a lake that remembers somebody for a demand, and has lost the index of that."""
    with lakehouse.connect(config=config) as lake:
        lake.ingest.file(as_csv(roster()), "people", "text/csv")
        lake.corpora.build(name="workers", **CORPUS)
        first = lake.matrix.search(DEMAND, ["workers"]).results[0]
        lake.playbooks.record(DEMAND, first.id, "workers", 0.9)
        lake.vectors.delete("playbook_default")


@pytest.mark.parametrize("shared", [False, True], ids=["a file", "Postgres"])
def test_lake_opens_while_its_model_is_out_of_reach_and_mends_its_memory_when_it_is_there(
    fake: FakeOllama, tmp_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, shared: bool
) -> None:
    section = {"data": str(tmp_path / "lake"), "embed": {"model": "nomic-embed-text", "ollama_url": fake.url}}
    if shared:
        database = request.getfixturevalue("postgres")
        section |= {
            "state": {"url": database()},
            "catalog": {"uri": database(), "warehouse": str(tmp_path / "warehouse")},
            "ledger": {"keys": str(tmp_path / "keys")},
        }
    config = settings.load(environ={}, overrides=section)
    asked = DEMAND, ["workers"]
    make_without_index(config)
    fake.answer = lambda _: (503, {"error": "the model is being loaded"})
    with lakehouse.connect(config=config) as lake:
        assert len(lake.playbooks.list().entries) == 1
        assert "memory of default is not up to date" in caplog.text
        with pytest.raises(Upstream, match="is being loaded"):
            lake.matrix.search(*asked, use_playbook=True)
        fake.answer = fake.embed
        assert lake.matrix.search(*asked, use_playbook=True).boosted == 1
        assert lake.vectors.stats("playbook_default").items == 1


def test_server_answers_others_while_a_memory_that_is_behind_waits_for_its_model(
    fake: FakeOllama, tmp_path: Path
) -> None:
    section = {"data": str(tmp_path / "lake"), "embed": {"model": "nomic-embed-text", "ollama_url": fake.url}}
    config = settings.load(environ={}, overrides=section)
    make_without_index(config)
    fake.answer = lambda _: (503, {"error": "the model is being loaded"})
    asked, loaded = threading.Event(), threading.Event()

    def slow(body: dict[str, Any]) -> tuple[int, Any]:
        asked.set()
        assert loaded.wait(30)
        return fake.embed(body)

    with (
        lakehouse.connect(config=config) as lake,
        stack_of(lake) as stack,
        httpx.Client(base_url=stack.url, timeout=30) as client,
        ThreadPoolExecutor(1) as caller,
    ):
        search = {"query_text": "3 line cooks in Detroit MI", "corpora": ["workers"]}
        fake.answer = fake.embed
        # Its own vector is known from here on.
        client.post("/v1/matrix/search", json=search).raise_for_status()
        fake.answer = slow
        waiting = caller.submit(client.post, "/v1/matrix/search", json={**search, "use_playbook": True})
        try:
            assert asked.wait(30)
            assert httpx.get(f"{stack.url}/health", timeout=10).json()["status"] == "ok"
            assert not waiting.done()
        finally:
            loaded.set()
        assert waiting.result().status_code == 200
        assert lake.vectors.stats("playbook_default").items == 1


def test_replica_with_a_folder_of_another_model_comes_up_and_says_what_to_do(
    fake: FakeOllama, tmp_path: Path, postgres: Callable[[], str]
) -> None:
    shared = {
        "state": {"url": postgres()},
        "catalog": {"uri": postgres(), "warehouse": str(tmp_path / "warehouse")},
        "ledger": {"keys": str(tmp_path / "keys")},
    }

    def replica(name: str, model: str) -> lakehouse.Lakehouse:
        section = {**shared, "data": str(tmp_path / name), "embed": {"model": model, "ollama_url": fake.url}}
        return lakehouse.connect(config=settings.load(environ={}, overrides=section))

    asked = ("2 line cooks in Detroit MI", ["workers"])
    with replica("one", "all-MiniLM-L6-v2") as one, replica("two", "all-MiniLM-L6-v2") as two:
        one.ingest.file(as_csv(roster()), "people", "text/csv")
        one.corpora.build(name="workers", **CORPUS)
        assert two.matrix.search(*asked).results
        with one.rooms.state.write() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM replicas WHERE id = :id"), {"id": one.rooms.replicas.own})
            connection.execute(sqlalchemy.text("UPDATE replicas SET model = ''"))
    # The one starts with an empty folder, as it is told to, the other with that of the model before.
    with replica("anew", "nomic-embed-text") as one, replica("two", "nomic-embed-text") as two:
        for _ in range(2):
            assert one.matrix.search(*asked).results
            with pytest.raises(WrongState, match=r"have 768 under cosine.*`lakehouse vectors delete workers`"):
                two.matrix.search(*asked)
            assert two.catalog.dataset("people").rows == 36
            changed = [{**roster()[0], "resume": "scuba diver"}]
            one.ingest.file(as_csv(changed), "people", "text/csv", key="id")
            one.corpora.build(name="workers", **CORPUS)
        two.vectors.delete("workers")
        two.corpora.build(name="workers", **CORPUS)
        assert [hit.id for hit in two.matrix.search(*asked).results] == [
            hit.id for hit in one.matrix.search(*asked).results
        ]


def test_corpus_of_another_model_as_long_is_embedded_anew(
    fake: FakeOllama, tmp_path: Path, postgres: Callable[[], str]
) -> None:
    def by_model(body: dict[str, Any]) -> tuple[int, Any]:
        seeds = [len(body["model"]) + sum(text.encode()) for text in body["input"]]
        return 200, {"embeddings": [np.random.default_rng(seed).normal(size=768).tolist() for seed in seeds]}

    fake.answer = by_model
    shared = {
        "state": {"url": postgres()},
        "catalog": {"uri": postgres(), "warehouse": str(tmp_path / "warehouse")},
        "ledger": {"keys": str(tmp_path / "keys")},
    }

    def opened(name: str, model: str, more: dict[str, Any]) -> lakehouse.Lakehouse:
        section = {**more, "data": str(tmp_path / name), "embed": {"model": model, "ollama_url": fake.url}}
        return lakehouse.connect(config=settings.load(environ={}, overrides=section))

    for name, more in (("alone", {}), ("replica", shared)):
        with opened(name, "nomic-embed-text", more) as lake:
            lake.ingest.file(as_csv(roster()), "people", "text/csv")
            lake.corpora.build(name="workers", **CORPUS)
            before = lake.vectors.get("workers", "w-1").vector
        with opened(name, "nomic-embed-text-v2-moe", more) as lake:
            if name == "alone":
                assert lake.corpora.build(name="workers", **CORPUS).embedded == 36
            assert lake.vectors.stats("workers").model == "nomic-embed-text-v2-moe"
            assert lake.vectors.get("workers", "w-1").vector != before
            assert lake.corpora.build(name="workers", **CORPUS).reused == 36
