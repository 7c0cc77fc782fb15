"""Stacks in the background, as real processes, side by side."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import lakehouse
from lakehouse.serve._standby import LOADED
from lakehouse.state import pidfile


@pytest.fixture
def stacks(run, tmp_path, monkeypatch):
    """Record stacks in a folder of the test; stop those that still run at its end."""
    monkeypatch.setenv("LAKEHOUSE_STACKS__FOLDER", str(tmp_path / "stacks"))
    yield
    for stack in json.loads(run("ps", "--json")[1])["stacks"]:
        run("stop", stack["stack"], "--wait", "5", "--force")


@pytest.fixture
def port():
    """Find ports that nobody listens on, a new one at each call."""

    def free():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return listener.getsockname()[1]

    return free


def listed(run):
    return {stack["stack"]: stack for stack in json.loads(run("ps", "--json")[1])["stacks"] if stack["url"]}


def test_two_stacks_live_side_by_side_and_end_one_by_one(run, stacks, port, tmp_path):
    code, out, err = run("up", "--stack", "persistent", "--port", port())
    assert (code, err) == (0, "")
    assert "stack persistent: http://127.0.0.1:" in out
    code, out, err = run("up", "--stack", "trial", "--port", port(), "--json")
    assert (code, err) == (0, "")
    both = listed(run)
    started = json.loads(out)
    assert {name: started[name] for name in ("stack", "url", "pid", "data")} == {
        name: both["trial"][name] for name in ("stack", "url", "pid", "data")
    }
    assert [both[name]["state"] for name in ("persistent", "trial")] == ["running", "running"]
    assert both["persistent"]["data"] != both["trial"]["data"]
    assert both["persistent"]["memory_mb"] > 10
    urls = {name: both[name]["url"] for name in both}
    httpx.put(f"{urls['persistent']}/v1/storage/kept", content=b"mine").raise_for_status()
    assert httpx.get(f"{urls['trial']}/v1/storage/kept").status_code == 404

    code, _, err = run("logs", "trial", "--service", "gateway")
    assert (code, "no log of 'gateway'; the parts of one that was started with --processes" in err) == (3, True)
    assert run("stop", "trial")[1] == f"stack trial: process {both['trial']['pid']} has ended\n"
    assert httpx.get(f"{urls['persistent']}/health").json()["service"] == "gateway"
    assert listed(run)["trial"]["state"] == "stopped"

    # It comes back where it was, found by its name alone; also after its process was killed.
    os.kill(both["persistent"]["pid"], signal.SIGKILL)
    assert pidfile.wait_released(tmp_path / "stacks" / "persistent" / "stack.pid", within_s=30)
    code, out, _ = run("up", "--stack", "persistent")
    assert (code, urls["persistent"] in out) == (0, True)
    assert run("sql", "SELECT 1 AS one", "--lake", "stack:persistent")[0] == 0
    assert httpx.get(f"{urls['persistent']}/v1/storage/kept").content == b"mine"


def test_stack_that_runs_is_not_started_twice(run, stacks, port):
    assert run("up", "--stack", "one", "--port", port())[0] == 0
    code, _, err = run("up", "--stack", "one")
    assert code == 4
    assert "stack 'one' runs already, as process" in err


def test_stack_on_a_port_that_answers_for_somebody_else_does_not_start(run, stacks):
    with socket.create_server(("127.0.0.1", 0)) as held:
        number = held.getsockname()[1]
        code, _, err = run("up", "--stack", "one", "--port", number)
    assert code == 1
    assert f"stack 'one' did not start: port {number} on 127.0.0.1 is held by process {os.getpid()}" in err
    assert listed(run)["one"]["state"] == "stopped"


def test_logs_of_a_stack_are_its_requests(run, stacks, port):
    run("up", "--stack", "one", "--port", port())
    url = listed(run)["one"]["url"]
    for number in range(5):
        httpx.get(f"{url}/v1/storage?prefix={number}", headers={"X-Lakehouse-Trace-Id": f"t-{number}"})
    # A request's line is written after its answer, which may be here first.
    until = time.monotonic() + 30
    while '"t-4"' not in (shown := run("logs", "one", "-n", "2"))[1] and time.monotonic() < until:
        time.sleep(0.02)
    code, out, _ = shown
    assert code == 0
    assert [json.loads(line)["trace_id"] for line in out.splitlines()] == ["t-3", "t-4"]
    assert "ready on" in run("logs", "one", "--start")[1]
    assert run("stop", "one", "--forget")[0] == 4
    assert "data of stack 'one'" in run("stop", "one", "--forget")[2]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("stop", "nobody"), 3, "there is no stack 'nobody'; there are: none yet"),
        (("logs", "nobody"), 3, "there is no stack 'nobody'"),
        (("up", "--stack", "../x"), 2, "is not allowed"),
        (("up", "--stack", "x", "--port", "0"), 2, "choose one with --port"),
        (("sql", "SELECT 1", "--lake", "stack:nobody"), 3, "there is no stack 'nobody'"),
    ],
)
def test_stack_commands_say_what_is_wrong(run, stacks, words, code, said):
    found, _, err = run(*words)
    assert (found, said in err) == (code, True), err


def standing_by(keeper, parts):
    """Return the process that a stack keeps loaded beside its parts, once it does."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        for thread in Path(f"/proc/{keeper}/task").iterdir():
            with contextlib.suppress(OSError):
                for pid in (thread / "children").read_text().split():
                    loaded = LOADED.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
                    if loaded and int(pid) not in parts:
                        return int(pid)
        time.sleep(0.05)
    raise AssertionError("no process is kept loaded")


