from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from lakehouse.errors import Conflict
from lakehouse.state import pidfile

HOLD = (
    "import sys, pathlib; from lakehouse.state.pidfile import PidFile\n"
    "held = PidFile(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def hold(tmp_path):
    """Hold a pid file in another process."""
    started = []

    def go(path):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_pidfile_held_elsewhere_is_refused_and_named(hold, tmp_path):
    process = hold(tmp_path / "a.pid")
    assert pidfile.holder(tmp_path / "a.pid") == process.pid
    with pytest.raises(Conflict) as refused:
        pidfile.PidFile(tmp_path / "a.pid")
    assert refused.value.detail["pid"] == process.pid


def test_pidfile_of_a_killed_process_is_free_although_its_number_stands_there(hold, tmp_path):
    path = tmp_path / "a.pid"
    process = hold(path)
    process.kill()
    process.wait()
    assert path.read_text() == str(process.pid)
    assert pidfile.holder(path) is None
    held = pidfile.PidFile(path)
    assert pidfile.holder(path) == os.getpid()
    held.release()
    held.release()


def test_send_reaches_the_holder(hold, tmp_path):
    process = hold(tmp_path / "a.pid")
    assert pidfile.send(tmp_path / "a.pid", signal.SIGTERM) == process.pid
    assert pidfile.wait_released(tmp_path / "a.pid", within_s=10)
    assert process.wait() == -signal.SIGTERM


def test_send_leaves_a_process_alone_that_got_the_number_later(hold, tmp_path):
    stranger = hold(tmp_path / "other.pid")
    (tmp_path / "a.pid").write_text(str(stranger.pid))
    assert pidfile.send(tmp_path / "a.pid", signal.SIGKILL) is None
    assert stranger.poll() is None


def test_wait_released_gives_up_in_time(hold, tmp_path):
    hold(tmp_path / "a.pid")
    assert not pidfile.wait_released(tmp_path / "a.pid", within_s=0.1)


def test_holder_of_no_file_is_nobody(tmp_path):
    assert pidfile.holder(tmp_path / "none.pid") is None
