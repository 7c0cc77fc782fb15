"""Datasets and manifests: commits, history, scans, removal, and a lake that moves."""

from __future__ import annotations

import gc
import random
import shutil
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from msgspec import structs

from lakehouse import settings
from lakehouse.errors import Conflict, InvalidInput, NotFound, NotInstalled
from lakehouse.lake._files import LocalFiles
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.columns import Column, assign_ids, check_names, duckdb_type, widened
from lakehouse.lake.ingest import Ingest
from lakehouse.lake.query import Query


def files(folder: Path) -> set[str]:
    kept = ("catalog.db", ".root")
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.name.startswith(kept)
    }


def data_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("warehouse/*/data/*"))


def reopened(folder: Path) -> Catalog:
    return Catalog(settings.Catalog(keep_snapshots=3), folder)


def test_manifest_tells_what_was_ingested(ingest, catalog, folder: Path) -> None:
    report = ingest.file(b"id,city\n1,Parma\n2,Lorain\n", "people")
    manifest = catalog.dataset("people")
    assert (manifest.name, manifest.rows, manifest.fingerprint) == ("people", 2, report.fingerprint)
    assert manifest.schema == [Column("id", "int64"), Column("city", "string")]
    assert manifest.snapshot_id == report.snapshot_id
    assert [folder / "warehouse" / name for name in manifest.objects] == data_files(folder)
    assert datetime.fromisoformat(manifest.created_at) <= datetime.fromisoformat(manifest.updated_at)
    ingest.file(b"id,city\n1,Parma\n", "people")
    again = catalog.dataset("people")
    assert again.created_at == manifest.created_at
    assert datetime.fromisoformat(again.updated_at) > datetime.fromisoformat(manifest.updated_at)


def test_datasets_are_listed_by_name(ingest, catalog) -> None:
    for name in ("b", "a_2", "a"):
        ingest.file(b"x,y\n1,2\n", name)
    assert [manifest.name for manifest in catalog.datasets().datasets] == ["a", "a_2", "b"]
    assert catalog.datasets().datasets[0] == catalog.dataset("a")


def test_missing_dataset_is_not_found_listing_those_there_are(ingest, catalog) -> None:
    for call in (catalog.dataset, catalog.drop, catalog.scan):
        with pytest.raises(NotFound, match="there are: none yet"):
            call("people")
    ingest.file(b"x,y\n1,2\n", "crews")
    for name in ("people", "Crews", "../crews", "crews'--", ""):
        with pytest.raises(NotFound, match="there are: crews"):
            catalog.dataset(name)


def test_everything_is_there_after_reopening(ingest, catalog, folder: Path) -> None:
    ingest.file(b"x,y\n1,2\n", "t")
    manifest = catalog.dataset("t")
    catalog.close()
    again = reopened(folder)
    assert again.dataset("t") == manifest
    assert again.scan("t").read_all().to_pylist() == [{"x": 1, "y": 2}]
    assert Ingest(settings.Ingest(), again).file(b"x,y\n1,2\n", "t").unchanged
    again.close()


def test_copied_lake_lives_on_its_own(ingest, catalog, folder: Path, tmp_path: Path) -> None:
    ingest.file(b"x,y\n1,2\n", "t")
    catalog.close()
    shutil.copytree(folder, tmp_path / "copy")
    before = files(folder)
    copy = reopened(tmp_path / "copy")
    ingest_copy = Ingest(settings.Ingest(), copy)
    for number in range(5):
        ingest_copy.file(b"x,y\n%d,3\n" % number, "t")
    assert copy.scan("t").read_all().to_pylist() == [{"x": 4, "y": 3}]
    copy.drop("t")
    assert files(folder) == before
    copy.close()
    again = reopened(folder)
    assert again.scan("t").read_all().to_pylist() == [{"x": 1, "y": 2}]
    again.close()


def test_moved_lake_is_read_where_it_is(ingest, catalog, folder: Path, tmp_path: Path) -> None:
    ingest.file(b"x,y\n1,2\n", "t")
    catalog.close()
    moved = folder.rename(tmp_path / "new # place")
    again = reopened(moved)
    query = Query(settings.Query(), again)
    Ingest(settings.Ingest(), again).file(b"x,y\n3,4\n", "t", key="x")
    assert query.query("SELECT * FROM t ORDER BY x").rows == [[1, 2], [3, 4]]
    assert not folder.exists()
    query.close()
    again.close()


