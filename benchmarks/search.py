"""Measure a search with and without memory on two corpora, beside the bare engine and static JSON of the same server.

    lakehouse demo --data lake-demo
    python benchmarks/search.py --from lake-demo              # 2 x 50,000 people in a scratch lake
    python benchmarks/search.py --lake lake100                # on a lake that an earlier run made with --keep lake100

The people are those of the demo, each mixed with another of the same role so that no two vectors are equal. Times are
processor time, in microseconds: other work on the machine disturbs them less than wall time. Every round asks all
contestants the same question in shuffled order; shown are medians, and ratios of medians of the same run.

- in process: the bare engine (both graphs asked for the same number of candidates, nothing else), and searches whose
  requirements were seen before or are new combinations; the texts are all different, their vectors known.
- over HTTP, ten connections: static JSON, six rotating requests (answers kept by version), and 1,500 texts a round
  that were embedded by another search before and are asked for ten people with memory once, so that no answer is
  kept. `us of the server` is the processor time of its process, per request, read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from _people import DEMO, People
from load import BOTH, SIX, Connection, health, percentile, start

import lakehouse
from lakehouse import settings

ROLES = (
    "Forklift Operators,CNC Operators,Warehouse Workers,Order Pickers,Freight Loaders,Shipping Clerks,Line Cooks,"
    "Welders,Machine Operators,Janitors"
).split(",")
PLACES = (
    "Cleveland OH,Detroit MI,Chicago IL,Indianapolis IN,Milwaukee WI,Columbus OH,Austin TX,Houston TX,Atlanta GA,"
    "Cincinnati OH"
).split(",")
EXTRAS = ["", ", day shift", ", OSHA-30", ", night shift, OSHA-10", ", CDL-A", ", first shift, OSHA-10"]
# Texts that are asked in a round of the unique searches, and how many more may be under way when they are through.
_UNIQUE, _MORE = 1_300, 10
# As many candidates as a search for ten asks of a graph, and the walk it makes for them.
_ASKED = 29


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, default=DEMO, help="a lake with the demo's corpora")
    parser.add_argument("--lake", type=Path, help="a lake made by an earlier run")
    parser.add_argument("--keep", type=Path, help="where to leave the lake that is made")
    parser.add_argument("--people", type=int, default=50_000, help="in each of the two corpora")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10, help="of each HTTP contestant and round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.lake or arguments.keep or Path(scratch) / "lake"
        if arguments.lake is None:
            make(folder, arguments.source, arguments.people)
        in_process(folder, arguments.rounds)
        over_http(folder, arguments.seconds)


def opened(folder: Path) -> lakehouse.Lakehouse:
    return lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(folder)}))


# -- the lake ----------------------------------------------------------------------------------------------------


def make(folder: Path, source: Path, people: int) -> None:
    """Write two corpora of so many people and a memory of a thousand entries."""
    rng = np.random.default_rng(7)
    known = People(source)
    with opened(folder) as lake:
        for name, prefix in zip(BOTH, ("w-", "e-"), strict=True):
            rows = folder / "rows.arrow"
            known.write(rows, people, rng, prefix=prefix)
            began = time.perf_counter()
            vectors_of = lake.rooms.vectors
            vectors_of.replace(name, rows, dimension=known.vectors.shape[1], model=lake.rooms.embed.model)
            rows.unlink()
            print(f"{name}: {people:,} people indexed in {time.perf_counter() - began:.0f} s")
        chance = random.Random(3)
        entries = [
            {
                "query_text": f"Need {number % 9 + 2} {each['role']}s in {each['city']} {each['state']}",
                "answer_id": f"w-{chance.randrange(people)}",
                "corpus": "workers",
                "score": 0.8,
            }
            for number, each in enumerate(chance.choices(known.facts, k=940))
        ]
        for text in SIX:
            near = lake.matrix.search(text, BOTH, k=15).results[5:]
            entries += [
                {"query_text": text, "answer_id": each.id, "corpus": each.corpus, "score": 0.7} for each in near
            ]
        lake.playbooks.bulk(entries)


# -- in process --------------------------------------------------------------------------------------------------


def in_process(folder: Path, rounds: int) -> None:
    with opened(folder) as lake:
        matrix, vectors = lake.rooms.matrix, lake.rooms.vectors
        chance = random.Random(5)
        for title, roles, places, extras in (
            ("requirements seen before", ROLES[:6], PLACES[:1], EXTRAS[:1]),
            ("new combinations", ROLES, PLACES, EXTRAS),
        ):
            texts = [
                f"Need {chance.randrange(2, 90)} {chance.choice(roles)} in {chance.choice(places)}"
                f"{chance.choice(extras)} for client {title[0]}{number}"
                for number in range(rounds)
            ]
            for text in texts:
                matrix.prepare(text)
            built = [vectors._indexes.get(name)._whole.built for name in BOTH]
            graphs = [graph for part in built for graph, _ in part._graphs]
            ef = lake.rooms.settings.vectors.ef_search + _ASKED

            def bare(text: str, graphs: list[Any] = graphs, ef: int = ef) -> None:
                vector = matrix._asks.of(text).vector.tolist()
                for graph in graphs:
                    graph.nearest(vector, _ASKED, ef)

            def search(text: str, **options: Any) -> bytes:
                return msgspec.json.encode(matrix.search(text, BOTH, k=10, **options))

            contestants: dict[str, Callable[[str], Any]] = {
                "bare engine": bare,
                "search, not rated": lambda text: search(text, rate=False),
                "search": search,
                "search with memory": lambda text: search(text, use_playbook=True),
            }
            took: dict[str, list[float]] = {name: [] for name in contestants}
            for text in texts:
                for name in chance.sample(list(contestants), len(contestants)):
                    began = time.thread_time()
                    contestants[name](text)
                    took[name].append(1e6 * (time.thread_time() - began))
            engine = statistics.median(took["bare engine"])
            print(f"\nin process, {title}: {rounds} texts")
            for name, values in took.items():
                median = statistics.median(values)
                print(f"  {name:<20} {median:>7.0f} us cpu   of the engine's rate: {engine / median:.2f}")


# -- over HTTP ---------------------------------------------------------------------------------------------------


def over_http(folder: Path, seconds: float, rounds: int = 3) -> None:
    process, port = start(folder)
    try:
        texts = [
            f"Need {number % 80 + 2} {SIX[number % 6].split(' ', 2)[2]} for x{number}"
            for number in range(rounds * (_UNIQUE + _MORE))
        ]
        numbers = itertools.count()

        def ask(text: str, k: int = 10, **options: Any) -> tuple[str, dict[str, Any]]:
            return "/v1/matrix/search", {"query_text": text, "corpora": BOTH, "k": k, "use_playbook": True, **options}

        def rotating(number: int) -> tuple[str, dict[str, Any]]:
            return ask(SIX[number % 6])

        def unique(_: int) -> tuple[str, dict[str, Any]]:
            return ask(texts[next(numbers)])

        def embedded(number: int) -> tuple[str, dict[str, Any]]:
            # Another request for the same text: its vector is known afterwards, what it finds is not.
            return ask(texts[number % len(texts)], k=1, use_playbook=False, rate=False)

        asyncio.run(drive(port, process.pid, 10, len(texts), embedded))
        contestants = {"static JSON": health, "rotating six": rotating, "unique": unique}
        found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name in random.sample(list(contestants), len(contestants)):
                amount = _UNIQUE if name == "unique" else seconds
                found[name].append(asyncio.run(drive(port, process.pid, 10, amount, contestants[name])))
        medians = {
            name: [statistics.median(column) for column in zip(*each, strict=True)] for name, each in found.items()
        }
        print(f"\nover HTTP, 10 connections, medians of {rounds} rounds of {seconds:.0f} s")
        for name, (rate, cpu, p50, p99) in medians.items():
            of_static = medians["static JSON"][1] / cpu
            print(
                f"  {name:<14} {rate:>7.0f} per s   {cpu:>6.0f} us of the server   p50 {p50:.1f} ms   p99 {p99:.1f} ms"
                f"   of static JSON: {rate / medians['static JSON'][0]:.2f} by rate, {of_static:.2f} by cpu"
            )
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(30)


def cpu_of(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def drive(
    port: int, pid: int, connections: int, amount: float, kind: Callable[[int], tuple[str, Any]]
) -> tuple[float, float, float, float]:
    """Send requests from some connections; return rate, server's microseconds a request, p50 and p99 in ms.

    An `amount` of over 100 is a number of requests, else of seconds.
    """
    took: list[float] = []
    numbers = itertools.count()
    began, used = time.perf_counter(), cpu_of(pid)

    def over() -> bool:
        return len(took) >= amount if amount > 100 else time.perf_counter() - began > amount

    async def one() -> None:
        connection = Connection(port)
        await connection.open()
        while not over():
            path, body = kind(next(numbers))
            sent = time.perf_counter()
            assert await connection.send(path, body) == 200
            took.append(1e3 * (time.perf_counter() - sent))
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    seconds = time.perf_counter() - began
    cpu = 1e6 * (cpu_of(pid) - used) / len(took)
    return len(took) / seconds, cpu, percentile(took, 0.5), percentile(took, 0.99)


if __name__ == "__main__":
    main()
