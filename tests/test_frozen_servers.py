"""Postgres servers that take a connection and never answer, or stop answering: what is said of them, and how soon."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy

import lakehouse
from frozen import Relay
from lakehouse import settings
from lakehouse.errors import Unavailable
from lakehouse.lake.catalog import Catalog
from lakehouse.state import servers
from lakehouse.state.database import Database
from lakehouse.state.folder import open_folder
from stacks import LAKEHOUSE, Replica

DRIVERS = ["pg8000", "psycopg"]


@pytest.fixture
def silent() -> Iterator[Relay]:
    with Relay() as relay:
        yield relay


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers.bound, "__kwdefaults__", {"connect_s": 1.0, "answer_s": 2.0})


@pytest.mark.parametrize("driver", DRIVERS)
def test_state_that_never_answers_is_named_with_its_setting(silent: Relay, impatient: None, driver: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{silent.port}.* out of reach: .*mend state\.url"):
        Database.open(silent.url("x:///state", driver))
    assert time.monotonic() - began < 9


@pytest.mark.parametrize("kind", [*DRIVERS, "rest"])
def test_catalog_that_never_answers_is_named_with_its_setting(
    silent: Relay, impatient: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(servers, "ANSWER_S", 1.0)
    if kind == "rest":
        section = settings.Catalog(uri=f"http://127.0.0.1:{silent.port}", warehouse="s3://tables")
    else:
        section = settings.Catalog(uri=silent.url("x:///tables", kind), warehouse=str(tmp_path / "warehouse"))
    catalog = Catalog(section, tmp_path)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{silent.port}.* out of reach: .*mend catalog\.uri"):
        catalog.datasets()
    assert time.monotonic() - began < 9
    catalog.close()


def test_state_that_freezes_is_given_up_and_asked_again_when_it_is_back(
    postgres: Callable[[], str], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "CONNECT_S", 1.0)
    url = postgres()
    with Relay.before(url) as relay:
        database = Database.open(relay.url(url))
        number = database.number()
        relay.going.clear()
        for ask in (database.number, lambda: database.write().__enter__()):
            began = time.monotonic()
            with pytest.raises(Unavailable, match=r"did not answer in time; .*mend state\.url"):
                ask()
            assert time.monotonic() - began < 9
        relay.going.set()
        assert database.number() == number
        with database.write():
            pass
        assert database.number() == number + 1
        database.close()


def test_statement_that_is_slow_to_answer_is_waited_for(
    postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers.bound, "__kwdefaults__", {"connect_s": 1.0, "answer_s": 30.0})
    database = Database.open(postgres())
    for _ in range(2):
        with database.read() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT count(*) FROM pg_sleep(1.5)")) == 1
    database.close()


def _sections(place: Path, state: str, tables: str) -> dict[str, Any]:
    return {
        "state": {"url": state},
        "catalog": {"uri": tables, "warehouse": str(place / "warehouse")},
        "ledger": {"keys": str(place / "keys")},
    }


def test_start_with_a_state_that_never_answers_ends_and_says_so(silent: Relay, tmp_path: Path) -> None:
    url = silent.url("x:///state")
    named = {
        f"LAKEHOUSE_{section}__{key}".upper(): value
        for section, keys in _sections(tmp_path, url, url).items()
        for key, value in keys.items()
    }
    began = time.monotonic()
    ended = subprocess.run(
        [*LAKEHOUSE, "up", "--port", "0", "--data", str(tmp_path / "lake")],
        env={**os.environ, **named},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode
    assert b"did not answer in time" in ended.stderr
    assert b"mend state.url" in ended.stderr
    assert time.monotonic() - began < 45


@pytest.mark.parametrize("waits_s", [0.5, 10.5])
def test_stack_whose_state_freezes_says_so_and_stops_at_once(
    postgres: Callable[[], str], tmp_path: Path, waits_s: float
) -> None:
    state, tables = postgres(), postgres()
    with Relay.before(state) as relay:
        replica = Replica(tmp_path / "one", _sections(tmp_path, relay.url(state), relay.url(tables)))
        replica.wait()
        assert replica.http.get("/v1/matrix/playbooks").status_code == 200
        relay.going.clear()
        found: list[httpx.Response] = []
        ask = f"{replica.url}/v1/matrix/playbooks"
        asking = threading.Thread(target=lambda: found.append(httpx.get(ask, timeout=60)))
        asking.start()
        asking.join(waits_s)
        assert replica.http.get("/health").status_code == 200
        began = time.monotonic()
        replica.end()
        assert time.monotonic() - began < 12
        asking.join()
    said = found[0].json()["error"]
    assert (found[0].status_code, said["retryable"]) == (503, True)
    if waits_s > 10:
        assert "state.url" in said["message"]
        assert "another one has" not in said["message"]
    else:
        assert "the stack stops" in said["message"]


def test_lake_whose_state_freezes_is_closed_whole(postgres: Callable[[], str], impatient: None, tmp_path: Path) -> None:
    state, tables = postgres(), postgres()
    with Relay.before(state) as relay:
        sections = _sections(tmp_path, relay.url(state), relay.url(tables))
        overrides = {"data": str(tmp_path / "lake"), **sections}
        lake = lakehouse.connect(config=settings.load(environ={}, overrides=overrides))
        lake.vectors.create("workers", 384)
        lake.vectors.add("workers", [{"id": "w-1", "text": "line cook"}])
        lake.playbooks.record("2 line cooks in Detroit, MI", "w-1", "workers", 1.0)
        relay.going.clear()
        lake.close()
    # The folder is free again.
    open_folder(tmp_path / "lake").close()


def test_stack_with_a_catalog_that_cannot_be_used_warns_of_it(tmp_path: Path) -> None:
    replica = Replica(tmp_path / "one", {"catalog": {"uri": "postgresql+pg8000://u@127.0.0.1:9/tables"}})
    replica.wait()
    for _ in range(600):
        if b"datasets may fail" in replica._log.read_bytes():
            break
        time.sleep(0.1)
    replica.end()
    assert "127.0.0.1:9/tables is out of reach: Connection refused" in replica._log.read_text()
    assert "mend catalog.uri" in replica._log.read_text()
