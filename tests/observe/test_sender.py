"""The process that sends spans: it ends with its parent, is replaced when it is gone, and takes whatever spans tell."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakehouse import settings
from lakehouse.observe.traces import Traces


@pytest.fixture
def made(collector):
    made = Traces(settings.Traces(endpoint=collector.url, send_every_ms=1), None, version="1")
    yield made
    made.close()


def sender_of(parent: int) -> int:
    # Whoever starts a process goes on as soon as its program is loaded, a moment before its command line can be read.
    for _ in range(500):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found = [int(pid) for pid in children if b"observe._sender" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        if found:
            (pid,) = found
            return pid
        time.sleep(0.01)
    raise AssertionError(f"no process that sends spans among {children}")


def test_killed_sender_loses_what_it_had_and_is_replaced(collector, made):
    with made.phase("before"):
        pass
    assert made.flush()
    pid = sender_of(os.getpid())
    os.kill(pid, signal.SIGKILL)
    with made.phase("lost"):
        pass
    assert made.flush()
    with made.phase("after"):
        pass
    assert made.flush()
    assert ([span.name for _, span in collector.spans], made.dropped) == (["before", "after"], 1)


def test_close_leaves_no_process(made):
    pid = sender_of(os.getpid())
    made.close()
    assert not Path(f"/proc/{pid}").exists()


def test_sender_ends_with_a_parent_that_is_killed(collector):
    script = (
        "import sys\n"
        "from lakehouse import settings\n"
        "from lakehouse.observe.traces import Traces\n"
        f"traces = Traces(settings.Traces(endpoint={collector.url!r}), None, version='1')\n"
        "print('up', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"up\n"
        pid = sender_of(parent.pid)
        parent.kill()
    until = time.monotonic() + 60
    while running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not running(pid)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_cannot_be_written_is_told_as_text(collector, made):
    endless = []
    endless.append(endless)
    with made.phase("call", large=2**70, half="a\ud800b", thing=Path("here"), endless=endless, plain=3):
        pass
    assert made.flush()
    ((_, span),) = collector.spans
    told = {each.key: each.value for each in span.attributes}
    assert told["lakehouse.large"].string_value == str(2**70)
    assert told["lakehouse.half"].string_value == "a?b"
    assert told["lakehouse.thing"].string_value == "here"
    assert told["lakehouse.endless"].string_value == "[[...]]"
    assert told["lakehouse.plain"].int_value == 3
    assert made.dropped == 0
