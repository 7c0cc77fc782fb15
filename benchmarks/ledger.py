"""What the ledger costs: searches with it on and off, and checking a million rows beside bare HMAC.

    python benchmarks/ledger.py                  # both
    python benchmarks/ledger.py --rows 0         # searches only
    python benchmarks/ledger.py --rounds 0       # checking only

Searches: two stacks over copies of one lake of `--people` people, one with the ledger and one without, are asked in
turn by 20 connections, ten results a search: six rotating requests, whose answers are kept, and requests never sent
before whose texts are known, whose answers are made anew. The ratios are of the median rates, and of the processor time
that the server's process used for a request, which other work on the machine disturbs less. Checking: the verifier that
stands alone over `--rows` rows of 10,000 subjects, ten for an answer, under checkpoints, and one `hmac.digest` for each
line read from the same file.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import itertools
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import load
import search

CONNECTIONS = 20


TEXTS = [f"Need {number % 80 + 2} {load.SIX[number % 6].split(' ', 2)[2]} for x{number}" for number in range(400)]

Kind = Callable[[int], tuple[str, dict]]


def ask(text: str, k: int) -> tuple[str, dict]:
    return "/v1/matrix/search", {"query_text": text, "corpora": ["workers"], "k": k}


def kept(number: int) -> tuple[str, dict]:
    return ask(load.SIX[number % 6], 10)


def anew() -> Kind:
    """Return a kind of request that never repeats: each text comes back asking for one result more."""
    numbers = itertools.count()

    def one(_: int) -> tuple[str, dict]:
        number = next(numbers)
        return ask(TEXTS[number % len(TEXTS)], 10 + number // len(TEXTS))

    return one


def start(folder: Path, enabled: bool) -> tuple[subprocess.Popen, int]:
    os.environ["LAKEHOUSE_LEDGER__ENABLED"] = "true" if enabled else "false"
    return load.start(folder)


def searches(scratch: Path, people: int, rounds: int, seconds: float) -> None:
    process, port = start(scratch / "on", True)
    load.build(port, "workers", "w-", people, 1)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    shutil.copytree(scratch / "on", scratch / "off")
    stacks = {name: start(scratch / name, name == "on") for name in ("on", "off")}
    kinds: dict[str, dict[str, Kind]] = {"kept": dict.fromkeys(stacks, kept), "anew": {name: anew() for name in stacks}}
    found: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    try:
        for process, port in stacks.values():
            # Not counted: every text once.
            asyncio.run(search.drive(port, process.pid, CONNECTIONS, 401, lambda at: ask(TEXTS[at % len(TEXTS)], 9)))
        for _ in range(rounds):
            for kind, name in random.sample([*itertools.product(kinds, stacks)], 2 * len(stacks)):
                process, port = stacks[name]
                took = asyncio.run(search.drive(port, process.pid, CONNECTIONS, seconds, kinds[kind][name]))
                found.setdefault((kind, name), []).append(took)
    finally:
        for process, _ in stacks.values():
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    for kind in kinds:
        on, off = (
            [statistics.median(column) for column in zip(*found[kind, name], strict=True)] for name in ("on", "off")
        )
        print(
            f"answers {kind}, medians of {rounds} rounds: {on[0]:.0f} per s with the ledger, {off[0]:.0f} without,"
            f" ratio {on[0] / off[0]:.2f}; {on[1]:.0f} and {off[1]:.0f} us of the server, ratio {off[1] / on[1]:.2f};"
            f" p50 {on[2]:.1f} and {off[2]:.1f} ms, p99 {on[3]:.1f} and {off[3]:.1f} ms"
        )
    rows = sum(line.count(b"\n") for line in [path.read_bytes() for path in (scratch / "on" / "ledger").glob("rows*")])
    print(f"{rows} rows were written meanwhile")


def checking(scratch: Path, count: int) -> None:
    from lakehouse.ledger import keys, verifier
    from lakehouse.ledger.chains import Chains
    from lakehouse.ledger.checkpoints import Checkpoints
    from lakehouse.ledger.rows import Accessor, Event

    folder = scratch / "ledger"
    ring = keys.open_keys(folder / "keys", make=True)
    checkpoints = Checkpoints(folder)
    chains = Chains(folder, ring, checkpoints.signed)
    fields = ("certs", "city", "name", "phone", "role", "state")
    begin = time.perf_counter()
    for number in range(0, count, 10):
        events = [
            Event(
                subject=f"w-{(number * 7 + at) % 10_000}",
                action="search",
                purpose="staffing",
                fields=fields,
                result="shown",
            )
            for at in range(10)
        ]
        chains.append(events, Accessor("key", "anna", f"{number:032x}"), datetime.now(UTC))
        if number % 100_000 == 0:
            checkpoints.add(chains, ring)
    checkpoints.add(chains, ring)
    print(f"{count} rows written in {time.perf_counter() - begin:.1f} s")
    checkpoints.close()
    chains.close()
    key = ring.keys["k1"]
    bare, checked = [], []
    for _ in range(3):
        begin = time.perf_counter()
        for line in verifier.lines(folder, "rows"):
            hmac.digest(key, line, "sha256")
        bare.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        report = verifier.verify(folder)
        checked.append(time.perf_counter() - begin)
        assert report.good, report
        assert report.rows == report.signed_rows == count
    before, now = (count / statistics.median(times) for times in (bare, checked))
    print(f"rows per s: {now:.0f} checked, {before:.0f} by bare HMAC, ratio {now / before:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.rounds:
            searches(Path(scratch), arguments.people, arguments.rounds, arguments.seconds)
        if arguments.rows:
            checking(Path(scratch), arguments.rows)


if __name__ == "__main__":
    main()