def test_history_is_kept_as_long_as_the_rule_says(ingest, catalog, folder: Path, rows) -> None:
    snapshots = [ingest.file(b"x,y\n%d,1\n" % number, "t").snapshot_id for number in range(6)]
    for number, snapshot in enumerate(snapshots):
        if number < 3:
            with pytest.raises(NotFound, match=f"no snapshot {snapshot} any more"):
                catalog.scan("t", snapshot_id=snapshot)
        else:
            assert rows("t", snapshot_id=snapshot) == [{"x": number, "y": 1}]
    assert len(data_files(folder)) == 3


def test_many_commits_leave_a_bounded_number_of_files(ingest, folder: Path) -> None:
    for number in range(14):
        ingest.file(b"x,y\n%d,1\n" % number, "t", key="x" if number % 3 else None)
    settled = len(files(folder))
    for number in range(6):
        ingest.file(b"x,y\n%d,2\n" % number, "t", key="x" if number % 3 else None)
    assert len(files(folder)) <= settled + 2
    assert not list((folder / "catalog-intents").iterdir())


def test_scan_gives_columns_in_the_order_asked(ingest, rows) -> None:
    ingest.file(b"a,b,c\n1,2,3\n", "t")
    assert list(rows("t", columns=["c", "a"])[0].items()) == [("c", 3), ("a", 1)]


def test_scan_of_a_missing_column_is_refused(ingest, catalog) -> None:
    ingest.file(b"a,b\n1,2\n", "t")
    with pytest.raises(InvalidInput, match="no column 'z'; it has a, b"):
        catalog.scan("t", columns=["a", "z"])


def test_scan_of_an_earlier_snapshot_has_its_columns(ingest, rows) -> None:
    first = ingest.file(b"id,n\n1,10\n", "t", key="id").snapshot_id
    ingest.file(b"id,n,x\n2,2.5,y\n", "t", key="id")
    assert rows("t", snapshot_id=first) == [{"id": 1, "n": 10}]
    assert rows("t") == [{"id": 1, "n": 10.0, "x": None}, {"id": 2, "n": 2.5, "x": "y"}]


def test_scan_comes_in_batches_and_keeps_its_files(ingest, catalog, folder: Path) -> None:
    ingest.file(b"a,b\n" + b"".join(b"%d,x\n" % n for n in range(100_000)), "t")
    reader = catalog.scan("t")
    first = reader.read_next_batch()
    assert first.num_rows < 100_000
    catalog.drop("t")
    assert len(data_files(folder)) == 1
    rest = sum(batch.num_rows for batch in reader)
    assert first.num_rows + rest == 100_000
    del reader, first
    gc.collect()
    assert data_files(folder) == []


def test_abandoned_scan_lets_its_files_go(ingest, catalog, folder: Path) -> None:
    ingest.file(b"a,b\n1,2\n", "t")
    reader = catalog.scan("t")
    catalog.drop("t")
    assert len(data_files(folder)) == 1
    del reader
    gc.collect()
    assert data_files(folder) == []


def test_drop_removes_rows_history_and_files(ingest, catalog, folder: Path) -> None:
    for number in range(3):
        ingest.file(b"a,b\n%d,2\n" % number, "t")
    ingest.file(b"a,b\n1,2\n", "other")
    catalog.drop("t")
    assert [manifest.name for manifest in catalog.datasets().datasets] == ["other"]
    assert all("other-" in name for name in files(folder))
    with pytest.raises(NotFound):
        catalog.drop("t")


def test_drop_then_ingest_starts_a_new_dataset(ingest, catalog, rows) -> None:
    ingest.file(b"a,b\n1,2\n", "t")
    created = catalog.dataset("t").created_at
    catalog.drop("t")
    assert not ingest.file(b"a,b\n1,2\n", "t").unchanged
    assert catalog.dataset("t").created_at > created
    assert rows("t") == [{"a": 1, "b": 2}]


def test_commit_on_an_older_state_conflicts_and_leaves_nothing(ingest, catalog, folder: Path) -> None:
    ingest.file(b"a,b\n1,2\n", "t")
    seen = catalog.version("t")
    ingest.file(b"a,b\n3,4\n", "t")
    before = files(folder)
    fields = catalog.fields("t", [Column("a", "int64"), Column("b", "int64")])
    with catalog.scratch() as scratch:
        shutil.copy(data_files(folder)[0], scratch / "rows.parquet")
        for onto in (seen, None):
            with pytest.raises(Conflict, match="'t' was changed by another writer"):
                catalog.commit("t", fields, [scratch / "rows.parquet"], keep=[], notes={}, onto=onto)
        stale = [structs.replace(field, id=field.id + 1) for field in fields]
        with pytest.raises(Conflict, match="'t' was changed by another writer"):
            catalog.commit("t", stale, [scratch / "rows.parquet"], keep=[], notes={})
    assert files(folder) == before
    assert catalog.scan("t").read_all().to_pylist() == [{"a": 3, "b": 4}]


