"""Logs under threads, processes, sealing, a torn tail and a full disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import pytest

from lakehouse.errors import InternalError, Unavailable
from lakehouse.state.log import Log, files, lines, numbers, stretch

WRITER = """
import json, sys
from pathlib import Path
from lakehouse.state.log import Log
log = Log(Path(sys.argv[1]), max_bytes=int(sys.argv[3]))
for number in range(int(sys.argv[4])):
    log.write([json.dumps({"who": sys.argv[2], "n": number, "pad": "x" * (number % 300)}).encode()])
    print(number, flush=True)
"""


def rows(path):
    return [json.loads(line) for _, _, line in lines(path)]


def start(path, who, limit, count):
    command = [sys.executable, "-c", WRITER, str(path), who, str(limit), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_log_keeps_rows_in_order_over_sealed_files(tmp_path):
    log = Log(tmp_path / "deep" / "ops.jsonl", max_bytes=500)
    for number in range(200):
        log.write([b'{"n":%d}' % number])
    log.close()
    assert len(files(log.path)) > 2
    assert [row["n"] for row in rows(log.path)] == list(range(200))


def test_log_seals_on_behind_the_newest_file_when_old_ones_were_removed(tmp_path):
    log = Log(tmp_path / "ops.jsonl", max_bytes=500)
    for number in range(200):
        log.write([b'{"n":%d}' % number])
    old, *_ = files(log.path)
    kept = list(rows(log.path))[len(old.read_bytes().splitlines()) :]
    old.unlink()
    for number in range(200, 400):
        log.write([b'{"n":%d}' % number])
    log.close()
    assert list(rows(log.path)) == [*kept, *({"n": number} for number in range(200, 400))]
    assert numbers(log.path) == list(range(2, len(files(log.path)) + 2))


def test_lines_names_offsets_that_can_be_read_again(tmp_path):
    log = Log(tmp_path / "ops.jsonl")
    log.write([b'{"a":1}', '{"b":"\u00e9"}'.encode(), b"{}"])
    found = list(lines(log.path))
    assert [offset for _, offset, _ in found] == [0, 8, 19]
    assert [line for _, _, line in lines(log.path, start=19)] == [b"{}"]
    log.close()


def test_log_of_two_processes_and_threads_loses_and_mixes_nothing(tmp_path):
    path = tmp_path / "ops.jsonl"
    writers = [start(path, who, 5_000, 150) for who in ("a", "b")]
    log = Log(path, max_bytes=5_000)

    def write(who):
        for number in range(150):
            log.write([json.dumps({"who": who, "n": number}).encode()])

    threads = [threading.Thread(target=write, args=(who,)) for who in ("c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.communicate(timeout=60)
    log.close()
    found = rows(path)
    assert len(files(path)) > 3
    for who in "abcd":
        assert [row["n"] for row in found if row["who"] == who] == list(range(150))


@pytest.mark.parametrize("after", [1, 7, 40])
def test_log_of_a_killed_writer_holds_what_was_acknowledged(tmp_path, after):
    path = tmp_path / "ops.jsonl"
    writer = start(path, "a", 2_000, 100_000)
    acknowledged = -1
    for _ in range(after):
        acknowledged = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    log = Log(path, max_bytes=2_000)
    log.write([b'{"n":-1}'])
    log.close()
    found = [row["n"] for row in rows(path)]
    assert found == [*range(len(found) - 1), -1]
    assert len(found) - 2 >= acknowledged


@pytest.mark.parametrize("torn", [b'{"n":2', b"x" * 200_000])
def test_log_cuts_off_a_torn_tail(tmp_path, torn, caplog):
    path = tmp_path / "ops.jsonl"
    path.write_bytes(b'{"n":1}\n' + torn)
    assert rows(path) == [{"n": 1}]
    log = Log(path)
    log.write([b'{"n":3}'])
    log.close()
    assert rows(path) == [{"n": 1}, {"n": 3}]
    assert "never acknowledged" in caplog.text


def test_log_on_a_full_disk_keeps_whole_rows_only(small_disk):
    log = Log(small_disk / "ops.jsonl")
    row = b'{"pad":"' + b"x" * 100_000 + b'"}'
    for _ in range(10):
        log.write([row])
    with pytest.raises(Unavailable, match="no room left"):
        log.write([row] * 20)
    log.write([b"{}"])
    assert [len(line) for _, _, line in lines(log.path)] == [len(row)] * 10 + [2]
    log.close()


def test_log_refuses_a_line_break_and_rows_after_close(tmp_path):
    log = Log(tmp_path / "ops.jsonl")
    with pytest.raises(InternalError):
        log.write([b"{}\n{}"])
    log.close()
    log.close()
    with pytest.raises(Unavailable, match="closed"):
        log.write([b"{}"])
    assert rows(log.path) == []


def test_stretches_give_every_row_once_while_others_write_and_seal(tmp_path):
    path = tmp_path / "ops.jsonl"
    assert stretch(path, 1, 0, 100) is None
    with start(path, "a", 900, 400) as writer:
        found, number, begin = b"", 1, 0
        ended = False
        while True:
            given = stretch(path, number, begin, 250)
            if given is not None and given.rows:
                assert len(given.rows) <= 250 or given.rows.count(b"\n") == 1
                found += given.rows
                begin += len(given.rows)
            elif given is not None and given.sealed:
                assert given.last
                number, begin = number + 1, 0
            elif ended:
                break
            else:
                # Once more after the end, for what came between.
                ended = writer.poll() is not None
                if not ended:
                    writer.stdout.readline()
    assert number > 10
    assert found == b"".join(file.read_bytes() for file in files(path))
    assert found.count(b"\n") == 400
    assert stretch(path, number + 1, 0, 250) is None


def test_stretch_leaves_out_a_row_that_is_not_whole(tmp_path):
    path = tmp_path / "ops.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":')
    assert stretch(path, 1, 0, 100) == (b'{"n":1}\n', True, False)
    assert stretch(path, 1, 8, 100) == (b"", True, False)
    assert stretch(path, 1, 50, 100) == (b"", True, False)
    path.rename(tmp_path / "ops-000001.jsonl")
    assert stretch(path, 1, 0, 3) == (b'{"n":1}\n', True, True)
    assert stretch(path, 2, 0, 100) is None
