"""Rows of a built part in groups around some hundred centres, looked at where a walk through its graph may be lost.

Where a query lies between the rows and not among them, as the demand for an occupation does that hardly anybody on the
roster has, a walk ends among people who are not the nearest, and nothing tells. Centres are all looked at, so nothing
gets lost on the way to the nearest groups. Which of their rows are likely near tells a short form of what a row has
beside the middle of its group: it is closer to the truth than a sketch, which knows of no middle, and lies group by
group, so that what is looked at lies together. How many rows the groups must hold, how many of these must be scored,
and how near somebody has to be for a walk to be trusted, is measured by the build.

`groups.npz` lies beside the vectors of a part for cosine: `centers` `(n, d)` float32 of length 1, the directions of the
middles of groups, `lengths` `(n,)` float32, those of the middles, `rows` `(r,)` int32, the numbers of all rows group by
group, rising in each, `sizes` `(n,)` int64, how many of them each group has, `directions` `(d, m)` float32, and the
numbers `reach`, `scored` and `far`. `residuals.npy` `(r, m + 1)` float32 has, in the order of `rows`, the parts along
the directions of what a row has beside the middle of its group, and the length of what is left over.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lakehouse.vectors import _sketch
from lakehouse.vectors._scoring import Query

if TYPE_CHECKING:
    from lakehouse.vectors._built import Built
    from lakehouse.vectors._sketch import Sketch

FILE = "groups.npz"
RESIDUALS = "residuals.npy"
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
# Of what a row has beside the middle of its group one number for so many of the vector is kept, along directions that
# are taken from so many rows. What is left over of a row that is near points more to a query than away, by so much.
_SHORTER, _DIRECTED = 8, 4_096
_LEANING = 0.3
# The share of the nearest among the rows looked at that is to be among those scored.
_LIKELY = 0.997
# Rows and numbers multiplied at once: the latter few enough for the linear algebra library to stay on one core, see
# `_scoring`.
_PORTION, _NUMBERS = 8_192, 65_536

_log = logging.getLogger(__name__)


class Groups:
    """The groups of a part's rows.

    Args:
        stored: What `groups.npz` holds.
        residuals: `(r, m + 1)` float32.
        sketch: Of the part.
    """

    def __init__(self, stored: Mapping[str, Any], residuals: np.ndarray, sketch: Sketch) -> None:
        # How many rows a search for ten looks at, and scores; of queries for which walks can be trusted nearly all have
        # a centre that is nearer than `far`, see `is_far`.
        self.reach, self._scored, self._far = int(stored["reach"]), int(stored["scored"]), float(stored["far"])
        self._centers, self._sizes, self._rows = stored["centers"], stored["sizes"], stored["rows"]
        self._lengths, self._directions = stored["lengths"], stored["directions"]
        self._residuals = residuals
        self._sketch = sketch
        self._short = sketch.along(self._centers)
        self._begins = np.cumsum(self._sizes) - self._sizes
        self._place = np.empty_like(self._rows)
        self._place[self._rows] = np.arange(len(self._rows), dtype=np.int32)
        self._group_of = np.empty_like(self._rows)
        self._group_of[self._rows] = np.repeat(np.arange(len(self._sizes), dtype=np.int32), self._sizes)

    @classmethod
    def load(cls, folder: Path, sketch: Sketch) -> Self | None:
        """Read what `write` wrote; None when that cannot be read."""
        try:
            # Opened here: numpy would not close what it cannot read.
            with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                residuals = np.load(folder / RESIDUALS, mmap_mode="r").view(np.ndarray)
                return cls(dict(stored), residuals, sketch)
        except (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile) as error:
            # They only make sure that walks lose nobody; the rows are all there.
            _log.warning("%s is searched by walks alone until it is built anew: %s", folder, error)
            return None

    def wanted(self, k: int, share: float = 1.0) -> int:
        """Return how many rows to look at for `k` results where that share of all rows counts."""
        # The nearest of a tenth of all rows lie farther out than those of all, but not ten times as many rows do.
        return int((self.reach + _MORE * max(0, k - _NEAREST)) * share**0.5) + 1

    def scored(self, k: int) -> int:
        """Return how many of the likely nearest of these to score for `k` results."""
        return self._scored * max(k, _NEAREST) // _NEAREST

    def is_far(self, query: Query) -> bool:
        """Tell whether a query is so far from all centres that no walk is to be trusted anyway.

        Centres and query are compared by their parts along a few directions, which is less to read.
        """
        return float(_products(self._short, self._sketch.along(query.vector)).max()) < self._far * query.length

    def around(self, query: Query, wanted: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the groups nearest to a query, in no order, and what puts the likely nearest first.

        Args:
            query: For cosine.
            wanted: Groups are taken until they have so many rows.
            among: `(m,)` the rows that count, each once; None for all.

        Returns:
            The rows, and for each about the product of its direction with the query, `(n,)` float32: larger is nearer.
        """
        products = _products(self._centers, query.vector)
        order = np.argsort(-products)
        products *= self._lengths
        if among is None:
            chosen = np.sort(_first(order, self._sizes, wanted))
            sizes = self._sizes[chosen]
            ends = np.cumsum(sizes)
            places = np.arange(ends[-1]) + np.repeat(self._begins[chosen] - (ends - sizes), sizes)
            rows, likely = self._rows.take(places), np.repeat(products[chosen], sizes)
        else:
            groups = self._group_of[among]
            taken = np.zeros(len(order), dtype=bool)
            taken[_first(order, np.bincount(groups, minlength=len(order)), wanted)] = True
            places = self._place[among[taken[groups]]]
            places.sort()
            rows = self._rows.take(places)
            likely = products[self._group_of[rows]]
        parts = query.vector @ self._directions
        rest = _LEANING * max(0.0, query.length**2 - float(parts @ parts)) ** 0.5
        likely += _sketch.products(self._residuals, places, np.append(parts, np.float32(rest)))
        return rows, likely


