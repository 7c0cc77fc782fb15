from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse import settings
from lakehouse.embed.service import Embeddings


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the graph is built once for all tests."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def config(model_cache: Path) -> settings.Embed:
    return settings.Embed(cache_path=str(model_cache))


@pytest.fixture
def embeddings(config: settings.Embed, tmp_path: Path) -> Iterator[Embeddings]:
    opened = Embeddings(config, tmp_path)
    yield opened
    opened.close()
