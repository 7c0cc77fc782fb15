"""The same indexes on every engine: what one answers all answer, ids, distances, order and ties."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse import settings as configuration
from lakehouse.errors import (
    Conflict,
    IntegrityError,
    InvalidInput,
    NotFound,
    NotInstalled,
    PermissionDenied,
    Unavailable,
)
from lakehouse.vectors.base import Condition, Filter, Item, Place
from lakehouse.vectors.service import Vectors
from qdrant_stand_in import QdrantStandIn
from vectors.conftest import spell
from vectors.test_filters import FILTERS, METADATA

DIMENSION = 3
DISTANCES = ["cosine", "dot", "euclid"]


class Engine:
    """A server's settings, and the indexes of lakes that use it."""

    def __init__(self, **section: Any) -> None:
        self.section = section
        self.opened: list[Vectors] = []

    def open(self, folder: Path, **more: Any) -> Vectors:
        config = configuration.Vectors(**{**self.section, **more})
        self.opened.append(Vectors(config, folder, embed=spell, embed_model="letters", embed_dimension=8))
        return self.opened[-1]

    def close(self) -> None:
        for vectors in self.opened:
            vectors.close()


@pytest.fixture
def engine(vector_server: dict[str, str]) -> Iterator[Engine]:
    made = Engine(**vector_server)
    yield made
    made.close()


@pytest.fixture
def both(engine: Engine, tmp_path: Path) -> tuple[Vectors, Vectors]:
    """Indexes in files and on a server."""
    return Engine().open(tmp_path / "files"), engine.open(tmp_path / "served")


NUMBERS = st.one_of(st.integers(-2, 2).map(float), st.sampled_from([0.5, 1e-6, -1e-6, 0.1, 1 / 3]))
IDS = st.sampled_from(["a", "b", "ä", "Z", "a\x00b", "w-10", "w-9", "😀", "c" * 512])
VECTORS = st.lists(NUMBERS, min_size=DIMENSION, max_size=DIMENSION).filter(any)
ITEMS = st.builds(Item, id=IDS, vector=VECTORS, metadata=METADATA)
PUTS = st.lists(ITEMS, min_size=1, max_size=9, unique_by=lambda item: item.id)
WRITES = st.lists(st.one_of(PUTS, st.lists(IDS, min_size=1, max_size=4)), min_size=1, max_size=4)
QUERIES = st.lists(
    st.tuples(VECTORS, st.integers(1, 10), FILTERS, st.lists(IDS, max_size=3), st.booleans()), min_size=1, max_size=4
)


@pytest.mark.parametrize("distance", DISTANCES)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(WRITES, QUERIES)
def test_answers_are_those_of_the_engine_in_files(
    both: tuple[Vectors, Vectors], distance: Any, writes: list[Any], queries: list[Any]
) -> None:
    name = distance
    for vectors in both:
        # To make a table takes longer than all that follows; so each example empties that of the one before.
        if not vectors.list().indexes:
            vectors.create(name, DIMENSION, distance)
        vectors.delete_items(name, vectors.ids(name).ids)
    files, served = both
    for write in writes:
        versions = [vectors.version(name) for vectors in both]
        if isinstance(write[0], str):
            gone = [vectors.delete_items(name, write) for vectors in both]
            assert gone[0] == gone[1]
        else:
            added = [vectors.add(name, write) for vectors in both]
            assert added[0] == added[1]
            assert all(vectors.version(name) > before for vectors, before in zip(both, versions, strict=True))
        for vector, k, filter, excluded, exact in queries:
            asked = {"vector": vector, "k": k, "filter": filter, "exclude_ids": excluded, "exact": exact}
            assert files.search(name, **asked) == served.search(name, **asked)
    assert list(files.scan(name)) == list(served.scan(name))
    assert files.stats(name) == served.stats(name)
    assert files.ids(name) == served.ids(name)


def among(vectors: Vectors, name: str, steps: list[Filter | None]) -> tuple[int, list[tuple[float, str, bytes]]]:
    lookup = vectors.lookup(name, np.array([1, 0.2, 0], dtype=np.float32), exclude={"p-3"})
    found, ended = lookup.among(steps, 7, 6)
    return ended, sorted((distance, id, bytes(lookup.encoded(place))) for distance, id, place in found)


