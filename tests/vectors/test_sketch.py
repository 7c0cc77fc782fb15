"""What sketches rule out is never among the nearest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checked
from hypothesis import strategies as st

from lakehouse import settings
from lakehouse.vectors import _scoring, _sketch
from lakehouse.vectors.base import Condition, Filter, Item
from lakehouse.vectors.service import Vectors

ROWS, WIDTH = 3_000, 24


def people(count: int, seed: int) -> np.ndarray:
    """Vectors that lie mostly along a few directions, of any length, some of them equal."""
    chance = np.random.default_rng(seed)
    mixed = chance.standard_normal((count, 5)) @ np.random.default_rng(1).standard_normal((5, WIDTH))
    rows = (mixed + 0.3 * chance.standard_normal((count, WIDTH))) * chance.uniform(0.1, 10, (count, 1))
    rows[count // 2 : count // 2 + count // 8] = rows[: count // 8]
    return rows.astype(np.float32)


@checked(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dimension=st.sampled_from([2, 3, 8, 24, 96]),
    count=st.sampled_from([1, 2, 40, 1_500]),
    kind=st.sampled_from(["anywhere", "one direction", "all equal", "along an axis"]),
    size=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 1_000),
)
def test_least_is_never_more_than_the_score(tmp_path: Path, dimension: int, count: int, kind: str, size: float, seed):
    chance = np.random.default_rng(seed)
    rows = chance.standard_normal((count, dimension))
    if kind == "one direction":
        rows = rows[:, :1] * chance.standard_normal(dimension) + 1e-4 * rows
    elif kind == "all equal":
        rows[:] = rows[0]
    elif kind == "along an axis":
        rows = np.eye(dimension)[chance.integers(0, dimension, count)]
    rows = (rows * size).astype(np.float32)
    lengths = _scoring.lengths_of(rows)
    _sketch.write(tmp_path, rows, lengths)
    sketch = _sketch.Sketch.load(tmp_path)
    assert sketch is not None
    for vector in (rows[0], (size * chance.standard_normal(dimension)).astype(np.float32)):
        query = _scoring.Query(vector, "cosine")
        for some in (np.arange(count), np.unique(chance.integers(0, count, 1 + count // 3))):
            scores = query.rough(rows[some], lengths[some])
            assert (sketch.least(query, some) <= scores).all()
            assert (sketch.least(query, some, sketch.of(rows, lengths)) <= scores).all()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """An index with sketches, and so many items beside it that theirs are looked at as well."""
    folder: Path = tmp_path_factory.mktemp("sketched")
    config = settings.Vectors(exact_below=100, fresh_limit=100_000, laid_by=())
    vectors = Vectors(config, folder, embed=lambda texts: np.empty((0, 0)), embed_model="none", embed_dimension=0)
    table = pa.table(
        {
            "id": [f"w-{n}" for n in range(ROWS)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(people(ROWS, 2).ravel()), WIDTH),
            "metadata": [f'{{"part":{n % 4}}}' for n in range(ROWS)],
        }
    )
    with pa.ipc.new_file(str(folder / "rows.arrow"), table.schema) as writer:
        writer.write_table(table)
    vectors.replace("people", folder / "rows.arrow", dimension=WIDTH)
    assert list(folder.glob(f"vectors/people/built-*/{_sketch.ROWS}"))
    yield vectors
    vectors.close()


def brute_force(rows: dict[str, np.ndarray], query: np.ndarray, k: int) -> list[tuple[float, str]]:
    wide = np.stack(list(rows.values())).astype(np.float64)
    asked = query.astype(np.float64)
    cosines = wide @ asked / np.linalg.norm(wide, axis=1) / np.linalg.norm(asked)
    return sorted(zip(np.round(1 - cosines, 6).tolist(), rows, strict=True))[:k]


def test_nearest_with_sketches_is_brute_force(vectors: Vectors) -> None:
    rows, new = {f"w-{n}": row for n, row in enumerate(people(ROWS, 2))}, {}
    quarter = Filter(must=[Condition(key="part", match=1)])
    queries = people(40, 3)
    for fresh in (False, True):
        if fresh:
            # Some of them instead of those there were.
            new = {f"w-{n}" if n < 50 else f"n-{n}": row for n, row in enumerate(people(700, 4))}
            vectors.add("people", [Item(id=id, vector=row.tolist(), metadata={"part": 1}) for id, row in new.items()])
            vectors.delete_items("people", ["w-61", "n-99"])
            rows = {id: row for id, row in {**rows, **new}.items() if id not in ("w-61", "n-99")}
        some = {id: row for id, row in rows.items() if id in new or int(id[2:]) % 4 == 1}
        for query in queries:
            for k in (1, 10, 30):
                hits = vectors.nearest("people", query, k, filter=quarter)
                assert [(hit.distance, hit.id) for hit in hits] == brute_force(some, query, k)
            if fresh:
                # The built part by its graph, so those beside it are compared alone.
                nearest = [each for each in brute_force(rows, query, 20) if each[1] in new]
                hits = vectors.nearest("people", query, 20)
                assert [(hit.distance, hit.id) for hit in hits if hit.id in new][: len(nearest)] == nearest
