"""One suite over every catalog and every place for tables: SQLite, Postgres and REST; folder and S3."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import msgspec
import pytest

from lake.services import BUCKET, TABLES, S3Service
from lakehouse import settings
from lakehouse.errors import InvalidInput, NotFound, PermissionDenied, Unavailable
from lakehouse.lake import checks
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest
from lakehouse.lake.query import Query

KINDS = ["sqlite-local", "sqlite-s3", "shared-local", "postgres-local", "postgres-s3", "rest-s3"]


class Place:
    """A catalog and a warehouse that several lake folders may share."""

    def __init__(self, section: settings.Catalog, storage: settings.Storage, folder: Path) -> None:
        self.section = section
        self.storage = storage
        self.folder = folder
        # A REST catalog has one namespace for all tests.
        self.name = "t" + secrets.token_hex(4)
        self.opened: list[Catalog] = []

    def open(self, folder: str = "lake") -> Catalog:
        path = self.folder / folder
        path.mkdir(exist_ok=True)
        self.opened.append(Catalog(self.section, path, self.storage))
        return self.opened[-1]

    def close(self) -> None:
        for catalog in self.opened:
            catalog.close()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    catalog, _, warehouse = request.param.partition("-")
    storage, root, uri = settings.Storage(), "", ""
    if warehouse == "s3":
        service: S3Service = request.getfixturevalue("s3_service")
        storage = service.storage
        root = f"s3://{BUCKET}/{secrets.token_hex(6)}"
    if catalog == "shared":
        uri, root = f"sqlite:///{tmp_path}/tables.db", str(tmp_path / "warehouse")
    if catalog == "postgres":
        uri = request.getfixturevalue("postgres")()
        root = root or str(tmp_path / "warehouse")
    if catalog == "rest":
        uri, root = service.iceberg, f"s3://{TABLES}"
        if not uri:
            pytest.skip("this S3 serves no Iceberg catalog")
    made = Place(settings.Catalog(uri=uri, warehouse=root, keep_snapshots=3), storage, tmp_path)
    yield made
    made.close()


def rows(catalog: Catalog, name: str) -> list[dict]:
    return catalog.scan(name).read_all().sort_by("id").to_pylist()


def stored(catalog: Catalog, name: str) -> set[str]:
    """Every data file and manifest that lies in a table's folder."""
    warehouse = catalog._warehouse
    location = warehouse.tables.load(name).location()
    return {each for each in warehouse.files.below(location) if not warehouse.tables.keeps(each)}


def needed(catalog: Catalog, name: str) -> set[str]:
    from lakehouse.lake._commit import needed as needed_files

    warehouse = catalog._warehouse
    return {each for each in needed_files(warehouse.tables.load(name)) if not warehouse.tables.keeps(each)}


def test_life_of_a_dataset(place: Place) -> None:
    catalog, name = place.open(), place.name
    ingest, query = Ingest(settings.Ingest(), catalog), Query(settings.Query(), catalog)
    report = ingest.file(b"id,city\n1,Parma\n2,Lorain\n", name)
    assert rows(catalog, name) == [{"id": 1, "city": "Parma"}, {"id": 2, "city": "Lorain"}]
    assert catalog.dataset(name).snapshot_id == report.snapshot_id
    assert all(f"{name}-" in each for each in catalog.dataset(name).objects)
    assert ingest.file(b"id,city\n1,Parma\n2,Lorain\n", name).unchanged
    # Columns added and widened by an upsert, rows replaced.
    ingest.file(b"id,city,zip\n2.5,Elyria,44035\n2,Avon,44011\n", name, key="id")
    assert query.query(f"SELECT id, city, zip FROM {name} ORDER BY id").rows == [
        [1.0, "Parma", None],
        [2.0, "Avon", 44011],
        [2.5, "Elyria", 44035],
    ]
    assert query.query(f"SELECT count(*) FROM {name}", snapshots={name: report.snapshot_id}).rows == [[2]]
    for number in range(4):
        ingest.file(b"id,city\n%d,Parma\n" % number, name)
    assert len(catalog.snapshots(name).snapshots) == 3
    with pytest.raises(NotFound, match="any more"):
        catalog.scan(name, snapshot_id=report.snapshot_id)
    assert stored(catalog, name) == needed(catalog, name)
    # Another process, later, over the same catalog.
    catalog.close()
    again = place.open()
    assert rows(again, name) == [{"id": 3, "city": "Parma"}]
    assert again.purge(name, "id", [3]).rows == 1
    assert again.dataset(name).rows == 0
    assert len(again.snapshots(name).snapshots) == 1
    location = again._warehouse.tables.load(name).location()
    again.drop(name)
    with pytest.raises(NotFound):
        again.dataset(name)
    assert not [each for each in again._warehouse.files.below(location) if each.endswith(".parquet")]
    query.close()


