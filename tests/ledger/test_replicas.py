"""Stacks of one state database: who may join them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from lakehouse.errors import Conflict, InvalidInput
from lakehouse.ledger.replicas import Replicas
from lakehouse.state.database import Database


@pytest.fixture
def join(postgres: Callable[[], str], tmp_path: Path) -> Callable[..., str]:
    """Start a replica in a folder, and give its id."""
    url = postgres()

    def started(name: str, model: str = "all-MiniLM-L6-v2") -> str:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        with opened(url) as state:
            return Replicas(state, folder, tmp_path / "keys", model=model).own

    return started


@contextmanager
def opened(url: str) -> Iterator[Database]:
    state = Database.open(url)
    try:
        yield state
    finally:
        state.close()


def test_replica_with_another_model_is_refused_by_name(join: Callable[..., str]) -> None:
    first = join("one")
    with pytest.raises(InvalidInput, match=f"'nomic-embed-text' here and 'all-MiniLM-L6-v2' on replica {first}"):
        join("two", "nomic-embed-text")
    second = join("two")
    assert first != second
    assert (join("one"), join("two")) == (first, second)
    with pytest.raises(InvalidInput, match="nomic-embed-text"):
        join("one", "nomic-embed-text")


def test_replica_alone_may_take_another_model(join: Callable[..., str]) -> None:
    assert join("one") == join("one", "nomic-embed-text")


def test_replica_of_an_edition_that_did_not_say_its_model_joins(postgres: Callable[[], str], tmp_path: Path) -> None:
    with opened(postgres()) as state:
        with state.write() as connection:
            connection.execute(text("INSERT INTO schema_version VALUES ('replicas', 1)"))
            connection.execute(text("CREATE TABLE replicas (id VARCHAR(16) PRIMARY KEY)"))
            connection.execute(text("INSERT INTO replicas VALUES ('elder')"))
        assert Replicas(state, tmp_path, tmp_path / "keys", model="all-MiniLM-L6-v2").own not in {"", "elder"}


def test_used_folder_is_refused(join: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "one" / "vectors").mkdir(parents=True)
    with pytest.raises(Conflict, match="may hold people who are erased"):
        join("one")
