"""Kill a process that changes datasets at random moments, and look at what is left.

    python -m lakehouse.evals.crash --rounds 50
    python -m lakehouse.evals.crash --rounds 50 --warehouse s3://bucket/prefix --endpoint http://127.0.0.1:8333

Each round starts a process that ingests, upserts, purges, drops and expires for as long as it lives, and kills it
(SIGKILL) at a random moment. Then the lake is opened again: what was acknowledged must be there, what was not must be
absent or whole, and no file may lie in the warehouse that no snapshot refers to.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from lakehouse import settings
from lakehouse.errors import IntegrityError, InternalError
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest

ROWS = 2_000
STEPS = 5
# A process gets numbers of its own, so that what it wrote is known by them.
STRIDE = 1_000


class Place(msgspec.Struct, frozen=True):
    """Where the lake under test is; settings as TOML-like mappings so that the child gets the same."""

    folder: str
    catalog: settings.Catalog
    storage: settings.Storage

    def open(self) -> Catalog:
        """Open the catalog."""
        return Catalog(self.catalog, Path(self.folder), self.storage)


class Seen(msgspec.Struct):
    """What was acknowledged so far."""

    last: dict[str, int] = {}
    grown: set[int] = set()
    purged: set[int] = set()
    rounds: int = 0
    steps: int = 0


def work(place: Place, start: int, tell: Callable[[list[object]], None]) -> None:
    """Change datasets until killed; `tell` is called after each acknowledged step."""
    catalog = place.open()
    ingest = Ingest(settings.Ingest(), catalog)
    catalog.datasets()
    tell(["ready"])
    for number in range(start, start + STRIDE):
        rows = "".join(f"{row},{number}\n" for row in range(ROWS))
        ingest.file(b"id,run\n" + rows.encode(), "whole")
        tell(["whole", number])
        ingest.file(f"id,run\n{number},{number}\n".encode(), "grown", key="id")
        tell(["grown", number])
        ingest.file(f"id,run\n{number},{number}\nbad\n".encode(), "partly", quarantine=True)
        tell(["partly", number])
        if number % 2:
            catalog.purge("grown", "id", [number])
            tell(["purged", number])
            catalog.drop("whole")
            tell(["dropped", number])
        else:
            catalog.maintain()
            tell(["maintained", number])


def killed(place: Place, start: int, seconds: float) -> list[list[object]]:
    """Run the work in a process, kill it after a while, and return what it acknowledged.

    Raises:
        InternalError: It ended by itself.
    """
    command = [sys.executable, "-m", "lakehouse.evals.crash", "--work", msgspec.json.encode(place).decode(), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:  # noqa: S603 - our own
        if child.stdout is None or child.stderr is None:
            raise InternalError("the child has no pipes")
        first = child.stdout.readline()
        if not first:
            raise InternalError(f"the work ended by itself: {child.stderr.read().decode()[-2000:]}")
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        lines = [first, *child.stdout.read().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def check(place: Place, seen: Seen) -> None:
    """Open the lake and compare it with what was acknowledged.

    Raises:
        IntegrityError: Something acknowledged is missing, or something is there that should not be.
    """
    from lakehouse.lake._commit import needed

    catalog = place.open()
    try:
        rows = {name: catalog.scan(name).read_all().to_pylist() for name in catalog.versions()}
        _check_rows(rows, seen)
        tables = catalog._warehouse.tables
        stored = set().union(*(tables.files.below(f"{tables.home}/{folder}") for folder in _folders(catalog)))
        kept = set().union(*(needed(tables.load(name)) for name in rows))
        _require(stored == kept, f"{len(stored - kept)} files too many, {len(kept - stored)} missing: {stored ^ kept}")
    finally:
        catalog.close()
    _require(not list(Path(place.folder, "catalog-intents").glob("*.json")), "an intent is left")


def _folders(catalog: Catalog) -> set[str]:
    """Return the names of every folder in the warehouse, also of datasets that are gone."""
    tables = catalog._warehouse.tables
    below = tables.files.below(tables.home)
    return {each.removeprefix(tables.home + "/").partition("/")[0] for each in below if not each.endswith("/.root")}


def _check_rows(rows: dict[str, list[dict[str, int]]], seen: Seen) -> None:
    if "whole" in rows:
        _require([row["id"] for row in rows["whole"]] == list(range(ROWS)), "a replaced dataset is not whole")
        runs = {row["run"] for row in rows["whole"]}
        _require(len(runs) == 1 and max(runs) >= seen.last.get("whole", 0), "a replaced dataset is an older one")
    else:
        _require("whole" not in seen.last or seen.last["whole"] % 2 == 1, "a dataset is gone that nobody dropped")
    found = {row["id"] for row in rows.get("grown", [])}
    # One step may have been done and not yet acknowledged when the process died.
    missing = seen.grown - seen.purged - found
    _require(len(missing) <= 1 and all(number % 2 for number in missing), f"acknowledged rows are gone: {missing}")
    _require(not seen.purged & found, f"purged rows are back: {seen.purged & found}")
    _require(len(found - seen.grown) <= 1, f"rows nobody acknowledged: {found - seen.grown}")
    seen.grown |= found
    seen.purged |= missing
    if "partly" in seen.last:
        _require(rows["partly"][0]["run"] >= seen.last["partly"], "a dataset with a quarantine is an older one")
        _require([row["line"] for row in rows["partly_quarantine"]] == [3], "the quarantine is not whole")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise IntegrityError(otherwise)


def rounds(place: Place, count: int, *, longest_s: float, seed: int = 20) -> Seen:
    """Kill and check, again and again.

    Raises:
        IntegrityError: See `check`.
    """
    moments = random.Random(seed)
    seen = Seen()
    for number in range(count):
        told = killed(place, number * STRIDE, moments.uniform(0.0, longest_s))
        for kind, *values in told[1:]:
            value = int(str(values[0]))
            seen.last[str(kind)] = value
            if kind == "grown":
                seen.grown.add(value)
            if kind == "purged":
                seen.purged.add(value)
        seen.rounds, seen.steps = number + 1, seen.steps + len(told) - 1
        check(place, seen)
    return seen


def main(words: list[str] | None = None) -> int:
    """Run the rounds and print one line."""
    parser = argparse.ArgumentParser(prog="python -m lakehouse.evals.crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--longest", type=float, default=1.0, metavar="S", help="longest life of a process, seconds")
    parser.add_argument("--warehouse", default="", help="folder or s3://bucket/prefix")
    parser.add_argument("--endpoint", default="", help="of the S3; its keys are read from the environment")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.work:
        place = msgspec.json.decode(arguments.work[0], type=Place)
        work(place, int(arguments.work[1]), lambda step: print(json.dumps(step), flush=True))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        place = Place(
            folder,
            settings.Catalog(warehouse=arguments.warehouse, keep_snapshots=2, max_age_days=1e-5),
            settings.Storage(backend="s3" if arguments.endpoint else "local", endpoint=arguments.endpoint),
        )
        seen = rounds(place, arguments.rounds, longest_s=arguments.longest)
    print(f"{seen.rounds} kills, {seen.steps} acknowledged steps: everything acknowledged is there, nothing else")
    return 0


if __name__ == "__main__":
    sys.exit(main())
