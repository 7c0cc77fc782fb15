"""The lake folder: creation, format, lock, durable writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.errors import Conflict, IntegrityError, InvalidInput, PermissionDenied, Unavailable
from lakehouse.state.folder import FORMAT, atomic_write, open_folder

HOLD = """
import sys, time
from lakehouse.state.folder import open_folder
folder = open_folder(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


def test_open_folder_missing_creates_format_file(tmp_path: Path) -> None:
    with open_folder(tmp_path / "a" / "lake") as folder:
        assert folder.path == tmp_path / "a" / "lake"
        assert json.loads((folder.path / "LAKE.json").read_text())["format"] == FORMAT


def test_open_folder_again_keeps_format_file(tmp_path: Path) -> None:
    open_folder(tmp_path).close()
    before = (tmp_path / "LAKE.json").read_bytes()
    open_folder(tmp_path).close()
    assert (tmp_path / "LAKE.json").read_bytes() == before


def test_open_folder_newer_format_is_refused_naming_both(tmp_path: Path) -> None:
    (tmp_path / "LAKE.json").write_text('{"format": 9, "created_by": "9.1.0"}')
    with pytest.raises(InvalidInput, match=r"format 9, made by lakehouse 9\.1\.0.*up to format 1"):
        open_folder(tmp_path)
    with pytest.raises(InvalidInput):
        open_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format":"x","created_by":"1"}', b"\xff\xfe"])
def test_open_folder_damaged_format_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "LAKE.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"LAKE\.json"):
        open_folder(tmp_path)


def test_open_folder_on_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidInput, match="not a folder"):
            open_folder(path)


def test_open_folder_twice_in_one_process_conflicts(tmp_path: Path) -> None:
    with open_folder(tmp_path), pytest.raises(Conflict, match=str(os.getpid())):
        open_folder(tmp_path)
    open_folder(tmp_path).close()


def test_open_folder_held_by_killed_process_opens_again(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(Conflict, match=f"process {child.pid}") as caught:
            open_folder(tmp_path)
        assert caught.value.detail["pid"] == child.pid
        child.send_signal(signal.SIGKILL)
        child.wait()
    open_folder(tmp_path).close()


def test_open_folder_read_only_is_denied_naming_the_path(read_only_folder: Path) -> None:
    for path in (read_only_folder, read_only_folder / "lake"):
        with pytest.raises(PermissionDenied, match=str(path)):
            open_folder(path)


def test_atomic_write_full_disk_keeps_the_old_file(small_disk: Path) -> None:
    target = small_disk / "file"
    atomic_write(target, b"old")
    with pytest.raises(Unavailable, match="no room left"):
        atomic_write(target, bytes(8 * 1024 * 1024))
    assert target.read_bytes() == b"old"
    assert [entry.name for entry in small_disk.iterdir()] == ["file"]
