"""Distances, and picking the nearest rows by them.

Two passes. `rough` scores every row in float32; `precise` scores the few that remain in float64. Both go row by row
(`vecdot`), so that a distance depends on the two vectors only and not on what else was scored. Distances are rounded to
six decimals before they are compared: the same results in the same order whatever part of the index a row is in, and
before and after a rebuild.

A matrix product would be up to 1.6 times faster alone, but the linear algebra library spreads it over all cores, and
when those are busy a 100 us product takes 30 ms.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lakehouse.vectors.base import Distance

DECIMALS = 6
_SCALE = 10.0**DECIMALS
# A float32 product of a few thousand terms is off by less than this share of the vectors' lengths.
_SLACK = 4e-6


class Query:
    """A vector to search with.

    Args:
        vector: `(d,)` float32; for cosine with a direction, see `lengths_fit`.
        distance: How it is compared.

    Attributes:
        prepared: In the form of the engine of graphs, once one was asked.
    """

    prepared: Any = None

    def __init__(self, vector: np.ndarray, distance: Distance) -> None:
        self.vector = vector
        self.distance = distance
        self._wide = vector.astype(np.float64)
        self._square = float(self._wide @ self._wide)
        self._length: float = self._square**0.5

    def fits(self, dimension: int, distance: Distance) -> bool:
        """Tell whether this is how an index is asked that has such vectors and compares them so."""
        return self.distance == distance and len(self.vector) == dimension

    @property
    def length(self) -> float:
        """The norm of the vector."""
        return self._length

    @functools.cached_property
    def numbers(self) -> list[float]:
        """The vector as a list."""
        numbers: list[float] = self.vector.tolist()
        return numbers

    def rough(self, matrix: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return what orders the rows, `(n,)` float32, smaller is nearer; not yet a distance.

        Args:
            matrix: `(n, d)` float32.
            lengths: `(n,)` float32, the norm of each row.
        """
        products: np.ndarray = np.vecdot(matrix, self.vector)
        if self.distance == "cosine":
            products /= lengths
        elif self.distance == "euclid":
            rough: np.ndarray = lengths * lengths - 2 * products
            return rough
        products *= -1
        return products

    def tolerance(self, longest: float) -> float:
        """Return by how much `rough` may be off when no row is longer than `longest`.

        Half a unit of the last decimal is in it: rows whose distances are rounded to the same one tie.
        """
        if self.distance == "cosine":
            # Far more than that.
            return _SLACK * self._length
        if self.distance == "dot":
            return _SLACK * self._length * longest + 0.5 / _SCALE
        reach = self._length + longest
        return _SLACK * reach * reach + (reach + 0.5 / _SCALE) / _SCALE

    def limit(self, distance: float, longest: float) -> float:
        """Return what the rough score of no row exceeds whose distance is at most `distance`.

        Args:
            distance: As `precise` gives it.
            longest: The norm of the longest row.
        """
        # Half a unit of the last decimal was lost by rounding; a whole one stands on the safe side.
        distance += 1 / _SCALE
        slack = 2 * self.tolerance(longest)
        if self.distance == "cosine":
            return (distance - 1) * self._length + slack
        if self.distance == "dot":
            return distance + slack
        return distance * distance - self._square + slack

    def precise(self, rows: np.ndarray) -> np.ndarray:
        """Return the distances to `rows` (`(m, d)` float32) as `(m,)` float64, rounded to six decimals."""
        wide = rows.astype(np.float64)
        distances: np.ndarray
        if self.distance == "euclid":
            wide -= self._wide
            distances = np.sqrt(np.vecdot(wide, wide))
        else:
            distances = np.vecdot(wide, self._wide)
            if self.distance == "cosine":
                distances /= np.sqrt(np.vecdot(wide, wide)) * self._length
                distances = 1.0 - distances
            else:
                distances = -distances
        # What `round` does, without its detours.
        distances *= _SCALE
        np.rint(distances, out=distances)
        distances /= _SCALE
        # Turns -0.0 into 0.0.
        distances += 0.0
        return distances


def smallest(rough: np.ndarray, count: int, tolerance: float) -> np.ndarray:
    """Return the positions of the `count` smallest finite values and of all others that may tie with the last.

    Args:
        rough: `(n,)` float32; infinite where a row is out.
        count: At least 1.
        tolerance: Two values closer than this may be in either order.
    """
    if len(rough) > count:
        limits = rough.copy()
        limits.partition(count - 1)
        limit = limits[count - 1] + 2 * tolerance
        if limit < np.inf:
            near: np.ndarray = (rough <= limit).nonzero()[0]
            return near
    return np.flatnonzero(rough < np.inf)


def lengths_of(matrix: np.ndarray) -> np.ndarray:
    """Return the norm of each row, `(n,)` float32."""
    wide = matrix.astype(np.float64)
    lengths: np.ndarray = np.sqrt(np.vecdot(wide, wide)).astype(np.float32)
    return lengths


def digest(vector: np.ndarray) -> bytes:
    """Return what names a vector: the same for the same numbers."""
    return hashlib.blake2b(vector.tobytes(), digest_size=16).digest()


def lengths_fit(lengths: np.ndarray, distance: Distance) -> np.ndarray:
    """Return which vectors can be compared: finite, not so long that products overflow, for cosine not zero."""
    fit: np.ndarray = lengths < 1e15
    if distance == "cosine":
        fit &= lengths > 1e-15
    return fit


def fits(vector: np.ndarray) -> bool:
    """Return whether a vector is surely fit for any distance, by one product; `lengths_fit` decides the rest."""
    square = float(vector @ vector)
    # Between these bounds float32 neither overflowed nor lost the length.
    return 1e-20 < square < 1e20
