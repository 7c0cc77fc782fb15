"""Measure the embedding model and the vector index on real texts.

    python benchmarks/index.py                 # 20,000 items
    python benchmarks/index.py --items 50000   # the size the promises are made for

The texts are O*NET titles with one of their tasks each (some 45,000; beyond that, vectors of two texts are averaged).
Their embeddings are kept in the user's cache folder, so that only the first run computes them. Times are of one thread
on an otherwise idle machine; `cpu` is processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from lakehouse import settings
from lakehouse.embed.service import Embeddings
from lakehouse.vectors.base import Condition, Filter, Item, Place
from lakehouse.vectors.service import Vectors

ONET = Path(__file__).resolve().parents[2] / "shared" / "data" / "onet"
KEPT = Path("~/.cache/lakehouse/benchmarks").expanduser()
QUERIES = 300
STATES = "OH TX CA NY MI WA FL GA IL PA".split()
CERTS = "OSHA-10 OSHA-30 CDL-A CDL-B TWIC".split()

console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    items = parser.parse_args().items
    if not ONET.is_dir():
        sys.exit(f"the O*NET files are not at {ONET}; this benchmark has no texts")
    with tempfile.TemporaryDirectory() as folder:
        embeddings = Embeddings(settings.Embed(), KEPT)
        embedding(embeddings)
        vectors = real_vectors(embeddings, items + QUERIES)
        embeddings.close()
        index(Path(folder), vectors[:items], vectors[items:])


# -- embedding -------------------------------------------------------------------------------------------------


def embedding(embeddings: Embeddings) -> None:
    """Print latency of one text and throughput of many; the texts are new every time."""
    rng = random.Random(time.time())
    # Each of these is one word piece, and so is a number of up to three digits; two markers come on top.
    words = "night shift work truck nurse cook driver house crane pack load dock road steel floor".split()

    def text(pieces: int) -> str:
        return " ".join([*(str(rng.randrange(100)) for _ in range(2)), *rng.choices(words, k=pieces - 4)])

    embeddings.array(["load the model"])
    table = figures("embedding: all-MiniLM-L6-v2, float32", "", "figure")
    for pieces in (12, 50):
        seen = [timed(lambda pieces=pieces: embeddings.array([text(pieces)])) for _ in range(60)]
        table.add_row(f"one text of {pieces} word pieces, one thread", f"{statistics.median(seen) * 1e3:.1f} ms")
    known = text(12)
    embeddings.array([known])
    seen = [timed(lambda: embeddings.array([known])) for _ in range(200)]
    table.add_row("the same text again", f"{statistics.median(seen) * 1e6:.0f} us")
    batch = [text(50) for _ in range(512)]
    table.add_row(
        "512 texts of 50 word pieces, two threads", f"{512 / timed(lambda: embeddings.array(batch)):.0f} texts/s"
    )
    console.print(table)


def real_vectors(embeddings: Embeddings, count: int) -> np.ndarray:
    texts = real_texts()
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / "onet-titles-and-tasks.arrow"
    if not kept.exists():
        console.print(f"embedding {len(texts):,} texts once; some minutes")
        source = KEPT / "texts.arrow"
        rows = pa.table({"id": [str(n) for n in range(len(texts))], "text": texts, "metadata": ["{}"] * len(texts)})
        with pa.ipc.new_file(str(source), rows.schema) as writer:
            writer.write_table(rows)
        embeddings.embed_file(source, kept)
        source.unlink()
    with pa.ipc.open_file(str(kept)) as reader:
        column = reader.read_all()["vector"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(-1, embeddings.dimension)
    if count > len(vectors):
        mixed = vectors[: count - len(vectors)] + 0.6 * vectors[::-1][: count - len(vectors)]
        vectors = np.concatenate([mixed / np.linalg.norm(mixed, axis=1, keepdims=True), vectors])
    return vectors[-count:]


def real_texts() -> list[str]:
    rng = random.Random(3)
    tasks: dict[str, list[str]] = defaultdict(list)
    for row in onet("Task_Statements"):
        tasks[row["O*NET-SOC Code"]].append(row["Task"])
    titles = [row for row in onet("Alternate_Titles") if row["O*NET-SOC Code"] in tasks]
    texts = [f"{row['Alternate Title']}. {rng.choice(tasks[row['O*NET-SOC Code']])}" for row in titles]
    rng.shuffle(texts)
    return list(dict.fromkeys(texts))


def onet(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(ONET / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
        yield from csv.DictReader(file, delimiter="\t")


# -- index -----------------------------------------------------------------------------------------------------


def index(folder: Path, items: np.ndarray, queries: np.ndarray) -> None:
    """Build an index beside a small one that is searched all the time, then measure every kind of search."""
    rng = random.Random(1)
    metadata = [worker(rng) for _ in range(len(items))]
    rows = write_rows(folder / "rows.arrow", items, metadata)

    def open_() -> Vectors:
        return Vectors(
            settings.Vectors(), folder / "lake", embed=np.ones, embed_model="m", embed_dimension=items.shape[1]
        )

    vectors = open_()
    vectors.create("small", items.shape[1])
    vectors.add("small", [Item(id=f"s{n}", vector=items[n].tolist()) for n in range(1_000)])

    table = figures(
        f"life of an index of {len(items):,} items",
        "",
        "time",
        "longest pause of the process",
        "longest search beside it",
    )
    with watching(vectors, queries) as watched:
        seconds = timed(lambda: vectors.replace("workers", rows, dimension=items.shape[1]))
    table.add_row("build in a child process and swap in", f"{seconds:.1f} s", *watched.row())
    with watching(vectors, queries) as watched:
        seconds = timed(lambda: vectors.replace("workers", rows, dimension=items.shape[1]))
    table.add_row("build anew over the old one", f"{seconds:.1f} s", *watched.row())
    vectors.close()
    vectors = open_()
    vectors.stats("small")
    with watching(vectors, queries) as watched:
        seconds = timed(lambda: vectors.stats("workers"))
    table.add_row("open", f"{seconds * 1e3:.0f} ms", *watched.row())
    with watching(vectors, queries) as watched:
        seconds = timed(lambda: vectors.delete("workers"))
    table.add_row("delete", f"{seconds * 1e3:.0f} ms", *watched.row())
    console.print(table)

    vectors.replace("workers", rows, dimension=items.shape[1])
    console.print(f"findability {vectors.stats('workers').findability}")
    searches(vectors, queries)
    fresh(vectors, items, queries, metadata)
    vectors.close()


def searches(vectors: Vectors, queries: np.ndarray) -> None:
    count = vectors.stats("workers").items
    state, cert = Condition(key="state", match="OH"), Condition(key="certs", any=["OSHA-30"])
    cases: list[tuple[str, dict[str, Any]]] = [
        ("k 10", {}),
        ("k 50", {"k": 50}),
        ("k 200", {"k": 200}),
        ("k 10, exact", {"exact": True}),
        ("filter, 1 % pass", {"filter": Filter(must=[Condition(key="hundredth", lt=1)])}),
        ("filter, 4 % pass (state and certificate)", {"filter": Filter(must=[state, cert])}),
        ("filter, 10 % pass (state)", {"filter": Filter(must=[state])}),
        ("filter, 40 % pass (certificate)", {"filter": Filter(must=[cert])}),
        ("filter, 50 % pass", {"filter": Filter(must=[Condition(key="hundredth", lt=50)])}),
        (
            "filter, 300 km around",
            {"filter": Filter(must=[Condition(key="location", within_km=300, of=Place(38, -100))])},
        ),
        ("200 nearest excluded", {"nearest_out": 200}),
        ("10,000 excluded", {"exclude": frozenset(f"w-{n}" for n in range(0, count, max(1, count // 10_000)))}),
    ]
    table = figures("searches", "", "p50", "p99", "cpu", "recall@k", "share of exact search")
    exact_cpu = measure(vectors, queries, exact=True)[2]
    for name, options in cases:
        p50, p99, cpu, recall = measure(vectors, queries, **options)
        table.add_row(
            name, f"{p50:.0f} us", f"{p99:.0f} us", f"{cpu:.0f} us", f"{recall:.4f}", f"{cpu / exact_cpu:.2f}"
        )
    console.print(table)


def fresh(vectors: Vectors, items: np.ndarray, queries: np.ndarray, metadata: list[dict[str, Any]]) -> None:
    table = figures("writes", "", "figure")
    singles = [Item(id=f"f-{n}", vector=items[n].tolist(), metadata=metadata[n]) for n in range(300)]
    found = 0
    seconds = []
    for n, item in enumerate(singles):
        seconds.append(timed(lambda item=item: vectors.add("workers", [item])))
        found += f"f-{n}" in [hit.id for hit in vectors.nearest("workers", items[n], 10)]
    table.add_row("add one item, safe on disk", f"{statistics.median(seconds) * 1e6:.0f} us")
    table.add_row("found by the very next search", f"{found} of {len(singles)}")
    many = [Item(id=f"g-{n}", vector=items[n].tolist(), metadata=metadata[n]) for n in range(3_000)]
    seconds = [timed(lambda n=n: vectors.add("workers", many[n : n + 500])) for n in range(0, 3_000, 500)]
    table.add_row("add 500 items at once", f"{statistics.median(seconds) * 2e3:.0f} us an item")
    p50, _, cpu, recall = measure(vectors, queries)
    table.add_row("search beside 3,300 fresh items", f"p50 {p50:.0f} us, cpu {cpu:.0f} us, recall {recall:.4f}")
    console.print(table)


def measure(
    vectors: Vectors, queries: np.ndarray, *, k: int = 10, nearest_out: int = 0, **options: Any
) -> tuple[float, float, float, float]:
    """Return p50, p99 and processor time in microseconds, and the share of the exact results found."""
    walls, cpus, same, wanted = [], [], 0, 0
    for turn, query in enumerate(queries):
        if nearest_out:
            options["exclude"] = frozenset(hit.id for hit in vectors.nearest("workers", query, nearest_out, exact=True))
        began, cpu = time.perf_counter(), time.thread_time()
        hits = vectors.nearest("workers", query, k, **options)
        walls.append(time.perf_counter() - began)
        cpus.append(time.thread_time() - cpu)
        if turn < 100:
            truth = {hit.id for hit in vectors.nearest("workers", query, k, **{**options, "exact": True})}
            same += len(truth & {hit.id for hit in hits})
            wanted += len(truth)
    walls.sort()
    return (
        walls[len(walls) // 2] * 1e6,
        walls[int(len(walls) * 0.99)] * 1e6,
        statistics.median(cpus) * 1e6,
        same / wanted,
    )


class Watched:
    """The longest time this process stood still, and the longest search, while something went on."""

    def __init__(self) -> None:
        self.pause = 0.0
        self.search = 0.0

    def row(self) -> tuple[str, str]:
        """Return both as table cells."""
        return f"{self.pause * 1e3:.0f} ms", f"{self.search * 1e3:.0f} ms"


@contextmanager
def watching(vectors: Vectors, queries: np.ndarray) -> Iterator[Watched]:
    watched, done = Watched(), threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            watched.pause, last = max(watched.pause, now - last), now

    def search() -> None:
        for query in itertools.cycle(queries):
            if done.is_set():
                return
            began = time.perf_counter()
            vectors.nearest("small", query, 10)
            watched.search = max(watched.search, time.perf_counter() - began)
            time.sleep(0.001)

    threads = [threading.Thread(target=tick), threading.Thread(target=search)]
    for thread in threads:
        thread.start()
    try:
        yield watched
    finally:
        done.set()
        for thread in threads:
            thread.join()


def worker(rng: random.Random) -> dict[str, Any]:
    return {
        "name": "n" * 12,
        "state": rng.choice(STATES),
        "years": rng.randrange(30),
        "certs": rng.sample(CERTS, 2),
        "location": {"lat": 30 + rng.random() * 15, "lon": -120 + rng.random() * 40},
        "hundredth": rng.randrange(100),
        "resume": "r" * 400,
    }


def write_rows(path: Path, items: np.ndarray, metadata: list[dict[str, Any]]) -> Path:
    table = pa.table(
        {
            "id": [f"w-{n}" for n in range(len(items))],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(items.ravel()), items.shape[1]),
            "metadata": [msgspec.json.encode(one).decode() for one in metadata],
        }
    )
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=4_096)
    return path


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def figures(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if not column else "right")
    return table


if __name__ == "__main__":
    main()
