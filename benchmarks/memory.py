"""What a large memory costs: searches with it against searches without, in one run.

    python benchmarks/memory.py --entries 1000000 --people 5000

The entries are of one namespace and are recorded through `playbooks.bulk`, 10,000 a call: demands in the four styles
for the roles and places of the roster, each on many days, and for each the people whom a search found for it. Compared
are medians of searches with memory and without, in turns:

    again     demands asked before, memory as it was then
    written   the same, with an entry recorded before each search
    new       demands never asked before: each must be read and embedded first
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lakehouse
from lakehouse import settings
from lakehouse.evals._roster_asks import Ask, Truth, asks, known_places, read_people
from lakehouse.evals.search_quality import METADATA_COLUMNS, TEXT_COLUMNS
from lakehouse.memory.base import NewPlaybook
from lakehouse.staffing import roster

NAMESPACE = "bench"
AT_ONCE = 10_000
FOUND = 50
FIRST_DAY = dt.date(2026, 1, 1)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, default=50_000)
    options.add_argument("--people", type=int, default=2_000)
    options.add_argument("--texts", type=int, default=600, help="distinct demands, before their days")
    options.add_argument("--searches", type=int, default=300)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--folder", type=Path, help="keep the lake here, and take one that is there as it is")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(chosen, chosen.folder or Path(scratch))


def run(chosen: argparse.Namespace, folder: Path) -> None:
    file, data = folder / "roster.csv", folder / "lake"
    filled = data.exists()
    roster.write(file, chosen.people, chosen.seed)
    texts, unseen = demands(file, chosen)
    with lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(data)})) as lake:
        if not filled:
            build(lake, file)
            fill(lake, texts, chosen)
        report(lake, texts, unseen, chosen)


def build(lake: lakehouse.Lakehouse, file: Path) -> None:
    lake.ingest.file(file, "workers", "text/csv")
    lake.corpora.build(
        name="workers",
        dataset="workers",
        id_column="id",
        id_prefix="w-",
        text_columns=list(TEXT_COLUMNS),
        metadata_columns=list(METADATA_COLUMNS),
    )


def demands(file: Path, chosen: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return demands to be remembered and asked for, and others that nobody has asked for."""
    people = read_people(file, "w-")
    truth = Truth(people, on=roster.REFERENCE, near_km=settings.Matrix().near_km)
    number = (chosen.texts + chosen.searches) // 2 + 1
    kinds = asks(truth, known_places(truth.people.values()), number=number, seed=chosen.seed)
    found: list[Ask] = [ask for pair in zip(kinds["plenty"], kinds["few"], strict=False) for ask in pair]
    texts = list(dict.fromkeys(ask.text for ask in found))
    return texts[: chosen.texts], texts[chosen.texts :]


def fill(lake: lakehouse.Lakehouse, texts: Sequence[str], chosen: argparse.Namespace) -> None:
    began = time.perf_counter()
    found = {text: [hit.id for hit in lake.matrix.search(text, ["workers"], FOUND).results] for text in texts}
    entries = remembered(found)
    for done in range(0, chosen.entries, AT_ONCE):
        lake.playbooks.bulk(list(itertools.islice(entries, min(AT_ONCE, chosen.entries - done))))
        if done % 100_000 == 0:
            print(f"{done + AT_ONCE:,} entries after {time.perf_counter() - began:.0f} s", flush=True)
    took = time.perf_counter() - began
    print(f"{chosen.entries:,} entries recorded in {took:.0f} s, {chosen.entries / took:,.0f} a second", flush=True)


def remembered(found: dict[str, list[str]]) -> Iterator[NewPlaybook]:
    """Yield one entry after the other: every demand on a day with all who were found for it, then on the next day."""
    for day in itertools.count():
        start = FIRST_DAY + dt.timedelta(days=day)
        for text, answers in found.items():
            for answer in answers:
                yield NewPlaybook(
                    query_text=f"{text}, starting {start}",
                    answer_id=answer,
                    corpus="workers",
                    score=1.0,
                    namespace=NAMESPACE,
                )


def report(lake: lakehouse.Lakehouse, texts: list[str], unseen: list[str], chosen: argparse.Namespace) -> None:
    draw = random.Random(chosen.seed + 1)
    asked = draw.sample(texts, min(chosen.searches, len(texts)))
    stats = lake.vectors.stats(f"playbook_{NAMESPACE}")
    print(f"memory of {stats.items:,} entries, {chosen.people:,} people, {len(asked)} demands, medians")
    for memory in (False, True):
        for text in asked:
            search(lake, text, memory=memory)
    again = in_turns(lake, [asked, asked], draw)
    show("again", again)
    show("written", in_turns(lake, [asked, asked], draw, write=True))
    half = len(unseen) // 2
    show("new", in_turns(lake, [unseen[:half], unseen[half : 2 * half]], draw))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak of this process {peak:,.0f} MiB")


def in_turns(
    lake: lakehouse.Lakehouse, asked: Sequence[Sequence[str]], draw: random.Random, *, write: bool = False
) -> dict[bool, list[float]]:
    """Search without memory for the first texts and with it for the others, in an order drawn by lot."""
    took: dict[bool, list[float]] = {False: [], True: []}
    for pair in zip(*asked, strict=True):
        if write:
            hit = search(lake, pair[0], memory=False).results[0]
            lake.playbooks.record(pair[0], hit.id, "workers", 0.5, namespace=NAMESPACE)
        for memory in draw.sample((False, True), 2):
            began = time.perf_counter()
            search(lake, pair[memory], memory=memory)
            took[memory].append((time.perf_counter() - began) * 1000)
    return took


def search(lake: lakehouse.Lakehouse, text: str, *, memory: bool) -> Any:
    # The room itself: the sync of the audit that stands around each call would hide what memory costs.
    return lake.rooms.matrix.search(text, ["workers"], use_playbook=memory, playbook=NAMESPACE)


def show(what: str, took: dict[bool, list[float]]) -> None:
    without, with_memory = (statistics.median(took[memory]) for memory in (False, True))
    print(
        f"{what:8} without {without:.2f} ms, with {with_memory:.2f} ms: ratio {with_memory / without:.2f}", flush=True
    )


if __name__ == "__main__":
    main()
