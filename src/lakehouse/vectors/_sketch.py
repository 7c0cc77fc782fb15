"""A short form of every row of a built part, which tells how near the row can be at best.

Vectors of texts lie mostly along a few directions. Of a row's vector, brought to length 1, a sketch keeps its parts
along those and, as the last number, the length of what is left over. The product of two sketches is never less than
the cosine of the two vectors (Cauchy and Schwarz), and it is a sixth of what there is to read. Whoever looks for the
nearest among thousands of rows rules most of them out by it and scores what is left, so that nothing is lost.

`sketch.npy` `(n, m)` float32 and `directions.npy` `(d, m - 1)` float32 lie beside the vectors of a part for cosine that
has a graph; a part without them is scored row by row.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from lakehouse.vectors._scoring import Query

ROWS = "sketch.npy"
DIRECTIONS = "directions.npy"

# A sketch has one number for so many of the vector.
_SHORTER = 6
# Where directions are taken from; more rows do not make them better. For longer vectors they take too long.
_SAMPLED = 2_048
_LONGEST = 2_048
# Rows multiplied at once: few enough for the linear algebra library not to spread them over all cores, see `_scoring`.
_PORTION = 1_024
# Far more than float32 loses on the way, in parts of the vectors' lengths.
_SLACK = 1e-5
# So many rows stand for all, and so many of them for those near a query.
_SAMPLE = 2_048
_NEAR = 16


class Sketch:
    """The sketches of a part's rows, mapped.

    Args:
        rows: `(n, m)` float32.
        directions: `(d, m - 1)` float32, at right angles to each other and of length 1.
    """

    def __init__(self, rows: np.ndarray, directions: np.ndarray) -> None:
        self._rows = rows
        self._directions = directions

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Open the sketches in a folder, None when there are none."""
        if not (folder / ROWS).exists():
            return None
        return cls(np.load(folder / ROWS, mmap_mode="r").view(np.ndarray), np.load(folder / DIRECTIONS))

    @property
    def numbers(self) -> int:
        """How many numbers a sketch has."""
        return int(self._rows.shape[1])

    def of(self, vectors: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the sketches of `(n, d)` float32 vectors of these lengths, `(n, m)` float32."""
        sketches = np.empty((len(vectors), self.numbers), dtype=np.float32)
        for start in range(0, len(vectors), _PORTION):
            part = slice(start, start + _PORTION)
            sketches[part] = _sketched(vectors[part], lengths[part], self._directions)
        return sketches

    def least(self, query: Query, rows: np.ndarray, sketches: np.ndarray | None = None) -> np.ndarray:
        """Return what the rough scores of some rows are at least, `(n,)` float32.

        Args:
            query: For cosine.
            rows: One or more, in rising order.
            sketches: Where they are, instead of in this part.
        """
        least = products(self._rows if sketches is None else sketches, rows, self._wanted(query))
        least += np.float32(_SLACK * query.length)
        least *= -1
        return least

    def along(self, vectors: np.ndarray) -> np.ndarray:
        """Return the parts of one vector or of several, `(d,)` or `(n, d)`, along the directions."""
        parts: np.ndarray = vectors @ self._directions
        return parts

    def near(self, query: Query) -> np.ndarray:
        """Return a few rows, in no order, out of those around a query: the likely nearest of a sample of all rows."""
        rows, sketches = self._sample
        return rows[np.argpartition(products(sketches, np.arange(len(rows)), self._wanted(query)), -_NEAR)[-_NEAR:]]

    def _wanted(self, query: Query) -> np.ndarray:
        """Return the sketch of a query."""
        parts = self.along(query.vector)
        rest = max(0.0, query.length**2 - float(parts @ parts)) + _SLACK * query.length**2
        return np.append(parts, np.float32(rest**0.5))

    @functools.cached_property
    def _sample(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of some rows from all over the part, and their sketches, in memory."""
        count = len(self._rows)
        # By lot, for rows may come in turns; always the same ones.
        rows = np.sort(np.random.default_rng(0).choice(count, min(_SAMPLE, count), replace=False))
        return rows, np.ascontiguousarray(self._rows[rows])


def products(sketches: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the product of some sketches, given by row numbers in rising order, with one, `(n,)` float32."""
    found = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _PORTION):
        portion = rows[start : start + _PORTION]
        first, span = int(portion[0]), int(portion[-1]) + 1 - int(portion[0])
        part = sketches[first : first + span] if span == len(portion) else sketches.take(portion, axis=0)
        np.matmul(part, wanted, out=found[start : start + _PORTION])
    return found


def write(folder: Path, vectors: np.ndarray, lengths: np.ndarray) -> None:
    """Write the sketches of `(n, d)` float32 vectors of these lengths, where sketches are of use."""
    count, dimension = vectors.shape
    numbers = max(2, dimension // _SHORTER)
    if dimension > _LONGEST or numbers > dimension:
        return
    every = max(1, count // _SAMPLED)
    sample = vectors[::every].astype(np.float64) / lengths[::every, None]
    # Rising by how much of the sample lies along each.
    directions = np.linalg.eigh(sample.T @ sample)[1][:, 1 - numbers :].astype(np.float32)
    rows = np.lib.format.open_memmap(folder / ROWS, "w+", dtype=np.float32, shape=(count, numbers))
    for start in range(0, count, _PORTION):
        end = min(start + _PORTION, count)
        rows[start:end] = _sketched(vectors[start:end], lengths[start:end], directions)
    rows.flush()
    np.save(folder / DIRECTIONS, directions)


def _sketched(vectors: np.ndarray, lengths: np.ndarray, directions: np.ndarray) -> np.ndarray:
    parts = (vectors / lengths[:, None]) @ directions
    rest = np.sqrt(np.maximum(0.0, 1.0 - np.vecdot(parts, parts)) + _SLACK)
    return np.column_stack([parts, rest.astype(np.float32)])
