"""What every way of turning texts into vectors looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np


class Embedder(Protocol):
    """One model of one provider. Thread-safe.

    Attributes:
        model: Name as the caller writes it.
        dimension: Length of each vector.
        fingerprint: Identity of the weights and of everything else that decides the vector; texts embedded
            under one fingerprint may be compared and cached together.
    """

    model: str
    dimension: int
    fingerprint: str

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed `texts`.

        Returns:
            `(n, dimension)` float32, unit-norm rows in the order of the texts.

        Raises:
            Unavailable: The provider cannot be reached.
            Upstream: The provider answered badly.
        """

    def close(self) -> None:
        """Release threads and connections; idempotent."""


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors in the order of the texts, each unit-norm and of length `dimension`."""

    vectors: list[list[float]]
    dimension: int
    model: str


class FileEmbedded(msgspec.Struct, frozen=True, kw_only=True):
    """Rows whose text was run through the model, and rows whose vector was known already."""

    embedded: int
    reused: int
