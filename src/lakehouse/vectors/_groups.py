"""Rows of a built part in groups around some hundred centres, looked at where a walk through its graph may be lost.

Where a query lies between the rows and not among them, as the demand for an occupation does that hardly anybody on the
roster has, a walk ends among people who are not the nearest, and nothing tells. Centres are all looked at, so nothing
gets lost on the way to the nearest groups. How many rows these must hold, and how near somebody has to be for a walk to
be trusted, is measured by the build.

`groups.npz` lies beside the vectors of a part for cosine: `centers` `(n, d)` float32 of length 1, `rows` int32, the
numbers of all rows group by group, rising in each, `sizes` int64, how many of them each group has, `reach`, and `far`.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from lakehouse.vectors._scoring import Query

if TYPE_CHECKING:
    from lakehouse.vectors._built import Built
    from lakehouse.vectors._sketch import Sketch

FILE = "groups.npz"
# Fewer rows are scored as fast; no graph has more.
_FEWEST, _MOST = 10_000, 1 << 20
# The square root of the number of rows gives so many times as many groups, and so many at most, for all are compared.
_GROUPS, _MOST_GROUPS = 4.5, 2_048
# Centres are moved so often, each time to the middle of those of so many rows a group that are nearest.
_ROUNDS, _SAMPLED = 6, 40
# Queries of each kind that a build tries, the rows next to them that count, and the share of those to be found; and as
# many rows as a search for ten asks a graph for.
_TRIED, _NEAREST, _FOUND = 192, 10, 0.99
_WALKED = 29
# Of the queries for which a walk is to be trusted, so many may be answered by groups without one.
_IN_VAIN = 0.05
# More than float32 loses.
_ROUNDED = 2e-6
# Where more than this share of all rows must be looked at, groups tell too little.
_TOO_MANY = 0.25
# For each result beyond the first ten, so many more rows are looked at.
_MORE = 40
# Rows and numbers multiplied at once: the latter few enough for the linear algebra library to stay on one core, see
# `_scoring`.
_PORTION, _NUMBERS = 8_192, 65_536

_log = logging.getLogger(__name__)


class Groups:
    """The groups of a part's rows.

    Args:
        centers: `(n, d)` float32.
        rows: `(r,)` int32, group by group.
        sizes: `(n,)` int64.
        reach: How many rows a search for ten looks at.
        far: Of queries for which walks can be trusted nearly all have a centre that is nearer; see `is_far`.
        sketch: Of the part.
    """

    def __init__(
        self, centers: np.ndarray, rows: np.ndarray, sizes: np.ndarray, reach: int, far: float, sketch: Sketch
    ) -> None:
        self.reach = reach
        self._centers = centers
        self._far = far
        self._sketch = sketch
        self._short = sketch.along(centers)
        self._sizes = sizes
        self._rows_of = np.split(rows, np.cumsum(sizes)[:-1])
        self._group_of = np.empty(len(rows), dtype=np.int32)
        self._group_of[rows] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    @classmethod
    def load(cls, folder: Path, sketch: Sketch) -> Self | None:
        """Read what `write` wrote; None when that cannot be read."""
        try:
            # Opened here: numpy would not close what it cannot read.
            with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                reach, far = int(stored["reach"]), float(stored["far"])
                return cls(stored["centers"], stored["rows"], stored["sizes"], reach, far, sketch)
        except (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile) as error:
            # They only make sure that walks lose nobody; the rows are all there.
            _log.warning("%s is searched by walks alone until it is built anew: %s", folder, error)
            return None

    def wanted(self, k: int, share: float = 1.0) -> int:
        """Return how many rows to look at for `k` results where that share of all rows counts."""
        # The nearest of a tenth of all rows lie farther out than those of all, but not ten times as many rows do.
        return int((self.reach + _MORE * max(0, k - _NEAREST)) * share**0.5) + 1

    def is_far(self, query: Query) -> bool:
        """Tell whether a query is so far from all centres that no walk is to be trusted anyway.

        Centres and query are compared by their parts along a few directions, which is less to read.
        """
        return float(_products(self._short, self._sketch.along(query.vector)).max()) < self._far * query.length

    def around(self, query: Query, wanted: int, among: np.ndarray | None = None) -> np.ndarray:
        """Return the rows of the groups nearest to a query, in rising order.

        Args:
            query: For cosine.
            wanted: Groups are taken until they have so many rows.
            among: `(m,)` the rows that count, in rising order; None for all.
        """
        order = np.argsort(-_products(self._centers, query.vector))
        groups = self._group_of[among] if among is not None else None
        sizes = self._sizes if groups is None else np.bincount(groups, minlength=len(order))
        chosen = order[: int(np.searchsorted(np.cumsum(sizes[order]), wanted)) + 1]
        if among is None or groups is None:
            rows = np.concatenate([self._rows_of[group] for group in chosen.tolist()])
            rows.sort()
            return rows
        taken = np.zeros(len(order), dtype=bool)
        taken[chosen] = True
        left: np.ndarray = among[taken[groups]]
        return left


def write(built: Built, ef: int) -> float | None:
    """Write groups of the rows of a part that has a graph.

    Args:
        built: The part, for cosine.
        ef: Candidates that a walk keeps.

    Returns:
        How far the nearest of what a walk found may be, at most, for it to be trusted: among queries of which that
        holds, walks find nearly all of the ten nearest. None, and nothing written, where groups are of no use.
    """
    count = len(built)
    if built.sketch is None or not _FEWEST <= count <= _MOST:
        return None
    vectors, lengths = built.vectors[:count], np.load(built.folder / "lengths.npy")
    # Always the same, so that the same rows give the same groups.
    chance = np.random.default_rng(0)
    centers = _centers(vectors, lengths, chance)
    group_of = np.concatenate([(part @ centers.T).argmax(axis=1) for _, part in _portions(vectors, lengths)])
    sizes = np.bincount(group_of, minlength=len(centers))
    drawn = [_drawn(vectors, lengths, chance, _TRIED) for _ in range(3)]
    # Beside somebody, and between two or three people who are unlike each other.
    queries = [drawn[0], _of_length_one(drawn[0] + drawn[1]), _of_length_one(drawn[0] + drawn[1] + drawn[2])]
    nearest = [_nearest(each, vectors, lengths) for each in queries]
    reach = max(_reach(each, rows, centers, group_of, sizes) for each, (_, rows) in zip(queries, nearest, strict=True))
    if reach > _TOO_MANY * count:
        return None
    every = np.concatenate(queries)
    best, found = _walked(built, ef, every, np.concatenate([products for products, _ in nearest]))
    order = np.argsort(best)
    enough = np.flatnonzero(np.cumsum(found[order]) / np.arange(1, len(order) + 1) >= _FOUND)
    trusted = float(best[order[enough[-1]]]) if len(enough) else 0.0
    # Where no walk is to be trusted, every query is far.
    near = (built.sketch.along(every) @ built.sketch.along(centers).T).max(axis=1)[best <= trusted]
    far = float(np.quantile(near, _IN_VAIN)) if len(near) else np.inf
    rows = np.argsort(group_of, kind="stable").astype(np.int32)
    with (built.folder / FILE).open("wb") as file:
        np.savez(file, allow_pickle=False, centers=centers, rows=rows, sizes=sizes, reach=np.int64(reach), far=far)
    return trusted


def _walked(built: Built, ef: int, queries: np.ndarray, nearest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walk for each of some queries; return how far the nearest of what is found is, and the share of the ten nearest.

    Args:
        built: The part.
        ef: Candidates that a walk keeps.
        queries: `(m, d)` float32 of length 1.
        nearest: `(m, 10)`, the cosines of the rows that are the nearest to each.
    """
    best, found = np.empty(len(queries)), np.empty(len(queries))
    for number, vector in enumerate(queries):
        query = Query(vector, "cosine")
        rows = built.nearest_in_graph(query, _WALKED, ef)
        distances = np.sort(query.precise(built.vectors[rows]))
        best[number] = distances[0]
        found[number] = (distances[:_NEAREST] <= 1 - nearest[number].min() + _ROUNDED).sum() / _NEAREST
    return best, found


