"""Stacks of one state database: who may join them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from lakehouse import settings
from lakehouse.errors import Conflict, InvalidInput
from lakehouse.lake.catalog import Catalog
from lakehouse.ledger.keys import secret
from lakehouse.ledger.replicas import KEY, Replicas
from lakehouse.state.database import Database


@pytest.fixture
def join(postgres: Callable[[], str], tmp_path: Path) -> Callable[..., str]:
    """Start a replica in a folder, and give its id."""
    url, tables = postgres(), postgres()

    def started(name: str, model: str = "all-MiniLM-L6-v2", catalog: str = tables, keys: str = "keys") -> str:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        section = settings.Catalog(uri=catalog, warehouse=str(tmp_path / "warehouse"))
        with opened(url) as state, contextlib.closing(Catalog(section, folder)) as held:
            return Replicas(state, folder, tmp_path / keys, model=model, catalog=held.id).own

    started.catalog = tables  # type: ignore[attr-defined]
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


def test_replica_with_another_catalog_is_refused_by_what_is_in_it(
    join: Callable[..., str], postgres: Callable[[], str]
) -> None:
    first = join("one")
    with pytest.raises(InvalidInput, match=f"catalog.uri names another catalog than on replica {first}") as raised:
        join("two", catalog=postgres())
    assert raised.value.detail == {"field": "catalog.uri"}
    # The same one, written otherwise.
    assert join("two", catalog=f"{join.catalog}&application_name=two")  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match="names another catalog"):
        join("two", catalog=postgres())


@pytest.mark.parametrize("used", [False, True], ids=["empty", "of another lake"])
def test_replica_with_other_keys_is_refused(join: Callable[..., str], tmp_path: Path, *, used: bool) -> None:
    first = join("one")
    if used:
        secret(tmp_path / "others" / KEY, make=True)
    with pytest.raises(InvalidInput, match=f"ledger.keys names other keys than on replica {first}") as raised:
        join("two", keys="others")
    assert raised.value.detail == {"field": "ledger.keys"}
    # None are made where the right ones are still to come.
    assert (tmp_path / "others").exists() == used
    (tmp_path / "link").symlink_to(tmp_path / "keys")
    assert join("two", keys="link")


def test_replica_alone_may_take_another_catalog_and_other_keys(
    join: Callable[..., str], postgres: Callable[[], str]
) -> None:
    assert join("one") == join("one", catalog=postgres(), keys="others")


@pytest.mark.parametrize("layout", [1, 2])
def test_replica_of_an_edition_that_did_not_say_what_it_has_joins(
    postgres: Callable[[], str], tmp_path: Path, layout: int
) -> None:
    with opened(postgres()) as state:
        model = ", model VARCHAR(200) DEFAULT '' NOT NULL" if layout == 2 else ""
        with state.write() as connection:
            connection.execute(text(f"INSERT INTO schema_version VALUES ('replicas', {layout})"))
            connection.execute(text(f"CREATE TABLE replicas (id VARCHAR(16) PRIMARY KEY{model})"))
            connection.execute(text("INSERT INTO replicas VALUES ('elder')"))
        here = Replicas(state, tmp_path, tmp_path / "keys", model="all-MiniLM-L6-v2", catalog=lambda: "c")
        assert here.own not in {"", "elder"}


def test_used_folder_is_refused(join: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "one" / "vectors").mkdir(parents=True)
    with pytest.raises(Conflict, match="may hold people who are erased"):
        join("one")
