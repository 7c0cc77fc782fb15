"""What `doctor` says of the servers that the settings name."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, make_url

from cli.test_doctor import _checks
from frozen import Relay
from qdrant_stand_in import QdrantStandIn


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, free_port: int) -> Callable[..., None]:
    """Name servers by settings."""
    monkeypatch.setenv("LAKEHOUSE_SERVER__PORT", str(free_port))

    def name(**given: str) -> None:
        for setting, value in given.items():
            monkeypatch.setenv(f"LAKEHOUSE_{setting}".upper(), value)

    return name


def test_doctor_finds_servers_that_can_be_used_and_changes_nothing_there(
    run: Any, named: Any, postgres: Callable[[], str]
) -> None:
    state, tables, vectors = postgres(), postgres(), postgres()
    named(state__url=state, catalog__uri=tables, ledger__keys="keys", vectors__engine="pgvector", vectors__url=vectors)
    checks = _checks(run)[1]
    assert {checks[name][0] for name in ("state", "catalog", "vectors")} == {"ok"}
    assert "pgvector" in checks["vectors"][1]
    assert "to be made" in checks["vectors"][1]
    for url in (state, tables, vectors):
        engine = create_engine(url)
        with engine.connect() as connection:
            assert inspect(connection).get_table_names() == []
            assert connection.exec_driver_sql("SELECT count(*) FROM pg_extension").scalar() == 1
        engine.dispose()


def test_doctor_says_what_to_do_where_rights_are_missing(run: Any, named: Any, postgres: Callable[[], str]) -> None:
    url = make_url(postgres())
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE poor_{url.database} LOGIN")
    engine.dispose()
    poor = url.set(username=f"poor_{url.database}").render_as_string(hide_password=False)
    nowhere = url.set(database="nowhere").render_as_string(hide_password=False)
    named(state__url=poor, catalog__uri=nowhere, vectors__engine="pgvector", vectors__url=poor)
    code, checks = _checks(run)
    assert code == 1
    assert {checks[name][0] for name in ("state", "catalog", "vectors")} == {"wrong"}
    assert "GRANT CREATE ON SCHEMA public" in checks["state"][1]
    assert "create it, or mend catalog.uri" in checks["catalog"][1]
    assert "have an administrator CREATE EXTENSION vector" in checks["vectors"][1]


@pytest.mark.parametrize("catalog", ["postgresql+pg8000://u:secret@127.0.0.1:{}/x", "http://127.0.0.1:{}"])
def test_doctor_waits_for_no_server_for_long(
    run: Any, named: Any, catalog: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "some")
    with Relay() as relay:
        named(
            catalog__uri=catalog.format(relay.port),
            catalog__warehouse="s3://tables/x",
            vectors__engine="qdrant",
            vectors__url=f"http://127.0.0.1:{relay.port}",
            storage__backend="s3",
            storage__bucket="objects",
            storage__endpoint="http://127.0.0.1:9",
        )
        began = time.monotonic()
        code, checks = _checks(run)
        assert time.monotonic() - began < 120
    assert code == 1
    assert "mend catalog.uri" in checks["catalog"][1]
    assert "secret" not in checks["catalog"][1]
    assert "mend vectors.url" in checks["vectors"][1]
    assert "s3://objects/ (storage.bucket) at http://127.0.0.1:9 is out of reach" in checks["storage"][1]
    assert "(catalog.warehouse)" in checks["warehouse"][1]


def test_doctor_finds_a_qdrant_and_a_key_that_it_refuses(
    run: Any, named: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with QdrantStandIn(tmp_path / "qdrant") as service:
        named(vectors__engine="qdrant", vectors__url=service.url)
        assert _checks(run)[1]["vectors"] == ("ok", f"Qdrant at {service.url} has 0 collections")
        service.key = "secret"
        assert "check the key in $LAKEHOUSE_VECTORS_KEY" in _checks(run)[1]["vectors"][1]
