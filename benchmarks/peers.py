"""Measure vector search beside other engines on the same vectors: per query of one corpus, at equal recall.

    lakehouse demo --data lake-demo
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r benchmarks/requirements.txt
    python benchmarks/peers.py --from lake-demo

The others are no dependency of lakehouse; they live in a virtual environment of their own (about 1 GB), and one that is
missing there is left out. The vectors are 50,000 made around the demo's real ones, see `_people.py`; queries are 300
others, asked for the ten nearest by cosine distance, without metadata. With `--demands` the queries are real demand
lines instead (the H-2B sample that is shipped, 2015 to 2018), as the product embeds them: most are for occupations that
hardly anybody there has, so they lie farther from all vectors. All graphs have 16 links (`ef_construct` 200).

Each engine is set to the first of its settings that finds at least 0.99 of what exact search finds, or to the last; the
recall shown is of that setting. Then all run in shuffled order, several rounds: servers over loopback with 10 and with
50 clients, the others in one thread of a process. Where rates are compared, a calibrator that runs right after each
takes out how fast the machine was just then; runs that other processes disturbed are made again (`_machine.py`). `us`
is processor time of the engine for a request, in microseconds, without the client's. hnswlib is the ceiling: it keeps
nothing on disk.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _contestants import ENGINES, K, Server
from _machine import Disturbed, described, spread, undisturbed
from _people import DEMO, People
from load import percentile

import lakehouse
from lakehouse import settings
from lakehouse.evals.demand_lines import contracts, lines

HERE = Path(__file__).resolve().parent
QUERIES = 300
ASKED = 200
ENOUGH = 0.99
CLIENTS = (10, 50)
OURS = "lakehouse"


class Found(NamedTuple):
    """One run: requests a second, how slow the machine was, microseconds of the engine, p50 and p99 in ms."""

    rate: float
    pace: float
    processor: float
    p50: float
    p99: float


class Child:
    """An engine in its process."""

    def __init__(self, name: str, python: Path | str, folder: Path) -> None:
        self.name = name
        command = [str(python), str(HERE / "_contestants.py"), name, str(folder)]
        self._log = (folder / f"{name}.log").open("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.setting: Any = None
        self.recall = 0.0
        self.tried: list[str] = []
        self.build_s, self.pids = self.tell("build")

    def tell(self, *order: Any) -> Any:
        """Give an order and return its answer.

        Raises:
            OSError: The engine is not there or failed; the message has its last line.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait(60)
            self._log.seek(0)
            raise OSError((self._log.read().strip().splitlines() or ["no answer"])[-1])
        return json.loads(answer)

    def tune(self, truth: list[set[int]]) -> None:
        """Choose the first setting that finds enough, or the last."""
        for setting in ENGINES[self.name].SETTINGS:
            self.tell("tune", setting)
            found = self.tell("ask", len(truth))
            self.setting = setting
            self.recall = sum(len(each & set(rows)) for each, rows in zip(truth, found, strict=True)) / K / len(truth)
            self.tried.append(f"{setting}: {self.recall:.4f}")
            if self.recall >= ENOUGH:
                return

    def close(self) -> None:
        """End it and what it started."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(120)
        self._log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, default=DEMO, help="a lake with the demo's corpora")
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--demands", action="store_true", help="ask for real demand lines")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each run")
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".venv-peers", help="their virtual environment")
    parser.add_argument("--plots", type=Path, help="a folder for the figure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        # A database server that root starts runs as another user.
        folder.chmod(0o755)
        queries = of_demands(arguments.source) if arguments.demands else None
        truth = write(folder, People(arguments.source), arguments.people, queries)
        children = started(folder, arguments.peers / "bin" / "python", truth)
        try:
            disturbed = Disturbed()
            found = measure(children, arguments.rounds, arguments.seconds, disturbed)
        finally:
            for child in children:
                child.close()
    print(f"\n{described(OURS, 'numpy', 'qdrant-edge-py')}; {arguments.people:,} vectors")
    print(f"medians of {arguments.rounds} rounds (least to most); {disturbed}\n")
    show(children, found)
    if arguments.plots:
        from _figures import peers

        print("wrote", *peers({name: [run.rate for run in runs] for name, runs in found.items()}, arguments.plots))


def of_demands(source: Path) -> np.ndarray:
    """Return the vectors of real demand lines, each once, `(300, d)` float32; `source` is a lake with a model."""
    found: dict[bytes, np.ndarray] = {}
    with lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(source)})) as lake:
        for line in lines(contracts(), number=20 * QUERIES, seed=9):
            vector = lake.rooms.matrix._asks.of(line.text).vector
            found[vector.tobytes()] = vector
            if len(found) == QUERIES:
                break
    return np.stack(list(found.values()))


def write(folder: Path, people: People, count: int, queries: np.ndarray | None) -> list[set[int]]:
    """Write vectors and queries; return the true ten nearest of the queries that recall is taken from."""
    vectors, _ = people.mixed(count, np.random.default_rng(7))
    if queries is None:
        queries, _ = people.mixed(QUERIES, np.random.default_rng(9))
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "queries.npy", queries)
    return [set(np.argpartition(-(vectors @ query), K)[:K].tolist()) for query in queries[:ASKED]]


def started(folder: Path, python: Path, truth: list[set[int]]) -> list[Child]:
    """Build and tune every engine that is there, one after the other."""
    children = []
    for name in ENGINES:
        own = name.startswith(OURS)
        try:
            if not own and not python.exists():
                raise OSError(f"no {python}")
            child = Child(name, sys.executable if own else python, folder)
        except OSError as error:
            print(f"{name} is left out: {error}")
            if not own:
                print(
                    "  to measure it: python3 -m venv .venv-peers"
                    " && .venv-peers/bin/pip install -r benchmarks/requirements.txt"
                )
            continue
        child.tune(truth)
        print(f"{name}: built in {child.build_s:.0f} s, recall@{K} by setting: {', '.join(child.tried)}")
        children.append(child)
    return children


def measure(children: list[Child], rounds: int, seconds: float, disturbed: Disturbed) -> dict[str, list[Found]]:
    """Run all in shuffled order, round by round."""
    kinds = [
        (child, clients)
        for child in children
        for clients in (CLIENTS if issubclass(ENGINES[child.name], Server) else (1,))
    ]
    found: dict[str, list[Found]] = defaultdict(list)
    for _ in range(rounds):
        for child, clients in random.sample(kinds, len(kinds)):
            run = undisturbed(lambda c=child, n=clients: c.tell("run", n, seconds), disturbed, child.pids)
            wall, processor, took = run.value
            name = child.name if clients == 1 else f"{child.name}, {clients} clients"
            found[name].append(
                Found(
                    len(took) / wall,
                    run.pace,
                    1e6 * processor / len(took),
                    percentile(took, 0.5),
                    percentile(took, 0.99),
                )
            )
    return found


def show(children: list[Child], found: dict[str, list[Found]]) -> None:
    of = {child.name: child for child in children}
    print("| | setting | recall@10 | requests a second | us | p50 ms | p99 ms | lakehouse by rate | by processor |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, runs in sorted(found.items(), key=lambda item: (item[0].partition(", ")[2], item[0])):
        engine, ours = of[name.partition(",")[0]], found[rival(name)]
        times = statistics.median(map(paced, ours)) / statistics.median(map(paced, runs))
        by_processor = statistics.median(run.processor for run in runs) / statistics.median(
            run.processor for run in ours
        )
        print(
            f"| {name} | {engine.setting} | {engine.recall:.4f} | {spread(run.rate for run in runs)}"
            f" | {spread(run.processor for run in runs)} | {statistics.median(run.p50 for run in runs):.2f}"
            f" | {statistics.median(run.p99 for run in runs):.2f} | {times:.2f} | {by_processor:.2f} |"
        )


def paced(run: Found) -> float:
    """Return the rate as it were, had the calibrator taken as long in every run."""
    return run.rate * run.pace


def rival(name: str) -> str:
    """Return which of ours a contestant is compared with."""
    clients = name.partition(", ")[2]
    return f"{OURS} server, {clients}" if clients else f"{OURS} in process"


if __name__ == "__main__":
    main()
