"""Two stacks of one Postgres with their logs in one bucket: one question over both, and an erasure that reaches it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lakehouse
from conftest import CORPUS, as_csv, roster
from lake.services import S3Service
from lakehouse import settings
from lakehouse.errors import Unavailable
from lakehouse.lake.shipping import Shipping
from lakehouse.lake.store import Store, bucket
from lakehouse.state.log import files
from stacks import Replica

SHIPPED = "logs in the bucket (values written over)"


class Place:
    """Where the logs are put."""

    def __init__(self, service: S3Service) -> None:
        prefix = f"logs-{secrets.token_hex(4)}"
        self.section = {"endpoint": service.endpoint, "logs": f"s3://lake/{prefix}", "logs_every_s": 0.2}
        self._store: Store = bucket(service.storage, "lake", prefix)

    def of(self, replica: str, name: str) -> bytes:
        return b"".join(self._store.get(info.key) for info in self._store.list(f"{replica}/{name}/").objects)

    def whole(self) -> bytes:
        return b"".join(self._store.get(info.key) for info in self._store.list().objects)


@pytest.fixture
def place(s3_service: S3Service) -> Place:
    return Place(s3_service)


@pytest.fixture
def replicas(place: Place, tmp_path: Path, postgres: Callable[[], str]) -> Iterator[list[Replica]]:
    sections = {
        "state": {"url": postgres()},
        "catalog": {"uri": postgres(), "warehouse": str(tmp_path / "warehouse")},
        "ledger": {"keys": str(tmp_path / "keys")},
        "storage": place.section,
    }
    started = [Replica(tmp_path / name, sections) for name in ("one", "two")]
    for replica in started:
        replica.wait()
    started[0].lake.ingest.file(as_csv(roster()), "people", "text/csv")
    started[0].lake.corpora.build(name="workers", **CORPUS)
    yield started
    for replica in started:
        if replica.process.poll() is None:
            replica.end()


def shown(replica: Replica, condition: str, least: int) -> list[list[str]]:
    """Ask a stack for ops until it shows as many."""
    deadline = time.monotonic() + 240
    while True:
        # Until it has looked what others have there, it says that it cannot tell.
        with contextlib.suppress(Unavailable):
            rows = replica.lake.sql.query(f"SELECT replica, summary FROM ops WHERE {condition} ORDER BY time").rows
            if len(rows) >= least:
                return rows
        assert replica.process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def id_of(replica: Replica) -> str:
    return (replica.folder / "replica.id").read_text().strip()


def test_one_question_shows_all_replicas_and_an_erasure_reaches_what_all_of_them_put_there(
    replicas: list[Replica], place: Place
) -> None:
    one, two = replicas
    for replica in replicas:
        replica.lake.observer.event("scenario", "note", summary=f"Person Number9 was told by {replica.folder.name}")
    told = [[id_of(one), "Person Number9 was told by one"], [id_of(two), "Person Number9 was told by two"]]
    for replica in replicas:
        assert sorted(shown(replica, "kind = 'note'", 2)) == sorted(told)
    one.lake.subjects.erase("w-9")
    told = [[replica, text.replace("Person Number9", "x" * 14)] for replica, text in told]
    assert sorted(shown(two, "kind = 'note'", 2)) == sorted(told)
    assert b"Person Number9 " not in place.whole()
    # Who dies goes on where the bucket ends.
    two.end(signal.SIGKILL)
    two.begin()
    two.wait()
    two.lake.observer.event("scenario", "note", summary="back")
    assert shown(one, "summary = 'back'", 1) == [[id_of(two), "back"]]
    for replica in replicas:
        replica.end()
        path = replica.folder / "logs" / "ops.jsonl"
        # What there was no time for.
        assert Shipping(settings.Storage(**place.section), {"ops": path}, id_of(replica)).ship()
        assert place.of(id_of(replica), "ops") == b"".join(file.read_bytes() for file in files(path))
    assert b"Person Number9 " not in place.whole()


def test_receipt_says_that_the_bucket_was_looked_through(
    place: Place, tmp_path: Path, built: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(built(roster()), tmp_path / "lake")
    config = settings.load(environ={}, overrides={"data": str(tmp_path / "lake"), "storage": place.section})
    with lakehouse.connect(config=config) as lake:
        shipping = lake.rooms.shipping
        assert shipping is not None
        for who in ("Person Number9", "Person Number8"):
            lake.observer.event("scenario", "note", summary=f"{who} was told")
            lake.rooms.observer.flush()
            assert shipping.ship()
            assert f"{who} was told".encode() in place.whole()
            if who.endswith("8"):
                # What nobody writes over is found.
                monkeypatch.setattr(Shipping, "rewrite", lambda *_: None)
            receipt = lake.subjects.erase(f"w-{who[-1]}")
            left = [f"{place.section['logs']}/{shipping.own}/ops/000001-000000000000.jsonl"]
            assert receipt.found == (left if who.endswith("8") else [])
            written_over = [each.count for each in receipt.purged if each.place == SHIPPED]
            assert written_over == ([] if who.endswith("8") else [1])
        assert b"Person Number9 " not in place.whole()
        assert place.of(shipping.own, "ops").count(b"was told") == 2
        assert [column.name for column in lake.sql.query("FROM evidence").columns][-1] != "replica"
    # A lake that no stack serves leaves its rows for the next one that does.
    assert place.of(shipping.own, "ops").count(b"\n") < (tmp_path / "lake/logs/ops.jsonl").read_bytes().count(b"\n")
