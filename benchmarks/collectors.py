"""What a collector of traces can do to searches: nothing, however it behaves.

    python benchmarks/collectors.py                  # 20 rounds of 500 searches under each collector
    python benchmarks/collectors.py --rounds 60

One lake, one thread that searches. In every round each kind of collector has its turn, in a new order: none (spans
off), one that takes every span, one that answers after 30 seconds, one where nothing listens, one that refuses with
403, and one that answers what is not HTTP. Each turn has a queue and a sender of its own, closed before the next; all
collectors live in another process.

The claim is about the p99 of a search against that under a collector that works. What counts is the change within a
round, where both ran within seconds of each other: its median over the rounds, and the interval that holds 95 of 100
medians of rounds drawn anew from these (bootstrap). Wall time on a shared machine is noisy; processor time of the
searching thread stands beside it. The claim is shown when the whole interval is within the bound.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

import lakehouse
from lakehouse import settings
from lakehouse.observe.traces import Traces

PEOPLE = 2_000
TURN = 500
WARM = 50
BOUND = 0.05
ROLES = "Forklift Operator;Welder;Line Cook;CNC Operator;Registered Nurse;Electrician;Picker;Janitor".split(";")
CITIES = {"Cleveland": "OH", "Toledo": "OH", "Detroit": "MI", "Chicago": "IL", "Dallas": "TX", "Akron": "OH"}
SERVER = r"""
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        how = self.path.strip("/")
        if how == "slow":
            time.sleep(30)
        if how == "garbage":
            self.wfile.write(b"\x00\xff\x13garbage\r\n\r\n")
            self.close_connection = True
            return
        self.send_response(403 if how == "refusing" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
"""


class Turn(msgspec.Struct, frozen=True):
    """Seconds of wall and processor time of a search under one collector, and spans that were dropped."""

    p50: float
    p99: float
    cpu50: float
    cpu99: float
    dropped: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server,
        socket.socket() as nobody,
    ):
        nobody.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{int(server.stdout.readline())}"
        endpoints = {how: f"{base}/{how}" for how in ("working", "slow", "refusing", "garbage")}
        endpoints["dead"] = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        try:
            with built(Path(folder)) as lake:
                measure(lake, endpoints, rounds)
        finally:
            server.terminate()


def built(folder: Path) -> lakehouse.Lakehouse:
    lake = lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(folder / "lake")}))
    rng = random.Random(6)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "role", "city", "state", "resume"])
    for number in range(PEOPLE):
        role, city = rng.choice(ROLES), rng.choice([*CITIES])
        writer.writerow([number, role, city, CITIES[city], f"{rng.randrange(30)} years as {role.lower()}"])
    lake.ingest.file(text.getvalue().encode(), "people", "text/csv")
    columns = ["role", "city", "state"]
    lake.corpora.build("workers", "people", "id", "w-", ["role", "resume"], columns)
    return lake


def measure(lake: lakehouse.Lakehouse, endpoints: dict[str, str], rounds: int) -> None:
    asks = [f"Need 3 {role}s in {city} {state}" for role in ROLES for city, state in CITIES.items()]
    for ask in asks:
        lake.rooms.matrix.prepare(ask)
    turns: dict[str, list[Turn]] = {how: [] for how in ("off", *endpoints)}
    rng = random.Random(7)
    for _ in range(rounds):
        for how in rng.sample([*turns], len(turns)):
            turns[how].append(turn(lake, rng.choices(asks, k=WARM + TURN), endpoints.get(how, "")))
    show(turns)


def turn(lake: lakehouse.Lakehouse, asks: list[str], endpoint: str) -> Turn:
    recorder = Traces(settings.Traces(endpoint=endpoint, send_every_ms=100), None, version="0")
    around = list(lake.rooms.around)
    if recorder.on:
        lake.rooms.around.append(recorder.around)
    wall, cpu = [], []
    for ask in asks[:WARM]:
        lake.matrix.search(ask, ["workers"], 10)
    for ask in asks[WARM:]:
        began, began_cpu = time.perf_counter(), time.thread_time()
        lake.matrix.search(ask, ["workers"], 10)
        cpu.append(time.thread_time() - began_cpu)
        wall.append(time.perf_counter() - began)
    lake.rooms.around[:] = around
    recorder.close()
    return Turn(at(wall, 0.5), at(wall, 0.99), at(cpu, 0.5), at(cpu, 0.99), recorder.dropped)


def show(turns: dict[str, list[Turn]]) -> None:
    table = Table(title="a search under collectors that behave so; medians over the rounds, changes within a round")
    titles = ("collector", "p50 ms", "p99 ms", "change of p99", "cpu p50 ms", "cpu p99 ms", "change", "spans dropped")
    for title in titles:
        table.add_column(title, justify="left" if title == "collector" else "right")
    middle = {
        how: [
            statistics.median(getattr(each, field) for each in turns[how]) * 1000
            for field in Turn.__struct_fields__[:4]
        ]
        for how in turns
    }
    within = []
    for how, (p50, p99, cpu50, cpu99) in middle.items():
        if how == "working":
            changes = ["", ""]
        else:
            found = [change(turns[how], turns["working"], field) for field in ("p99", "cpu99")]
            changes = [f"{at_median:+.1%} ({low:+.1%} to {high:+.1%})" for at_median, low, high in found]
            within += [f"{how} {'yes' if high < BOUND else 'no'}" for _, _, high in found[:1] if how != "off"]
        lost = f"{sum(each.dropped for each in turns[how]):,} of {len(turns[how]) * (WARM + TURN) * 4:,}"
        figures = (f"{p50:.3f}", f"{p99:.3f}", changes[0], f"{cpu50:.3f}", f"{cpu99:.3f}", changes[1])
        table.add_row(how, *figures, "" if how == "off" else lost)
    Console(width=160).print(table)
    print(f"p99 by wall time less than {BOUND:.0%} above that of the one that works: {', '.join(within)}")


def change(turns: list[Turn], others: list[Turn], field: str) -> tuple[float, float, float]:
    """Return the median change of a figure within a round, and the interval of that median."""
    ratios = [getattr(turn, field) / getattr(other, field) - 1 for turn, other in zip(turns, others, strict=True)]
    rng = random.Random(8)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(2_000))
    return statistics.median(ratios), medians[50], medians[-51]


def at(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    main()