def _centers(vectors: np.ndarray, lengths: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Return centres of groups, by k-means on the sphere over samples of the rows."""
    number = min(_MOST_GROUPS, int(_GROUPS * len(vectors) ** 0.5))
    centers = _drawn(vectors, lengths, chance, number)
    for _ in range(_ROUNDS):
        sample = _drawn(vectors, lengths, chance, min(len(vectors), _SAMPLED * number))
        nearest = np.concatenate([(part @ centers.T).argmax(axis=1) for part in _cut(sample)])
        order = np.argsort(nearest, kind="stable")
        used, begins = np.unique(nearest[order], return_index=True)
        centers[used] = _of_length_one(np.add.reduceat(sample[order], begins))
    return centers


def _nearest(queries: np.ndarray, vectors: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines of the ten rows nearest to each query, `(m, 10)`, and which they are; in no order."""
    near: list[tuple[np.ndarray, np.ndarray]] = []
    for start, portion in _portions(vectors, lengths):
        products = queries @ portion.T
        best = np.argpartition(-products, min(_NEAREST, len(portion)) - 1, axis=1)[:, :_NEAREST]
        near.append((np.take_along_axis(products, best, axis=1), best + start))
    products, rows = (np.concatenate(each, axis=1) for each in zip(*near, strict=True))
    best = np.argpartition(-products, _NEAREST - 1, axis=1)[:, :_NEAREST]
    return np.take_along_axis(products, best, axis=1), np.take_along_axis(rows, best, axis=1)


def _reach(
    queries: np.ndarray, nearest: np.ndarray, centers: np.ndarray, group_of: np.ndarray, sizes: np.ndarray
) -> int:
    """Return how many rows of the groups nearest to some queries hold nearly all rows that are the nearest to them."""
    order = np.argsort(-(queries @ centers.T), axis=1)
    before = np.cumsum(sizes[order], axis=1) - sizes[order]
    held_before = np.empty_like(before)
    np.put_along_axis(held_before, order, before, axis=1)
    return int(np.quantile(np.take_along_axis(held_before, group_of[nearest], axis=1), _FOUND)) + 1


def _products(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the product of each row with a vector, `(n,)` float32."""
    products = np.empty(len(matrix), dtype=np.float32)
    step = max(1, _NUMBERS // len(vector))
    for start in range(0, len(matrix), step):
        np.matmul(matrix[start : start + step], vector, out=products[start : start + step])
    return products


def _drawn(vectors: np.ndarray, lengths: np.ndarray, chance: np.random.Generator, number: int) -> np.ndarray:
    """Return the vectors of so many rows, each drawn once at most, of length 1."""
    rows = np.sort(chance.choice(len(vectors), number, replace=False))
    drawn: np.ndarray = vectors[rows] / lengths[rows, None]
    chance.shuffle(drawn)
    return drawn


def _portions(vectors: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield all rows of length 1, some at a time, each time with the number of the first."""
    for start in range(0, len(vectors), _PORTION):
        part = slice(start, start + _PORTION)
        yield start, vectors[part] / lengths[part, None]


def _cut(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _PORTION):
        yield rows[start : start + _PORTION]


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    # Rows that cancel each other out have no direction; a centre of length 0 is near nobody.
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    divided: np.ndarray = (rows / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return divided
