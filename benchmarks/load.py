"""Load a running stack: mixed requests from many connections, and searches beside a large build.

    python benchmarks/load.py                 # 100 connections for 30 s on a lake of 15,000 people
    python benchmarks/load.py --building      # one search after the other while 50,000 people are indexed
    python benchmarks/load.py --data lake-demo  # on the demo's lake, instead of building one

Starts its own stack on a free loopback port, by default with a fresh lake, loads it from this process, prints a
table and stops it. A lake given by name is changed: playbooks are recorded, and `--building` leaves its corpus.
Closed loop: each connection sends its next request when the last one is answered, so the rate is what the stack
gives, and latency includes waiting for the other connections. As a ceiling, the same connections ask for
`/health`, static JSON from the same server, for a few seconds in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

SIX = [
    "Need 5 Forklift Operators in Cleveland OH, day shift, OSHA-30",
    "Need 3 CNC Operators in Detroit MI",
    "Need 12 Warehouse Workers in Chicago IL, night shift",
    "Need 8 Order Pickers in Indianapolis IN",
    "Need 4 Freight Loaders in Milwaukee WI",
    "Need 2 Shipping Clerks in Columbus OH",
]
BOTH = ["workers", "ethereal_workers"]


def rotating(number: int) -> tuple[str, dict]:
    return "/v1/matrix/search", {"query_text": SIX[number % 6], "corpora": BOTH, "k": 10, "use_playbook": True}


def unique(number: int) -> tuple[str, dict]:
    text = f"Need {number % 90 + 2} {SIX[number % 6].split(' ', 2)[2]} for client {number}"
    return "/v1/matrix/search", {"query_text": text, "corpora": BOTH, "k": 10, "use_playbook": True}


def parse(number: int) -> tuple[str, dict]:
    return "/v1/demand/parse", {"text": f"Looking for {number % 50 + 1} cooks at Hotel {number} in Reno NV"}


def sql(number: int) -> tuple[str, dict]:
    states = ["OH", "TX", "CA", "NY"]
    return "/v1/sql", {"sql": f"select count(*) from workers where state = '{states[number % 4]}'"}


def record(number: int) -> tuple[str, dict]:
    return "/v1/matrix/playbooks/record", {
        "query_text": SIX[number % 6],
        "answer_id": f"w-{number % 5000 + 1}",
        "corpus": "workers",
        "score": 0.8,
    }


MIX = [(rotating, 60), (unique, 15), (parse, 10), (sql, 10), (record, 5)]


class Connection:
    """One keep-alive HTTP/1.1 connection that sends JSON and reads the status."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def send(self, path: str, body: dict | bytes | None) -> int:
        """Send one request, read the whole answer, return its status; bytes are JSON already."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        verb = "GET" if body is None else "POST"
        self._writer.write(
            f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        await self._reader.readexactly(length)
        return int(lines[0].split()[1])

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


async def drive(port: int, connections: int, seconds: float, mix: list) -> tuple[dict[str, list[float]], Counter]:
    """Send the mix from many connections; return latencies in ms by kind, and status counts."""
    took: dict[str, list[float]] = {}
    statuses: Counter = Counter()
    numbers = itertools.count()
    stop = time.perf_counter() + seconds
    kinds, weights = zip(*mix, strict=True)

    async def one(seed: int) -> None:
        chooser = random.Random(seed)
        connection = Connection(port)
        await connection.open()
        while time.perf_counter() < stop:
            kind = chooser.choices(kinds, weights)[0]
            path, body = kind(next(numbers))
            start = time.perf_counter()
            status = await connection.send(path, body)
            took.setdefault(kind.__name__, []).append(1000 * (time.perf_counter() - start))
            statuses[status] += 1
        connection.close()

    await asyncio.gather(*(one(seed) for seed in range(connections)))
    return took, statuses


def health(_: int) -> tuple[str, None]:
    return "/health", None


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def show(took: dict[str, list[float]], statuses: Counter, seconds: float) -> None:
    print(f"{'kind':<10} {'requests':>9} {'per s':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    everything = list(itertools.chain(*took.values()))
    for kind, values in [*sorted(took.items()), ("all", everything)]:
        shares = "".join(f"{percentile(values, share):>9.1f}" for share in (0.5, 0.95, 0.99, 1))
        print(f"{kind:<10} {len(values):>9} {len(values) / seconds:>8.0f}{shares}")
    print("status counts:", dict(statuses))


def call(port: int, path: str, body: bytes, kind: str = "application/json") -> dict:
    import httpx

    answer = httpx.post(f"http://127.0.0.1:{port}{path}", content=body, headers={"Content-Type": kind}, timeout=900)
    answer.raise_for_status()
    return answer.json()


def ingest(port: int, name: str, workers: int, seed: int) -> None:
    """Generate and ingest a roster through the running stack."""
    command = [sys.executable, "-m", "lakehouse", "roster", "generate", "--workers", str(workers), "--seed", str(seed)]
    roster = subprocess.run([*command, "--output", "-"], check=True, capture_output=True).stdout
    call(port, f"/v1/ingest?name={name}", roster, "text/csv")


def index(port: int, name: str, prefix: str) -> dict:
    """Make an ingested roster a corpus through the running stack."""
    shape = {
        "name": name,
        "dataset": name,
        "id_column": "id",
        "id_prefix": prefix,
        "text_columns": ["role", "resume"],
        "metadata_columns": [
            "role",
            "role_code",
            "certs",
            "cert_expiry",
            "years",
            "city",
            "state",
            "lat",
            "lon",
            "shifts",
        ],
    }
    return call(port, "/v1/corpora", json.dumps(shape).encode())


def build(port: int, name: str, prefix: str, workers: int, seed: int) -> dict:
    """Generate, ingest and index a roster through the running stack."""
    ingest(port, name, workers, seed)
    return index(port, name, prefix)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder: Path) -> tuple[subprocess.Popen, int]:
    port = free_port()
    command = [sys.executable, "-m", "lakehouse", "up", "--data", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.1)
    raise SystemExit(f"the stack did not start; try: {' '.join(command)}")


def searches_beside_a_build(port: int, workers: int) -> None:
    """Search one corpus without pause while another is embedded and indexed."""
    done = threading.Event()

    def building() -> None:
        try:
            print(index(port, "big", "b-"))
        finally:
            done.set()

    async def watch() -> list[float]:
        connection = Connection(port)
        await connection.open()
        # The first of a fresh stack load models and indexes; what a build does to searches comes after them.
        for number in range(len(SIX)):
            assert await connection.send(*rotating(number)) == 200
        worker.start()
        took: list[float] = []
        for number in itertools.count():
            if done.is_set():
                return took
            asked = time.perf_counter()
            assert await connection.send(*rotating(number)) == 200
            took.append(1000 * (time.perf_counter() - asked))
            if took[-1] > 100:
                print(f"{took[-1]:.0f} ms, {asked - begin:.0f} s after the start")
            await asyncio.sleep(0.002)
        return took

    ingest(port, "big", workers, 3)
    worker = threading.Thread(target=building)
    begin = time.perf_counter()
    took = asyncio.run(watch())
    worker.join()
    print(f"{workers} people built in {time.perf_counter() - begin:.0f} s, {len(took)} searches beside it")
    show({"rotating": took}, Counter({200: len(took)}), time.perf_counter() - begin)
    print(f"searches over 100 ms: {sum(value > 100 for value in took)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--building", action="store_true")
    parser.add_argument("--workers", type=int, default=50_000, help="people built beside the searches")
    parser.add_argument("--data", type=Path, help="a lake with the corpora workers and ethereal_workers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        process, port = start(arguments.data or Path(scratch) / "lake")
        try:
            if arguments.data is None:
                print(build(port, "workers", "w-", 5_000, 1), build(port, "ethereal_workers", "e-", 10_000, 2))
            if arguments.building:
                searches_beside_a_build(port, arguments.workers)
            else:
                asyncio.run(drive(port, arguments.connections, 3, MIX))  # warm-up, not counted
                ceiling, _ = asyncio.run(drive(port, arguments.connections, 3, [(health, 1)]))
                took, statuses = asyncio.run(drive(port, arguments.connections, arguments.seconds, MIX))
                show(took, statuses, arguments.seconds)
                rate = sum(map(len, took.values())) / arguments.seconds
                print(f"ceiling, static JSON from the same server: {len(ceiling['health']) / 3:.0f} per s")
                print(f"ratio to the ceiling: {rate / (len(ceiling['health']) / 3):.3f}")
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(30)


if __name__ == "__main__":
    main()
