"""What a large memory costs: searches with it against searches without, in one run.

    python benchmarks/memory.py --entries 1000000 --people 5000
    python benchmarks/memory.py --entries 1000000 --people 50000 --others 50000

The entries are of one namespace and are recorded through `playbooks.bulk`, 10,000 a call: demands in the four styles
for the roles and places of the roster, each on many days, and for each the people whom a search found for it. Compared
are medians of searches with memory and without, in turns:

    cold      demands that were read before, and looked up for the first time since the lake was opened
    again     demands asked before, memory as it was then
    beside    the same, with an entry recorded for another demand since
    behind    the same, with entries recorded for all other demands since
    written   the same, with an entry recorded for the very demand since
    new       demands never asked before: each must be read and embedded first

Times are by the clock, and of the processor time of the searching thread, which other jobs on the machine disturb less;
the embedding model runs in threads of its own, so the latter knows nothing of what it costs. A search is the matrix
alone; with `--whole` it is what a caller waits for, the row of the audit and its sync with it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
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
# By memory or not: for each search, milliseconds by the clock and of processor time.
Times = dict[bool, list[tuple[float, float]]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, default=50_000)
    options.add_argument("--people", type=int, default=2_000)
    options.add_argument("--others", type=int, default=0, help="people of a second corpus, searched with the first")
    options.add_argument("--texts", type=int, default=600, help="distinct demands, before their days")
    options.add_argument("--searches", type=int, default=300)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--whole", action="store_true", help="time whole calls, audited")
    options.add_argument("--folder", type=Path, help="keep the lake here, and take one that is there as it is")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        run(chosen, folder)


def run(chosen: argparse.Namespace, folder: Path) -> None:
    data = folder / "lake"
    built, filled = (data / "vectors" / "workers").exists(), (data / "vectors" / f"playbook_{NAMESPACE}").exists()
    rosters = {"workers": folder / "roster.csv"}
    roster.write(rosters["workers"], chosen.people, chosen.seed)
    if chosen.others:
        rosters["others"] = folder / "others.csv"
        roster.write(rosters["others"], chosen.others, chosen.seed + 1)
    texts, unseen = demands(rosters["workers"], chosen)
    with lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(data)})) as lake:
        for name, file in rosters.items() if not built else ():
            build(lake, name, file)
        if not filled:
            fill(lake, texts, chosen)
        report(lake, texts, unseen, chosen)


def build(lake: lakehouse.Lakehouse, name: str, file: Path) -> None:
    lake.ingest.file(file, name, "text/csv")
    lake.corpora.build(
        name=name,
        dataset=name,
        id_column="id",
        id_prefix=f"{name[0]}-",
        text_columns=list(TEXT_COLUMNS),
        metadata_columns=list(METADATA_COLUMNS),
    )


def demands(file: Path, chosen: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return demands to be remembered and asked for, and others that nobody has asked for."""
    people = read_people(file, "w-")
    truth = Truth(people, on=roster.REFERENCE, near_km=settings.Matrix().near_km)
    number = (chosen.texts + chosen.searches) // 2 + 1
    kinds = asks(truth, known_places(truth.people.values()), number=number, seed=chosen.seed)
    pairs = itertools.zip_longest(kinds["plenty"], kinds["few"])
    found: list[Ask] = [ask for pair in pairs for ask in pair if ask is not None]
    texts = list(dict.fromkeys(ask.text for ask in found))
    return texts[: chosen.texts], texts[chosen.texts :]


def fill(lake: lakehouse.Lakehouse, texts: Sequence[str], chosen: argparse.Namespace) -> None:
    began = time.perf_counter()
    found = {
        text: [(hit.id, hit.corpus) for hit in lake.matrix.search(text, corpora(lake), FOUND).results] for text in texts
    }
    entries = remembered(found)
    for done in range(0, chosen.entries, AT_ONCE):
        lake.playbooks.bulk(list(itertools.islice(entries, min(AT_ONCE, chosen.entries - done))))
        if done % 100_000 == 0:
            print(f"{done + AT_ONCE:,} entries after {time.perf_counter() - began:.0f} s", flush=True)
    took = time.perf_counter() - began
    print(f"{chosen.entries:,} entries recorded in {took:.0f} s, {chosen.entries / took:,.0f} a second", flush=True)


