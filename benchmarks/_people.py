"""Vectors and facts of people, as many as wanted, made around the real ones of the demo's lake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from load import BOTH

from lakehouse.vectors._built import Built

DEMO = Path("lake-demo")
_PORTION = 4_096


class People:
    """The people of a lake. `mixed` makes others: each between two of the same role, with some noise.

    Args:
        source: A lake with the demo's corpora.
    """

    def __init__(self, source: Path) -> None:
        if not (source / "vectors" / BOTH[0]).is_dir():
            raise SystemExit(f"{source} has no people; `lakehouse demo --data {source}` makes them")
        parts = [Built(next((source / "vectors" / name).glob("built-*"))) for name in BOTH]
        self.vectors = np.concatenate([part.vectors for part in parts])
        self.metadata = [bytes(part.metadata[row]) for part in parts for row in range(len(part))]
        self.facts = [msgspec.json.decode(each) for each in self.metadata]
        self._alike: dict[str, list[int]] = {}
        for row, each in enumerate(self.facts):
            self._alike.setdefault(each.get("role_code", ""), []).append(row)

    def mixed(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
        """Return `(count, d)` float32 vectors of length one, no two equal, and whose metadata each has."""
        first = rng.integers(0, len(self.vectors), count)
        second = [int(rng.choice(self._alike[self.facts[row].get("role_code", "")])) for row in first.tolist()]
        mixed = self.vectors[first] + 0.6 * self.vectors[second]
        mixed += 0.01 * rng.standard_normal(mixed.shape, dtype=np.float32)
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        return mixed, second

    def write(self, path: Path, count: int, rng: np.random.Generator, *, prefix: str = "w-") -> None:
        """Write an Arrow file of so many mixed people for `Vectors.replace`; portions, so that a million fit memory."""
        with pa.OSFile(str(path), "wb") as file:
            writer = None
            for table in self._tables(count, rng, prefix):
                writer = writer or pa.ipc.new_file(file, table.schema)
                writer.write_table(table)
            if writer is not None:
                writer.close()

    def _tables(self, count: int, rng: np.random.Generator, prefix: str) -> Iterator[pa.Table]:
        for start in range(0, count, _PORTION):
            vectors, whose = self.mixed(min(_PORTION, count - start), rng)
            # Beside what the person is a number to filter by: any share, down to one of a thousand.
            samples = rng.integers(0, 1_000, len(vectors)).tolist()
            metadata = zip(samples, (self.metadata[row].decode() for row in whose), strict=True)
            yield pa.table(
                {
                    "id": [f"{prefix}{number}" for number in range(start, start + len(vectors))],
                    "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
                    "metadata": [f'{{"sample":{sample},{facts[1:]}' for sample, facts in metadata],
                }
            )
