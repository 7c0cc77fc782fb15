"""Measure how long starting takes: the command line's help, and a stack on an existing lake until it is ready.

    python benchmarks/start.py                    # a lake of 5,000 people, made first
    python benchmarks/start.py --data lake-demo   # the demo's lake

Python itself, started in turn with them, is what no command can be faster than. Wall time and processor time of the
process; medians with the fastest and the slowest.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from load import build, free_port, start

ROUNDS = 9


class Took(NamedTuple):
    """Seconds."""

    wall: float
    processor: float


def run(*words: str) -> Took:
    """Run a command to its end."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    used = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    return Took(time.perf_counter() - began, used.ru_utime + used.ru_stime)


def until_ready(folder: Path) -> Took:
    """Start a stack, stop it when it says that it is ready."""
    words = [sys.executable, "-m", "lakehouse", "up", "--data", str(folder), "--port", str(free_port())]
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if "ready on" in line:
            break
    took = time.perf_counter() - began
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    used = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    return Took(took, used.ru_utime + used.ru_stime)


def show(name: str, took: list[Took], bare: list[Took]) -> None:
    walls = [each.wall for each in took]
    processor = statistics.median(each.processor for each in took)
    ratio = statistics.median(walls) / statistics.median(each.wall for each in bare)
    print(
        f"{name:<28} {statistics.median(walls):>7.3f} s ({min(walls):.3f} to {max(walls):.3f})"
        f"  processor {processor:.3f} s  {ratio:.1f} x python"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a lake with corpora")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.data or Path(scratch) / "lake"
        if arguments.data is None:
            process, port = start(folder)
            build(port, "workers", "w-", 5_000, 1)
            os.kill(process.pid, signal.SIGTERM)
            process.wait(30)
        bare, helped, ready = [], [], []
        for _ in range(ROUNDS):
            bare.append(run("-c", "pass"))
            helped.append(run("-m", "lakehouse", "--help"))
            ready.append(until_ready(folder))
        show("python -c pass", bare, bare)
        show("lakehouse --help", helped, bare)
        show("lakehouse up, until ready", ready, bare)


if __name__ == "__main__":
    main()
