"""A catalog, an ingest and SQL over a fresh folder, and the real data where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
