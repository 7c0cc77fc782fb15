"""What processes of this machine use, as `/proc` tells it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

_PROC = Path("/proc")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What several processes use together at one moment.

    Attributes:
        memory_mb: Resident memory; what is shared between them counts once each.
        private_mb: Resident memory without pages of files, which the system may take back.
        cpu_s: Processor time since they began.
        threads, files: Threads, and open files.
    """

    memory_mb: float
    private_mb: float
    cpu_s: float
    threads: int
    files: int


def memory_mb(pid: int | None) -> float | None:
    """Return the resident memory of one process, None when it does not run or cannot be seen."""
    found = _status(pid) if pid is not None else {}
    return round(found["VmRSS"] / 1024, 1) if "VmRSS" in found else None


def parent(pid: int) -> int | None:
    """Return the process that started one, None when it does not run."""
    return _status(pid).get("PPid")


def family(pids: Iterable[int]) -> list[int]:
    """Return processes with all that they started, each once."""
    children: dict[int, list[int]] = {}
    for process in _PROC.glob("[0-9]*"):
        parent = _status(int(process.name)).get("PPid")
        if parent is not None:
            children.setdefault(parent, []).append(int(process.name))
    found: dict[int, None] = {}
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = None
            waiting += children.get(pid, [])
    return list(found)


def usage(pids: Iterable[int]) -> Usage:
    """Return what processes use together; those that have ended count as nothing."""
    memory = private = cpu = 0.0
    threads = files = 0
    for pid in pids:
        status = _status(pid)
        memory += status.get("VmRSS", 0) / 1024
        private += (status.get("RssAnon", 0) + status.get("RssShmem", 0)) / 1024
        threads += status.get("Threads", 0)
        cpu += _cpu_s(pid)
        files += _open_files(pid)
    return Usage(
        memory_mb=round(memory, 1), private_mb=round(private, 1), cpu_s=round(cpu, 2), threads=threads, files=files
    )


def _status(pid: int) -> dict[str, int]:
    """Read the numbers of `/proc/PID/status`; sizes are in KiB."""
    try:
        lines = (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        first = rest.split()[:1]
        if first and first[0].isdigit():
            found[name] = int(first[0])
    return found


def _cpu_s(pid: int) -> float:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    # The name stands in brackets and may hold anything.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _open_files(pid: int) -> int:
    try:
        return sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return 0
