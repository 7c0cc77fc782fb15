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
from lakehouse.vectors import _built, _edge, _scoring, _sketch
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


GROUPS, OF_GROUP, LONG = 10, 1_700, 204


def grouped(directions: int) -> np.ndarray:
    """Groups that lie apart from each other; within a group people differ along so many directions."""
    chance = np.random.default_rng(7)
    middles = np.repeat(chance.standard_normal((GROUPS, LONG)), OF_GROUP, axis=0)
    within = chance.standard_normal((len(middles), directions)) @ chance.standard_normal((directions, LONG))
    return (middles + within / directions**0.5 + 0.1 * chance.standard_normal(middles.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """An index of groups, in which of many who pass only the likely ones are looked at, and its vectors."""
    people = grouped(5)
    folder: Path = tmp_path_factory.mktemp("groups")
    config = settings.Vectors(exact_below=100, laid_by=())
    vectors = Vectors(config, folder, embed=lambda texts: np.empty((0, 0)), embed_model="none", embed_dimension=0)
    table = pa.table(
        {
            "id": [f"w-{n}" for n in range(len(people))],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(people.ravel()), LONG),
            "metadata": [f'{{"group":"g{n // OF_GROUP}","odd":"{n % 2}"}}' for n in range(len(people))],
        }
    )
    with pa.ipc.new_file(str(folder / "rows.arrow"), table.schema) as writer:
        writer.write_table(table)
    vectors.replace("people", folder / "rows.arrow", dimension=LONG)
    yield vectors, people
    vectors.close()


@pytest.fixture
def walks(monkeypatch) -> list[int]:
    """The numbers of rows that walks were asked for."""
    asked: list[int] = []
    walk = _built.Built.walk

    def noted(self, query, count, ef):
        asked.append(count)
        return walk(self, query, count, ef)

    monkeypatch.setattr(_built.Built, "walk", noted)
    return asked


def test_many_that_pass_far_from_the_query_are_found_without_a_walk(groups, walks) -> None:
    vectors, people = groups
    same = 0
    for number in range(60):
        own = number % GROUPS
        others = [group % GROUPS for group in range(own + 1, own + 7)]
        rows = {f"w-{n}": people[n] for group in others for n in range(group * OF_GROUP, (group + 1) * OF_GROUP)}
        filter = Filter(must=[Condition(key="group", any=[f"g{group}" for group in others])])
        query = people[own * OF_GROUP + number]
        nearest = brute_force(rows, query, 10)
        exact = vectors.nearest("people", query, 10, filter=filter, exact=True)
        assert [(hit.distance, hit.id) for hit in exact] == nearest
        found = {hit.id for hit in vectors.nearest("people", query, 10, filter=filter)}
        same += len(found.intersection(id for _, id in nearest))
    assert not walks
    assert same >= 0.99 * 600


def test_many_that_pass_around_the_query_are_walked_to(groups, walks) -> None:
    vectors, people = groups
    odd = Filter(must=[Condition(key="odd", match="1")])
    rows = {f"w-{n}": row for n, row in enumerate(people) if n % 2}
    same = 0
    for number in range(0, len(people), 850):
        found = {hit.id for hit in vectors.nearest("people", people[number], 10, filter=odd)}
        same += len(found.intersection(id for _, id in brute_force(rows, people[number], 10)))
    assert len(walks) == 20
    assert same >= 0.99 * 200


def test_rows_of_a_second_graph_do_not_stand_for_nearer_ones(groups, walks, monkeypatch, tmp_path) -> None:
    vectors, people = groups
    built = vectors._indexes.get("people")._parts.built
    # Some of one group, as those to which no walk leads.
    hidden = list(range(5 * OF_GROUP, 5 * OF_GROUP + 200))
    graph = {"distance": "cosine", "m": 16, "ef_construct": 100, "numbers": hidden}
    assert sum(1 for _ in _edge.build(tmp_path / "graph", people[hidden], **graph))
    second = _edge.Graph(tmp_path / "graph", dimension=LONG, distance="cosine")
    monkeypatch.setattr(built, "_graphs", [*built._graphs, (second, 4)])
    monkeypatch.setattr(_built.Built, "some_near", lambda *_: True)
    groups_but_own = Filter(must=[Condition(key="group", any=[f"g{group}" for group in range(1, 7)])])
    rows = {f"w-{n}": people[n] for n in range(OF_GROUP, 7 * OF_GROUP)}
    same = 0
    for number in range(20):
        found = {hit.id for hit in vectors.nearest("people", people[number], 10, filter=groups_but_own)}
        same += len(found.intersection(id for _, id in brute_force(rows, people[number], 10)))
    assert len(walks) == 20
    assert same >= 0.99 * 200


def test_build_tries_whether_the_likely_ones_are_enough(groups, tmp_path) -> None:
    built = _built.Built(groups[0]._indexes.get("people")._parts.built.folder)
    assert built.summary.likely >= 0.99
    assert built.scores_likely
    # People who differ as much in any direction are not told apart by a few.
    anywhere = np.random.default_rng(1).standard_normal((17_000, LONG)).astype(np.float32)
    lengths = _scoring.lengths_of(anywhere)
    _sketch.write(tmp_path, anywhere, lengths)
    built.vectors, built._lengths, built.sketch = anywhere, lengths, _sketch.Sketch.load(tmp_path)
    assert built.likely_found(range(0, len(anywhere), 500)) < 0.9
