"""A stack in a process of its own: how it starts, how it refuses to, how it ends."""

import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from xml.etree import ElementTree as ET

import httpx
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import Conflict
from lakehouse.serve import console, ports, run
from serving import stack_of

LAKEHOUSE = [sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main())"]


@pytest.fixture
def start(tmp_path):
    """Start stacks; all are ended after the test."""
    started = []

    def go(*words, ready=True, **environ):
        process = subprocess.Popen(
            [*LAKEHOUSE, *words], cwd=tmp_path, env={**os.environ, **environ}, stderr=subprocess.PIPE, text=True
        )
        process.lines = []
        started.append(process)
        if ready:
            process.url = _wait_until_ready(process)
        return process

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _wait_until_ready(process):
    for line in process.stderr:
        process.lines.append(line)
        if found := re.search(r"ready on (http://\S+)", line):
            return found[1]
    raise AssertionError("".join(process.lines))


def ended(process, timeout=20):
    """Wait for the end of a process; give its status and the rest of its log."""
    _, rest = process.communicate(timeout=timeout)
    return process.returncode, "".join(process.lines) + rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stack_stops_cleanly_on_a_signal_and_keeps_what_it_acknowledged(start, tmp_path, number):
    stack = start("up", "--port", "0", "--data", "lake")
    assert httpx.put(f"{stack.url}/v1/storage/kept", content=b"kept").is_success
    stack.send_signal(number)
    assert ended(stack)[0] == 0
    with lakehouse.connect(str(tmp_path / "lake")) as lake:
        assert lake.storage.get("kept") == b"kept"


def test_stack_finishes_requests_under_way_before_it_stops(start, tmp_path):
    stack = start("up", "--port", "0", "--data", "lake")
    begun, go_on = threading.Event(), threading.Event()
    answers = []

    def upload():
        yield b"first "
        begun.set()
        go_on.wait()
        yield b"second"

    def ask():
        answers.append(httpx.put(f"{stack.url}/v1/storage/long", content=upload(), timeout=30))

    asking = threading.Thread(target=ask)
    asking.start()
    begun.wait()
    time.sleep(0.2)
    stack.terminate()
    time.sleep(0.5)
    assert stack.poll() is None
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{stack.url}/health")
    go_on.set()
    asking.join()
    assert answers[0].status_code == 200
    assert ended(stack)[0] == 0
    with lakehouse.connect(str(tmp_path / "lake")) as lake:
        assert lake.storage.get("long") == b"first second"


