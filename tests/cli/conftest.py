from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli import main

PROGRAM = [sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, with help text of one width, whatever the environment says of lakes."""
    for name in os.environ:
        if name.startswith("LAKEHOUSE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, standard output, standard error."""

    def run(*words: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command as a process of its own; killed at the end when it still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: Any, **options: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        # A suite that runs in the background ignores Ctrl-C, and its children would inherit that.
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        started.append(subprocess.Popen([*PROGRAM, *map(str, words)], **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def folder(tmp_path: Path, built: Callable[..., Path], people: list[dict[str, Any]]) -> Path:
    """A lake folder of one's own, closed, with the dataset `people` and the corpus `workers`."""
    return Path(shutil.copytree(built(people), tmp_path / "lake"))


@pytest.fixture
def lake_process() -> Iterator[Callable[[Path], int]]:
    """Open a lake in another process, which ends with the test; its process id."""
    opened: list[subprocess.Popen[bytes]] = []

    def hold(folder: Path) -> int:
        code = (
            "import sys; from lakehouse.state.folder import open_folder\n"
            f"with open_folder({str(folder)!r}):\n    print('open', flush=True); sys.stdin.read()"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        opened.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        return process.pid

    yield hold
    for process in opened:
        process.communicate(timeout=30)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Give a command its standard input."""

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))

    return give
