from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.errors import Conflict, InvalidInput, LakehouseError, NotFound
from lakehouse.vectors import _build, _scoring
from lakehouse.vectors._built import HIDDEN, Built
from lakehouse.vectors.base import Condition, Filter, Item, Place
from lakehouse.vectors.service import Vectors

Open = Callable[..., Vectors]

ROWS = 3_000
WIDTH = 16
# Every built part of these tests has a graph.
GRAPH = {"exact_below": 100}


def write_rows(path: Path, ids: list[str], vectors: np.ndarray, metadata: list[Any]) -> Path:
    table = pa.table(
        {
            "id": ids,
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float32).ravel()), vectors.shape[1]),
            "metadata": [json.dumps(one) if isinstance(one, dict) else one for one in metadata],
        }
    )
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    return path


def clustered(rows: int, seed: int) -> np.ndarray:
    """Vectors in groups, as texts of a few occupations are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(30, WIDTH))
    return (centres[rng.integers(0, 30, rows)] + 0.4 * rng.normal(size=(rows, WIDTH))).astype(np.float32)


def metadata_of(row: int) -> dict[str, Any]:
    return {
        "n": row,
        "hundredth": row % 100,
        "state": ["OH", "MI", "TX", "CA"][row % 4],
        "certs": [f"c{row % 3}", f"c{row % 7}"],
        "location": {"lat": 30 + row % 15, "lon": -100 + row % 40},
    }


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.arrow"
    return write_rows(path, [f"w-{n}" for n in range(ROWS)], clustered(ROWS, 1), [metadata_of(n) for n in range(ROWS)])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, rows_file: Path) -> Iterator[Vectors]:
    """One built index for the tests that only read."""
    from lakehouse import settings

    config = settings.Vectors(**GRAPH)
    folder = tmp_path_factory.mktemp("built")
    vectors = Vectors(
        config, folder, embed=lambda texts: np.ones((len(texts), WIDTH)), embed_model="m", embed_dimension=WIDTH
    )
    vectors.replace("workers", rows_file, dimension=WIDTH, model="m")
    yield vectors
    vectors.close()


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_replace_makes_the_index_and_counts(built: Vectors) -> None:
    stats = built.stats("workers")
    assert (stats.items, stats.indexed, stats.model, stats.dimension) == (ROWS, ROWS, "m", WIDTH)
    assert stats.findability is not None
    assert stats.findability >= 0.99
    assert built.get("workers", "w-17").metadata == metadata_of(17)
    assert np.allclose(built.get("workers", "w-17").vector, clustered(ROWS, 1)[17])


@pytest.mark.parametrize("ids", [["a", "bc", "def"], ["a", "žluť", "工人", "d\u0000"]], ids=["ASCII", "any letters"])
def test_ids_are_read_back_from_a_build(open_vectors: Open, tmp_path: Path, ids: list[str]) -> None:
    rows = write_rows(tmp_path / "rows.arrow", ids, np.eye(len(ids), 8), [{"n": n} for n in range(len(ids))])
    open_vectors().replace("some", rows, dimension=8)
    again = open_vectors()
    assert again.ids("some").ids == sorted(ids)
    assert [again.get("some", id).metadata for id in ids] == [{"n": n} for n in range(len(ids))]


def test_nearest_by_graph_agrees_with_brute_force(built: Vectors) -> None:
    rows = clustered(ROWS, 1).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    hits, wanted = 0, 0
    for query in clustered(100, 2):
        distances = 1 - rows @ (query / np.linalg.norm(query))
        truth = {f"w-{n}" for n in np.argsort(distances)[:10]}
        results = built.nearest("workers", query, 10)
        assert [hit.distance for hit in results] == sorted(hit.distance for hit in results)
        for hit in results:
            assert hit.distance == pytest.approx(distances[int(hit.id[2:])], abs=1e-6)
        hits += len(truth & {hit.id for hit in results})
        wanted += 10
    assert hits / wanted >= 0.98


def test_nearest_exact_is_brute_force(built: Vectors) -> None:
    rows = clustered(ROWS, 1).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for query in clustered(30, 3):
        wide = query.astype(np.float64)
        distances = np.round(1 - rows @ (wide / np.linalg.norm(wide)), 6)
        truth = sorted((distance, f"w-{n}") for n, distance in enumerate(distances.tolist()))[:50]
        results = built.nearest("workers", query, 50, exact=True)
        assert [(hit.distance, hit.id) for hit in results] == truth


@pytest.mark.parametrize(
    "condition",
    [
        Condition(key="hundredth", match=7),
        Condition(key="hundredth", lt=10),
        Condition(key="hundredth", gte=50),
        Condition(key="state", any=["OH", "TX"]),
        Condition(key="certs", match="c5"),
        Condition(key="location", within_km=600, of=Place(38, -90)),
    ],
    ids=["1%", "10%", "50%", "50% by name", "in a list", "near"],
)
def test_nearest_filtered_finds_what_the_exact_search_finds(built: Vectors, condition: Condition) -> None:
    filter = Filter(must=[condition])
    same = 0
    for query in clustered(50, 4):
        truth = [hit.id for hit in built.nearest("workers", query, 10, filter=filter, exact=True)]
        results = [hit.id for hit in built.nearest("workers", query, 10, filter=filter)]
        assert len(results) == 10
        same += len(set(truth) & set(results))
    assert same >= 0.98 * 500


def test_nearest_fewer_passing_than_k_gives_all_of_them(built: Vectors) -> None:
    filter = Filter(must=[Condition(key="n", any=[3, 1_500, 2_999])])
    results = built.nearest("workers", clustered(1, 5)[0], 10, filter=filter)
    assert {hit.id for hit in results} == {"w-3", "w-1500", "w-2999"}


@pytest.mark.parametrize("excluded", [1, 40, 1_500, ROWS - 5])
def test_nearest_excluded_never_come_and_the_rest_do(built: Vectors, excluded: int) -> None:
    query = clustered(1, 6)[0]
    everybody = [hit.id for hit in built.nearest("workers", query, ROWS, exact=True)]
    # The worst case: those who are left out are the nearest.
    out = frozenset(everybody[:excluded])
    results = [hit.id for hit in built.nearest("workers", query, 10, exclude=out)]
    assert not out & set(results)
    assert results[:3] == everybody[excluded : excluded + 3]
    assert len(results) == min(10, ROWS - excluded)


@pytest.mark.parametrize("k", [1, 100, 2_000, 10_000])
def test_nearest_any_k_gives_k_or_all(built: Vectors, k: int) -> None:
    assert len(built.nearest("workers", clustered(1, 7)[0], k)) == min(k, ROWS)


def found_by_their_own_vector(folder: Path) -> int:
    built = Built(folder)
    queries = (_scoring.Query(np.array(vector), "cosine") for vector in built.vectors)
    return sum(row in built.nearest_in_graph(query, 28, 32) for row, query in enumerate(queries))


def test_rows_that_no_walk_leads_to_are_found_by_a_graph_of_their_own(rows_file: Path, tmp_path: Path) -> None:
    # So few links that some rows have none which leads to them.
    request = _build.Request(
        target=str(tmp_path / "built"),
        dimension=WIDTH,
        distance="cosine",
        rows=str(rows_file),
        graph_from=100,
        m=4,
        ef_construct=8,
        ef_search=32,
    )
    told: list[tuple[int, int]] = []
    _build.build(request, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (ROWS, ROWS)
    assert Built(tmp_path / "built").summary.findability == 1.0
    assert found_by_their_own_vector(tmp_path / "built") == ROWS
    shutil.rmtree(tmp_path / "built" / HIDDEN)
    assert found_by_their_own_vector(tmp_path / "built") < ROWS


def test_nearest_ties_beyond_what_the_graph_gives_are_in_the_order_of_ids(open_vectors: Open, tmp_path: Path) -> None:
    vectors = open_vectors(**GRAPH)
    rows = clustered(600, 8)
    rows[100:400] = rows[100]
    ids = [f"w-{n:03d}" for n in range(600)]
    vectors.replace("workers", write_rows(tmp_path / "r", ids[::-1], rows[::-1], [{}] * 600), dimension=WIDTH)
    results = vectors.nearest("workers", rows[100], 20)
    assert [hit.id for hit in results] == ids[100:120]
    assert {hit.distance for hit in results} == {0.0}


def test_replace_takes_over_all_at_once(open_vectors: Open, tmp_path: Path, rows_file: Path) -> None:
    vectors = open_vectors(**GRAPH)
    old = clustered(500, 9)
    vectors.replace(
        "workers", write_rows(tmp_path / "old", [f"o-{n}" for n in range(500)], old, [{}] * 500), dimension=WIDTH
    )
    seen: list[set[str]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append({hit.id[0] for hit in vectors.nearest("workers", old[0], 400)})
            time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    steps: list[tuple[int, int]] = []
    assert vectors.replace("workers", rows_file, dimension=WIDTH, progress=lambda *step: steps.append(step)) == ROWS
    stop.set()
    thread.join()
    assert {"o"} in seen
    assert {"w"} in seen or {hit.id[0] for hit in vectors.nearest("workers", old[0], 400)} == {"w"}
    assert {"o", "w"} not in seen
    assert steps[-1] == (ROWS, ROWS)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    with pytest.raises(NotFound):
        vectors.get("workers", "o-1")


def test_replace_carries_over_what_was_written_meanwhile(open_vectors: Open, rows_file: Path) -> None:
    vectors = open_vectors(**GRAPH)
    vectors.create("workers", WIDTH)
    vectors.add("workers", [Item(id="before", vector=[1.0] * WIDTH)])
    written: list[str] = []

    def write(done: int, total: int) -> None:
        if len(written) < 20:
            name = f"f-{len(written)}"
            vectors.add("workers", [Item(id=name, vector=[1.0, *([0.0] * (WIDTH - 1))], metadata={"new": True})])
            vectors.add("workers", [Item(id="w-5", vector=[2.0] * WIDTH, metadata={"step": name})])
            # Not there yet for a reader, but the deletion came after the replacement was asked for.
            vectors.add("workers", [Item(id="w-6", vector=[1.0] * WIDTH)])
            vectors.delete_item("workers", "w-6")
            written.append(name)

    vectors.replace("workers", rows_file, dimension=WIDTH, progress=write)
    assert written
    for again in (vectors, open_vectors(**GRAPH)):
        ids = set(again.ids("workers").ids)
        assert ids == {f"w-{n}" for n in range(ROWS) if n != 6} | set(written)
        assert again.get("workers", "w-5").metadata == {"step": written[-1]}
        assert again.stats("workers").items == len(ids)
        again.close()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ids": ["a", "b", "a"]}, "'a' comes twice"),
        ({"ids": ["a", "", "c"]}, "has no id"),
        ({"metadata": ["{}", "[]", "{}"]}, "metadata of row 'b' is not a JSON object"),
        ({"metadata": ["{}", "{", "{}"]}, "metadata of row 'b'"),
        ({"metadata": ["{}", None, "{}"]}, "metadata of row 'b'"),
        ({"vectors": np.ones((3, 5))}, "vectors of 16 numbers"),
        ({"vectors": np.array([[1.0] * WIDTH, [0.0] * WIDTH, [1.0] * WIDTH])}, "vector of row 'b' is zero"),
        ({"vectors": np.array([[1.0] * WIDTH, [np.nan] * WIDTH, [1.0] * WIDTH])}, "vector of row 'b' has a number"),
    ],
)
def test_replace_bad_rows_change_nothing(
    open_vectors: Open, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    vectors = open_vectors()
    good = {"ids": ["a", "b", "c"], "vectors": np.ones((3, WIDTH)), "metadata": ["{}"] * 3}
    bad = write_rows(tmp_path / "bad", **{**good, **change})
    with pytest.raises(InvalidInput, match=named):
        vectors.replace("workers", bad, dimension=WIDTH)
    assert vectors.list().indexes == []
    vectors.replace("workers", write_rows(tmp_path / "good", **good), dimension=WIDTH)
    with pytest.raises(InvalidInput, match=named):
        vectors.replace("workers", bad, dimension=WIDTH)
    vectors.add("workers", [Item(id="d", vector=[1.0] * WIDTH)])
    vectors.close()
    again = open_vectors()
    assert again.ids("workers").ids == ["a", "b", "c", "d"]
    assert len(list((tmp_path / "vectors" / "workers").glob("built-*"))) == 1


def test_replace_without_a_column_or_file_is_named(open_vectors: Open, tmp_path: Path) -> None:
    vectors = open_vectors()
    table = pa.table({"id": ["a"], "metadata": ["{}"]})
    with pa.ipc.new_file(str(tmp_path / "t"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InvalidInput, match="no column 'vector'"):
        vectors.replace("workers", tmp_path / "t", dimension=WIDTH)
    with pytest.raises(LakehouseError, match="nowhere"):
        vectors.replace("workers", tmp_path / "nowhere", dimension=WIDTH)
    assert vectors.list().indexes == []


def test_replace_vectors_as_lists_of_unequal_length_are_refused(open_vectors: Open, tmp_path: Path) -> None:
    vectors = open_vectors()
    lists = [[1.0] * (WIDTH - 1), [1.0] * (WIDTH + 1)]
    for rows, named in ((lists, f"vectors of {WIDTH} numbers"), ([[1.0] * WIDTH, None], f"vectors of {WIDTH} numbers")):
        table = pa.table({"id": ["a", "b"], "vector": rows, "metadata": ["{}", "{}"]})
        with pa.ipc.new_file(str(tmp_path / "lists"), table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(InvalidInput, match=named):
            vectors.replace("workers", tmp_path / "lists", dimension=WIDTH)
    table = pa.table({"id": ["a", "b"], "vector": [[1.0] * WIDTH, [2.0] * WIDTH], "metadata": ["{}", "{}"]})
    with pa.ipc.new_file(str(tmp_path / "lists"), table.schema) as writer:
        writer.write_table(table)
    assert vectors.replace("workers", tmp_path / "lists", dimension=WIDTH) == 2


def test_replace_by_nothing_empties_the_index(open_vectors: Open, tmp_path: Path) -> None:
    vectors = open_vectors(**GRAPH)
    vectors.create("workers", WIDTH)
    vectors.add("workers", [Item(id="a", vector=[1.0] * WIDTH)])
    empty = write_rows(tmp_path / "empty", [], np.empty((0, WIDTH)), [])
    assert vectors.replace("workers", empty, dimension=WIDTH) == 0
    assert vectors.ids("workers").ids == []
    assert (
        vectors.nearest(
            "workers", np.ones(WIDTH, dtype=np.float32), 3, filter=Filter(must=[Condition(key="a", match=1)])
        )
        == []
    )
    vectors.add("workers", [Item(id="b", vector=[1.0] * WIDTH)])
    vectors.close()
    assert open_vectors(**GRAPH).ids("workers").ids == ["b"]


def test_replace_other_shape_is_a_conflict(open_vectors: Open, rows_file: Path) -> None:
    vectors = open_vectors()
    vectors.create("workers", WIDTH + 1)
    with pytest.raises(Conflict, match="delete it first"):
        vectors.replace("workers", rows_file, dimension=WIDTH)
    vectors.create("flat", WIDTH, distance="dot")
    with pytest.raises(Conflict, match="under dot"):
        vectors.replace("flat", rows_file, dimension=WIDTH)


@pytest.mark.parametrize("distance", ["dot", "euclid"])
def test_built_part_of_another_distance_agrees_with_exact(open_vectors: Open, rows_file: Path, distance: Any) -> None:
    vectors = open_vectors(**GRAPH)
    vectors.replace("workers", rows_file, dimension=WIDTH, distance=distance)
    same = 0
    for query in clustered(40, 10):
        truth = vectors.nearest("workers", query, 10, exact=True)
        same += len({hit.id for hit in truth} & {hit.id for hit in vectors.nearest("workers", query, 10)})
    # The longest vectors win every product, and a graph walks by nearness.
    assert same >= 0.94 * 400


def test_builds_of_the_same_rows_give_the_same_results(open_vectors: Open, rows_file: Path) -> None:
    vectors = open_vectors()
    for name in ("a", "b"):
        vectors.replace(name, rows_file, dimension=WIDTH)
    vectors.create("fresh", WIDTH)
    vectors.merge("a", "fresh")
    for query in clustered(30, 11):
        expected = vectors.nearest("a", query, 30)
        assert vectors.nearest("b", query, 30) == expected
        assert vectors.nearest("fresh", query, 30) == expected


def test_fresh_items_are_built_in_by_themselves(open_vectors: Open) -> None:
    vectors = open_vectors(fresh_limit=200, exact_below=300)
    vectors.create("workers", WIDTH)
    rows = clustered(1_000, 12)
    for start in range(0, 1_000, 50):
        vectors.add(
            "workers",
            [Item(id=f"w-{n}", vector=rows[n].tolist(), metadata={"n": n}) for n in range(start, start + 50)],
        )
        # Found by the next search, whatever is being built.
        assert vectors.nearest("workers", rows[start], 1)[0].id == f"w-{start}"
    vectors.delete_items("workers", [f"w-{n}" for n in range(0, 1_000, 10)])
    wait_for(lambda: vectors.stats("workers").indexed >= 300)
    expected = {f"w-{n}": n for n in range(1_000) if n % 10}
    for again in (vectors, open_vectors(fresh_limit=200, exact_below=300)):
        assert {stored.id: stored.metadata["n"] for stored in again.scan("workers")} == expected
        assert len(again.nearest("workers", rows[5], 10_000)) == 900
        again.close()


def test_fresh_item_equal_to_its_query_is_first_among_built_ones(open_vectors: Open, rows_file: Path) -> None:
    vectors = open_vectors(**GRAPH)
    vectors.replace("workers", rows_file, dimension=WIDTH)
    for number, row in enumerate(clustered(200, 13)):
        vectors.add("workers", [Item(id=f"fresh-{number}", vector=row.tolist())])
        assert vectors.nearest("workers", row, 1)[0].id == f"fresh-{number}"


def test_deleting_while_building_gives_the_build_up(open_vectors: Open, tmp_path: Path, rows_file: Path) -> None:
    vectors = open_vectors(**GRAPH)
    vectors.create("workers", WIDTH)
    started = threading.Event()
    failures: list[LakehouseError] = []

    def build() -> None:
        try:
            vectors.replace("workers", rows_file, dimension=WIDTH, progress=lambda *_: started.set())
        except LakehouseError as error:
            failures.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    assert started.wait(30)
    vectors.delete("workers")
    vectors.create("workers", 3)
    vectors.add("workers", [Item(id="a", vector=[1, 2, 3])])
    thread.join(30)
    assert not thread.is_alive()
    assert len(failures) == 1
    assert vectors.ids("workers").ids == ["a"]
    assert sorted(path.name for path in (tmp_path / "vectors").iterdir()) == ["workers"]


def test_damaged_graph_is_scored_exactly_and_built_anew(
    open_vectors: Open, tmp_path: Path, rows_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = open_vectors(**GRAPH)
    vectors.replace("workers", rows_file, dimension=WIDTH)
    query = clustered(1, 14)[0]
    expected = vectors.nearest("workers", query, 10, exact=True)
    vectors.close()
    for path in (tmp_path / "vectors" / "workers").glob("built-*/graph-*/**/*.json"):
        path.write_text("{")
    again = open_vectors(**GRAPH)
    assert again.nearest("workers", query, 10) == expected
    assert "scored exactly until it is built anew" in caplog.text
    wait_for(lambda: not again._indexes.get("workers")._parts.built.lacks_graph)
    assert again.stats("workers").items == ROWS


MADE_IN_SCRATCH = {"as-they-come", "graph-0000"}


def below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_build_works_in_the_scratch_folder_and_leaves_nothing_there(
    open_vectors: Open, tmp_path: Path, rows_file: Path
) -> None:
    scratch = tmp_path / "elsewhere"
    scratch.mkdir()
    vectors = open_vectors(**GRAPH, scratch=str(scratch))
    there: set[str] = set()
    beside: set[str] = set()

    def look(done: int, total: int) -> None:
        deadline = time.monotonic() + 0.5
        while not there >= MADE_IN_SCRATCH and time.monotonic() < deadline:
            there.update(below(scratch))
            beside.update(below(tmp_path / "vectors"))

    vectors.replace("people", rows_file, dimension=WIDTH, progress=look)
    assert there >= MADE_IN_SCRATCH
    assert "as-they-come" not in beside
    assert not below(scratch)
    built = next((tmp_path / "vectors" / "people").glob("built-*"))
    assert "graph-0000" in below(built)
    assert vectors.stats("people").indexed == ROWS


def test_build_gives_the_same_rows_wherever_it_works(open_vectors: Open, tmp_path: Path, rows_file: Path) -> None:
    scratch = tmp_path / "elsewhere"
    scratch.mkdir()
    vectors = open_vectors(**GRAPH, scratch=str(scratch))
    twice = write_rows(
        tmp_path / "twice.arrow",
        [f"w-{row}" for row in range(ROWS)],
        np.repeat(clustered(ROWS // 3, 5), 3, axis=0),
        [metadata_of(row) for row in range(ROWS)],
    )
    vectors.replace("there", rows_file, dimension=WIDTH)
    vectors.replace("runs-there", twice, dimension=WIDTH)
    vectors.close()
    vectors = open_vectors(**GRAPH)
    vectors.replace("here", rows_file, dimension=WIDTH)
    vectors.replace("runs-here", twice, dimension=WIDTH)
    for there, here in (("there", "here"), ("runs-there", "runs-here")):
        folders = [next((tmp_path / "vectors" / name).glob("built-*")) for name in (there, here)]
        for file in ("vectors.npy", "ids.bin", "metadata.bin", "lengths.npy", "columns.npz", "runs.npy"):
            ours, theirs = (folder / file for folder in folders)
            assert ours.exists() == theirs.exists()
            assert not ours.exists() or ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("chosen", ["nowhere", "a file"])
def test_scratch_folder_that_cannot_be_used_is_named_and_nothing_changes(
    open_vectors: Open, tmp_path: Path, rows_file: Path, chosen: str
) -> None:
    (tmp_path / "a file").write_text("")
    vectors = open_vectors(**GRAPH)
    vectors.replace("people", rows_file, dimension=WIDTH)
    vectors.close()
    vectors = open_vectors(**GRAPH, scratch=str(tmp_path / chosen))
    with pytest.raises(InvalidInput, match=r"vectors\.scratch") as caught:
        vectors.replace("people", rows_file, dimension=WIDTH)
    assert caught.value.detail["field"] == "vectors.scratch"
    assert vectors.stats("people").items == ROWS
