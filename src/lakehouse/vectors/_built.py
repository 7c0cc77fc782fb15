"""The built part of an index: rows in files that never change, searched by graph or exactly.

A folder holds `vectors.npy` `(n, d)` float32, `lengths.npy` `(n,)` float32, ids and metadata as texts laid end to end
(`ids.bin`, `ids.npy`, ...), `columns.npz`, `graph-NNNN/` when there are enough rows, and `summary.json`, written last.
The files are mapped, not read.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import numpy as np

from lakehouse.vectors import _scoring, columns
from lakehouse.vectors.base import Distance, Filter

if TYPE_CHECKING:
    from lakehouse.vectors._edge import Graph
    from lakehouse.vectors._scoring import Query

SUMMARY = "summary.json"
GRAPHS = "graph-*"
FORMAT = 1

# Rows fetched beyond k: the graph orders by int8 codes, and some may turn out deleted, excluded or tied.
_MARGIN = 1.25
_SPARE = 16
# Of many excluded ids, so many rows are fetched in addition; those further away mostly do not matter.
_MOST_EXCLUDED = 400
# What a graph costs, in rows scored one by one from all over the part: so much for the walk, so much for a row fetched.
_WALK = 400
_FETCH = 10
# A row scored in its place costs so much of one that was gathered; both from measurements at 20,000 and 44,000 rows.
_IN_PLACE = 0.3
# Rows gathered at a time, so that they fit the processor's cache.
_GATHER = 512
_MASKS_KEPT = 64
_SCORES_KEPT = 4
_IDS_AT_ONCE = 8_192

_ZERO = np.zeros(1, dtype=np.int64)

_log = logging.getLogger(__name__)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a build wrote."""

    format: int = FORMAT
    rows: int
    dimension: int
    distance: Distance
    indexed: int
    findability: float | None = None