def test_catalog_is_told_by_the_same_id_from_every_folder(place: Place) -> None:
    first = place.open()
    told = first.id()
    assert told
    Ingest(settings.Ingest(), first).file(b"id,n\n1,1\n", place.name)
    assert told == first.id()
    first.close()
    assert place.open("other" if place.section.uri else "lake").id() == told


WRITER = """
import sys
from pathlib import Path
import msgspec
from lakehouse import settings
from lakehouse.lake import checks
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest
section, storage, folder, name, start = sys.argv[1:]
Path(folder).mkdir()
section = msgspec.json.decode(section, type=settings.Catalog)
storage = msgspec.json.decode(storage, type=settings.Storage)
catalog = Catalog(section, Path(folder), storage)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(start), int(start) + 4):
    Ingest(settings.Ingest(), catalog).file(b"id,by\\n%d,%d\\n" % (number, int(start)), name, key="id")
    print(number, flush=True)
catalog.close()
"""


def test_two_processes_lose_no_row(place: Place) -> None:
    if not place.section.uri:
        pytest.skip("a catalog in the lake folder belongs to one process")
    told = [msgspec.json.encode(part).decode() for part in (place.section, place.storage)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, *told, str(place.folder / f"writer{start}"), place.name, str(start)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for start in (0, 100)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    acknowledged = sorted(int(line) for writer in writers for line in writer.communicate(timeout=300)[0].split())
    assert [writer.returncode for writer in writers] == [0, 0]
    assert acknowledged == [*range(4), *range(100, 104)]
    assert [row["id"] for row in rows(place.open(), place.name)] == acknowledged


@pytest.mark.parametrize("place", ["rest-s3"], indirect=True)
def test_creation_that_another_writer_replaced_is_not_acknowledged(place: Place) -> None:
    from pyiceberg.exceptions import CommitFailedException

    from lakehouse.lake import _commit

    catalog, name = place.open(), place.name
    ingest, tables = Ingest(settings.Ingest(), catalog), catalog._warehouse.tables
    ingest.file(b"id\n1\n", name)
    made = tables.load(name)
    change = _commit.Change(
        name=name, table=None, location=made.location(), fields=[], add=[], keep=frozenset(), notes={}, now=""
    )
    _commit._check_created(tables, change, made)
    # As when the service has let the creation of another writer through as well.
    catalog.drop(name)
    ingest.file(b"id\n2\n", name)
    with pytest.raises(CommitFailedException, match="created by another writer"):
        _commit._check_created(tables, change, made)


def test_what_one_process_commits_another_sees_and_what_it_expires_does_not_hurt(place: Place) -> None:
    if not place.section.uri:
        pytest.skip("a catalog in the lake folder belongs to one process")
    writer, reader = place.open("writer"), place.open("reader")
    ingest = Ingest(settings.Ingest(), writer)
    query = Query(settings.Query(refresh_every_ms=60_000), reader)
    ingest.file(b"id,n\n1,0\n", place.name)
    assert query.query(f"SELECT n FROM {place.name}").rows == [[0]]
    for number in range(1, 5):
        ingest.file(b"id,n\n1,%d\n" % number, place.name)
    # The reader's view is old and its files are gone: it looks again instead of failing.
    assert query.query(f"SELECT n FROM {place.name}").rows == [[4]]
    query.close()


def test_orphans_are_collected_and_nothing_else(place: Place) -> None:
    catalog = place.open()
    Ingest(settings.Ingest(), catalog).file(b"id,n\n1,1\n", place.name)
    warehouse = catalog._warehouse
    location = warehouse.tables.load(place.name).location()
    orphan = place.folder / "orphan"
    orphan.write_bytes(b"left by a crash")
    warehouse.files.place(orphan, f"{location}/data/left.parquet")
    assert catalog.maintain().removed == 0
    catalog.close()
    place.section = settings.Catalog(uri=place.section.uri, warehouse=place.section.warehouse, orphan_grace_ms=0)
    again = place.open()
    assert f"{location}/data/left.parquet" in stored(again, place.name)
    assert again.maintain().removed >= 1
    assert stored(again, place.name) == needed(again, place.name)
    assert rows(again, place.name) == [{"id": 1, "n": 1}]


def test_old_snapshots_expire_in_the_background(place: Place) -> None:
    catalog = place.open()
    ingest = Ingest(settings.Ingest(), catalog)
    for number in range(3):
        ingest.file(b"id,n\n1,%d\n" % number, place.name)
    catalog.close()
    place.section = settings.Catalog(
        uri=place.section.uri, warehouse=place.section.warehouse, max_age_days=1e-9, maintain_every_ms=50
    )
    again = place.open()
    again.versions()
    ticks = threading.Event()
    for _ in range(200):
        if len(again.snapshots(place.name).snapshots) == 1 and stored(again, place.name) == needed(again, place.name):
            break
        ticks.wait(0.05)
    assert len(again.snapshots(place.name).snapshots) == 1
    assert stored(again, place.name) == needed(again, place.name)
    assert rows(again, place.name) == [{"id": 1, "n": 2}]


def test_warehouse_in_s3_needs_its_keys(s3_service: S3Service, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    catalog = Catalog(settings.Catalog(warehouse=f"s3://{BUCKET}/x"), tmp_path, s3_service.storage)
    with pytest.raises((PermissionDenied, Unavailable)):
        Ingest(settings.Ingest(), catalog).file(b"id,n\n1,1\n", "t")
    catalog.close()


def test_rest_catalog_out_of_reach_or_unwilling_is_named(s3_service: S3Service, tmp_path: Path, monkeypatch) -> None:
    section = settings.Catalog(uri="http://127.0.0.1:9", warehouse=f"s3://{TABLES}")
    with pytest.raises(Unavailable, match="out of reach"):
        Catalog(section, tmp_path, s3_service.storage).datasets()
    monkeypatch.setenv("LAKEHOUSE_CATALOG_CREDENTIAL", "nobody:nothing")
    section = settings.Catalog(uri=s3_service.iceberg, warehouse=f"s3://{TABLES}")
    with pytest.raises(PermissionDenied, match="check its credential"):
        Catalog(section, tmp_path, s3_service.storage).datasets()
    with pytest.raises(InvalidInput, match=r"s3://bucket"):
        Catalog(settings.Catalog(uri="http://127.0.0.1:9"), tmp_path).datasets()


def test_sql_over_s3_reaches_no_other_object(s3_service: S3Service, tmp_path: Path) -> None:
    """Also with the statement check taken away: the engine opens the datasets' own objects only."""
    from lakehouse.lake._session import Session

    catalog = Catalog(settings.Catalog(warehouse=f"s3://{BUCKET}/{secrets.token_hex(4)}"), tmp_path, s3_service.storage)
    Ingest(settings.Ingest(), catalog).file(b"id,n\n1,1\n", "t")
    (file,) = catalog.version("t").files
    session = Session(catalog.versions(), settings.Query())
    cursor = session.cursor()
    assert cursor.execute("SELECT n FROM t").fetchall() == [(1,)]
    other = file.rpartition("/")[0]
    for sql in (
        f"FROM read_text('s3://{BUCKET}/other')",
        f"FROM glob('{other}/*')",
        f"FROM read_parquet('{other}/*')",
        f"FROM read_text('{s3_service.endpoint}/')",
        f"COPY (SELECT 1) TO 's3://{BUCKET}/out.parquet'",
    ):
        with pytest.raises(duckdb.Error, match=r"disabled by configuration|Permission"):
            pytest.fail(f"{sql} gave {cursor.execute(sql).fetchall()}")
        with pytest.raises(PermissionDenied):
            Query(settings.Query(), catalog).query(sql)
    assert "test-secret" not in str(cursor.execute("FROM duckdb_secrets()").fetchall())
    session.close()
    catalog.close()


def test_bucket_is_found_or_said_to_be_missing_or_closed(s3_service: S3Service, monkeypatch) -> None:
    assert "can be listed" in checks.bucket(s3_service.storage, f"s3://{BUCKET}/x", "storage.bucket")
    with pytest.raises(NotFound, match=r"there is no bucket of s3://nowhere .*mend storage\.bucket"):
        checks.bucket(s3_service.storage, "s3://nowhere", "storage.bucket")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(PermissionDenied, match=r"check the credentials in \$AWS_ACCESS_KEY_ID"):
        checks.bucket(s3_service.storage, f"s3://{BUCKET}", "storage.bucket")


def test_rest_catalog_that_can_be_used_is_found(s3_service: S3Service, tmp_path: Path) -> None:
    if not s3_service.iceberg:
        pytest.skip("this service has no REST catalog")
    section = settings.Catalog(uri=s3_service.iceberg, warehouse=f"s3://{TABLES}")
    assert "namespaces" in checks.catalog(section, s3_service.storage, tmp_path)
