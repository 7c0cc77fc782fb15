"""The examples of docs/examples say words that the command line knows."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
from pathlib import Path

from lakehouse.cli.command import build

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_systemd_unit_starts_a_stack_in_the_foreground() -> None:
    unit = (EXAMPLES / "lakehouse@.service").read_text(encoding="utf-8")
    line = re.search(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    assert line
    arguments = build().parse_args(shlex.split(line[1].replace("%i", "persistent")))
    assert (arguments.stack, arguments.foreground) == ("persistent", True)


def test_container_starts_a_stack_in_the_foreground() -> None:
    text = (EXAMPLES / "Containerfile").read_text(encoding="utf-8")
    line = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert line
    arguments = build().parse_args(json.loads(line[1]))
    assert (arguments.stack, arguments.foreground, arguments.host) == ("persistent", True, "0.0.0.0")


def test_stack_in_the_foreground_tells_a_service_manager_that_it_is_ready(
    start, free_port, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_STACKS__FOLDER", str(tmp_path / "stacks"))
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        stack: subprocess.Popen[str] = start("up", "--stack", "one", "--foreground", "--port", free_port)
        assert manager.recv(100) == b"READY=1"
        stack.terminate()
        stack.communicate(timeout=60)
    assert stack.returncode == 0
