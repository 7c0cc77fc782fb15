"""The built part of an index: rows in files that never change, searched by graph or exactly.

A folder holds `vectors.npy` `(n, d)` float32, `lengths.npy` `(n,)` float32, ids and metadata as texts laid end to end
(`ids.bin`, `ids.npy`, ...), `columns.npz`, `graph-NNNN/` with sketches (see `_sketch`) and groups (see `_groups`) when
there are enough rows, `graph-hidden/` when walks of these miss some, and `summary.json`, written last. The files are
mapped, not read.

Where most rows share their vector with others, `runs.npy` `(n,)` int32 numbers the runs of rows with one vector; within
a run rows lie in the order of their ids. A run is then scored once, and of its ties only the first are looked at.
"""

from __future__ import annotations

import itertools
import logging
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import numpy as np

from lakehouse.decoding import ready
from lakehouse.vectors import _scoring, columns
from lakehouse.vectors._conditions import Conditions
from lakehouse.vectors._groups import Groups
from lakehouse.vectors._shelf import Run
from lakehouse.vectors._sketch import Sketch
from lakehouse.vectors.base import Distance, Filter

if TYPE_CHECKING:
    from lakehouse.vectors._edge import Graph
    from lakehouse.vectors._scoring import Query

SUMMARY = "summary.json"
GRAPHS = "graph-*"
HIDDEN = "graph-hidden"
RUNS = "runs.npy"
FORMAT = 1

# Rows gathered at a time, so that they fit the processor's cache.
_GATHER = 512
# To score a stretch of rows costs as much as to gather one in so many of them.
_STRETCH = 5
_FEW = 64
# Of fewer rows all are scored; of more, those that their sketches do not rule out. What that costs, in rows scored one
# by one: so much for the call, so much for a row.
_SKETCHED_FROM = 600
_SKETCHES = 200
_SKETCH = 0.2
# Of more rows than that not all are scored that cannot be ruled out, but so many times what is wanted, where that was
# tried and found so much.
_MANY = 8_000
_SCORED = 60
_FOUND = 0.99
# Around a query so many times fewer rows may pass than on average before a walk is taken for vain.
_SPARSER = 4
# So many times what is wanted are scored first; the last of the nearest among them rules the others out.
_LIKELY = 4
_IDS_AT_ONCE = 8_192
# In the graph of those that walks miss, which is small, a walk keeps so many times fewer candidates.
_FEWER = 4

_ZERO = np.zeros(1, dtype=np.int64)
_NO_ROWS = np.empty(0, dtype=np.int64)
_NO_SCORES = np.empty(0, dtype=np.float32)

_log = logging.getLogger(__name__)


