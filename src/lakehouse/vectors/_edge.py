"""Qdrant Edge as the graph of a built part: the only module that imports it.

What was measured on Edge 0.9 (44,000 real 384-dimensional embeddings, 2 cores) and led here:

- Every call holds the interpreter. With payload indexes inside, loading such a part took 300 ms and building it
  57 s; without payload 50 ms and 13 s; with int8 codes kept in memory, from which the graph is built, 5 s with
  `ef_construct` 100 and 12 s with 200.
- A query of the int8 graph takes 110 to 200 us (recall@10 0.996 at ef 64, 0.998 at ef 128, once rescored with the full
  vectors); filtered inside Edge 1 to 3 ms at recall 0.97 to 1.0. A filter by columns outside of it (`columns.py`)
  followed by exact scoring of what passes, or by a wider unfiltered query, is faster and loses nothing.

So a graph holds only row numbers and vectors, is built once in a child process, and is never written again: rows that
were deleted since are dropped by the caller. A part is cut into graphs of at most `GRAPH_ROWS` rows only where it must
be: every graph is walked by every query (300,000 rows took 715 us in one graph and 1,700 to 2,400 in five), while
loading one, which holds the interpreter for some 0.7 us a row, happens at most once a build (decision 112).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qdrant_edge as edge

from lakehouse.vectors.base import Distance

if TYPE_CHECKING:
    import numpy as np

GRAPH_ROWS = 1 << 20
# Rows handed over in one call.
_CHUNK = 500
_READ_BYTES = 1 << 18
_DISTANCES = {
    "cosine": edge.Distance.Cosine,
    "dot": edge.Distance.Dot,
    "euclid": edge.Distance.Euclid,
}


class Damaged(Exception):
    """The files of a graph cannot be loaded."""


class Graph:
    """One built graph, for reading."""

    def __init__(self, folder: Path, *, dimension: int, distance: Distance) -> None:
        _read_ahead(folder)
        try:
            self._shard = edge.EdgeShard.load(str(folder), _config(dimension, distance))
        except Exception as error:
            # The engine's own exception class is private to its extension module.
            raise Damaged(f"{folder}: {error}") from error
        # What decides a search besides its vector and size, made once.
        self._params: dict[int, Any] = {}

    @staticmethod
    def prepared(query: list[float]) -> Any:
        """Return a query in the engine's form, for whoever asks several graphs."""
        return edge.Query.Nearest(query)

    def nearest(self, query: list[float] | Any, count: int, ef: int) -> list[int]:
        """Return about the `count` nearest rows, nearest first. Holds the interpreter for the search.

        Args:
            query: Numbers, or what `prepared` made of them.
            count: How many.
            ef: Candidates that the walk keeps.
        """
        params = self._params.get(ef)
        if params is None:
            quantization = edge.QuantizationSearchParams(rescore=False)
            params = self._params[ef] = edge.SearchParams(hnsw_ef=ef, quantization=quantization)
        asked = self.prepared(query) if isinstance(query, list) else query
        request = edge.SearchRequest(asked, count, params=params)
        rows: list[Any] = [hit.id for hit in self._shard.search(request)]
        return rows


def build(
    folder: Path, vectors: np.ndarray, *, distance: Distance, m: int, ef_construct: int, numbers: Sequence[int]
) -> Iterator[int]:
    """Build the graph of `vectors`, `(n, d)` float32, whose row `i` gets the number `numbers[i]`.

    Yields:
        How many rows were handed over so far; the graph is on disk when the iteration ends.
    """
    folder.mkdir(parents=True)
    config = _config(vectors.shape[1], distance, m=m, ef_construct=ef_construct)
    shard = edge.EdgeShard.create(str(folder), config)
    for start in range(0, len(vectors), _CHUNK):
        part = vectors[start : start + _CHUNK].tolist()
        named = zip(numbers[start : start + _CHUNK], part, strict=True)
        points = [edge.Point(number, vector) for number, vector in named]
        shard.update(edge.UpdateOperation.upsert_points(points))
        yield start + len(part)
    shard.optimize()
    shard.flush()
    shard.close()


def _read_ahead(folder: Path) -> None:
    """Bring the vectors and links into the page cache, with the interpreter free.

    The engine drops its codes from the page cache once it has copied them and then reads them back page by page: a
    load of 44,000 rows held the interpreter for 220 ms, after this 40 ms.
    """
    # One small buffer for all: a new one for every read costs more than what is read.
    buffer = bytearray(_READ_BYTES)
    for path in folder.glob("segments/*/vector_*/*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def _config(dimension: int, distance: Distance, *, m: int = 16, ef_construct: int = 100) -> Any:
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(dimension, _DISTANCES[distance]),
        hnsw_config=edge.HnswIndexConfig(m=m, ef_construct=ef_construct, full_scan_threshold=10),
        quantization_config=edge.ScalarQuantizationConfig(
            edge.ScalarType.Int8, quantile=0.99, memory=edge.Memory.Pinned
        ),
        # One segment; indexed from the first kilobyte on.
        optimizers=edge.EdgeOptimizersConfig(
            default_segment_number=1, indexing_threshold=1, max_segment_size=1_000_000_000
        ),
        max_search_threads=1,
        # The rows are kept elsewhere; a graph that was not finished is thrown away.
        wal_enabled=False,
    )
