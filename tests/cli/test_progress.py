"""Bars are drawn on a real terminal only: each case is a process with a pseudo-terminal or a pipe as standard error."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cli.conftest import PROGRAM

SCRIPT = """
from lakehouse import progress
from lakehouse.cli.progress import bars
with bars("workers"):
    for done in range(0, 5001, 500):
        progress.report("embedding", done, 5000)
    progress.report("indexing", 1, 1)
print("done")
"""


def _run(stderr: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    return done.stdout


def test_bars_on_a_terminal_show_stage_counts_and_leave_standard_output_alone() -> None:
    terminal, end = os.openpty()
    try:
        assert _run(end) == "done\n"
        drawn = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
        os.close(end)
    assert "workers: embedding" in drawn
    assert "5000/5000" in drawn
    assert "workers: indexing" in drawn


@pytest.mark.parametrize(
    ("words", "stage"),
    [
        (("audit-full", "--phase", "2"), "audit-full: phases"),
        (("score",), "score: scoring"),
        (("vectors", "add", "tiny", "items.jsonl"), "items"),
    ],
)
def test_long_command_draws_on_a_terminal_and_is_silent_in_a_pipe(folder, tmp_path, words, stage) -> None:
    (tmp_path / "items.jsonl").write_text('{"id": "a", "vector": [1, 0]}\n', encoding="utf-8")
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}

    def told(*words: str, stderr: int) -> None:
        command = [*PROGRAM, *words, "--lake", str(folder)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=stderr, timeout=120, check=True, env=env)

    told("vectors", "create", "tiny", "--dimension", "2", stderr=subprocess.DEVNULL)
    told("materialize", stderr=subprocess.DEVNULL)
    terminal, end = os.openpty()
    try:
        told(*words, stderr=end)
        assert stage in os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
        os.close(end)
    with (tmp_path / "said").open("wb") as said:
        told(*words, stderr=said.fileno())
    assert (tmp_path / "said").read_bytes() == b""


def test_bars_in_a_pipe_say_nothing() -> None:
    read, write = os.pipe()
    try:
        assert _run(write) == "done\n"
    finally:
        os.close(write)
    with os.fdopen(read) as said:
        assert said.read() == ""