@ready
class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a build wrote.

    Attributes:
        indexed: Rows in graphs.
        findability: See `_build`; None without graphs.
        likely: See `Built.likely_found`; None when it was not tried.
        trusted: See `_groups.write`; None without groups.
    """

    format: int = FORMAT
    rows: int
    dimension: int
    distance: Distance
    indexed: int
    findability: float | None = None
    likely: float | None = None
    trusted: float | None = None


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

    def sync(self) -> None:
        """Bring the texts written so far to disk."""
        self._data.flush()
        os.fdatasync(self._data.fileno())

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
        mapped = _mapped_bytes(folder / f"{name}.bin")
        self._data = memoryview(mapped)
        self._ahead = _Ahead(mapped)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> memoryview:
        return self._data[self._ends[row] : self._ends[row + 1]]

    def read_ahead(self, rows: Iterable[int]) -> None:
        """Begin to read some texts, for whoever is going to look at each of them."""
        self._ahead.read((self._ends[row], self._ends[row + 1]) for row in rows)

    def decoded(self) -> list[str]:
        """Return all texts as strings."""
        ends = self._ends.tolist()
        whole = str(self._data, "utf-8")
        if len(whole) == ends[-1]:
            # One byte a letter, so that they end in the string where they end in the file.
            return [whole[begin:end] for begin, end in itertools.pairwise(ends)]
        return [str(self._data[begin:end], "utf-8") for begin, end in itertools.pairwise(ends)]


class _Ahead:
    """Has the kernel read places of a mapped file together; looked at one by one, each page waits for the disk in turn.

    Args:
        mapped: An array that `np.memmap` made, of the whole file; with anything else nothing is read ahead.
    """

    def __init__(self, mapped: Any) -> None:
        base = getattr(mapped, "base", None)
        self._map = base if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_WILLNEED") else None

    def read(self, places: Iterable[tuple[int, int]]) -> None:
        """Begin to read bytes of the file, given by where they begin and end, that are not in memory."""
        if self._map is None:
            return
        for begin, end in places:
            page = begin - begin % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, page, max(end, begin + 1) - page)


class Built:
    """A built part, open for reading; one thread marks rows as gone while others search.

    Args:
        folder: Written by `_build`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary = msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Summary)
        mapped = np.load(folder / "vectors.npy", mmap_mode="r")
        self.vectors: np.ndarray = mapped.view(np.ndarray)
        self._vectors_ahead, self._vectors_at = _Ahead(mapped), int(mapped.offset)
        self._lengths: np.ndarray = np.load(folder / "lengths.npy")
        self.metadata = Texts(folder, "metadata")
        self.ids = Texts(folder, "ids").decoded()
        self.row_of: dict[str, int] = {}
        for start in range(0, len(self.ids), _IDS_AT_ONCE):
            # In portions: other threads get their turn between two of them.
            part = self.ids[start : start + _IDS_AT_ONCE]
            self.row_of.update(zip(part, range(start, start + len(part)), strict=True))
        self.gone = np.zeros(len(self.ids), dtype=bool)
        self.gone_rows = 0
        self._longest = float(self._lengths.max(initial=0.0))
        self._runs: np.ndarray | None = np.load(folder / RUNS) if (folder / RUNS).exists() else None
        self._conditions = Conditions(columns.load_columns(folder / "columns.npz"), len(self.ids))
        self.sketch = Sketch.load(folder)
        # Whether of many rows it is enough to score those that are likely near.
        self.scores_likely = (self.summary.likely or 0.0) >= _FOUND
        self._graphs = self._load_graphs() if self.summary.indexed else []
        # Where somebody is at most so far from a query, a walk to there is not lost; elsewhere groups are looked at.
        self.trusted = self.summary.trusted or 0.0
        has_groups = self.summary.trusted is not None
        self.groups = Groups.load(folder, self.sketch) if has_groups and self.sketch is not None else None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_graph(self) -> bool:
        """Whether the nearest rows can be looked up in a graph."""
        return bool(self._graphs)

    @property
    def has_runs(self) -> bool:
        """Whether most rows share their vector with others."""
        return self._runs is not None

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

    def passing(self, filter: Filter) -> np.ndarray:
        """Return the numbers of the rows that pass `filter`, sorted, deleted ones among them; not to be written on."""
        return self._conditions.passing(filter)

    def undecided(self, steps: Sequence[Filter | None]) -> np.ndarray | None:
        """Return the rows that steps cannot decide (see `filters.undecided`), sorted; None when they are too many."""
        return self._conditions.undecided(steps)

    def undecided_of(self, steps: Sequence[Filter | None], rows: Sequence[int]) -> list[int]:
        """Return those of some rows that steps cannot decide, in their order."""
        left: list[int] = self._conditions.undecided_of(steps, np.array(rows, dtype=np.int64)).tolist()
        return left

    def likely(self, query: Query, rows: np.ndarray, distance: float) -> np.ndarray:
        """Return those of some rows, given in rising order, that may be no farther than a distance."""
        if self.sketch is None or not len(rows):
            return rows
        left: np.ndarray = rows[self.sketch.least(query, rows) <= query.limit(distance, self._longest)]
        return left

    def read_vectors_ahead(self, rows: Sequence[int]) -> None:
        """Begin to read the vectors of some rows, for whoever is going to look at each of them."""
        size = self.vectors.itemsize * self.summary.dimension
        first = self._vectors_at
        self._vectors_ahead.read((first + row * size, first + (row + 1) * size) for row in rows)

    def read_metadata_ahead(self, ids: Iterable[str]) -> None:
        """Begin to read the metadata of some items, for whoever is going to look at each of them."""
        self.metadata.read_ahead(row for id in ids if (row := self.row_of.get(id)) is not None)

    def holding(self, words: Iterable[tuple[str, str]]) -> np.ndarray:
        """Return the rows that hold any of these strings under their metadata keys and are not gone, sorted."""
        rows = self._conditions.holding(words)
        left: np.ndarray = rows[~self.gone[rows]] if len(rows) else rows
        return left

    def runs(self, rows: np.ndarray) -> Iterator[tuple[int, Run | list[str]]]:
        """Part rows, given in rising order, where the vector changes; yields one of each and their ids, in order."""
        if self._runs is None:
            for row in rows.tolist():
                yield row, [self.ids[row]]
            return
        heads = _runs_of(self._runs[rows])[0]
        ends = [*heads.tolist(), len(rows)]
        for row, (begin, end) in zip(rows[heads].tolist(), itertools.pairwise(ends), strict=True):
            yield row, Run(self.ids, rows[begin:end])

    def nearest_in_graph(self, query: Query, count: int, ef: int) -> list[int]:
        """Return about the `count` nearest rows of each graph, each once, deleted ones among them."""
        return self.walk(query, count, ef)[0]

    def walk(self, query: Query, count: int, ef: int) -> tuple[list[int], list[int]]:
        """Return what `nearest_in_graph` does, and of several graphs the last row of each that may have more."""
        rows: list[int] = []
        last: list[int] = []
        for graph, fewer in self._graphs:
            if query.prepared is None:
                query.prepared = graph.prepared(query.numbers)
            near = graph.nearest(query.prepared, count, ef // fewer + count)
            if len(self._graphs) > 1 and len(near) >= count:
                last.append(near[-1])
            rows += near
        # Those to which no walk leads are in two graphs.
        return (rows, last) if len(self._graphs) == 1 else (list(dict.fromkeys(rows)), last)

    def within(self, query: Query, rows: np.ndarray, last: list[int]) -> np.ndarray:
        """Return those of some rows, given in rising order, that are no farther than any of the rows `last`."""
        limit = self.rough(query, np.sort(np.array(last, dtype=np.int64))).min()
        near: np.ndarray = rows[self.rough(query, rows) <= limit]
        return near

    def thinned(self, rows: np.ndarray, k: int) -> np.ndarray:
        """Return rows, given in rising order, without those that have `k` others of the same vector before them."""
        if self._runs is None or len(rows) <= k:
            return rows
        heads, lengths = _runs_of(self._runs[rows])
        if lengths.max() <= k:
            return rows
        thinned: np.ndarray = rows[np.arange(len(rows)) - np.repeat(heads, lengths) < k]
        return thinned

    def cost(self, rows: int) -> float:
        """Return what it costs to find the nearest among so many rows, in rows that are gathered and scored."""
        return rows if self.sketch is None or rows < _SKETCHED_FROM else _SKETCHES + _SKETCH * rows

    def some_near(self, query: Query, passing: np.ndarray) -> bool:
        """Return whether a walk through the graph may be expected to find some of many rows, given in rising order."""
        if self.sketch is None:
            return True
        near = self.sketch.near(query)
        found = passing[np.minimum(np.searchsorted(passing, near), len(passing) - 1)] == near
        return bool(_SPARSER * found.sum() * len(self) >= len(near) * len(passing))

    def best(self, query: Query, rows: np.ndarray, k: int, *, exact: bool = False) -> np.ndarray:
        """Return those of more than `k` rows, given in rising order, that are the nearest or may tie with the last.

        Of more than 8,000 one in some hundred may be missing, unless `exact`.
        """
        return self._best(query, rows, k, likely=self.scores_likely and not exact)

    def likely_best(self, query: Query, rows: np.ndarray, likely: np.ndarray, most: int, k: int) -> np.ndarray:
        """Return what `best` does, of the rows that `Groups.around` gave: the `most` likely near are scored."""
        if len(rows) > most:
            rows = rows[np.argpartition(likely, -most)[-most:]]
        rows = np.sort(rows)
        best: np.ndarray = rows[self.smallest(query, self.rough(query, rows), k)]
        return best

    def likely_found(self, sample: Sequence[int]) -> float | None:
        """Return how well `best` does where it scores the likely rows alone; None where it always scores more.

        That is the share of the ten nearest it finds with the vectors of some rows, when nobody around them passes: the
        rows fall into groups, each around one of the sample, and only the farther half of the groups is looked at.
        """
        if self.sketch is None or len(self) <= 2 * _MANY:
            return None
        queries = [_scoring.Query(np.array(self.vectors[row]), self.summary.distance) for row in sample]
        group, nearest = np.zeros(len(self), dtype=np.int64), np.full(len(self), np.inf, dtype=np.float32)
        for number, query in enumerate(queries):
            rough = self.all_rough(query) / np.float32(query.length)
            group[rough < nearest] = number
            np.minimum(nearest, rough, out=nearest)
        vectors, lengths = self.vectors[list(sample)], self._lengths[list(sample)]
        shares = []
        for query in queries:
            farthest = np.argsort(-query.rough(vectors, lengths))
            people = np.cumsum(np.bincount(group, minlength=len(queries))[farthest])
            farther = np.flatnonzero(np.isin(group, farthest[: np.searchsorted(people, len(self) // 2)]))
            if len(farther) <= _MANY:
                continue
            found, all_of_them = (set(self._best(query, farther, 10, likely=each).tolist()) for each in (True, False))
            shares.append(len(found & all_of_them) / len(all_of_them))
        return round(sum(shares) / len(shares), 4) if shares else None

    def _best(self, query: Query, rows: np.ndarray, k: int, *, likely: bool) -> np.ndarray:
        if self.sketch is not None and len(rows) > max(_SKETCHED_FROM, _LIKELY * k):
            least = self.sketch.least(query, rows)
            first = rows[np.sort(np.argpartition(least, _LIKELY * k)[: _LIKELY * k])]
            known = np.partition(self.rough(query, first), k - 1)[k - 1]
            left = least <= known + 2 * query.tolerance(self._longest)
            if likely and len(rows) > _MANY and np.count_nonzero(left) > _SCORED * k:
                left = least <= np.partition(least, _SCORED * k)[_SCORED * k]
            rows = rows[left]
        best: np.ndarray = rows[self.smallest(query, self.rough(query, rows), k)]
        return best

    def rough(self, query: Query, rows: np.ndarray) -> np.ndarray:
        """Return the rough scores of some rows, given in rising order."""
        if self._runs is None or len(rows) <= 1:
            return self._rough(query, rows)
        heads, lengths = _runs_of(self._runs[rows])
        return np.repeat(self._rough(query, rows[heads]), lengths)

    def precise(self, query: Query, rows: Sequence[int]) -> list[float]:
        """Return the distances to some rows, in their order."""
        if self._runs is None:
            distances: list[float] = query.precise(self.vectors.take(rows, axis=0)).tolist()
            return distances
        _, first, run = np.unique(self._runs[rows], return_index=True, return_inverse=True)
        once = query.precise(self.vectors[np.asarray(rows)[first]])
        each: list[float] = once[run].tolist()
        return each

    def _rough(self, query: Query, rows: np.ndarray) -> np.ndarray:
        if len(rows) > _FEW:
            first, span = int(rows[0]), int(rows[-1]) + 1 - int(rows[0])
            # They lie side by side, or nearly so.
            if span <= _STRETCH * len(rows):
                stretch = slice(first, first + span)
                scored: np.ndarray = query.rough(self.vectors[stretch], self._lengths[stretch])[rows - first]
                return scored
        if 0 < len(rows) <= _GATHER:
            return query.rough(self.vectors.take(rows, axis=0), self._lengths.take(rows))
        parts = [rows[start : start + _GATHER] for start in range(0, len(rows), _GATHER)]
        scores = [query.rough(self.vectors[part], self._lengths[part]) for part in parts]
        return np.concatenate(scores) if scores else _NO_SCORES

    def all_rough(self, query: Query) -> np.ndarray:
        """Return the rough scores of all rows, to be written on."""
        return query.rough(self.vectors, self._lengths)

    def smallest(self, query: Query, scores: np.ndarray, k: int) -> np.ndarray:
        """Return the positions of the `k` best rough scores and of what may tie with the last; see `_scoring`."""
        return _scoring.smallest(scores, k, query.tolerance(self._longest))

    def graph_finds(self, query: Query, row: int, within: int, ef: int) -> bool:
        """Return whether the graphs give `row`, or one just as near, among their first `within` for `query`."""
        nearest = self.nearest_in_graph(query, within, ef)
        if row in nearest:
            return True
        distances = query.precise(self.vectors[[row, *nearest]])
        return bool((distances[1:] <= distances[0]).sum() >= within)

    def _load_graphs(self) -> list[tuple[Graph, int]]:
        """Return the graphs, each with how many times fewer candidates its walks keep."""
        # Small indexes have no graph and need not wait for the engine.
        from lakehouse.vectors._edge import Damaged, Graph

        paths = sorted(self.folder.glob(GRAPHS))
        try:
            graphs = [Graph(path, dimension=self.summary.dimension, distance=self.summary.distance) for path in paths]
        except Damaged as error:
            # A graph only makes it faster; the rows are all there.
            _log.warning("%s is scored exactly until it is built anew: %s", self.folder, error)
            return []
        return [(graph, _FEWER if path.name == HIDDEN else 1) for graph, path in zip(graphs, paths, strict=True)]


def _runs_of(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each stretch of equal numbers begins, and how long it is."""
    if not len(numbers):
        return _NO_ROWS, _NO_ROWS
    # Without `diff`, which costs several times what it does for the few rows of most words.
    ends = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    return np.concatenate([_ZERO, ends]), np.concatenate([ends, [len(numbers)]]) - np.concatenate([_ZERO, ends])


def _mapped_bytes(path: Path) -> Any:
    if path.stat().st_size == 0:
        return b""
    return np.memmap(path, dtype=np.uint8, mode="r")
