"""Queries that lie between the rows of an index and not among them, where walks through its graph get lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lakehouse import settings
from lakehouse.vectors import _groups, _sketch
from lakehouse.vectors._built import Built
from lakehouse.vectors._groups import Groups
from lakehouse.vectors._scoring import Query
from lakehouse.vectors._sketch import Sketch
from lakehouse.vectors.base import Condition, Filter, Item
from lakehouse.vectors.service import Vectors

ROWS, WIDTH, KINDS = 16_000, 48, 200
GROUPED = (_groups.FILE, _groups.RESIDUALS)


def people(rows: int, seed: int) -> np.ndarray:
    """Vectors in many tight groups, as texts of hundreds of occupations are."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(KINDS, WIDTH))
    return (middles[rng.integers(0, KINDS, rows)] + 0.1 * rng.normal(size=(rows, WIDTH))).astype(np.float32)


def between(rows: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Vectors between two or three rows that are unlike each other."""
    rng = np.random.default_rng(seed)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    parts = [unit[rng.choice(len(rows), number)] for _ in range(3)]
    parts[2][::2] = 0
    return np.sum(parts, axis=0, dtype=np.float32)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vectors]:
    config = settings.Vectors(exact_below=100, ef_search=16, laid_by=())
    folder = tmp_path_factory.mktemp("grouped")
    vectors = Vectors(
        config,
        folder / "vectors",
        embed=lambda texts: np.ones((len(texts), WIDTH)),
        embed_model="m",
        embed_dimension=WIDTH,
    )
    table = pa.table(
        {
            "id": [f"w-{row}" for row in range(ROWS)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(people(ROWS, 1).ravel()), WIDTH),
            "metadata": [f'{{"half":{row % 2},"some":{row % 10},"number":{row}}}' for row in range(ROWS)],
        }
    )
    with pa.ipc.new_file(str(folder / "rows.arrow"), table.schema) as writer:
        writer.write_table(table)
    vectors.replace("workers", folder / "rows.arrow", dimension=WIDTH, model="m")
    yield vectors
    vectors.close()


def part(vectors: Vectors) -> Built:
    built = vectors._indexes.get("workers")._whole.built
    assert built is not None
    return built


def recall(vectors: Vectors, queries: np.ndarray, filter: Filter | None = None, k: int = 10) -> float:
    found = wanted = 0
    for query in queries:
        truth = {hit.id for hit in vectors.nearest("workers", query, k, filter=filter, exact=True)}
        found += len(truth & {hit.id for hit in vectors.nearest("workers", query, k, filter=filter)})
        wanted += len(truth)
    return found / wanted


@pytest.mark.parametrize(
    "filter",
    [None, Filter(must=[Condition(key="half", match=1)]), Filter(must_not=[Condition(key="some", match=3)])],
    ids=["all", "half", "nine of ten"],
)
def test_nobody_is_lost_between_people(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch, filter: Filter | None
) -> None:
    queries = between(people(ROWS, 1), 100, 2)
    assert recall(vectors, queries, filter) >= 0.98
    # That is what groups are for: by walks alone it is not so.
    monkeypatch.setattr(part(vectors), "groups", None)
    assert recall(vectors, queries, filter) < 0.9


def test_more_than_ten_are_found_too(vectors: Vectors) -> None:
    assert recall(vectors, between(people(ROWS, 1), 20, 3), k=100) >= 0.98


def test_who_is_left_out_takes_no_place(vectors: Vectors) -> None:
    for query in between(people(ROWS, 1), 20, 4):
        out = frozenset(hit.id for hit in vectors.nearest("workers", query, 15, exact=True))
        truth = [hit.id for hit in vectors.nearest("workers", query, 10, exact=True, exclude=out)]
        found = [hit.id for hit in vectors.nearest("workers", query, 10, exclude=out)]
        assert len(set(truth) & set(found)) >= 9


@pytest.fixture
def looked_around(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each search wanted of the groups around its query."""
    wanted: list[int] = []
    around = Groups.around

    def noted(
        self: Groups, query: Query, number: int, among: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        wanted.append(number)
        return around(self, query, number, among)

    monkeypatch.setattr(Groups, "around", noted)
    return wanted


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each walk was asked for."""
    wanted: list[int] = []
    walk = Built.walk

    def noted(self: Built, query: Query, count: int, ef: int) -> tuple[list[int], list[int]]:
        wanted.append(count)
        return walk(self, query, count, ef)

    monkeypatch.setattr(Built, "walk", noted)
    return wanted


def test_walk_is_trusted_beside_somebody_and_not_made_far_from_everybody(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch, looked_around: list[int], walks: list[int]
) -> None:
    monkeypatch.setattr(part(vectors), "trusted", 0.1)
    beside, amid = people(ROWS, 1)[7], between(people(ROWS, 1), 2, 5)[1]
    monkeypatch.setattr(part(vectors).groups, "_far", 0.0)
    vectors.nearest("workers", beside, 10)
    assert (len(walks), len(looked_around)) == (1, 0)
    vectors.nearest("workers", amid, 10)
    assert (len(walks), len(looked_around)) == (2, 1)
    monkeypatch.setattr(part(vectors).groups, "_far", 0.9)
    vectors.nearest("workers", amid, 10)
    assert (len(walks), len(looked_around)) == (2, 2)


def test_last_step_is_looked_at_closely_only_where_the_others_gave_too_few(
    vectors: Vectors, looked_around: list[int]
) -> None:
    query = between(people(ROWS, 1), 2, 5)[1]
    few, many = (Filter(must=[Condition(key="number", lt=limit)]) for limit in (5, 50))
    assert len(vectors.lookup("workers", query).among([many, None], 20, 10).found) == 20
    assert looked_around == []
    found = vectors.lookup("workers", query).among([few, None], 20, 10).found
    assert len(looked_around) == 1
    truth = {hit.id for hit in vectors.nearest("workers", query, 10, exact=True)}
    assert len(truth & {id for _, id, _ in found}) >= 9


def test_last_step_is_not_walked_where_no_key_is_lacking_near_the_query(vectors: Vectors, walks: list[int]) -> None:
    query = people(ROWS, 1)[7]
    steps = [Filter(must=[Condition(key="some", match=3), Condition(key="number", lt=400)]), None]
    assert vectors.lookup("workers", query).among(steps, 20, 10).ended == 0
    assert walks == []
    vectors.add("workers", [Item(id="far", vector=(-query).tolist()), Item(id="near", vector=query.tolist())])
    try:
        # Of both nothing is known, and one is the nearest of all.
        found, ended = vectors.lookup("workers", query).among(steps, 20, 10)
        assert ([id for _, id, _ in found if "-" not in id], ended, len(walks)) == (["near"], 0, 1)
        vectors.delete_items("workers", ["near"])
        found, ended = vectors.lookup("workers", query).among(steps, 20, 10)
        assert (len(found), ended, len(walks)) == (20, 0, 1)
    finally:
        vectors.delete_items("workers", ["far", "near"])


@pytest.mark.parametrize("scale", [1, 30])
@pytest.mark.parametrize("share", [1, 3])
def test_what_is_said_of_rows_is_off_by_no_more_than_what_is_left_over(
    vectors: Vectors, scale: float, share: int
) -> None:
    built = part(vectors)
    groups = built.groups
    assert groups is not None
    among = np.arange(0, ROWS, share) if share > 1 else None
    for vector in between(people(ROWS, 1), 20, 6) * np.float32(scale):
        query = Query(vector, "cosine")
        rows, likely = groups.around(query, groups.wanted(10), among)
        assert len(np.unique(rows)) == len(rows) >= groups.wanted(10)
        assert among is None or not (rows % share).any()
        exact = -query.rough(built.vectors[rows], np.linalg.norm(built.vectors[rows], axis=1))
        left_over = groups._residuals[groups._place[rows], -1]
        assert (np.abs(likely - exact) <= 1.3 * left_over * query.length + 1e-4 * query.length).all()


def test_what_rows_have_beside_their_groups_middles_is_told_where_it_lies_along_few_directions(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    centers = np.linalg.qr(rng.normal(size=(WIDTH, 20)))[0].T.astype(np.float32)
    ways = rng.normal(size=(WIDTH // _groups._SHORTER, WIDTH))
    group_of = np.repeat(np.arange(20), 300)
    vectors = (centers[group_of] + 0.1 * rng.normal(size=(6_000, len(ways))) @ ways).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    order = rng.permutation(6_000)
    vectors, lengths, group_of = vectors[order], lengths[order], group_of[order]
    rows = np.argsort(group_of, kind="stable").astype(np.int32)
    middles = np.stack([(vectors / lengths[:, None])[group_of == group].mean(axis=0) for group in range(20)])
    residuals, directions = _groups._write_residuals(tmp_path, vectors, lengths, middles, group_of, rows)
    _sketch.write(tmp_path, vectors, lengths)
    sketch = Sketch.load(tmp_path)
    assert sketch is not None
    stored = {
        "centers": middles / np.linalg.norm(middles, axis=1)[:, None],
        "lengths": np.linalg.norm(middles, axis=1),
        "rows": rows,
        "sizes": np.full(20, 300),
        "directions": directions,
    }
    stored |= {"reach": 900, "scored": 40, "far": 0.5}
    groups = Groups(stored, residuals, sketch)
    for vector in between(vectors, 20, 4):
        query = Query(vector, "cosine")
        found, likely = groups.around(query, 900)
        exact = -query.rough(vectors[found], lengths[found])
        nearest = found[np.argsort(-exact)[:10]]
        assert len(set(nearest.tolist()) & set(found[np.argsort(-likely)[:40]].tolist())) >= 9
        assert np.corrcoef(likely, exact)[0, 1] > 0.95


def test_same_rows_give_the_same_groups(vectors: Vectors, tmp_path: Path) -> None:
    built = part(vectors)
    before = [(built.folder / name).read_bytes() for name in GROUPED]
    copy = tmp_path / "copy"
    shutil.copytree(built.folder, copy)
    for name in GROUPED:
        (copy / name).unlink()
    assert _groups.write(Built(copy), 16) is not None
    assert [(copy / name).read_bytes() for name in GROUPED] == before


@pytest.mark.parametrize("name", GROUPED)
def test_part_whose_groups_are_damaged_is_searched_by_walks(vectors: Vectors, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(part(vectors).folder, copy)
    (copy / name).write_bytes((copy / name).read_bytes()[:5_000])
    built = Built(copy)
    assert built.groups is None
    assert built.has_graph


def test_rows_that_lie_in_no_groups_get_none(vectors: Vectors, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(part(vectors).folder, copy)
    for name in GROUPED:
        (copy / name).unlink()
    rows = np.random.default_rng(1).standard_normal((ROWS, WIDTH)).astype(np.float32)
    np.save(copy / "vectors.npy", rows)
    np.save(copy / "lengths.npy", np.linalg.norm(rows, axis=1).astype(np.float32))
    assert _groups.write(Built(copy), 16) is None
    assert not any((copy / name).exists() for name in GROUPED)


def test_wanted_rows_grow_with_results_and_shrink_with_a_filter(vectors: Vectors) -> None:
    groups = part(vectors).groups
    assert groups is not None
    assert groups.wanted(5) == groups.wanted(10) == groups.reach + 1
    assert groups.wanted(100) > groups.wanted(10) > groups.wanted(10, 0.25) > groups.wanted(10) // 4
    assert groups.scored(5) == groups.scored(10) == groups.scored(100) // 10


def test_build_finds_out_how_many_rows_must_be_scored(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = part(vectors).groups
    assert groups is not None
    # Of these rows little can be said in short, so most of those around a query are scored; fewer would not do.
    assert groups.reach // 2 < groups.scored(10) <= groups.wanted(10) + ROWS // KINDS
    queries = between(people(ROWS, 1), 60, 7)
    assert recall(vectors, queries) >= 0.98
    monkeypatch.setattr(groups, "_scored", groups.scored(10) // 8)
    assert recall(vectors, queries) < 0.95
