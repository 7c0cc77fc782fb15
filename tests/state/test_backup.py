"""Backups of a lake that is written to meanwhile, and what becomes of them."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import Conflict, IntegrityError, InvalidInput, NotFound, Unavailable
from lakehouse.state import backup


@pytest.fixture
def open_lake(tmp_path, built, people):
    """Open a lake of one's own; small `fresh_limit`, so that its indexes are rebuilt all the time."""
    folder = Path(shutil.copytree(built(people), tmp_path / "lake"))
    config = settings.load(environ={}, overrides={"data": str(folder), "vectors": {"fresh_limit": 20}})
    with lakehouse.connect(config=config) as lake:
        yield lake, folder


@pytest.fixture
def closed(tmp_path, built, people):
    return Path(shutil.copytree(built(people), tmp_path / "lake"))


class Writers:
    """Two threads that add to a lake, one item and one entry after the other, and count what was acknowledged."""

    def __init__(self, lake):
        self._lake = lake
        self._stop = threading.Event()
        self.items = self.entries = 0

    def add_items(self):
        while not self._stop.is_set():
            self._lake.vectors.add("growing", [{"id": f"i{self.items}", "vector": [1.0, self.items]}])
            self.items += 1

    def record_entries(self):
        while not self._stop.is_set():
            text = f"Need {self.entries} cooks in Parma OH"
            self._lake.playbooks.record(text, "w-1", "workers", 1.0, namespace="under-load")
            self.entries += 1

    def __enter__(self):
        self._pool = ThreadPoolExecutor(2)
        self._running = [self._pool.submit(work) for work in (self.add_items, self.record_entries)]
        while not (self.items and self.entries) and not any(work.done() for work in self._running):
            self._stop.wait(0.01)
        return self

    def __exit__(self, *_):
        self._stop.set()
        for work in self._running:
            work.result()
        self._pool.shutdown()


def test_backup_of_a_lake_under_writes_holds_everything_acknowledged_before(open_lake, tmp_path):
    lake, folder = open_lake
    lake.vectors.create("growing", 2)
    made = []
    with Writers(lake) as writers:
        for number in range(3):
            time.sleep(0.3)
            before = writers.items, writers.entries
            manifest = backup.make(folder, tmp_path / f"backup-{number}", patience_s=30)
            assert manifest.quiet
            made.append((before, (writers.items, writers.entries), number))
    assert not list(folder.glob(".backup-*"))
    for before, after, number in made:
        again = tmp_path / f"restored-{number}"
        backup.restore(tmp_path / f"backup-{number}", again)
        assert len(backup.check_databases(again)) >= 2
        with lakehouse.connect(again) as restored:
            ids = restored.vectors.ids("growing").ids
            assert before[0] <= len(ids) <= after[0] + 1
            assert set(ids) == {f"i{at}" for at in range(len(ids))}
            assert before[1] <= len(restored.playbooks.list("under-load").entries) <= after[1] + 1
            assert restored.sql.query("SELECT count(*) FROM people").rows == [[36]]


def test_restore_gives_the_same_answers(closed, tmp_path):
    backup.make(closed, tmp_path / "copy")
    backup.restore(tmp_path / "copy", tmp_path / "again")
    answers = []
    for folder in (closed, tmp_path / "again"):
        with lakehouse.connect(folder) as lake:
            answers.append(lake.matrix.search("Need 2 Forklift Operators in Cleveland OH", ["workers"], 5).results)
    assert answers[0] == answers[1]


def test_backup_leaves_the_cache_out_unless_asked(closed, tmp_path):
    without = {file.path for file in backup.make(closed, tmp_path / "one").files}
    with_it = {file.path for file in backup.make(closed, tmp_path / "two", with_cache=True).files}
    assert with_it - without == {"embeddings.db"}
    assert not [path for path in with_it if path.startswith((".", "incoming", "scratch"))]


def test_backup_refuses_places_that_are_not_free(closed, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for place, said in ((tmp_path / "full", "is not empty"), (closed / "inside", "lies in the lake")):
        with pytest.raises(InvalidInput, match=said):
            backup.make(closed, place)
    with pytest.raises(NotFound, match="no lake"):
        backup.make(tmp_path / "full", tmp_path / "new")
    with pytest.raises(Conflict, match="another backup"), backup._only_one(closed):
        backup.make(closed, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_backup_of_a_lake_on_a_full_disk_says_that_there_is_no_room_and_not_that_it_is_damaged(small_disk, tmp_path):
    lake = small_disk / "lake"
    with lakehouse.connect(str(lake)) as made:
        made.inbox.receive("email", "Need 2 welders in Toledo OH")
    with (small_disk / "rest").open("wb", buffering=0) as rest, suppress(OSError):
        while rest.write(bytes(4096)):
            pass
    with pytest.raises(Unavailable, match="no room left"):
        backup.make(lake, tmp_path / "copy")
    (small_disk / "rest").unlink()
    backup.make(lake, tmp_path / "copy")


def test_restore_refuses_a_backup_that_is_not_whole(closed, tmp_path):
    copy = tmp_path / "copy"
    manifest = backup.make(closed, copy)
    largest = max(manifest.files, key=lambda file: file.bytes)
    file = copy / "files" / largest.path
    whole = file.read_bytes()
    for damaged in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:]):
        file.write_bytes(damaged)
        with pytest.raises(IntegrityError, match=largest.path):
            backup.restore(copy, tmp_path / "again")
    file.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        backup.restore(copy, tmp_path / "again")
    (copy / "BACKUP.json").unlink()
    with pytest.raises(NotFound, match="no whole backup"):
        backup.restore(copy, tmp_path / "again")
    assert not [path for path in tmp_path.iterdir() if "again" in path.name]


def test_restore_never_writes_into_a_lake(closed, tmp_path):
    backup.make(closed, tmp_path / "copy")
    with pytest.raises(InvalidInput, match="is not empty"):
        backup.restore(tmp_path / "copy", closed)


def test_check_databases_finds_damage(closed):
    file = closed / "state.db"
    data = bytearray(file.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    file.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"state\.db"):
        backup.check_databases(closed)
