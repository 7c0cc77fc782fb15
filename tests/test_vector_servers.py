"""A whole lake whose corpora lie on a server: what it answers is what a lake in files answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy

import lakehouse
from conftest import CORPUS, as_csv, roster
from lakehouse import settings
from lakehouse.errors import NotFound, Unavailable
from serving import stack_of

ASKS = [
    "2 forklift operators in Cleveland OH, day shift, OSHA-30",
    "CNC operator in Detroit MI",
    "line cook who can work nights near Parma OH",
]


class Lakes:
    """Two lakes of the same people: in files, and on a server."""

    def __init__(self, folder: Path, server: dict[str, str]) -> None:
        self._places: list[tuple[Path, dict[str, Any]]] = [(folder / "files", {}), (folder / "served", server)]
        self.open()

    def open(self) -> None:
        self.both = tuple(
            lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(path), "vectors": section}))
            for path, section in self._places
        )

    def close(self) -> None:
        for lake in self.both:
            lake.close()


@pytest.fixture
def lakes(tmp_path: Path, vector_server: dict[str, str]) -> Iterator[Lakes]:
    made = Lakes(tmp_path, vector_server)
    yield made
    made.close()


def answer(lake: lakehouse.Lakehouse, **asked: Any) -> Any:
    found = msgspec.to_builtins(lake.matrix.search(corpora=["workers"], **asked))
    # Not of the answer but of the search: how long it took, under which trace.
    return {key: value for key, value in found.items() if key not in {"trace_id", "timings_ms", "took_ms"}}


def test_life_of_a_lake_on_a_server(lakes: Lakes) -> None:
    for lake in lakes.both:
        lake.ingest.file(as_csv(roster()), "people", "text/csv")
        assert lake.corpora.build(name="workers", **CORPUS).items == 36
    files, served = lakes.both
    ohio = {"must": [{"key": "state", "match": "OH"}], "must_not": [{"key": "certs", "match": "OSHA-30"}]}
    for text in ASKS:
        assert answer(files, query_text=text) == answer(served, query_text=text)
        asked = {"query_text": text, "filter": ohio, "exclude_ids": ["w-2", "w-3"], "k": 20}
        assert answer(files, **asked) == answer(served, **asked)
    # Memory, which stays in the lake's folder, over people on the server.
    last = answer(served, query_text=ASKS[1], k=4)["results"][-1]["id"]
    for lake in lakes.both:
        lake.playbooks.record(ASKS[1], last, "workers", 1.0)
    remembered = answer(served, query_text=ASKS[1], use_playbook=True)
    assert remembered["results"][0]["id"] == last
    found = answer(files, query_text=ASKS[1], use_playbook=True)
    assert [hit["id"] for hit in found["results"]] == [hit["id"] for hit in remembered["results"]]
    # Somebody new is found by the very next search.
    person = {**roster()[0], "name": "Newly Come", "resume": "twenty years of underwater welding on oil rigs"}
    metadata = {key: person[key] for key in CORPUS["metadata_columns"]}
    text = "underwater welding on oil rigs"
    assert all(hit["id"] != "w-new" for hit in answer(served, query_text=text)["results"])
    for lake in lakes.both:
        lake.vectors.add("workers", [{"id": "w-new", "text": person["resume"], "metadata": metadata}])
    assert answer(served, query_text=text)["results"][0]["id"] == "w-new"
    assert answer(files, query_text=text) == answer(served, query_text=text)
    lakes.both[1].vectors.delete_item("workers", "w-new")
    assert all(hit["id"] != "w-new" for hit in answer(served, query_text=text)["results"])
    # A refresh touches what changed and nothing else.
    changed = roster()
    changed[4]["resume"] = "scuba diver who repairs harbour walls"
    served.ingest.file(as_csv(changed), "people", "text/csv", key="id")
    report = served.corpora.build(name="workers", **CORPUS)
    assert (report.items, report.embedded) == (36, 1)
    assert answer(served, query_text="scuba diver harbour walls")["results"][0]["id"] == "w-5"


def test_erased_people_are_in_no_table_of_the_server(lakes: Lakes) -> None:
    served = lakes.both[1]
    served.ingest.file(as_csv(roster()), "people", "text/csv")
    served.corpora.build(name="workers", **CORPUS)
    index = served.rooms.vectors._indexes.get("workers")
    before = index.manifest.built
    receipt = served.subjects.erase("w-1", "asked for")
    assert receipt.found == []
    prefix = before.rpartition("_")[0]
    tables = index._server().names(prefix)
    assert len(tables) == 1
    # Not only deleted: what held the row is gone.
    assert tables != [before]
    assert "w-1" not in served.vectors.ids("workers").ids
    lakes.close()
    lakes.open()
    again = lakes.both[1]
    assert len(again.vectors.ids("workers").ids) == 35
    assert all(hit["id"] != "w-1" for hit in answer(again, query_text=ASKS[0])["results"])
    assert again.corpora.list().corpora[0].items == 35


def test_lake_opens_while_its_server_is_away(tmp_path: Path, vector_server: dict[str, str]) -> None:
    def open_(**section: str) -> lakehouse.Lakehouse:
        overrides = {"data": str(tmp_path / "lake"), "vectors": section}
        return lakehouse.connect(config=settings.load(environ={}, overrides=overrides))

    with open_(**vector_server) as lake:
        lake.vectors.create("workers", 384)
    away = {"qdrant": "http://127.0.0.1:9", "pgvector": "postgresql+pg8000://nobody@127.0.0.1:9/none"}
    with open_(**{**vector_server, "url": away[vector_server["engine"]]}) as lake:
        assert lake.playbooks.list().entries == []
        with pytest.raises(Unavailable):
            lake.matrix.search(query_text=ASKS[0], corpora=["workers"])
    with open_(**vector_server) as lake:
        assert lake.matrix.search(query_text=ASKS[0], corpora=["workers"]).results == []


def test_deleted_corpus_is_on_no_server_also_when_that_was_away_meanwhile(
    tmp_path: Path, vector_server: dict[str, str]
) -> None:
    def open_(**section: str) -> lakehouse.Lakehouse:
        overrides = {"data": str(tmp_path / "lake"), "vectors": section}
        return lakehouse.connect(config=settings.load(environ={}, overrides=overrides))

    def tables(lake: lakehouse.Lakehouse) -> list[str]:
        index = lake.rooms.vectors._indexes.get("other")
        return index._server().names("lakehouse_")

    away = {"qdrant": "http://127.0.0.1:9", "pgvector": "postgresql+pg8000://nobody@127.0.0.1:9/none"}
    with open_(**vector_server) as lake:
        lake.vectors.create("other", 2)
        before = tables(lake)
        lake.ingest.file(as_csv(roster()), "people", "text/csv")
        for _ in range(2):
            lake.corpora.build(name="workers", **CORPUS)
            assert len(tables(lake)) == len(before) + 1
            lake.corpora.delete("workers")
            assert tables(lake) == before
        lake.corpora.build(name="workers", **CORPUS)
    with open_(**{**vector_server, "url": away[vector_server["engine"]]}) as lake:
        with pytest.raises(Unavailable):
            lake.corpora.delete("workers")
        assert lake.corpora.list().corpora == []
    with open_(**vector_server) as lake:
        assert tables(lake) == before
        with pytest.raises(NotFound):
            lake.matrix.search(query_text=ASKS[0], corpora=["workers"])


def test_nobody_else_waits_while_a_search_waits_for_its_server(tmp_path: Path, postgres: Callable[[], str]) -> None:
    url = postgres()
    overrides = {"data": str(tmp_path / "lake"), "vectors": {"engine": "pgvector", "url": url, "timeout_ms": 60_000}}
    engine = sqlalchemy.create_engine(url)
    with (
        lakehouse.connect(config=settings.load(environ={}, overrides=overrides)) as lake,
        stack_of(lake) as stack,
        httpx.Client(base_url=stack.url, timeout=60) as client,
    ):
        lake.ingest.file(as_csv(roster()), "people", "text/csv")
        lake.corpora.build(name="workers", **CORPUS)
        found: list[httpx.Response] = []
        asked = {"query_text": ASKS[0], "corpora": ["workers"], "k": 3}
        search = threading.Thread(target=lambda: found.append(client.post("/v1/matrix/search", json=asked)))
        with engine.begin() as connection:
            for table in sqlalchemy.inspect(engine).get_table_names():
                connection.exec_driver_sql(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
            search.start()
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            for _ in range(1_000):
                if connection.exec_driver_sql(waiting).scalar():
                    break
                search.join(0.01)
            # The search hangs for as long as this transaction lasts.
            assert client.get("/health", timeout=10).status_code == 200
            assert search.is_alive()
        search.join()
        assert [hit["id"] for hit in found[0].json()["results"]] == [
            hit.id for hit in lake.matrix.search(**asked).results
        ]
        assert client.post("/v1/matrix/search", json=asked).json()["results"] == found[0].json()["results"]
    engine.dispose()
