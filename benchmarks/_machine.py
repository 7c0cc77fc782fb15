"""What the machine does while something is measured: other work, our own processor time, and how fast it is just now.

A run is judged by what else ran. All contestants are children of the process that measures, so what its tree of
processes used is ours and the rest of what /proc/stat counted is foreign. A run with more than `BOUND` of foreign load
is thrown away and made again; after `TRIES` the least disturbed one is kept and counted as disturbed, and the tables
say how many were.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

BOUND = 0.08
TRIES = 3
_TICKS = os.sysconf("SC_CLK_TCK")
# A round of the calibrator in seconds on the machine of the first figures, so that scaled rates look like the others.
_USUAL = 0.05

Found = TypeVar("Found")


class Run(NamedTuple):
    """One run.

    Attributes:
        value: What it gave.
        foreign: Share of all processors that others used.
        pace: Seconds of a round of the calibrator right after it, over the usual.
    """

    value: object
    foreign: float
    pace: float


class Disturbed:
    """How many runs were thrown away, and how many were kept although others used the machine."""

    def __init__(self) -> None:
        self.thrown = 0
        self.kept = 0
        self.foreign: list[float] = []

    def __str__(self) -> str:
        middle, most = statistics.median(self.foreign), max(self.foreign)
        return (
            f"foreign load of the runs kept: median {middle:.0%}, most {most:.0%}; {self.thrown} of more than "
            f"{BOUND:.0%} thrown away, {self.kept} such kept as the best of {TRIES}"
        )


def undisturbed(work: Callable[[], object], disturbed: Disturbed, pids: Iterable[int] = ()) -> Run:
    """Run `work` until nothing else ran beside it, at most `TRIES` times.

    Args:
        work: Does the same each time.
        disturbed: Counts.
        pids: Processes of ours that are no children of this one.
    """
    pids = list(pids)
    runs = []
    for _ in range(TRIES):
        began, busy, own = time.perf_counter(), _busy(), _own(pids)
        value = work()
        wall = time.perf_counter() - began
        foreign = max(0.0, (_busy() - busy) - (_own(pids) - own)) / (wall * (os.cpu_count() or 1))
        runs.append(Run(value, foreign, calibrate() / _USUAL))
        if foreign <= BOUND:
            break
    best = min(runs, key=lambda run: run.foreign)
    disturbed.thrown += len(runs) - 1
    disturbed.kept += best.foreign > BOUND
    disturbed.foreign.append(best.foreign)
    return best


def calibrate() -> float:
    """Return the seconds of a fixed piece of work, half numbers and half interpreter."""
    numbers = np.arange(400_000, dtype=np.float64)
    began = time.perf_counter()
    for _ in range(12):
        float(np.sqrt(numbers).sum())
    total = 0
    for number in range(400_000):
        total += number & 7
    return time.perf_counter() - began


def tree(pid: int) -> list[int]:
    """Return a process and its living descendants."""
    found = [pid]
    for each in found:
        # It, or one of its threads, may end meanwhile.
        with contextlib.suppress(OSError):
            for path in Path(f"/proc/{each}/task").glob("*/children"):
                found += [int(child) for child in path.read_text().split()]
    return found


def used_by(pid: int) -> float:
    """Return the processor time of a process and its living descendants so far, in seconds."""
    return sum(_of(each) for each in tree(pid))


def resident(pid: int) -> dict[str, int]:
    """Return what a process and its descendants hold in memory, in bytes: `all`, `own` (not of files), `peak`."""
    total = dict.fromkeys(("all", "own", "peak"), 0)
    for each in tree(pid):
        try:
            lines = Path(f"/proc/{each}/status").read_text().splitlines()
        except OSError:
            continue
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("Vm", "Rss"))}
        total["all"] += sizes.get("VmRSS", 0)
        total["own"] += sizes.get("RssAnon", 0)
        total["peak"] += sizes.get("VmHWM", 0)
    return total


def described(*packages: str) -> str:
    """Return the machine and the versions of packages, on one line."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return f"{os.cpu_count()} x {model}, load {load:.1f}; Python {platform.python_version()}, {versions}"


def spread(values: Iterable[float], form: str = ",.0f") -> str:
    """Return the median and, in brackets, the least and the most."""
    values = list(values)
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _busy() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    # Less idle and waiting for disks; what guests used is in user time already.
    return (sum(fields[:8]) - fields[3] - fields[4]) / _TICKS


def _own(pids: list[int]) -> float:
    return sum(map(used_by, [os.getpid(), *pids]))


def _of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # With that of children that ended.
    return sum(map(int, fields[11:15])) / _TICKS