class TextWriter:
    """Texts laid end to end in a file, their ends in another; a context manager."""

    def __init__(self, folder: Path, name: str) -> None:
        self._data = (folder / f"{name}.bin").open("wb")
        self._ends_path = folder / f"{name}.npy"
        self._ends: list[int] = []
        self._size = 0

    def write(self, texts: Iterable[bytes]) -> None:
        """Append texts."""
        for text in texts:
            self._data.write(text)
            self._size += len(text)
            self._ends.append(self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()
        np.save(self._ends_path, np.array(self._ends, dtype=np.int64))


class Texts:
    """What `TextWriter` wrote, mapped."""

    def __init__(self, folder: Path, name: str) -> None:
        # One zero first, so that every text begins where another ends. Views give plain numbers, which is quick.
        self._ends = np.concatenate([_ZERO, np.load(folder / f"{name}.npy")]).data
        self._data = memoryview(_mapped_bytes(folder / f"{name}.bin"))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> memoryview:
        return self._data[self._ends[row] : self._ends[row + 1]]


class _Passing(msgspec.Struct, frozen=True):
    """The rows that pass a filter, deleted ones included."""

    mask: np.ndarray
    rows: np.ndarray


class Built:
    """A built part, open for reading; one thread marks rows as gone while others search.

    Args:
        folder: Written by `_build`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary = msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Summary)
        self.vectors: np.ndarray = np.load(folder / "vectors.npy", mmap_mode="r").view(np.ndarray)
        self._lengths: np.ndarray = np.load(folder / "lengths.npy")
        self.metadata = Texts(folder, "metadata")
        self.ids = list(_decoded(Texts(folder, "ids")))
        self.row_of: dict[str, int] = {}
        for start in range(0, len(self.ids), _IDS_AT_ONCE):
            # In portions: other threads get their turn between two of them.
            part = self.ids[start : start + _IDS_AT_ONCE]
            self.row_of.update(zip(part, range(start, start + len(part)), strict=True))
        self.gone = np.zeros(len(self.ids), dtype=bool)
        self.gone_rows = 0
        self._longest = float(self._lengths.max(initial=0.0))
        self._columns = columns.load_columns(folder / "columns.npz")
        self._graphs = self._load_graphs() if self.summary.indexed else []
        self._masks: dict[bytes, _Passing] = {}
        self._scores: dict[bytes, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lacks_graph(self) -> bool:
        """Whether a graph was built and cannot be used."""
        return self.summary.indexed > 0 and not self._graphs

    @property
    def live(self) -> int:
        """Rows that are not gone."""
        return len(self.ids) - self.gone_rows

    def holds(self, id: str) -> bool:
        """Return whether the item is here and not gone."""
        row = self.row_of.get(id)
        return row is not None and not self.gone[row]

    def live_ids(self) -> list[str]:
        """Return the ids of the rows that are not gone, in row order."""
        return [self.ids[row] for row in np.flatnonzero(~self.gone).tolist()]

    def drop(self, id: str) -> bool:
        """Mark an item as gone; False when it is not here. One writer at a time."""
        row = self.row_of.get(id)
        if row is None or self.gone[row]:
            return False
        self.gone[row] = True
        self.gone_rows += 1
        return True

    def search(
        self, query: Query, k: int, *, ef: int, filter: Filter | None, exclude: Collection[str], exact: bool
    ) -> list[tuple[float, str, int]]:
        """Return the nearest rows as (distance, id, row), sorted; at least `k` when so many pass.

        Deleted and excluded rows are left out, ties at the end are complete. Rows deleted during the call may appear.
        """
        if not self.ids:
            return []
        passing = self._passing(filter) if filter is not None else None
        if not exact and self._graphs:
            found = self._by_graph(query, k, ef=ef, passing=passing, exclude=exclude)
            if found is not None:
                return found
        return self._by_scoring(query, k, passing, exclude)

    def graph_finds(self, query: Query, row: int, within: int, ef: int) -> bool:
        """Return whether the graphs give `row`, or one just as near, among their first `within` for `query`."""
        vector = query.vector.tolist()
        nearest = [found for graph in self._graphs for found in graph.nearest(vector, within, ef + within)]
        if row in nearest:
            return True
        distances = query.precise(self.vectors[[row, *nearest]])
        return bool((distances[1:] <= distances[0]).sum() >= within)

    def _load_graphs(self) -> list[Graph]:
        # Small indexes have no graph and need not wait for the engine.
        from lakehouse.vectors._edge import Damaged, Graph

        paths = sorted(self.folder.glob(GRAPHS))
        try:
            return [Graph(path, dimension=self.summary.dimension, distance=self.summary.distance) for path in paths]
        except Damaged as error:
            # A graph only makes it faster; the rows are all there.
            _log.warning("%s is scored exactly until it is built anew: %s", self.folder, error)
            return []

    def _by_graph(
        self, query: Query, k: int, *, ef: int, passing: _Passing | None, exclude: Collection[str]
    ) -> list[tuple[float, str, int]] | None:
        """Search the graphs; None when that costs more than scoring, or too little of what they give counts."""
        count = math.ceil(_MARGIN * k) + _SPARE
        cost = _IN_PLACE * len(self.ids)
        if passing is not None:
            if not len(passing.rows):
                return []
            # The share of rows that pass is an average; near this query it may be lower.
            count = math.ceil(_MARGIN * (k + _SPARE // 2) * len(self.ids) / len(passing.rows))
            cost = min(cost, len(passing.rows))
        # Who is excluded was found before and is likely near.
        count += math.ceil(_MARGIN * min(len(exclude), _MOST_EXCLUDED))
        if _WALK + _FETCH * count > cost:
            return None
        vector = query.vector.tolist()
        rows: list[int] = []
        for graph in self._graphs:
            rows += graph.nearest(vector, count, ef + count)
        if self.gone_rows:
            gone = self.gone
            rows = [row for row in rows if not gone[row]]
        if passing is not None:
            mask = passing.mask
            rows = [row for row in rows if mask[row]]
        if exclude:
            ids = self.ids
            rows = [row for row in rows if ids[row] not in exclude]
        if len(rows) <= k:
            return None
        found = self._ranked(query, rows)
        # Without a farther row after the k-th, a tie with it may go on beyond what was fetched.
        return found if found[-1][0] > found[k - 1][0] else None

    def _by_scoring(
        self, query: Query, k: int, passing: _Passing | None, exclude: Collection[str]
    ) -> list[tuple[float, str, int]]:
        out = self.gone
        if exclude:
            out = out.copy()
            out[[row for row in map(self.row_of.get, exclude) if row is not None]] = True
        if passing is not None and len(passing.rows) < _IN_PLACE * len(self.ids):
            rows = passing.rows[~out[passing.rows]]
            parts = [rows[start : start + _GATHER] for start in range(0, len(rows), _GATHER)]
            rough = [query.rough(self.vectors[part], self._lengths[part]) for part in parts]
            scores = np.concatenate(rough) if rough else np.empty(0, dtype=np.float32)
            return self._ranked(query, rows[self._smallest(query, scores, k)].tolist())
        scores = self._scores_of(query)
        scores[out if passing is None else out | ~passing.mask] = np.inf
        return self._ranked(query, self._smallest(query, scores, k).tolist())

    def _scores_of(self, query: Query) -> np.ndarray:
        """Return the rough scores of all rows, to be written on; the next filter of one demand reuses them."""
        name = query.vector.tobytes()
        scores = self._scores.get(name)
        if scores is None:
            scores = query.rough(self.vectors, self._lengths)
            if len(self._scores) >= _SCORES_KEPT:
                self._scores = {}
            self._scores[name] = scores
        return scores.copy()

    def _smallest(self, query: Query, scores: np.ndarray, k: int) -> np.ndarray:
        return _scoring.smallest(scores, k, query.tolerance(self._longest))

    def _ranked(self, query: Query, rows: list[int]) -> list[tuple[float, str, int]]:
        distances = query.precise(self.vectors[rows]).tolist()
        return sorted(zip(distances, map(self.ids.__getitem__, rows), rows, strict=True))

    def _passing(self, filter: Filter) -> _Passing:
        name = msgspec.msgpack.encode(filter)
        known = self._masks.get(name)
        if known is None:
            mask = columns.mask(self._columns, filter, len(self.ids))
            known = _Passing(mask, np.flatnonzero(mask))
            if len(self._masks) >= _MASKS_KEPT:
                self._masks = {}
            self._masks[name] = known
        return known


def _decoded(texts: Texts) -> Iterator[str]:
    for row in range(len(texts)):
        yield str(texts[row], "utf-8")


def _mapped_bytes(path: Path) -> Any:
    if path.stat().st_size == 0:
        return b""
    return np.memmap(path, dtype=np.uint8, mode="r")