def test_divided_stack_that_others_reach_goes_by_its_keys(run, stacks, port, folder, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_SERVER__BEHIND_TLS_PROXY", "true")
    words = ("up", "--stack", "one", "--processes", "--port", port(), "--data", folder, "--wait", "200")
    code, _, err = run(*words)
    assert code != 0
    assert "without keys: make one with `lakehouse key add`" in err
    key = run("key", "add", "anna", "--role", "operator", "--lake", folder)[1].split()[0]
    code, out, err = run(*words)
    assert (code, err) == (0, ""), out
    url = listed(run)["one"]["url"]
    assert httpx.get(f"{url}/v1/keys").status_code == 401
    with lakehouse.connect(url, token=key) as anna:
        assert anna.embed.texts(["welder"]).dimension == 384
        anna.keys.revoke("anna")
    assert "the last key of this stack was revoked" in httpx.get(f"{url}/v1/keys").text


def test_divided_stack_keeps_its_parts_running_and_loses_nothing(run, stacks, port, folder, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_TOKEN", "s3cret")
    code, out, err = run("up", "--stack", "one", "--processes", "--port", port(), "--data", folder, "--wait", "200")
    assert (code, err) == (0, ""), out
    url = listed(run)["one"]["url"]

    def parts():
        shown = json.loads(run("ps", "--json")[1])["stacks"]
        return {each["service"]: each["pid"] for each in shown if each["service"] != "keeper"}

    assert parts().keys() == {"embedd", "lake", "gateway"}
    assert httpx.get(f"{url}/health").json()["service"] == "gateway"
    assert httpx.get(f"{url}/v1/storage").status_code == 401
    with lakehouse.connect(url, token="s3cret") as lake:
        assert lake.embed.texts(["welder"]).dimension == 384
        assert lake.matrix.search("Need 2 Forklift Operators in Cleveland OH", ["workers"], 3).results
        lake.storage.put("kept", b"kept" * 500_000)

        # Every part is restarted while somebody calls without pause, and nobody notices.
        done = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            restarting = pool.submit(run, "restart", "one")
            restarting.add_done_callback(lambda _: done.set())
            before, calls = parts(), 0
            while not done.is_set():
                assert httpx.get(
                    f"{url}/v1/storage/kept", headers={"Authorization": "Bearer s3cret"}, timeout=120
                ).is_success
                calls += 1
            assert restarting.result()[0] == 0
        assert calls > 0
        assert not set(before.values()) & set(parts().values())

        # Killed, it comes back; the client library waits.
        for part in ("lake", "embedd", "gateway"):
            stood_by = standing_by(listed(run)["one"]["pid"], parts().values()) if part == "lake" else None
            os.kill(parts()[part], signal.SIGKILL)
            assert lake.storage.get("kept") == b"kept" * 500_000
            assert lake.embed.texts([f"welder beside {part}"]).dimension == 384
            assert stood_by is None or parts()[part] == stood_by
    assert "started again" in run("logs", "one")[1]
    assert run("restart", "one", "--service", "nobody")[0] == 3
    keeper = listed(run)["one"]["pid"]
    assert json.loads(run("stop", "one", "--json")[1]) == {"stack": "one", "ended": keeper, "forgotten": False}
    assert listed(run)["one"]["state"] == "stopped"
