"""Measure filtered search by the share of items that pass: time beside an unfiltered search, recall against exact.

    lakehouse demo --data lake-demo
    python benchmarks/filters.py --from lake-demo

50,000 people made around the demo's real ones (`_people.py`). Filters by a random number pass 0.1, 1, 10 and 50 % of
them wherever they lie; filters by role, state and certificate pass those who are alike, as demands do. `of others`
is the worst there can be: so many people, all of the occupations farthest from that of the query. Every query is
asked without a filter and with each in shuffled order, in one thread. `us` is processor time in microseconds, `of
unfiltered` the ratio of medians, and recall the share of the ten nearest that exact search finds.

A filter that was asked before is answered from what was remembered of its conditions; the last column is the first
asking of filters never seen before.
"""

from __future__ import annotations

import argparse
import collections
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
OTHER_ROLES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
OWN = 12
Cases = dict[str, list[Filter | None]]


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
        of_each = cases(known, queries)
        found: dict[str, list[float]] = {}
        for _ in range(arguments.rounds):
            run = undisturbed(lambda: timed(vectors, queries, of_each), disturbed)
            for name, took in run.value.items():
                found.setdefault(name, []).extend(took)
        print(f"{described('lakehouse', 'numpy', 'qdrant-edge-py')}; {arguments.people:,} people, {disturbed}\n")
        show(vectors, queries, of_each, found)
        vectors.close()


def cases(known: People, queries: np.ndarray) -> Cases:
    """Return the filters by name, each with what it is for every query."""
    sample = {f"{share / 10:g} % at random": Filter(must=[Condition(key="sample", lt=share)]) for share in SHARES}
    state, certificate = Condition(key="state", match="OH"), Condition(key="certs", any=["OSHA-30"])
    role = Condition(key="role", match="Forklift Operator")
    alike = {
        "a state": Filter(must=[state]),
        "a certificate": Filter(must=[certificate]),
        "a role": Filter(must=[role]),
        "a role in a state with a certificate": Filter(must=[role, state, certificate]),
    }
    far = {f"{share:.0%} of others": of_other_roles(known, queries, share) for share in OTHER_ROLES}
    same = {name: [filter] * len(queries) for name, filter in {"unfiltered": None, **sample, **alike}.items()}
    return {**same, **far}


def of_other_roles(known: People, queries: np.ndarray, share: float) -> list[Filter | None]:
    """Return for each query a filter that passes so many of the people, of the occupations farthest from its own."""
    codes = [each.get("role_code") for each in known.facts]
    number = {code: count for code, count in collections.Counter(codes).most_common() if code}
    middles = np.stack([known.vectors[[each == code for each in codes]].mean(axis=0) for code in number])
    filters: list[Filter | None] = []
    for query in queries:
        # Its own is one of the largest, so that as few filters are asked as demands of a day do.
        own = int(np.argmax(middles[:OWN] @ query))
        farthest = [list(number)[at] for at in np.argsort(middles @ middles[own])]
        people = itertools.accumulate(number[code] for code in farthest)
        enough = sum(so_far <= share * len(codes) for so_far in people)
        filters.append(Filter(must=[Condition(key="role_code", any=farthest[: max(1, enough)])]))
    return filters


def timed(vectors: Vectors, queries: np.ndarray, of_each: Cases) -> dict[str, list[float]]:
    """Return microseconds of a processor for every query, by the filter."""
    took: dict[str, list[float]] = {name: [] for name in of_each}
    for number, query in enumerate(queries):
        for name in random.sample(list(of_each), len(of_each)):
            began = time.thread_time()
            vectors.nearest(NAME, query, K, filter=of_each[name][number])
            took[name].append(1e6 * (time.thread_time() - began))
    return took


def show(vectors: Vectors, queries: np.ndarray, of_each: Cases, found: dict[str, list[float]]) -> None:
    count = vectors.stats(NAME).items
    numbers = itertools.count(1)
    plain = statistics.median(found["unfiltered"])
    print("| filter | share that passes | us | of unfiltered | recall@10 | us, asked first |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, filters in of_each.items():
        same = wanted = 0
        for query, filter in zip(queries, filters, strict=True):
            exact = {hit.id for hit in vectors.nearest(NAME, query, K, filter=filter, exact=True)}
            same += len(exact & {hit.id for hit in vectors.nearest(NAME, query, K, filter=filter)})
            wanted += len(exact)
        one = filters[0]
        passing = len(vectors.nearest(NAME, queries[0], 10_000, filter=one, exact=True)) if one else count
        share = f"{passing / count:.2%}" if passing < 10_000 else f"over {10_000 / count:.0%}" if one else "all"
        first = []
        for query, filter in zip(queries[:30], filters[:30], strict=True) if one else []:
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