def remembered(found: dict[str, list[tuple[str, str]]]) -> Iterator[NewPlaybook]:
    """Yield one entry after the other: every demand on a day with all who were found for it, then on the next day."""
    for day in itertools.count():
        start = FIRST_DAY + dt.timedelta(days=day)
        for text, answers in found.items():
            for answer, corpus in answers:
                yield NewPlaybook(
                    query_text=f"{text}, starting {start}",
                    answer_id=answer,
                    corpus=corpus,
                    score=1.0,
                    namespace=NAMESPACE,
                )


def report(lake: lakehouse.Lakehouse, texts: list[str], unseen: list[str], chosen: argparse.Namespace) -> None:
    draw = random.Random(chosen.seed + 1)
    asked = draw.sample(texts, min(chosen.searches, len(texts)))
    stats = lake.vectors.stats(f"playbook_{NAMESPACE}")
    # The sync of the audit that stands around each call would hide what memory costs.
    matrix = lake.matrix if chosen.whole else lake.rooms.matrix
    print(f"memory of {stats.items:,} entries, {chosen.people + chosen.others:,} people, {len(asked)} demands, medians")
    cold: Times = {False: [], True: []}
    for memory in (False, True):
        for text in asked:
            if not memory:
                # Read and embedded before, so that both have only to look up what nobody has looked up yet.
                lake.rooms.matrix.prepare(text)
            cold[memory].append(timed(lake, matrix, text, memory=memory))
    show("cold", cold)
    show("again", in_turns(lake, matrix, [asked, asked], draw))
    others = asked[1:] + asked[:1]
    show("beside", in_turns(lake, matrix, [asked, asked], draw, write=others, known=True))
    show("behind", in_turns(lake, matrix, [asked, asked], draw, write=others))
    show("written", in_turns(lake, matrix, [asked, asked], draw, write=asked, known=True))
    half = len(unseen) // 2
    if not half:
        print("new      not measured: the roster gives no demand that was not asked for; take more people")
        return
    show("new", in_turns(lake, matrix, [unseen[:half], unseen[half : 2 * half]], draw))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak of this process {peak:,.0f} MiB")


def in_turns(
    lake: lakehouse.Lakehouse,
    matrix: Any,
    asked: Sequence[Sequence[str]],
    draw: random.Random,
    *,
    write: Sequence[str] = (),
    known: bool = False,
) -> Times:
    """Search without memory for the first texts and with it for the others, in an order drawn by lot.

    Before each pair an entry is recorded for one of the demands in `write`, where there are any; with `known` the
    demand is asked just before that.
    """
    took: Times = {False: [], True: []}
    for number, pair in enumerate(zip(*asked, strict=True)):
        if known:
            search(lake, matrix, pair[True], memory=True)
        if write:
            hit = search(lake, matrix, write[number], memory=False).results[0]
            lake.playbooks.record(write[number], hit.id, hit.corpus, 0.5, namespace=NAMESPACE)
        for memory in draw.sample((False, True), 2):
            took[memory].append(timed(lake, matrix, pair[memory], memory=memory))
    return took


def timed(lake: lakehouse.Lakehouse, matrix: Any, text: str, *, memory: bool) -> tuple[float, float]:
    """Search, and return the milliseconds it took: by the clock, and of this thread's processor time."""
    began = time.perf_counter(), time.thread_time()
    search(lake, matrix, text, memory=memory)
    return (time.perf_counter() - began[0]) * 1000, (time.thread_time() - began[1]) * 1000


def search(lake: lakehouse.Lakehouse, matrix: Any, text: str, *, memory: bool) -> Any:
    return matrix.search(text, corpora(lake), use_playbook=memory, playbook=NAMESPACE)


@functools.cache
def corpora(lake: lakehouse.Lakehouse) -> list[str]:
    """Return all corpora of a lake; every search is in all of them."""
    return [each.name for each in lake.corpora.list().corpora]


def show(what: str, took: Times) -> None:
    for at, kind in enumerate(("clock", "processor")):
        without, with_memory = (statistics.median(each[at] for each in took[memory]) for memory in (False, True))
        ratio = with_memory / without
        print(f"{what:8} {kind:9} without {without:.2f} ms, with {with_memory:.2f} ms: ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
