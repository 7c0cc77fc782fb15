#!/usr/bin/env python3
"""Ingest one large CSV, against DuckDB's COPY of the same file to Parquet in the same run; and many small appends.

    python benchmarks/ingest.py                     1 GB, 1,000 upserts
    python benchmarks/ingest.py --megabytes 100 --appends 200
    python benchmarks/ingest.py --misled            a value near the end is not of the type of all before it

DuckDB is told the columns' types and may use as many threads and as much memory as the ingest; it does not decide on
types over the whole file, does not hash, does not look for bad rows and does not commit. Peak memory is of the
process that ingests, a child of its own. On a machine that does other things too, processor seconds say more.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from lakehouse import settings
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest

COLUMNS = {
    "id": "BIGINT",
    "name": "VARCHAR",
    "city": "VARCHAR",
    "zip": "VARCHAR",
    "hired": "DATE",
    "rate": "DOUBLE",
    "active": "BOOLEAN",
    "note": "VARCHAR",
}
ROUNDS = 3


def written(path: Path, megabytes: int, *, misled: bool) -> None:
    dice = random.Random(7)
    cities = [("Cleveland", "44101"), ("Parma", "44129"), ("Detroit", "48201"), ("West Dover", "05356")]
    number = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")
        while file.tell() < megabytes * 1_000_000:
            lines = []
            for _ in range(20_000):
                number += 1
                city, postal = dice.choice(cities)
                hired = f"20{dice.randrange(10, 25)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}"
                note = f'"forklift, {dice.randrange(20)} years, ""steady"""' if number % 3 else "night shift"
                lines.append(
                    f"{number},Person Number{number},{city},{postal},{hired},{dice.randrange(900, 4000) / 100},"
                    f"{'true' if number % 2 else 'false'},{note}\n"
                )
            file.writelines(lines)
            if misled and file.tell() > 970_000 * megabytes:
                misled = False
                file.write(f"{number},Person Number{number},Parma,44129,2020-01-01,unknown,true,night shift\n")


def copied(path: Path, folder: Path, types: dict[str, str]) -> tuple[float, float]:
    """Seconds that DuckDB takes, and those of the processor."""
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "512MB"})
    started, busy = time.perf_counter(), time.process_time()
    connection.execute(
        f"COPY (FROM read_csv('{path}', header=true, delim=',', columns={{{columns}}}))"
        f" TO '{folder / 'copied.parquet'}' (FORMAT parquet, COMPRESSION zstd)"
    )
    taken = time.perf_counter() - started, time.process_time() - busy
    connection.close()
    return taken


def ingested(path: Path, folder: Path) -> tuple[float, float, float]:
    """Seconds, those of the processor, and peak memory in MB of a process that ingests."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(path), str(folder)], capture_output=True, text=True, check=True
    )
    seconds, busy, peak = done.stdout.split()[-3:]
    return float(seconds), float(busy), float(peak)


def child(path: Path, folder: Path) -> None:
    folder.mkdir()
    catalog = Catalog(settings.Catalog(), folder)
    catalog.datasets()
    started, busy = time.perf_counter(), time.process_time()
    Ingest(settings.Ingest(), catalog).file(path, "people")
    taken, busy = time.perf_counter() - started, time.process_time() - busy
    catalog.close()
    # On a line of its own: the engine draws how far it is.
    print()
    print(taken, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def appended(folder: Path, count: int) -> list[float]:
    """Milliseconds of each of many upserts of ten new rows."""
    folder.mkdir()
    catalog = Catalog(settings.Catalog(), folder)
    ingest = Ingest(settings.Ingest(), catalog)
    taken: list[float] = []
    for number in range(count):
        rows = "".join(f"{10 * number + at},Person Number{10 * number + at}\n" for at in range(10))
        started = time.perf_counter()
        ingest.file(b"id,name\n" + rows.encode(), "people", key="id")
        taken.append((time.perf_counter() - started) * 1000)
    assert catalog.dataset("people").rows == 10 * count
    catalog.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--appends", type=int, default=1000)
    parser.add_argument("--misled", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(Path(arguments.child[0]), Path(arguments.child[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = folder / "people.csv"
        written(path, arguments.megabytes, misled=arguments.misled)
        types = {**COLUMNS, "rate": "VARCHAR"} if arguments.misled else COLUMNS
        size = path.stat().st_size / 1_000_000
        plain, ours = [], []
        for number in range(ROUNDS):
            plain.append(copied(path, folder, types))
            ours.append(ingested(path, folder / f"lake{number}"))
        copy, copy_busy, ingest, busy = (
            statistics.median(run[place] for run in runs) for runs in (plain, ours) for place in (0, 1)
        )
        peak = max(run[2] for run in ours)
        print(f"duckdb COPY   {size / copy:7.1f} MB/s  ({copy:.1f} s, processor {copy_busy:.1f} s)")
        print(
            f"ingest        {size / ingest:7.1f} MB/s  ({ingest:.1f} s, processor {busy:.1f} s)"
            f"  ratio {copy / ingest:.2f}, of processor {copy_busy / busy:.2f}"
        )
        print(f"peak memory   {peak:7.0f} MB")
        taken = appended(folder / "appends", arguments.appends)
        tenth = max(arguments.appends // 10, 1)
        # The first commits fill the history that is kept; what is measured is whether it grows from there.
        first = statistics.median(taken[tenth : 2 * tenth])
        last = statistics.median(taken[-tenth:])
        print(f"{len(taken)} appends   {first:7.1f} ms early, {last:.1f} ms at the end  ratio {last / first:.2f}")


if __name__ == "__main__":
    main()
