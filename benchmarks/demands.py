#!/usr/bin/env python3
"""How long the steps of an open demand for fifty people take, on a copy of a lake.

    python benchmarks/demands.py --data lake-demo

Every round opens a demand for another day, ranks sixty people, proposes the first fifty, fills, and looks at it; each
call goes through the table with ops and ledger around it. `search` is the same search without a demand: the ceiling.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import lakehouse

ASK = "Need 50 Forklift Operators starting %s"
PEOPLE = 50
BACKUPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="lake-demo")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(options.data, Path(scratch) / "lake", ignore=shutil.ignore_patterns(".lock"))
        with lakehouse.connect(copy) as lake:
            measure(lake, options.rounds)


def measure(lake: lakehouse.Lakehouse, rounds: int) -> None:
    times: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[..., Any], *args: Any, **values: Any) -> Any:
        started = time.perf_counter()
        answer = call(*args, **values)
        times.setdefault(name, []).append((time.perf_counter() - started) * 1000)
        return answer

    corpora = [corpus.name for corpus in lake.corpora.list().corpora]
    filled = refused = 0
    for turn in range(rounds + 1):
        text = ASK % (date(2031, 1, 1) + timedelta(days=turn))
        id = timed("open", lake.demands.open, text).created[0]
        timed("search", lake.matrix.search, text, corpora, k=PEOPLE + BACKUPS, use_playbook=True)
        found = timed("candidates", lake.demands.candidates, id, k=PEOPLE + BACKUPS).results
        people = [{"corpus": match.corpus, "id": match.id} for match in found[:PEOPLE]]
        timed("propose 50", lake.demands.place, id, people, "proposed")
        done = timed("fill 50", lake.demands.fill, id)
        filled, refused = filled + len(done.filled), refused + len(done.refused)
        timed("get", lake.demands.get, id)
        timed("relax", lake.demands.relax, id)
        if not turn:
            times.clear()
    print(f"{rounds + 1} demands for {PEOPLE}: {filled} people filled, {refused} refused by the validators")
    for name, spent in times.items():
        print(f"{name:12} p50 {statistics.median(spent):7.1f} ms   max {max(spent):7.1f} ms")


if __name__ == "__main__":
    main()