def test_who_has_just_connected_when_a_stack_stops_is_answered(start):
    stack = start("up", "--port", "0")
    host, port = stack.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as one:
        # Answered on a later connection, so this one is accepted, and nothing is asked on it yet.
        assert httpx.get(f"{stack.url}/health").is_success
        stack.send_signal(signal.SIGTERM)
        # It stops once it accepts nobody any more.
        with pytest.raises((ConnectionRefusedError, ConnectionResetError)):  # noqa: PT012
            for _ in range(100_000):
                socket.create_connection((host, int(port)), timeout=10).close()
        one.sendall(f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        assert one.recv(100).startswith(b"HTTP/1.1 200")
    status, log = ended(stack)
    assert status == 0
    assert "Traceback" not in log


def test_stack_abandons_calls_after_the_grace(start):
    stack = start("up", "--port", "0", "--data", "lake", LAKEHOUSE_SERVER__SHUTDOWN_GRACE_MS="300")
    slow = {"sql": "SELECT count(*) FROM range(90000000000) t(x) WHERE x % 7 = 3", "timeout_ms": 25_000}
    answers = []
    asking = threading.Thread(target=lambda: answers.append(httpx.post(f"{stack.url}/v1/sql", json=slow, timeout=30)))
    asking.start()
    time.sleep(0.5)
    began = time.monotonic()
    stack.terminate()
    status, log = ended(stack)
    assert status == 0
    assert time.monotonic() - began < 20
    assert "abandoning calls" in log
    asking.join()
    assert answers[0].status_code == 503
    assert answers[0].json()["error"]["code"] == "unavailable"


def test_stack_answers_as_soon_as_it_says_ready_on_an_existing_lake(start, tmp_path, built, people):
    folder = shutil.copytree(built(people), tmp_path / "lake")
    stack = start("up", "--port", "0", "--data", str(folder))
    assert httpx.get(f"{stack.url}/health").json()["service"] == "gateway"
    stack.terminate()
    assert ended(stack)[0] == 0


def test_stack_loads_indexes_and_pages_soon_after_it_is_ready(tmp_path):
    with lakehouse.connect(tmp_path / "lake") as lake:
        lake.vectors.create("towns", 2)
        lake.vectors.add("towns", [{"id": "t-1", "vector": [1.0, 0.0]}])
    with lakehouse.connect(tmp_path / "lake") as lake:
        assert not lake.rooms.vectors.is_here("towns"), "a start does not wait for indexes that nobody asked for yet"
        loaded = threading.Event()
        pages = console.Pages(console.pages(lake).routes, loaded.set)
        with stack_of(lake, pages=pages):
            assert loaded.wait(60)
            assert lake.rooms.vectors.is_here("towns")


def test_what_cannot_be_loaded_ahead_keeps_nothing_else_from_it(tmp_path, monkeypatch, caplog):
    def refused():
        raise Conflict("held by somebody else")

    with lakehouse.connect(tmp_path / "lake") as lake:
        loaded = threading.Event()
        monkeypatch.setattr(lake.rooms.vectors, "local_items", refused)
        with stack_of(lake, pages=console.Pages(console.pages(lake).routes, loaded.set)):
            assert loaded.wait(60)
    assert "indexes may fail: held by somebody else" in caplog.text


def test_stack_on_a_held_port_names_its_holder_and_touches_nothing(start, tmp_path):
    with ports.bind("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        stack = start("up", "--port", str(port), "--data", "lake", ready=False)
        status, log = ended(stack)
    assert status == 1
    assert f"port {port} on 127.0.0.1 is held by process {os.getpid()}" in log
    assert not (tmp_path / "lake").exists()


def test_stack_on_a_lake_in_use_is_refused(start, tmp_path):
    start("up", "--port", "0", "--data", "lake")
    status, log = ended(start("up", "--port", "0", "--data", "lake", ready=False))
    assert status == 4
    assert "lake" in log
    with pytest.raises(Conflict):
        lakehouse.connect(str(tmp_path / "lake"))


def test_stack_off_loopback_without_encryption_is_refused(start, tmp_path):
    status, log = ended(start("up", "--host", "0.0.0.0", "--port", "0", "--data", "lake", ready=False))
    assert status == 2
    assert "tls_cert" in log
    assert not (tmp_path / "lake").exists()


def test_stack_off_loopback_without_a_key_is_refused(start):
    environ = {"LAKEHOUSE_SERVER__BEHIND_TLS_PROXY": "true"}
    status, log = ended(start("up", "--host", "0.0.0.0", "--port", "0", "--data", "lake", ready=False, **environ))
    assert status == 2
    assert "LAKEHOUSE_TOKEN" in log
    assert "lakehouse key add" in log


def test_token_of_is_read_under_its_name():
    config = settings.load(environ={}, overrides={"server": {"token_env": "MY_TOKEN"}})
    assert run.token_of(config, {"MY_TOKEN": " s3cret\n"}) == "s3cret"
    assert run.token_of(config, {"MY_TOKEN": "  "}) == ""


def test_stack_log_is_json_lines_without_query_texts(start):
    stack = start("up", "--port", "0", "--data", "lake")
    with pytest.raises(lakehouse.errors.NotFound), lakehouse.connect(stack.url) as remote:
        remote.matrix.search("secret demand of Beacon", ["nobody"])
    httpx.get(f"{stack.url}/v1/storage?prefix=secret", headers={"X-Lakehouse-Trace-Id": "t-1"})
    stack.terminate()
    status, log = ended(stack)
    assert status == 0
    lines = [json.loads(line) for line in log.splitlines() if "ready on" not in line]
    facts = [{key: line[key] for key in ("method", "path", "status")} for line in lines if "ms" in line]
    assert facts == [
        {"method": "POST", "path": "/v1/matrix/search", "status": 404},
        {"method": "GET", "path": "/v1/storage", "status": 200},
    ]
    assert lines[-1]["trace_id"] == "t-1"
    assert "secret" not in log


def test_service_alone_has_its_own_name(start):
    stack = start("serve", "vectord", "--port", "0", "--data", "lake")
    assert httpx.get(f"{stack.url}/health").json()["service"] == "vectord"
    assert httpx.get(f"{stack.url}/vectors/index").json() == {"indexes": []}
    stack.terminate()
    assert ended(stack)[0] == 0


HEAPS = """
import ctypes, sys, threading
from lakehouse.serve import run
if sys.argv[1] == "shared":
    run._settle_heap()
gate = threading.Barrier(4)
def allocate():
    kept = [bytes(50_000) for _ in range(20)]
    gate.wait()
threads = [threading.Thread(target=allocate) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
large = bytes(8_000_000)
del large
large = bytes(8_000_000)
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps of threads are a way of glibc")
def test_threads_of_a_serving_process_share_one_heap_and_large_blocks_stay_out_of_it(tmp_path):
    heaps, outside, arrow = {}, {}, {}
    for kind in ("shared", "apart"):
        file = tmp_path / kind
        done = subprocess.run(
            [sys.executable, "-c", HEAPS, kind, str(file)], check=True, stdout=subprocess.PIPE, text=True
        )
        arrow[kind] = done.stdout.strip()
        found = ET.parse(file).getroot()
        heaps[kind] = len(found.findall("heap"))
        outside[kind] = int(found.find("total[@type='mmap']").get("size"))
    assert heaps["shared"] == 1
    assert heaps["apart"] > 1
    assert outside["shared"] >= 8_000_000 > outside["apart"]
    assert arrow["shared"] == "system" != arrow["apart"]


HOLES = """
import ctypes, re, threading, time
from lakehouse.serve import run
def held():
    return int(re.search(r"Anonymous:\\s+(\\d+)", open("/proc/self/smaps_rollup").read())[1])
kept = [bytes(20_000) for _ in range(4_000)]
full = held()
del kept[:3_000:2], kept[1_500:2_500]
left = held()
threading.Thread(target=run._trim_heap, args=[ctypes.CDLL(None).malloc_trim, 0.05], daemon=True).start()
until = time.monotonic() + 20
while held() > full - 40_000 and time.monotonic() < until:
    time.sleep(0.05)
print(full, left, held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps with holes are a way of glibc")
def test_free_pages_between_others_are_given_back():
    done = subprocess.run([sys.executable, "-c", HOLES], check=True, stdout=subprocess.PIPE, text=True)
    full, left, after = map(int, done.stdout.split())
    assert left > full - 10_000
    assert after <= full - 40_000


SETTLING = """
import gc, socket, sys, threading, time
import lakehouse
from lakehouse import settings
from lakehouse.serve import run

def watch():
    for _ in range(3_000):
        if gc.get_freeze_count() > 50_000:
            break
        time.sleep(0.1)
    print(gc.get_freeze_count(), gc.isenabled())
    stack.stop()

with lakehouse.connect(sys.argv[1]) as lake:
    stack = run.Stack(lake, settings.Settings(), socket.create_server(("127.0.0.1", 0)))
    watching = threading.Thread(target=watch)
    stack.run(ready=watching.start)
    watching.join()
"""


def test_vocabularies_of_a_process_that_serves_are_kept_out_of_full_collections(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SETTLING, str(tmp_path / "lake")], capture_output=True, text=True, check=True
    )
    kept_out, enabled = done.stdout.split()
    assert int(kept_out) > 50_000
    assert enabled == "True"
