#!/usr/bin/env python3
"""How long the console's pages take on a lake: server time of each page, and of a demand for fifty people, open or not.

    python benchmarks/console.py --data lake-demo

One client, one page after the other in turns, so that other work on the machine falls on all of them alike. `health` is
the same server's fixed answer: the part of each figure that is HTTP and not the page.
"""

from __future__ import annotations

import argparse
import collections
import re
import statistics
import subprocess
import sys
import threading
import time

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
            measure(ready(server), options.rounds)
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


def measure(url: str, rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in [*PAGES, "demand for 50", "open demand for 50"]}
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
                started = time.perf_counter()
                answer = call()
                spent = (time.perf_counter() - started) * 1000
                answer.raise_for_status()
                if turn >= 3:
                    times[name].append(spent)
    print(f"first page with its files: {weight / 1000:.1f} kB, uncompressed")
    for name, spent in times.items():
        cuts = statistics.quantiles(spent, n=100)
        print(f"{name:18} p50 {statistics.median(spent):7.1f} ms   p95 {cuts[94]:7.1f} ms   max {max(spent):7.1f} ms")


if __name__ == "__main__":
    main()
