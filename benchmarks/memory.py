"""What a large memory costs: searches with it against searches without, in one run.

    python benchmarks/memory.py --entries 1000000 --people 5000

The entries are of one namespace: demands in the four styles for the roles and places of the roster, each remembered
with people of the roster. They are written into the derived index directly; the rows they would be derived from are
left out, because a search never reads them. No graph is built over them (`vectors.exact_below`): a search looks entries
up by role and place and scores those, and never walks a graph of them. Searches with and without memory alternate.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

import lakehouse
from lakehouse import settings
from lakehouse.evals._roster_asks import Ask, Truth, asks, known_places, read_people
from lakehouse.evals.search_quality import METADATA_COLUMNS, TEXT_COLUMNS
from lakehouse.memory.base import NewPlaybook
from lakehouse.staffing import roster

NAMESPACE = "bench"
CHUNK = 10_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, default=50_000)
    options.add_argument("--people", type=int, default=2_000)
    options.add_argument("--texts", type=int, default=600, help="distinct demands that the entries are of")
    options.add_argument("--searches", type=int, default=300)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(chosen, Path(folder))


def run(chosen: argparse.Namespace, folder: Path) -> None:
    file = folder / "roster.csv"
    roster.write(file, chosen.people, chosen.seed)
    overrides = {"data": str(folder / "lake"), "vectors": {"exact_below": 10_000_000}}
    with lakehouse.connect(config=settings.load(environ={}, overrides=overrides)) as lake:
        lake.ingest.file(file, "workers", "text/csv")
        lake.corpora.build(
            name="workers",
            dataset="workers",
            id_column="id",
            id_prefix="w-",
            text_columns=list(TEXT_COLUMNS),
            metadata_columns=list(METADATA_COLUMNS),
        )
        texts = demands(file, chosen)
        fill(lake, texts, chosen, folder)
        report(lake, texts, chosen)


def demands(file: Path, chosen: argparse.Namespace) -> list[str]:
    people = read_people(file, "w-")
    truth = Truth(people, on=roster.REFERENCE, near_km=settings.Matrix().near_km)
    kinds = asks(truth, known_places(truth.people.values()), number=chosen.texts // 2, seed=chosen.seed)
    found: list[Ask] = [ask for kind in ("plenty", "few") for ask in kinds[kind]]
    return [ask.text for ask in found][: chosen.texts]


def fill(lake: lakehouse.Lakehouse, texts: list[str], chosen: argparse.Namespace, folder: Path) -> None:
    """Write the entries of the namespace into its index, without their rows."""
    import numpy as np

    playbooks: Any = lake.rooms.playbooks
    known = [ask.meaning for ask in playbooks._asks.many(texts)]
    meanings = np.stack(known)
    draw = random.Random(chosen.seed)
    first = [playbooks._writer.row(entry(text, "w-1"), None, "2026-01-01T00:00:00.000+00:00") for text in texts]
    dimension = meanings.shape[1]
    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), dimension)), ("metadata", pa.string())])
    path = folder / "entries.arrow"
    began = time.perf_counter()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, chosen.entries, CHUNK):
            numbers = range(start, min(start + CHUNK, chosen.entries))
            drawn = [draw.randrange(len(texts)) for _ in numbers]
            rows = [
                msgspec.structs.replace(
                    first[at], id=f"pb-{number}", answer_id=f"w-{1 + draw.randrange(chosen.people)}"
                )
                for at, number in zip(drawn, numbers, strict=True)
            ]
            metadata = [msgspec.json.encode(playbooks._index.remembered(row)).decode() for row in rows]
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(meanings[drawn].reshape(-1)), dimension)
            ids = pa.array([row.id for row in rows])
            writer.write_batch(pa.record_batch([ids, vectors, pa.array(metadata)], schema=schema))
    print(f"{chosen.entries:,} entries written in {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    name = f"playbook_{NAMESPACE}"
    lake.rooms.vectors.replace(name, path, dimension=dimension, model=lake.rooms.embed.model)
    path.unlink()
    playbooks._index._names.add(name)
    print(f"index built in {time.perf_counter() - began:.0f} s", flush=True)


def entry(text: str, answer: str) -> NewPlaybook:
    return NewPlaybook(query_text=text, answer_id=answer, corpus="workers", score=1.0, namespace=NAMESPACE)


def report(lake: lakehouse.Lakehouse, texts: list[str], chosen: argparse.Namespace) -> None:
    draw = random.Random(chosen.seed + 1)
    took: dict[bool, list[float]] = {False: [], True: []}
    acted = 0
    asked = [draw.choice(texts) for _ in range(chosen.searches)]
    for text in asked:
        for memory in (False, True):
            began = time.perf_counter()
            answer = lake.matrix.search(text, ["workers"], use_playbook=memory, playbook=NAMESPACE)
            took[memory].append((time.perf_counter() - began) * 1000)
            acted += answer.boosted + answer.injected
    without, with_memory = (statistics.median(took[memory]) for memory in (False, True))
    print(
        f"memory of {chosen.entries:,} entries, {chosen.people:,} people, {len(asked)} searches of {len(texts)} demands"
    )
    print(f"without memory {without:.2f} ms, with memory {with_memory:.2f} ms: ratio {with_memory / without:.2f}")
    print(f"results that memory moved or put in: {acted / len(asked):.1f} per search")


if __name__ == "__main__":
    sys.exit(main())
