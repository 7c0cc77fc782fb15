"""Measure filtered search by the share of items that pass: time beside an unfiltered search, recall against exact.

    lakehouse demo --data lake-demo
    python benchmarks/filters.py --from lake-demo

50,000 people made around the demo's real ones (`_people.py`). Filters by a random number pass 0.1, 1, 10 and 50 % of
them wherever they lie; filters by role, state and certificate pass those who are alike, as demands do. Every query is
asked without a filter and with each in shuffled order, in one thread. `us` is processor time in microseconds, `of
unfiltered` the ratio of medians, and recall the share of the ten nearest that exact search finds.

A filter that was asked before is answered from what was remembered of its conditions; the last column is the first
asking of filters never seen before.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from _machine import Disturbed, described, undisturbed
from _people import DEMO, People
from sizes import NAME, vectors_in

from lakehouse.vectors.base import Condition, Filter
from lakehouse.vectors.service import Vectors

K = 10
QUERIES = 200
SHARES = (1, 10, 100, 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, default=DEMO, help="a lake with the demo's corpora")
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    known = People(arguments.source)
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.arrow"
        known.write(rows, arguments.people, np.random.default_rng(7))
        vectors = vectors_in(Path(scratch))
        vectors.replace(NAME, rows, dimension=known.vectors.shape[1])
        disturbed = Disturbed()
        queries, _ = known.mixed(QUERIES, np.random.default_rng(9))
        found: dict[str, list[float]] = {}
        for _ in range(arguments.rounds):
            run = undisturbed(lambda: timed(vectors, queries), disturbed)
            for name, took in run.value.items():
                found.setdefault(name, []).extend(took)
        print(f"{described('lakehouse', 'numpy', 'qdrant-edge-py')}; {arguments.people:,} people, {disturbed}\n")
        show(vectors, queries, found)
        vectors.close()


def cases() -> dict[str, Filter | None]:
    sample = {f"{share / 10:g} % at random": Filter(must=[Condition(key="sample", lt=share)]) for share in SHARES}
    state, certificate = Condition(key="state", match="OH"), Condition(key="certs", any=["OSHA-30"])
    role = Condition(key="role", match="Forklift Operator")
    alike = {
        "a state": Filter(must=[state]),
        "a certificate": Filter(must=[certificate]),
        "a role": Filter(must=[role]),
        "a role in a state with a certificate": Filter(must=[role, state, certificate]),
    }
    return {"unfiltered": None, **sample, **alike}


def timed(vectors: Vectors, queries: np.ndarray) -> dict[str, list[float]]:
    """Return microseconds of a processor for every query, by the filter."""
    kinds = list(cases().items())
    took: dict[str, list[float]] = {name: [] for name, _ in kinds}
    for query in queries:
        for name, filter in random.sample(kinds, len(kinds)):
            began = time.thread_time()
            vectors.nearest(NAME, query, K, filter=filter)
            took[name].append(1e6 * (time.thread_time() - began))
    return took


def show(vectors: Vectors, queries: np.ndarray, found: dict[str, list[float]]) -> None:
    count = vectors.stats(NAME).items
    numbers = itertools.count(1)
    plain = statistics.median(found["unfiltered"])
    print("| filter | share that passes | us | of unfiltered | recall@10 | us, asked first |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, filter in cases().items():
        same = wanted = 0
        for query in queries:
            exact = {hit.id for hit in vectors.nearest(NAME, query, K, filter=filter, exact=True)}
            same += len(exact & {hit.id for hit in vectors.nearest(NAME, query, K, filter=filter)})
            wanted += len(exact)
        passing = len(vectors.nearest(NAME, queries[0], 10_000, filter=filter, exact=True)) if filter else count
        share = f"{passing / count:.2%}" if passing < 10_000 else f"over {10_000 / count:.0%}" if filter else "all"
        first = []
        for query in queries[:30] if filter else []:
            # Another condition that changes nothing, so that this filter was never asked.
            new = Condition(key="sample", lt=1_000 + next(numbers))
            began = time.thread_time()
            vectors.nearest(NAME, query, K, filter=Filter(must=[*filter.must, new]))
            first.append(1e6 * (time.thread_time() - began))
        median = statistics.median(found[name])
        print(
            f"| {name} | {share} | {median:,.0f} | {median / plain:.2f} | {same / max(1, wanted):.4f}"
            f" | {f'{statistics.median(first):,.0f}' if first else ''} |"
        )


if __name__ == "__main__":
    main()
