"""Rows gathered in memory until a commit: order, threads, a killed process and a full disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import pytest

from lakehouse.errors import Unavailable
from lakehouse.state.gathered import GatheredLog
from lakehouse.state.log import Log, files, lines

WRITER = """
import json, sys, threading
from pathlib import Path
from lakehouse.state.gathered import GatheredLog
from lakehouse.state.log import Log
log = GatheredLog(Log(Path(sys.argv[1]), max_bytes=2_000))
said = threading.Lock()
def write(who):
    for number in range(100_000):
        log.commit(log.append([json.dumps({"who": who, "n": number}).encode()]))
        with said:
            print(who, number, flush=True)
for who in "ab":
    threading.Thread(target=write, args=(who,)).start()
"""


def rows(path):
    return [json.loads(line) for _, _, line in lines(path)]


def test_rows_are_on_disk_after_any_later_commit(tmp_path):
    log = GatheredLog(Log(tmp_path / "rows.jsonl"))
    positions = [log.append([b'{"n":%d}' % number]) for number in range(5)]
    assert rows(log.path) == []
    log.commit(positions[1])
    assert [row["n"] for row in rows(log.path)] == list(range(5))
    log.commit(log.append([]))
    log.append([b'{"n":5}'])
    log.close()
    log.close()
    assert [row["n"] for row in rows(log.path)] == list(range(6))
    with pytest.raises(Unavailable, match="closed"):
        log.commit(log.append([b"{}"]))


def test_threads_lose_nothing_over_sealed_files(tmp_path):
    log = GatheredLog(Log(tmp_path / "rows.jsonl", max_bytes=2_000))

    def write(who):
        for number in range(100):
            log.commit(log.append([json.dumps({"who": who, "n": number}).encode()] * 2))

    threads = [threading.Thread(target=write, args=(who,)) for who in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(files(log.path)) > 3
    for who in "abc":
        assert [row["n"] for row in rows(log.path) if row["who"] == who] == [n for n in range(100) for _ in "12"]


@pytest.mark.parametrize("after", [1, 20])
def test_killed_process_leaves_what_it_acknowledged(tmp_path, after):
    path = tmp_path / "rows.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    acknowledged = [writer.stdout.readline().split() for _ in range(after)]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    GatheredLog(Log(path)).close()
    found = {(row["who"], row["n"]) for row in rows(path)}
    assert found >= {(who, int(number)) for who, number in acknowledged}


def test_full_disk_refuses_until_there_is_room(small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 1_900_000)
    log = GatheredLog(Log(small_disk / "rows.jsonl"))
    row = b'{"pad":"' + b"x" * 300_000 + b'"}'
    with pytest.raises(Unavailable, match="no room left"):
        log.commit(log.append([row]))
    with pytest.raises(Unavailable, match="no room left"):
        log.append([b'{"never":"taken"}'])
    assert rows(log.path) == []
    filler.unlink()
    log.commit(log.append([b'{"n":1}']))
    log.close()
    assert rows(log.path) == [json.loads(row), {"n": 1}]


def test_close_on_a_full_disk_closes(small_disk, caplog):
    log = GatheredLog(Log(small_disk / "rows.jsonl"))
    log.append([b'{"pad":"' + b"x" * 3_000_000 + b'"}'])
    log.close()
    assert "1 rows that nobody was told of are lost" in caplog.text
    assert rows(log.path) == []