def test_steps_and_ties_beyond_what_is_fetched_are_the_same(both: tuple[Vectors, Vectors]) -> None:
    items = [
        Item(id=f"p-{number}", vector=[1.0, number % 3, 0], metadata={"n": number % 7, "s": ["x", "y"][number % 2]})
        for number in range(120)
    ]
    # Of some of the nearest not all is known; of one of them enough to leave them out.
    items += [
        Item(id="q-1", vector=[1.0, 0.2, 0], metadata={}),
        Item(id="q-2", vector=[1.0, 0.2, 0], metadata={"n": 3, "s": None}),
        Item(id="q-3", vector=[1.0, 0.2, 0], metadata={"n": 4}),
    ]
    three, x = Condition(key="n", match=3), Condition(key="s", match="x")
    steps = [
        [None],
        [Filter(must=[three, x]), Filter(must=[three]), None],
        [Filter(must=[x]), None],
        [Filter(must=[Condition(key="n", gte=9)]), Filter(must=[Condition(key="n", gt=2.5, lt=3.5)])],
    ]
    for vectors in both:
        vectors.create("people", DIMENSION)
        vectors.add("people", items)
    files, served = both
    for each in steps:
        assert among(files, "people", each) == among(served, "people", each)
    ended, found = among(files, "people", steps[1])
    assert (ended, len(found), {id for _, id, _ in found if id[0] == "q"}) == (0, 9, {"q-1", "q-2"})
    # 40 items have this vector; the first three by id win.
    assert [hit.id for hit in served.search("people", 3, vector=[2, 0, 0]).results] == ["p-0", "p-102", "p-105"]


@pytest.mark.parametrize("km", [0.0, 3.2, 20_100.0])
def test_radius_ends_where_it_ends_in_files(both: tuple[Vectors, Vectors], km: float) -> None:
    places = [(41.5, -81.7), (41.5 + 3.2 / 111.195, -81.7), (-41.5, 98.3), (90, 0), (138.5, 98.3), (0.0, 540.0)]
    near = Condition(key="at", within_km=km, of=Place(41.5, -81.7))
    for vectors in both:
        vectors.create("people", DIMENSION)
        vectors.add(
            "people",
            [
                Item(id=str(number), vector=[1, 1, 1], metadata={"at": {"lat": lat, "lon": lon}})
                for number, (lat, lon) in enumerate(places)
            ],
        )
    files, served = both
    for filter in (Filter(must=[near]), Filter(must_not=[near]), Filter(should=[near])):
        asked = {"vector": [1, 0, 0], "k": 10, "filter": filter}
        assert files.search("people", **asked) == served.search("people", **asked)


def arrow(path: Path, ids: list[str], **fields: Any) -> Path:
    table = pa.table(
        {
            "id": ids,
            "vector": pa.array(fields.get("vectors", [[1.0, 0, 0]] * len(ids)), pa.list_(pa.float32(), 3)),
            "metadata": [fields.get("metadata", '{"new": true}')] * len(ids),
        }
    )
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return path


def test_replace_swaps_all_at_once_and_carries_over_what_is_written_meanwhile(engine: Engine, tmp_path: Path) -> None:
    vectors = engine.open(tmp_path)
    vectors.create("people", 3)
    vectors.add("people", [Item(id=id, vector=[0, 1, 0]) for id in ("a", "b", "c")])
    version, reports = vectors.version("people"), []

    def progress(done: int, total: int) -> None:
        reports.append((done, total))
        if len(reports) == 1:
            assert vectors.ids("people").ids == ["a", "b", "c"]
            vectors.add("people", [Item(id="late", vector=[0, 0, 1])])
            vectors.delete_item("people", "b")

    rows = arrow(tmp_path / "rows.arrow", ["a", "b", *(f"n{number:03d}" for number in range(300))])
    assert vectors.replace("people", rows, dimension=3, model="m", progress=progress) == 302
    assert reports[-1] == (302, 302)
    assert vectors.stats("people").items == 302
    assert vectors.version("people") > version
    assert [hit.id for hit in vectors.search("people", 1, vector=[0, 0, 1]).results] == ["late"]
    assert vectors.metadata("people", "a") == {"new": True}
    assert vectors.metadata("people", "b") is None
    with pytest.raises(Conflict):
        vectors.replace("people", rows, dimension=4)
    assert tables_of(vectors, "people") == [vectors._indexes.get("people").manifest.built]


