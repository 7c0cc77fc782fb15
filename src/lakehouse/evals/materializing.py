"""Many lines of a log to evidence: time, memory, the second run, and what a kill leaves.

python -m lakehouse.evals.materializing --lines 10000000 --folder /somewhere/with/room
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import signal
import subprocess  # nosec B404 - starts only this module
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from lakehouse.observe.base import Op

_BLOCK = 20_000
_START = datetime(2026, 1, 1, tzinfo=UTC)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a process of its own; `peak_bytes` is its largest resident size."""

    lines: int
    records: int
    seconds: float
    peak_bytes: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A first run, one that was killed again and again and then finished, and one over nothing new.

    Attributes:
        log_bytes: Of the log.
        base_bytes: Resident size of the process before it read anything.
        kills: How often the second evidence was killed while it was made.
        same_bytes: Whether both are the same, file by file.
    """

    log_bytes: int
    base_bytes: int
    first: Run
    again: Run
    kills: int
    same_bytes: bool


def write_log(path: Path, count: int, part_lines: int = 400_000) -> int:
    """Write a log of ops in sealed files, a minute of work a thousand lines; returns its bytes."""
    from lakehouse.state.log import sealed

    path.parent.mkdir(parents=True, exist_ok=True)
    total = 0
    parts = range(0, count, part_lines)
    for number, start in enumerate(parts, 1):
        last = start + part_lines >= count
        with (path if last else sealed(path, number)).open("wb") as file:
            for block in _blocks(start, min(count, start + part_lines)):
                total += file.write(block)
    return total


def _blocks(start: int, end: int) -> Iterator[bytes]:
    kinds = ("matrix.search", "demand.parse", "validate.check", "sql.query")
    for first in range(start, end, _BLOCK):
        lines = []
        for nth in range(first, min(end, first + _BLOCK)):
            moment = (_START + timedelta(milliseconds=60 * nth)).isoformat(timespec="microseconds")
            lines.append(
                msgspec.json.encode(
                    Op(
                        op_id=f"op-eval-{nth}",
                        time=moment.replace("+00:00", "Z"),
                        source="call",
                        kind=kinds[nth % 4],
                        status="ok" if nth % 50 else "validation",
                        elapsed_ms=nth % 97 / 10,
                        trace_id=f"{nth:032x}",
                    )
                )
            )
        yield b"\n".join(lines) + b"\n"


def run(folder: Path, name: str) -> Run:
    """Materialize the log of a folder in this process."""
    from lakehouse.learn.materialize import materialize

    started = time.perf_counter()
    done = materialize(folder / name, {"ops": folder / "logs" / "ops.jsonl"}, lake=folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Run(lines=done.lines, records=done.records, seconds=round(time.perf_counter() - started, 3), peak_bytes=peak)


def measure(folder: Path, lines: int, kills: int = 5) -> Measured:
    """Write a log of so many lines below a folder and materialize it in processes of their own."""
    log_bytes = write_log(folder / "logs" / "ops.jsonl", lines)
    base = _child(folder, "none")
    first = _child(folder, "whole")
    pause = max(0.2, first.seconds / (2 * kills + 1))
    killed = sum(_killed(folder, "killed", pause) for _ in range(kills))
    _child(folder, "killed")
    return Measured(
        log_bytes=log_bytes,
        base_bytes=base.peak_bytes,
        first=first,
        again=_child(folder, "whole"),
        kills=killed,
        same_bytes=_digests(folder / "whole") == _digests(folder / "killed"),
    )


def _command(folder: Path, name: str) -> list[str]:
    return [sys.executable, "-m", "lakehouse.evals.materializing", "--folder", str(folder), "--run", name]


def _child(folder: Path, name: str) -> Run:
    done = subprocess.run(_command(folder, name), capture_output=True, check=True)  # noqa: S603
    return msgspec.json.decode(done.stdout, type=Run)


def _killed(folder: Path, name: str, seconds: float) -> bool:
    with subprocess.Popen(_command(folder, name), stdout=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*.json*")):
        with path.open("rb") as file:
            found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def main() -> None:
    """Measure and print, or be one of the runs."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, help="for log and evidence, about 1.2 KB a line (default: a scratch one)"
    )
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run == "none":
        from lakehouse.learn import materialize as _imported  # noqa: F401 - what a run has in memory before it reads

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        sys.stdout.buffer.write(msgspec.json.encode(Run(lines=0, records=0, seconds=0, peak_bytes=peak)))
    elif options.run:
        sys.stdout.buffer.write(msgspec.json.encode(run(options.folder, options.run)))
    else:
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            found = measure(Path(scratch), options.lines, options.kills)
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


if __name__ == "__main__":
    main()
