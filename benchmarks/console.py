#!/usr/bin/env python3
"""How long the console's pages take on a lake: server time of each page, and of a demand for fifty people, open or not.

    python benchmarks/console.py --data lake-demo

One client, one page after the other in turns, so that other work on the machine falls on all of them alike. `health` is
the same server's fixed answer: the part of each figure that is HTTP and not the page. Beside the time from request to
answer stands the processor time that the server's processes took for it, where the system tells (Linux): other work on
the machine does not lengthen that.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

PAGES = {
    "health": "/health",
    "demand, empty": "/",
    "queue": "/queue",
    "memory": "/memory",
    "lake": "/lake",
    "operations": "/operations",
    "audit": "/audit",
}
FIFTY = "Need 50 Forklift Operators in Cleveland OH, day shift, OSHA-30"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="lake-demo")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    command = [sys.executable, "-m", "lakehouse", "up", "--data", options.data, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            measure(ready(server), options.rounds, server.pid)
        finally:
            server.terminate()
            server.wait(30)


def ready(server: subprocess.Popen[str]) -> str:
    for line in server.stderr:
        if found := re.search(r"ready on (http://\S+)", line):
            # A log that nobody reads would hold the server up.
            threading.Thread(target=collections.deque, args=(server.stderr, 0), daemon=True).start()
            return found[1]
    raise SystemExit("the server did not start")


def processor_ms(pid: int) -> float:
    """Return the processor time of a process, its threads and its children so far; 0 where the system does not tell."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int((task / "schedstat").read_text().split()[0]) / 1e6
        with contextlib.suppress(OSError):
            total += sum(processor_ms(int(child)) for child in (task / "children").read_text().split())
    return total


def measure(url: str, rounds: int, pid: int) -> None:
    names = [*PAGES, "demand for 50", "open demand for 50"]
    times: dict[str, list[float]] = {name: [] for name in names}
    worked: dict[str, list[float]] = {name: [] for name in names}
    with httpx.Client(base_url=url, timeout=60) as client:
        first = client.get("/")
        assets = re.findall(r'(?:href|src)="(/console/static/[^"]*)"', first.text)
        weight = len(first.content) + sum(len(client.get(address).content) for address in set(assets))
        corpora = re.findall(r'name="corpora" value="([^"]*)"', first.text)
        client.headers["X-CSRF-Token"] = re.search(r'name="csrf" value="(\w+)"', first.text)[1]
        form = {"text": FIFTY, "k": "50", "memory": "on", "corpora": corpora}
        calls = {name: lambda path=path: client.get(path) for name, path in PAGES.items()}
        calls["demand for 50"] = lambda: client.post("/", data=form, headers={"HX-Request": "true"})
        opened = client.post("/v1/demands", json={"text": FIFTY, "namespace": "benchmark"}).raise_for_status()
        kept = f"/queue/demands/{opened.json()['created'][0]}"
        calls["open demand for 50"] = lambda: client.get(kept)
        client.post(kept, data={"act": "propose_first"}).raise_for_status()
        for turn in range(rounds + 3):
            for name, call in calls.items():
                before, started = processor_ms(pid), time.perf_counter()
                answer = call()
                spent = (time.perf_counter() - started) * 1000
                took = processor_ms(pid) - before
                answer.raise_for_status()
                if turn >= 3:
                    times[name].append(spent)
                    worked[name].append(took)
    print(f"first page with its files: {weight / 1000:.1f} kB, uncompressed")
    for name, spent in times.items():
        said = [f"{kind} {figures(of)}" for kind, of in (("time", spent), ("processor", worked[name]))]
        print(f"{name:18} {'   '.join(said)}")


def figures(spent: list[float]) -> str:
    return f"p50 {statistics.median(spent):6.1f}  p95 {statistics.quantiles(spent, n=100)[94]:6.1f} ms"


if __name__ == "__main__":
    main()