@pytest.mark.parametrize("broken", [{"ids": ["a", "a"]}, {"ids": ["a"], "metadata": "[]"}])
def test_replace_that_fails_leaves_everything_as_it_was(engine: Engine, tmp_path: Path, broken: Any) -> None:
    vectors = engine.open(tmp_path)
    vectors.create("people", 3)
    vectors.add("people", [Item(id="a", vector=[0, 1, 0], metadata={"old": 1})])
    with pytest.raises(InvalidInput):
        vectors.replace("people", arrow(tmp_path / "rows.arrow", **broken), dimension=3)
    assert vectors.get("people", "a").metadata == {"old": 1}
    assert len(tables_of(vectors, "people")) == 1
    with pytest.raises(InvalidInput):
        vectors.replace("new", arrow(tmp_path / "rows.arrow", **broken), dimension=3)
    assert [stats.name for stats in vectors.list().indexes] == ["people"]


def tables_of(vectors: Vectors, name: str) -> list[str]:
    index = vectors._indexes.get(name)
    return index._server().names(index.manifest.built.rpartition("_")[0] + "_")


def test_purged_items_are_in_no_table(engine: Engine, tmp_path: Path) -> None:
    vectors = engine.open(tmp_path)
    vectors.create("people", 3)
    vectors.add("people", [Item(id=f"p{number}", vector=[1, number, 0]) for number in range(260)])
    before = tables_of(vectors, "people")
    assert vectors.purge("people", ["p1", "p2", "nobody"]) == 2
    after = tables_of(vectors, "people")
    assert len(after) == 1
    assert after != before
    assert vectors.stats("people").items == 258
    assert not vectors.has("people", "p1")
    assert vectors.get("people", "p3").vector == [1, 3, 0]


