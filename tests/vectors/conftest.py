from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from lakehouse import settings
from lakehouse.vectors.service import Vectors

DIMENSION = 8


def spell(texts: Sequence[str]) -> np.ndarray:
    """Embed by letter counts: a real function of the text, quick enough to call thousands of times."""
    rows = [[1.0 + text.count(letter) for letter in "aeionrst"] for text in texts]
    return np.array(rows, dtype=np.float32)


@pytest.fixture
def open_vectors(tmp_path: Path) -> Iterator[Callable[..., Vectors]]:
    """Open the indexes below one folder, again and again; closes what was opened."""
    opened: list[Vectors] = []

    def open_(**config: int) -> Vectors:
        vectors = Vectors(
            settings.Vectors(**config), tmp_path, embed=spell, embed_model="letters", embed_dimension=DIMENSION
        )
        opened.append(vectors)
        return vectors

    yield open_
    for vectors in opened:
        vectors.close()


@pytest.fixture
def vectors(open_vectors: Callable[..., Vectors]) -> Vectors:
    return open_vectors()
