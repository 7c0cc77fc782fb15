from __future__ import annotations

import json
import re
import signal
import socket
import subprocess

import pytest

DEMAND = "Need 3 Forklift Operators in Cleveland OH"


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if found := re.search(r"ready on (http://127\.0\.0\.1:\d+)", line):
            return found[1]
    raise AssertionError("".join(seen))


def _stop(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    return process.returncode


def test_commands_say_the_same_of_a_folder_and_of_the_stack_that_serves_it(run, folder, start, monkeypatch) -> None:
    asked = [
        ("datasets", "people", "--json"),
        ("sql", "SELECT city, count(*) AS n FROM people GROUP BY city ORDER BY city", "--csv"),
        ("search", DEMAND, "-k", "5"),
        ("parse", DEMAND, "--json"),
        ("vectors", "ids", "workers"),
        ("corpus", "list", "--json"),
        ("datasets", "none"),
        ("search", "cook", "-k", "0"),
    ]
    embedded = [run(*words) for words in asked]
    stack = start("up", "--data", folder, "--port", "0")
    url = _url(stack)
    assert [run(*words, "--lake", url) for words in asked] == embedded
    monkeypatch.setenv("LAKEHOUSE_URL", url)
    assert [run(*words) for words in asked[:2]] == embedded[:2]
    report = json.loads(run("doctor", "--json")[1])
    assert {"name": "stack", "state": "ok", "found": f"{url} serves 1 datasets"} in report["checks"]
    assert _stop(stack) == 0


def test_serve_runs_one_service_alone(run, folder, start) -> None:
    service = start("serve", "queryd", "--data", folder, "--port", "0")
    url = _url(service)
    assert run("sql", "SELECT count(*) AS n FROM people", "--lake", url) == (0, " n\n36\n", "")
    assert run("search", DEMAND, "--corpus", "workers", "--lake", url)[0] == 3
    assert _stop(service) == 0


def test_up_on_a_held_port_names_it_and_opens_nothing(run, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        code, out, err = run("up", "--data", tmp_path / "lake", "--port", port)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: port {port} on 127.0.0.1 is held by process ")
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serve", "vektord"), "there is no service 'vektord'; choose one of storaged"),
        (("up", "--port", "70000"), "port 70000 is not between 0 and 65535"),
        (("up", "--lake", "http://127.0.0.1:1"), "is a running stack; this command needs the folder of a lake"),
        (("up", "--host", "0.0.0.0"), "refusing to listen on 0.0.0.0 without encryption"),
    ],
)
def test_up_and_serve_with_wrong_words_say_what_is_wrong(run, words, said) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert said in err