def test_graph_answers_as_scoring_does_and_goes_on_where_it_finds_too_little(engine: Engine, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    vectors = [row.tolist() for row in random.standard_normal((200, 3)).astype(np.float32)]
    rows = arrow(tmp_path / "rows.arrow", [f"p{number}" for number in range(200)], vectors=vectors)
    files, served = Engine().open(tmp_path / "files"), engine.open(tmp_path / "served", exact_below=50, ef_search=200)
    for each in (files, served):
        each.replace("people", rows, dimension=3)
        each.add(
            "people", [Item(id=f"q{number}", vector=[number, 1, 1], metadata={"n": number}) for number in range(9)]
        )
    rare = Filter(must=[Condition(key="n", gte=3)])
    for vector in vectors[:5]:
        for asked in ({"k": 5}, {"k": 5, "exact": True}, {"k": 20, "filter": rare}, {"k": 500}):
            assert files.search("people", vector=vector, **asked) == served.search("people", vector=vector, **asked)


def test_indexes_survive_a_restart_and_lakes_do_not_see_each_other(engine: Engine, tmp_path: Path) -> None:
    one, two = engine.open(tmp_path / "one"), tmp_path / "two"
    one.create("people", 3, "dot")
    one.add("people", [Item(id="a", vector=[0.1, 1 / 3, -0.0], metadata={"n": 2**62, "t": "\x00"})])
    whole = one.get("people", "a")
    # The folder of a client without a server belongs to one at a time.
    one.close()
    other = engine.open(two)
    other.create("people", 3)
    assert other.ids("people").ids == []
    other.delete("people")
    other.close()
    again = engine.open(tmp_path / "one")
    assert again.get("people", "a") == whole
    assert again.stats("people").distance == "dot"


def test_tables_left_by_a_crash_are_removed_and_a_table_that_is_lost_is_named(engine: Engine, tmp_path: Path) -> None:
    vectors = engine.open(tmp_path)
    vectors.create("people", 3)
    index = vectors._indexes.get("people")
    built = index.manifest.built
    index._server().create(built.replace("000001", "000002"), 3, "cosine")
    vectors.close()
    again = engine.open(tmp_path)
    assert again.stats("people").items == 0
    assert tables_of(again, "people") == [built]
    again._indexes.get("people")._server().remove(built)
    with pytest.raises(IntegrityError, match="build it anew"):
        again.ids("people")
    again.delete("people")
    with pytest.raises(NotFound):
        again.ids("people")


def test_copy_of_a_lake_leaves_the_tables_of_the_lake_alone(engine: Engine, tmp_path: Path) -> None:
    vectors = engine.open(tmp_path / "lake")
    vectors.create("people", 3)
    vectors.add("people", [Item(id="a", vector=[0, 1, 0])])
    vectors.close()
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    # As after a start of the lake that the copy knows nothing of.
    vectors = engine.open(tmp_path / "lake")
    vectors.purge("people", [])
    vectors.close()
    copy = engine.open(tmp_path / "copy")
    with pytest.raises(IntegrityError, match="copy"):
        copy.ids("people")
    assert copy.list().indexes == []
    copy.delete("people")
    copy.close()
    assert engine.open(tmp_path / "lake").ids("people").ids == ["a"]


def test_indexes_move_between_engines_by_merge(engine: Engine, tmp_path: Path) -> None:
    vectors = Engine().open(tmp_path)
    vectors.create("here", 3)
    vectors.add("here", [Item(id=str(number), vector=[1, number, 0], metadata={"n": number}) for number in range(9)])
    vectors.close()
    moved = engine.open(tmp_path)
    moved.create("there", 3)
    moved.add("there", [Item(id="3", vector=[9, 9, 9])])
    merged = moved.merge("here", "there", clear_source=True)
    assert (merged.merged, merged.skipped, merged.cleared) == (8, 1, 9)
    assert moved.get("there", "8").metadata == {"n": 8}
    assert moved.get("there", "3").vector == [9, 9, 9]


def test_index_of_another_engine_is_refused_by_the_setting_that_it_needs(engine: Engine, tmp_path: Path) -> None:
    vectors = engine.open(tmp_path)
    vectors.create("people", 3)
    vectors.close()
    with pytest.raises(InvalidInput, match=r"vectors\.engine"):
        Engine().open(tmp_path).ids("people")


def test_memory_stays_local(engine: Engine, tmp_path: Path) -> None:
    vectors = engine.open(tmp_path)
    vectors.create_unwalked("playbook_x", 3, model="m")
    assert (tmp_path / "vectors" / "playbook_x" / "journal-000001.log").exists()
    vectors.create("people", 3)
    with pytest.raises(InvalidInput, match="shelves"):
        vectors.shelves("people", np.ones(3, dtype=np.float32))


@pytest.mark.parametrize(
    "section",
    [
        {"engine": "qdrant", "url": "http://127.0.0.1:9"},
        {"engine": "pgvector", "url": "postgresql+pg8000://nobody@127.0.0.1:9/none"},
    ],
    ids=["qdrant", "pgvector"],
)
def test_server_out_of_reach_is_said_and_may_be_tried_again(section: dict[str, Any], tmp_path: Path) -> None:
    engine = Engine(**section)
    vectors = engine.open(tmp_path)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        vectors.create("people", 3)
    assert vectors.list().indexes == []
    engine.close()


@pytest.mark.parametrize("name", ["qdrant", "pgvector"])
def test_server_without_an_address_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"vectors\.url"):
        Engine(engine=name).open(tmp_path).create("people", 3)


def test_client_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(NotInstalled, match=r"lakehouse\[qdrant\]"):
        Engine(engine="qdrant", url="http://127.0.0.1:9").open(tmp_path).create("people", 3)


def test_key_is_sent_and_its_lack_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with QdrantStandIn(tmp_path / "qdrant", key="secret") as service:
        engine = Engine(engine="qdrant", url=service.url, key_env="OUR_KEY")
        with pytest.raises(PermissionDenied, match=r"\$OUR_KEY"):
            engine.open(tmp_path / "refused").create("people", 3)
        monkeypatch.setenv("OUR_KEY", "secret")
        with pytest.warns(UserWarning, match="insecure connection"):
            engine.open(tmp_path / "lake").create("people", 3)
        engine.close()


def test_fields_that_filters_look_at_are_indexed_on_a_server(tmp_path: Path) -> None:
    with QdrantStandIn(tmp_path / "qdrant") as service:
        engine = Engine(engine="qdrant", url=service.url)
        vectors = engine.open(tmp_path / "lake")
        vectors.create("people", 3)
        vectors.add("people", [Item(id="a", vector=[1, 0, 0], metadata={"s": "x", "n": 1, "p": {"lat": 1, "lon": 2}})])
        (indexed,) = service.indexed.values()
        assert sorted(path.partition(".")[0] for path in indexed) == ["g", "n", "t"]
        engine.close()
