"""A catalog, an ingest and SQL over a fresh folder, and the real data where it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake.services import KEYS, S3Service, weed
from lakehouse import settings
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest
from lakehouse.lake.query import Query

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "lake"
    path.mkdir()
    return path


@pytest.fixture
def catalog(folder: Path) -> Iterator[Catalog]:
    opened = Catalog(settings.Catalog(keep_snapshots=3), folder)
    yield opened
    opened.close()


@pytest.fixture
def ingest(catalog: Catalog) -> Ingest:
    return Ingest(settings.Ingest(batch_rows=1000, max_rejected_reported=5), catalog)


@pytest.fixture
def query(catalog: Catalog) -> Iterator[Query]:
    opened = Query(settings.Query(memory_limit_bytes=300 * 1024 * 1024), catalog)
    yield opened
    opened.close()


@pytest.fixture
def rows(catalog: Catalog) -> Callable[..., list[dict]]:
    """Rows of a dataset as dicts, in the order they were written."""

    def read(name: str, **options: object) -> list[dict]:
        return catalog.scan(name, **options).read_all().to_pylist()

    return read


@pytest.fixture
def types(catalog: Catalog) -> Callable[[str], dict[str, str]]:
    def read(name: str) -> dict[str, str]:
        return {column.name: column.type for column in catalog.dataset(name).schema}

    return read


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not beside the project ({SHARED})")
    return SHARED


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """The S3 named in the environment, else a `weed mini` of our own on loopback, started once."""
    if given := os.environ.get("LAKEHOUSE_TEST_S3_URL"):
        yield S3Service(given, os.environ.get("LAKEHOUSE_TEST_ICEBERG_URL", ""))
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        with weed(tmp_path_factory.mktemp("weed")) as service:
            yield service


@pytest.fixture
def s3_service(s3_server: S3Service, monkeypatch: pytest.MonkeyPatch) -> S3Service:
    """The same, with its keys in the environment for the length of a test."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, os.environ.get(name, value))
    monkeypatch.setenv("LAKEHOUSE_CATALOG_CREDENTIAL", ":".join(os.environ[name] for name in KEYS))
    return s3_server
