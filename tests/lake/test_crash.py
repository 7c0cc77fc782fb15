"""What is left when a process is killed or the disk fails: what was acknowledged, and nothing else."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakehouse import settings
from lakehouse.errors import PermissionDenied, Unavailable
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest

# Ingests, replaces, upserts and drops for as long as it lives; one line after each acknowledged step.
WORK = """
import json, sys
from pathlib import Path
from lakehouse import settings
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest

folder, start = Path(sys.argv[1]), int(sys.argv[2])
catalog = Catalog(settings.Catalog(keep_snapshots=2), folder)
ingest = Ingest(settings.Ingest(), catalog)
catalog.datasets()
print(json.dumps(["ready"]), flush=True)
for number in range(start, start + 1000):
    rows = "".join(f"{row},{number}\\n" for row in range(2000))
    ingest.file(b"id,run\\n" + rows.encode(), "whole")
    print(json.dumps(["whole", number]), flush=True)
    ingest.file(f"id,run\\n{number},{number}\\n".encode(), "grown", key="id")
    print(json.dumps(["grown", number]), flush=True)
    ingest.file(f"id,run\\n{number},{number}\\nbad\\n".encode(), "partly", quarantine=True)
    print(json.dumps(["partly", number]), flush=True)
    if number % 2:
        catalog.drop("whole")
        print(json.dumps(["dropped", number]), flush=True)
"""


def referenced(catalog: Catalog) -> set[str]:
    """Everything that a live snapshot needs, asked of pyiceberg itself."""
    from lakehouse.lake._commit import _files

    needed: set[str] = set()
    for name in catalog._warehouse.tables.locations():
        table = catalog._warehouse.tables.load(name)
        needed |= {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
        for snapshot in table.snapshots():
            needed |= _files(table, snapshot)
    return {location.removeprefix("file://") for location in needed}


def killed_after(folder: Path, start: int, seconds: float) -> list[list]:
    """Run the work, kill it at some moment after it is ready, return what it acknowledged."""
    command = [sys.executable, "-c", WORK, str(folder), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        line = child.stdout.readline()
        assert line, child.stderr.read().decode()
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        lines = [line, *child.stdout.read().splitlines(keepends=True)]
        assert child.stderr.read() == b""
        child.wait()
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def test_killed_process_leaves_what_it_acknowledged_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    moments = random.Random(20)
    start = 0
    grown: set[int] = set()
    last: dict[str, int] = {}
    for _ in range(20):
        acknowledged = killed_after(folder, start, moments.uniform(0.0, 0.5))
        for step in acknowledged[1:]:
            last[step[0]] = step[1]
            if step[0] == "grown":
                grown.add(step[1])
        checked(folder, last, grown, tried=start + len(acknowledged) // 3 + 1)
        start += 50


def checked(folder: Path, last: dict[str, int], grown: set[int], tried: int) -> None:
    catalog = Catalog(settings.Catalog(keep_snapshots=2), folder)
    rows = {name: catalog.scan(name).read_all().to_pylist() for name in catalog.versions()}
    if "whole" in rows:
        assert [row["id"] for row in rows["whole"]] == list(range(2000))
        runs = {row["run"] for row in rows["whole"]}
        assert len(runs) == 1
        assert runs.pop() >= last.get("whole", 0)
    else:
        assert "whole" not in last or last["whole"] % 2
    found = {row["id"] for row in rows.get("grown", [])}
    assert grown <= found
    # At most the one upsert that was under way when the process died is there beyond those acknowledged.
    assert len(found - grown) <= 1
    grown |= found
    if "partly" in last:
        assert rows["partly"][0]["run"] >= last["partly"]
        assert [row["line"] for row in rows["partly_quarantine"]] == [3]
    on_disk = {str(path) for path in (folder / "warehouse").rglob("*") if path.is_file() and path.name != ".root"}
    assert on_disk == referenced(catalog)
    assert not list((folder / "catalog-intents").glob("*.json"))
    assert not (folder / "scratch").exists()
    catalog.close()


def lake(folder: Path) -> tuple[Catalog, Ingest]:
    catalog = Catalog(settings.Catalog(), folder)
    return catalog, Ingest(settings.Ingest(), catalog)


def test_full_disk_is_refused_and_leaves_nothing_half_written(small_disk: Path) -> None:
    catalog, ingest = lake(small_disk)
    ingest.file(b"id,v\n1,2\n", "t")
    before = sorted(path for path in (small_disk / "warehouse").rglob("*"))
    noise = random.Random(1)
    text = "".join(f"{n},{noise.randbytes(24).hex()}\n" for n in range(60_000))
    for name, size in (("t", 3_500_000), ("u", 3_500_000), ("t", 1_500_000)):
        with pytest.raises(Unavailable) as caught:
            ingest.file(b"id,v\n" + text[: text.rindex("\n", 0, size) + 1].encode(), name)
        assert caught.value.retryable
    assert sorted(path for path in (small_disk / "warehouse").rglob("*")) == before
    assert not list((small_disk / "scratch").iterdir())
    assert catalog.scan("t").read_all().to_pylist() == [{"id": 1, "v": 2}]
    assert [manifest.name for manifest in catalog.datasets().datasets] == ["t"]
    ingest.file(b"id,v\n3,4\n", "t")
    assert catalog.scan("t").read_all().to_pylist() == [{"id": 3, "v": 4}]
    catalog.close()


def test_disk_that_fills_up_while_committing_keeps_every_acknowledged_row(small_disk: Path) -> None:
    catalog, ingest = lake(small_disk)
    filler = small_disk / "filler"
    acknowledged = 0
    with filler.open("wb") as file:
        for number in range(1, 200):
            try:
                ingest.file(f"id,v\n{number},x\n".encode(), "t", key="id")
            except Unavailable:
                break
            acknowledged = number
            file.write(bytes(32 * 1024))
            file.flush()
        else:
            pytest.fail("the disk never filled up")
    assert {row["id"] for row in catalog.scan("t").read_all().to_pylist()} == set(range(1, acknowledged + 1))
    filler.unlink()
    ingest.file(b"id,v\n1000,x\n", "t", key="id")
    assert catalog.dataset("t").rows == acknowledged + 1
    catalog.close()


def test_read_only_lake_is_denied_naming_the_path(read_only_folder: Path) -> None:
    catalog, ingest = lake(read_only_folder)
    with pytest.raises(PermissionDenied, match=str(read_only_folder)):
        ingest.file(b"id,v\n1,2\n", "t")
    with pytest.raises(PermissionDenied, match=str(read_only_folder)):
        catalog.datasets()
