from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import IntegrityError, Unavailable
from lakehouse.vectors import journal
from lakehouse.vectors.journal import Drop, Journal, Put

ENTRIES = [Put(["a", "b"], [b"{}", b'{"x":1}'], b"\x00" * 16), Drop(["a"]), Put(["é"], [b"{}"], b"\x01" * 8)]


def write(folder: Path, number: int = 1) -> Path:
    file = Journal(folder, number)
    for entry in ENTRIES:
        file.commit(file.append(entry))
    file.close()
    return journal.path_of(folder, number)


def test_journal_entries_come_back_in_order(tmp_path: Path) -> None:
    assert list(journal.entries(write(tmp_path), sealed=True)) == ENTRIES


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_journal_cut_anywhere_keeps_the_whole_frames(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    path = write(folder)
    size = path.stat().st_size
    cut = data.draw(st.integers(0, size))
    os.truncate(path, cut)
    kept = list(journal.entries(path, sealed=False))
    assert kept == ENTRIES[: len(kept)]
    file = Journal(folder, 1)
    file.commit(file.append(Drop(["z"])))
    file.close()
    assert list(journal.entries(path, sealed=True)) == [*kept, Drop(["z"])]


def test_journal_flipped_bit_in_a_sealed_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"journal-000001\.log is damaged"):
        list(journal.entries(path, sealed=True))


def test_journal_rotate_seals_and_goes_on(tmp_path: Path) -> None:
    file = Journal(tmp_path, 1)
    position = file.append(ENTRIES[0])
    assert file.rotate() == 2
    file.commit(position)
    file.commit(file.append(ENTRIES[1]))
    file.close()
    assert journal.numbers(tmp_path) == [1, 2]
    assert list(journal.entries(journal.path_of(tmp_path, 1), sealed=True)) == [ENTRIES[0]]
    assert list(journal.entries(journal.path_of(tmp_path, 2), sealed=True)) == [ENTRIES[1]]


def test_journal_closed_takes_no_entry(tmp_path: Path) -> None:
    file = Journal(tmp_path, 1)
    file.close()
    file.close()
    with pytest.raises(Unavailable, match="takes no writes"):
        file.append(ENTRIES[0])


def test_journal_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    file, lock = Journal(tmp_path, 1), threading.Lock()

    def work(name: str) -> None:
        for number in range(50):
            with lock:
                position = file.append(Drop([f"{name}{number}"]))
            file.commit(position)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    found = [entry.ids[0] for entry in journal.entries(journal.path_of(tmp_path, 1), sealed=True)]
    assert len(found) == 200
    for name in "abcd":
        assert [id for id in found if id[0] == name] == [f"{name}{number}" for number in range(50)]