def _first(order: np.ndarray, sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Return the first groups in an order that have so many rows together, all when they have not."""
    chosen: np.ndarray = order[: int(np.searchsorted(np.cumsum(sizes[order]), wanted)) + 1]
    return chosen


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
    middles = _middles(vectors, lengths, group_of, sizes)
    centers = _of_length_one(middles)
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
    residuals, directions = _write_residuals(built.folder, vectors, lengths, middles, group_of, rows)
    stored: dict[str, Any] = {"centers": centers, "lengths": np.linalg.norm(middles, axis=1), "rows": rows}
    stored |= {"sizes": sizes, "directions": directions, "reach": reach, "scored": count, "far": far}
    groups = Groups(stored, residuals, built.sketch)
    stored["scored"] = max(_scored(groups, each, near) for each, (_, near) in zip(queries, nearest, strict=True))
    with (built.folder / FILE).open("wb") as file:
        np.savez(file, allow_pickle=False, **stored)
    return trusted


def _write_residuals(
    folder: Path, vectors: np.ndarray, lengths: np.ndarray, middles: np.ndarray, group_of: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Write `residuals.npy`; return it and the directions."""
    count, dimension = vectors.shape
    every = max(1, count // _DIRECTED)
    sample = (vectors[::every] / lengths[::every, None] - middles[group_of[::every]]).astype(np.float64)
    numbers = max(1, dimension // _SHORTER)
    directions = np.linalg.eigh(sample.T @ sample)[1][:, -numbers:].astype(np.float32)
    residuals = np.lib.format.open_memmap(folder / RESIDUALS, "w+", dtype=np.float32, shape=(count, numbers + 1))
    place = np.empty(count, dtype=np.int64)
    place[rows] = np.arange(count)
    for start, portion in _portions(vectors, lengths):
        part = slice(start, start + len(portion))
        beside = portion - middles[group_of[part]]
        parts = beside @ directions
        rest = np.maximum(0, np.vecdot(beside, beside) - np.vecdot(parts, parts)) ** 0.5
        residuals[place[part]] = np.column_stack([parts, rest])
    residuals.flush()
    return residuals, directions


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


def _middles(vectors: np.ndarray, lengths: np.ndarray, group_of: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the middles of groups of so many rows, `(n, d)` float32, rows taken as of length 1."""
    middles = np.zeros((len(sizes), vectors.shape[1]), dtype=np.float32)
    for start, part in _portions(vectors, lengths):
        np.add.at(middles, group_of[start : start + len(part)], part)
    middles /= np.maximum(sizes, 1).astype(np.float32)[:, None]
    return middles


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


def _scored(groups: Groups, queries: np.ndarray, nearest: np.ndarray) -> int:
    """Return how many of the likely nearest around some queries hold nearly all of the nearest that are there."""
    before: list[int] = []
    for vector, wanted in zip(queries, nearest, strict=True):
        rows, likely = groups.around(Query(vector, "cosine"), groups.wanted(_NEAREST))
        before += (likely > likely[np.isin(rows, wanted)][:, None]).sum(axis=1).tolist()
    return int(np.quantile(before, _LIKELY)) + 1


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
