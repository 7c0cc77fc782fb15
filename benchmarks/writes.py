"""Measure searches while items are added: p99 beside the same searches on an index that nobody writes to.

    lakehouse demo --data lake-demo
    python benchmarks/writes.py --from lake-demo

A stack with 50,000 people made around the demo's real ones (`_people.py`), asked for the ten nearest to a vector over
HTTP. Reading alone and reading while 200 new people a second are added to the same index, one a request, take turns in
shuffled order. An open load: the searches come at a fixed rate, by default 100 a second over ten connections, and a
latency counts from when its request was due, so that a pause is not hidden by those who wait for it. Adding goes on
through the builds that it starts; a search is beside a build when it was under way while there was a child process that
builds, or in the second after, in which the new part is taken over. Searches and adds are sent by a process each, which
has made all bodies before, so that nothing but the server can hold a search up. `us` is processor time of the server's
processes for a search, adds included.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import multiprocessing
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from _machine import Disturbed, described, spread, tree, undisturbed, used_by
from _people import DEMO, People
from load import Connection, percentile, start
from sizes import NAME, vectors_in

CONNECTIONS = 10
_LONGEST_BUILD_S = 120
# Processor seconds in one of a server that does nothing.
_AT_REST = 0.1
_BUILDS = b"lakehouse.vectors._build"
_LOOK_EVERY_S = 0.02
# After the child that builds has ended, its server opens what it made and lets go of the old part.
_TAKEN_OVER_S = 1.0

# When a search was due, by the clock, and how many ms it took from then.
Took = tuple[float, float]


class Found(NamedTuple):
    """One run: ms of searches beside no build and beside one, microseconds a search, adds acknowledged a second."""

    quiet: list[float]
    building: list[float]
    processor: float
    adds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, default=DEMO, help="a lake with the demo's corpora")
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15, help="of each run")
    parser.add_argument("--searches", type=float, default=100, help="a second")
    parser.add_argument("--adds", type=float, default=200, help="a second")
    arguments = parser.parse_args()
    known = People(arguments.source)
    rng = np.random.default_rng(9)
    queries = [{"vector": each.tolist(), "k": 10} for each in known.mixed(300, rng)[0]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "lake"
        folder.mkdir()
        known.write(folder / "rows.arrow", arguments.people, np.random.default_rng(7))
        vectors = vectors_in(folder)
        vectors.replace(NAME, folder / "rows.arrow", dimension=known.vectors.shape[1])
        vectors.close()
        process, port = start(folder)
        load = Load(port, process.pid, queries, added(known, rng))
        try:
            load.run(3, arguments.searches, arguments.adds)
            found: dict[float, list[Found]] = {0: [], arguments.adds: []}
            disturbed = Disturbed()
            for _ in range(arguments.rounds):
                for adds in random.sample(list(found), 2):
                    run = undisturbed(
                        lambda adds=adds: load.run(arguments.seconds, arguments.searches, adds), disturbed
                    )
                    found[adds].append(run.value)
        finally:
            load.close()
            os.kill(process.pid, signal.SIGTERM)
            process.wait(60)
    print(f"{described('lakehouse', 'numpy', 'qdrant-edge-py')}; {arguments.people:,} people, {disturbed}\n")
    show(found)


def added(known: People, rng: np.random.Generator) -> Any:
    """Yield bodies of requests that add one new person each."""
    for number in itertools.count():
        if number % 500 == 0:
            vectors, whose = known.mixed(500, rng)
        at = number % 500
        item = {"id": f"n-{number}", "vector": vectors[at].tolist(), "metadata": known.facts[whose[at]]}
        yield {"items": [item]}


class Load:
    """Sends searches and adds at fixed rates, from a process each."""

    def __init__(self, port: int, pid: int, queries: list[dict[str, Any]], new: Any) -> None:
        self._port = port
        self._pid = pid
        self._queries = [msgspec.json.encode(each) for each in queries]
        self._new = new
        self._clients = [ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) for _ in range(2)]

    def run(self, seconds: float, searches: float, adds: float) -> Found:
        """Return what searches took, counted from when each was due."""
        self._settle()
        asked = list(itertools.islice(itertools.cycle(self._queries), int(seconds * searches)))
        new = [msgspec.json.encode(next(self._new)) for _ in range(int(seconds * adds))]
        address = f"/v1/vectors/index/{NAME}"
        # Both are ready before either begins: bodies are copied to them, and their connections opened.
        begin = time.time() + 2
        sent = [
            client.submit(send, self._port, f"{address}/{call}", bodies, rate, begin)
            for client, call, bodies, rate in zip(
                self._clients, ("search", "add"), (asked, new), (searches, adds), strict=True
            )
        ]
        time.sleep(max(0.0, begin - time.time()))
        used = used_by(self._pid)
        with Builds(self._pid) as builds:
            took, acknowledged = (each.result() for each in sent)
        wall = time.time() - begin
        beside: dict[bool, list[float]] = {False: [], True: []}
        for due, ms in took:
            beside[builds.went_on(due, due + ms / 1e3)].append(ms)
        processor = 1e6 * (used_by(self._pid) - used) / len(took)
        return Found(beside[False], beside[True], processor, len(acknowledged) / wall)

    def _settle(self) -> None:
        """Wait until a build that adds have started is done and on disk, so that it does not count for the next run."""
        for _ in range(_LONGEST_BUILD_S):
            used = used_by(self._pid)
            time.sleep(1)
            if used_by(self._pid) - used < _AT_REST:
                os.sync()
                return

    def close(self) -> None:
        """End the processes."""
        for client in self._clients:
            client.shutdown()


class Builds:
    """Notes when a server has a child process that builds; for a `with` statement."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def went_on(self, begin: float, end: float) -> bool:
        """Tell whether a build went on, or was being taken over, at any time between two."""
        return any(begin - _TAKEN_OVER_S <= at <= end + _LOOK_EVERY_S for at in self._seen)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            for pid in tree(self._pid)[1:]:
                # It may have ended meanwhile.
                with contextlib.suppress(OSError):
                    if _BUILDS in Path(f"/proc/{pid}/cmdline").read_bytes():
                        self._seen.append(time.time())


