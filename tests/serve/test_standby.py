"""The process that is loaded before a part needs it."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time

import httpx
import msgspec
import pytest

from lakehouse import settings
from lakehouse.serve._standby import LOADED, Standby, started
from lakehouse.serve.divided import READY, Order


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def standby(listener):
    with contextlib.closing(Standby([listener.fileno()])) as made:
        yield made


def waiting(standby):
    """Return the loaded process once there is one."""
    standby.refill()
    until = time.monotonic() + 120
    while standby._waiting is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    return standby._waiting


def test_loaded_process_becomes_the_part_that_it_is_told_to_be(standby, listener, tmp_path):
    config = msgspec.structs.replace(settings.Settings(), data=str(tmp_path / "lake"))
    there = waiting(standby)
    with standby.take() as process:
        assert process is there
        assert LOADED in process.args
        order = Order(part="lake", config=config, listener=listener.fileno())
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == READY
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert httpx.get(f"{url}/v1/storage").json()["objects"] == []
        process.terminate()
        assert process.wait(120) == 0


def test_process_that_waits_ends_with_the_stack(standby):
    waiting(standby)
    with standby.take() as process:
        process.stdin.close()
        assert process.wait(120) == 0


def test_dead_process_is_never_given_out(standby):
    there = waiting(standby)
    there.kill()
    there.wait()
    with standby.take() as process:
        assert process.poll() is None
        process.kill()


def test_nothing_is_loaded_unless_asked_for(standby):
    with standby.take() as process:
        assert LOADED not in process.args
        process.kill()


def test_process_that_is_told_nothing_ends_without_a_word(listener):
    with started([listener.fileno()]) as process:
        process.stdin.close()
        assert process.wait(120) == 0
        assert process.stdout.read() == b""


@pytest.mark.parametrize("after_s", [0.0, 1.0, 5.0])
def test_process_that_is_ended_leaves_no_scratch_however_far_it_is(listener, tmp_path, monkeypatch, after_s):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with contextlib.closing(Standby([listener.fileno()])) as standby:
        there = waiting(standby)
        time.sleep(after_s)
    assert there.returncode is not None
    assert not list(tmp_path.iterdir())
