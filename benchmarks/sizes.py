"""Measure what an index costs by its size (build, disk, memory, opening, search), and a stack of 100,000 people.

    lakehouse demo --data lake-demo
    python benchmarks/sizes.py --from lake-demo
    python benchmarks/sizes.py --from lake-demo --sizes 10000,100000,1000000 --keep sizes
    python benchmarks/sizes.py --from lake-demo --keep sizes --plots docs/images

What was kept is not built again; building a million takes some ten minutes. The people are made around the demo's real
ones, see `_people.py`. Search times are processor time of one thread, with all sizes asked in turns; the exponents are
those of a power of the number of people. Memory and opening are those of a fresh process for each size. The stack has
two corpora of 50,000.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from _machine import described, resident, spread
from _people import DEMO, People
from load import Connection, health, rotating, start, unique
from search import make
from start import until_ready

from lakehouse import settings
from lakehouse.vectors.service import Vectors

QUERIES = 200
NAME = "people"
_MIB = 1 << 20


class Size(msgspec.Struct):
    """What an index of some size costs; times in seconds, sizes in bytes, a search in microseconds of a processor."""

    people: int
    build: float = 0.0
    build_processor: float = 0.0
    disk: int = 0
    opening: float = 0.0
    memory: int = 0
    own_memory: int = 0
    search: float = 0.0
    recall: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, default=DEMO, help="a lake with the demo's corpora")
    parser.add_argument("--sizes", default="10000,30000,100000,300000", help="numbers of people")
    parser.add_argument("--keep", type=Path, help="where the indexes stay, and are looked for")
    parser.add_argument("--plots", type=Path, help="a folder for the figure")
    parser.add_argument("--stack", type=int, default=50_000, help="people of each corpus of the stack, 0 for no stack")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open is not None:
        opened(arguments.open)
        return
    print(described("lakehouse", "numpy", "qdrant-edge-py"))
    known = People(arguments.source)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        sizes = [built(folder / str(people), known, people) for people in map(int, arguments.sizes.split(","))]
        searches(folder, known, sizes)
        show(sizes)
        if arguments.plots:
            from _figures import growth

            print("wrote", *growth(sizes, arguments.plots))
        if arguments.stack:
            stack(Path(scratch) / "lake", arguments.source, arguments.stack)


def vectors_in(folder: Path, dimension: int = 384) -> Vectors:
    return Vectors(settings.Vectors(), folder, embed=np.ones, embed_model="m", embed_dimension=dimension)


def built(folder: Path, known: People, people: int) -> Size:
    """Build an index where there is none yet, and open it in a fresh process."""
    noted = folder / "size.json"
    if noted.exists():
        size = msgspec.json.decode(noted.read_bytes(), type=Size)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        rows = folder / "rows.arrow"
        known.write(rows, people, np.random.default_rng(people))
        vectors = vectors_in(folder)
        began, used = time.perf_counter(), os.times()
        vectors.replace(NAME, rows, dimension=known.vectors.shape[1])
        wall, now = time.perf_counter() - began, os.times()
        vectors.close()
        rows.unlink()
        processor = sum(now[:4]) - sum(used[:4])
        disk = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
        size = Size(people, build=wall, build_processor=processor, disk=disk)
        noted.write_bytes(msgspec.json.encode(size))
    answer = subprocess.run(
        [sys.executable, __file__, "--open", str(folder)], check=True, capture_output=True, text=True
    ).stdout
    size.opening, size.memory, size.own_memory = msgspec.json.decode(answer, type=tuple[float, int, int])
    return size


def opened(folder: Path) -> None:
    """Print what opening an index takes and adds to this process once it has been searched."""
    query = np.random.default_rng(1).standard_normal(384, dtype=np.float32)
    (folder / "none").mkdir(exist_ok=True)
    vectors_in(folder / "none").list()
    vectors = vectors_in(folder)
    before = resident(os.getpid())
    began = time.perf_counter()
    vectors.stats(NAME)
    took = time.perf_counter() - began
    for _ in range(50):
        vectors.nearest(NAME, query + np.random.default_rng(2).standard_normal(384, dtype=np.float32), 10)
    after = resident(os.getpid())
    vectors.close()
    shutil.rmtree(folder / "none")
    print(msgspec.json.encode((took, after["all"] - before["all"], after["own"] - before["own"])).decode())


def searches(folder: Path, known: People, sizes: list[Size]) -> None:
    """Ask all sizes the same in turns."""
    queries, _ = known.mixed(QUERIES, np.random.default_rng(5))
    opened = [(size, vectors_in(folder / str(size.people))) for size in sizes]
    took: dict[int, list[float]] = {size.people: [] for size in sizes}
    same: dict[int, int] = dict.fromkeys(took, 0)
    for turn, query in enumerate([*queries[:20], *queries]):
        for size, vectors in random.sample(opened, len(opened)):
            began = time.thread_time()
            hits = vectors.nearest(NAME, query, 10)
            if turn >= 20:
                took[size.people].append(1e6 * (time.thread_time() - began))
            if 20 <= turn < 70:
                exact = {hit.id for hit in vectors.nearest(NAME, query, 10, exact=True)}
                same[size.people] += len(exact & {hit.id for hit in hits})
    for size, vectors in opened:
        size.search = statistics.median(took[size.people])
        size.recall = same[size.people] / 500
        vectors.close()


def show(sizes: list[Size]) -> None:
    print(
        f"\n{'people':>9} {'build s':>8} {'processor s':>12} {'disk MiB':>9} {'open s':>7} {'memory MiB':>11}"
        f" {'own MiB':>8} {'search us':>10} {'recall@10':>10}"
    )
    for each in sizes:
        print(
            f"{each.people:>9,} {each.build:>8.1f} {each.build_processor:>12.1f} {each.disk / _MIB:>9,.0f}"
            f" {each.opening:>7.2f} {each.memory / _MIB:>11,.0f} {each.own_memory / _MIB:>8,.0f}"
            f" {each.search:>10.0f} {each.recall:>10.4f}"
        )
    last = sizes[-1]
    for each in sizes[:-1]:
        exponent = np.log(last.search / each.search) / np.log(last.people / each.people)
        print(f"search time from {each.people:,} to {last.people:,} people grows as n^{exponent:.2f}")
    if len(sizes) > 1:
        fitted = np.polyfit(np.log([each.people for each in sizes]), np.log([each.search for each in sizes]), 1)[0]
        print(f"fitted over all sizes: n^{fitted:.2f}")


def stack(folder: Path, source: Path, people: int) -> None:
    """Start a stack on two corpora of so many people, ask it, and print how long and how much it took."""
    make(folder, source, people)
    ready = [until_ready(folder) for _ in range(3)]
    process, port = start(folder)
    try:
        # The sockets are open before it answers.
        asyncio.run(ask(port, [health]))
        at_first = resident(process.pid)
        asyncio.run(ask(port, [rotating, unique] * 150))
        then = resident(process.pid)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(30)
    print(f"\na stack of 2 x {people:,} people, its whole tree of processes")
    print(
        f"  until ready, s: {spread([each.wall for each in ready], '.2f')};"
        f" of processors {spread([each.processor for each in ready], '.2f')}"
    )
    for name, found in (("when ready", at_first), ("after 300 searches with memory", then)):
        print(f"  resident {name}: {found['all'] / _MIB:,.0f} MiB, of which not of files {found['own'] / _MIB:,.0f}")


async def ask(port: int, kinds: Sequence[Callable[[int], Any]]) -> None:
    connection = Connection(port)
    await connection.open()
    for number, kind in enumerate(kinds):
        assert await connection.send(*kind(number)) == 200
    connection.close()


if __name__ == "__main__":
    main()