def send(port: int, path: str, bodies: list[bytes], rate: float, begin: float) -> list[Took]:
    """Send bodies at a fixed rate, the first at a time of the clock; return what each took, as they end."""
    took: list[Took] = []
    numbers = itertools.count()

    async def one() -> None:
        connection = Connection(port)
        await connection.open()
        while (number := next(numbers)) < len(bodies):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.time()))
            assert await connection.send(path, bodies[number]) == 200
            took.append((due, 1e3 * (time.time() - due)))
        connection.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))

    if bodies:
        gc.collect()
        gc.disable()
        asyncio.run(all_of_them())
    return took


def show(found: dict[float, list[Found]]) -> None:
    print("| adds a second | given | searches | p50 ms | p99 ms | longest ms | us of the server |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    high: dict[str, float] = {}
    for adds, runs in found.items():
        kinds = {"while adding" if adds else "reading alone": [[*run.quiet, *run.building] for run in runs]}
        if adds:
            kinds |= {"beside no build": [run.quiet for run in runs], "beside a build": [run.building for run in runs]}
        for kind, of_each in kinds.items():
            took = [each for each in of_each if each]
            if not took:
                continue
            p50, p99 = ([percentile(each, share) for each in took] for share in (0.5, 0.99))
            high[kind] = statistics.median(p99)
            given, count = statistics.median(run.adds for run in runs), sum(map(len, took))
            print(
                f"| {adds:g} | {given:.0f} | {kind}: {count:,} | {spread(p50, '.1f')} | {spread(p99, '.1f')}"
                f" | {spread(map(max, took), '.0f')} | {spread(run.processor for run in runs)} |"
            )
    print()
    alone = high.pop("reading alone")
    for kind, value in high.items():
        print(f"p99 {kind} is {value / alone:.2f} of that of reading alone")


if __name__ == "__main__":
    main()
