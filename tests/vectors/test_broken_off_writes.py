"""A write of which the caller heard nothing more, because the server took too long, and that lands afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from lakehouse.errors import InternalError, Unavailable
from lakehouse.vectors.base import Item
from lakehouse.vectors.service import Vectors
from qdrant_stand_in import QdrantStandIn
from vectors.test_engines import Engine

# Gives what tells whether the server has a removal that waits.
Late = Callable[[], AbstractContextManager[Callable[[], bool]]]


@pytest.fixture(params=["qdrant", "pgvector"])
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Vectors, Late]]:
    """An index `people` of a server, and what has removals from it wait for as long as a block lasts."""
    if request.param == "qdrant":
        with QdrantStandIn(tmp_path / "qdrant") as service:

            @contextmanager
            def late() -> Iterator[Callable[[], bool]]:
                service.arrive.clear()
                service.late = {"points/delete"}
                yield lambda: service.waiting > 0
                service.late = set()
                service.arrive.set()

            yield from _opened(tmp_path, late, engine="qdrant", url=service.url)
        return
    url = request.getfixturevalue("postgres")()
    engine = sqlalchemy.create_engine(url)

    @contextmanager
    def late() -> Iterator[Callable[[], bool]]:
        with engine.begin() as connection:
            for table in sqlalchemy.inspect(connection).get_table_names():
                # Those who only read, or add others, need not wait.
                connection.exec_driver_sql(f'SELECT FROM "{table}" FOR UPDATE')
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            yield lambda: bool(connection.exec_driver_sql(waiting).scalar())

    yield from _opened(tmp_path, late, engine="pgvector", url=url)
    engine.dispose()


def _opened(folder: Path, late: Late, **section: Any) -> Iterator[tuple[Vectors, Late]]:
    made = Engine(**section, timeout_ms=2_000)
    vectors = made.open(folder / "lake")
    vectors.create("people", 3)
    vectors.add("people", [Item(id=id, vector=[1, 0, 0]) for id in "abc"])
    yield vectors, late
    made.close()


def _break_off(vectors: Vectors, id: str, arrived: Callable[[], bool]) -> None:
    # On a busy machine it may be given up before it was sent.
    for _ in range(10):
        with pytest.raises(Unavailable):
            vectors.delete_item("people", id)
        if arrived():
            return
    raise AssertionError(id)


def _found(vectors: Vectors) -> list[str]:
    return [hit.id for hit in vectors.search("people", 5, vector=[1, 0, 0]).results]


def _lands(vectors: Vectors, found: list[str]) -> bool:
    for _ in range(60):
        if _found(vectors) == found:
            return True
        time.sleep(0.05)
    return False


def test_write_that_lands_late_makes_answers_and_counts_stale(slow: tuple[Vectors, Late]) -> None:
    vectors, late = slow
    for _ in range(5):
        with late() as arrived:
            _break_off(vectors, "a", arrived)
            # What an answer would be kept by.
            version = vectors.version("people")
            assert _found(vectors) == ["a", "b", "c"]
            assert vectors.stats("people").items == 3
        # Postgres may find that its caller has gone before it has read all, and then does nothing.
        if _lands(vectors, ["b", "c"]):
            break
    assert _found(vectors) == ["b", "c"]
    assert vectors.version("people") != version
    assert vectors.stats("people").items == 2


def test_doubt_ends_when_nothing_can_land_any_more(slow: tuple[Vectors, Late], monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, late = slow
    with late() as arrived:
        _break_off(vectors, "a", arrived)
    # That another write succeeds says nothing of one that is still on its way.
    vectors.add("people", [Item(id="d", vector=[1, 0, 0])])
    assert vectors.version("people") != vectors.version("people")
    monkeypatch.setattr("lakehouse.vectors._remote._ON_ITS_WAY_S", 0.0)
    with late() as arrived:
        _break_off(vectors, "b", arrived)
        _found(vectors)
        # The server has that one and has not done it.
        assert vectors.version("people") != vectors.version("people")
    for _ in range(100):
        _found(vectors)
        if vectors.version("people") == vectors.version("people"):
            break
        time.sleep(0.05)
    assert vectors.version("people") == vectors.version("people")
    # It has landed or never will.
    assert vectors.stats("people").items == len(_found(vectors))


def test_exchange_of_all_items_ends_doubt(slow: tuple[Vectors, Late]) -> None:
    vectors, late = slow
    with late() as arrived:
        _break_off(vectors, "a", arrived)
        version = vectors.version("people")
    vectors.purge("people", ["b"])
    assert vectors.version("people") == vectors.version("people") != version


def test_write_that_the_server_refuses_leaves_no_doubt(tmp_path: Path) -> None:
    with QdrantStandIn(tmp_path / "qdrant") as service:
        engine = Engine(engine="qdrant", url=service.url)
        vectors = engine.open(tmp_path / "lake")
        vectors.create("people", 3)
        vectors.add("people", [Item(id="a", vector=[1, 0, 0])])
        service.refused = {"points/delete"}
        with pytest.raises(InternalError, match="answered 400"):
            vectors.delete_item("people", "a")
        assert vectors.version("people") == vectors.version("people")
        engine.close()
