"""What is left when a process is killed or the disk fails: what was acknowledged, and nothing else."""

from __future__ import annotations

import random
import secrets
from pathlib import Path

import pytest

from lake.services import BUCKET
from lakehouse import settings
from lakehouse.errors import PermissionDenied, Unavailable
from lakehouse.evals import crash
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest


def test_killed_process_leaves_what_it_acknowledged_and_nothing_else(tmp_path: Path) -> None:
    section = settings.Catalog(keep_snapshots=2, max_age_days=1e-5)
    seen = crash.rounds(crash.Place(str(tmp_path), section, settings.Storage()), 6, longest_s=0.6)
    assert seen.rounds == 6


def test_killed_process_leaves_nothing_half_done_in_s3(s3_service, tmp_path: Path) -> None:
    root = f"s3://{BUCKET}/{secrets.token_hex(4)}"
    section = settings.Catalog(warehouse=root, keep_snapshots=2, max_age_days=1e-5)
    seen = crash.rounds(crash.Place(str(tmp_path), section, s3_service.storage), 3, longest_s=0.8)
    assert seen.rounds == 3


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
        assert "No space left on device; free some space" in caught.value.message
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