def test_two_catalogs_of_one_database_lose_no_commit(folder: Path, monkeypatch) -> None:
    section = settings.Catalog(uri=f"sqlite:///{folder / 'shared.db'}", warehouse=str(folder / "warehouse"))
    catalogs = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        catalogs.append(Catalog(section, folder / name))
        catalogs[-1].datasets()
    place = LocalFiles.place
    chance = random.Random(1)

    def slowly(self, source: Path, location: str) -> None:
        place(self, source, location)
        # Long enough for the other one to commit, or to clean up after a commit that failed.
        time.sleep(chance.uniform(0, 0.1))

    monkeypatch.setattr(LocalFiles, "place", slowly)
    failures: list[BaseException] = []

    def add(catalog: Catalog, first: int) -> None:
        try:
            ingest = Ingest(settings.Ingest(), catalog)
            for number in range(first, first + 4):
                ingest.file(b"id,v\n%d,x\n" % number, "t", key="id")
        except BaseException as error:  # noqa: BLE001 - reported by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=add, args=(catalog, 100 * n)) for n, catalog in enumerate(catalogs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = {row["id"] for row in catalogs[0].scan("t").read_all().to_pylist()}
    assert found == {0, 1, 2, 3, 100, 101, 102, 103}
    for catalog in catalogs:
        catalog.close()


def test_other_readers_see_the_same_rows(ingest, catalog) -> None:
    """pyiceberg's own reader stands for any engine that reads Iceberg."""
    ingest.file(b'id,n,"odd ""name."\n1,10,x\n2,,y\n', "t", key="id")
    ingest.file(b'id,n,"odd ""name.",more\n2,2.5,z,true\n', "t", key="id")
    table = catalog._warehouse.tables.load("t")
    assert table.scan().to_arrow().to_pylist() == catalog.scan("t").read_all().to_pylist()
    assert table.scan(row_filter="n > 5").to_arrow().num_rows == 1


def test_warehouse_elsewhere_is_used(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    catalog = Catalog(settings.Catalog(warehouse=str(tmp_path / "disk" / "two")), tmp_path / "lake")
    Ingest(settings.Ingest(), catalog).file(b"a,b\n1,2\n", "t")
    assert len(list((tmp_path / "disk" / "two").glob("*/data/*"))) == 1
    assert catalog.scan("t").read_all().num_rows == 1
    catalog.close()


def test_warehouse_that_is_no_folder_is_refused(folder: Path) -> None:
    catalog = Catalog(settings.Catalog(warehouse="ftp://bucket"), folder)
    with pytest.raises(InvalidInput, match=r"catalog\.warehouse"):
        catalog.datasets()


@pytest.mark.parametrize("uri", ["nosuch://host/db", "postgresql+asyncpg://host/db"])
def test_catalog_that_cannot_be_reached_by_its_uri_is_refused(folder: Path, uri: str) -> None:
    catalog = Catalog(settings.Catalog(uri=uri), folder)
    for _ in range(2):
        with pytest.raises((InvalidInput, NotInstalled)):
            catalog.datasets()


def test_columns_keep_their_ids_until_their_type_changes() -> None:
    columns = [Column("a", "int64"), Column("l", "list<string>"), Column("b", "string")]
    fields = assign_ids(columns, [], 0)
    assert [(field.id, field.element_id) for field in fields] == [(1, None), (2, 4), (3, None)]
    changed = assign_ids([Column("b", "string"), Column("a", "float64"), Column("l", "list<string>")], fields, 4)
    assert [(field.name, field.id) for field in changed] == [("b", 3), ("a", 5), ("l", 2)]


def test_only_numbers_widen() -> None:
    assert widened("int64", "float64") == widened("float64", "int64") == "float64"
    assert widened("string", "string") == "string"
    assert widened("int64", "string") is widened("string", "int64") is widened("date", "timestamp") is None


def test_type_names_have_an_engine_type() -> None:
    assert duckdb_type("list<decimal(9,2)>") == "DECIMAL(9,2)[]"
    assert duckdb_type("timestamptz") == "TIMESTAMPTZ"


def test_no_columns_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no columns"):
        check_names([])
