from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import AlreadyExists, IntegrityError, InvalidInput, NotFound
from lakehouse.vectors import journal
from lakehouse.vectors.base import Condition, Filter, Item, Merged
from lakehouse.vectors.index import read_manifest
from lakehouse.vectors.service import Vectors

Open = Callable[..., Vectors]

METADATA: dict[str, Any] = {
    "empty": {},
    "nothing": None,
    "whole": 1,
    "fraction": 1.0,
    "large": 2**62,
    "nested": {"list": [1, "two", {"three": [None, True]}], "": ""},
    "text": 'Café ⭐ 你好 \u0000 \\ "',
    "list": [],
}


def item(id: str, *vector: float, **metadata: Any) -> Item:
    return Item(id=id, vector=list(vector), metadata=metadata)


def found(vectors: Vectors, name: str, **query: Any) -> list[str]:
    return [hit.id for hit in vectors.search(name, **query).results]


def test_create_twice_is_refused(vectors: Vectors) -> None:
    stats = vectors.create("people", 4, distance="euclid", model="m")
    assert (stats.dimension, stats.distance, stats.model, stats.items, stats.indexed) == (4, "euclid", "m", 0, 0)
    with pytest.raises(AlreadyExists, match="people"):
        vectors.create("people", 4)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "x" * 129, "a\n", "~a"])
def test_create_name_outside_the_alphabet_is_refused(vectors: Vectors, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        vectors.create(name, 4)


@pytest.mark.parametrize("dimension", [0, -1, 4097])
def test_create_dimension_out_of_range_is_refused(vectors: Vectors, dimension: int) -> None:
    with pytest.raises(InvalidInput, match="dimension"):
        vectors.create("people", dimension)


@pytest.mark.parametrize("name", ["a", ".a", "A.b-c_9", "x" * 128])
def test_create_odd_but_allowed_name_survives_a_restart(open_vectors: Open, name: str) -> None:
    vectors = open_vectors()
    vectors.create(name, 2)
    vectors.close()
    assert [stats.name for stats in open_vectors().list().indexes] == [name]


def test_missing_index_names_near_ones(vectors: Vectors) -> None:
    with pytest.raises(NotFound, match="there is none yet"):
        vectors.stats("workers")
    vectors.create("workers", 2)
    for call in (
        lambda: vectors.stats("worker"),
        lambda: vectors.ids("worker"),
        lambda: vectors.add("worker", []),
        lambda: vectors.search("worker", vector=[1, 2]),
        lambda: vectors.get("worker", "a"),
        lambda: vectors.delete_item("worker", "a"),
        lambda: vectors.delete_items("worker", ["a"]),
        lambda: vectors.delete("worker"),
        lambda: vectors.merge("worker", "workers"),
        lambda: vectors.merge("workers", "worker"),
        lambda: list(vectors.scan("worker")),
    ):
        with pytest.raises(NotFound, match="no index 'worker'; there is workers"):
            call()


def test_add_counts_new_and_replaced(vectors: Vectors) -> None:
    vectors.create("people", 2)
    first = vectors.add("people", [item("a", 1, 0), item("b", 0, 1)])
    again = vectors.add("people", [item("b", 1, 1, seen=2), item("c", 1, 2)])
    assert (first.added, first.updated, again.added, again.updated) == (2, 0, 1, 1)
    assert vectors.get("people", "b").metadata == {"seen": 2}
    assert vectors.get("people", "b").vector == [1.0, 1.0]
    assert vectors.ids("people").ids == ["a", "b", "c"]
    assert vectors.add("people", []).added == 0


def test_add_metadata_comes_back_exactly(open_vectors: Open) -> None:
    vectors = open_vectors()
    vectors.create("people", 2)
    vectors.add("people", [Item(id="a", vector=[1, 0], metadata=METADATA), item("b", 1, 1)])
    vectors.close()
    again = open_vectors()
    stored = again.get("people", "a").metadata
    assert stored == METADATA
    assert [type(stored[key]) for key in ("whole", "fraction", "large")] == [int, float, int]
    assert again.search("people", k=1, vector=[1, 0]).results[0].metadata == METADATA
    assert again.get("people", "b").metadata == {}


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (Item(id="x", vector=[1.0] * 3), r"items\[1\]\.vector has 3 numbers, index 'people' has dimension 2"),
        (Item(id="x", vector=[]), r"items\[1\]\.vector has 0 numbers"),
        (Item(id="x", vector=[math.nan, 1]), r"items\[1\]\.vector has a number that float32 cannot hold"),
        (Item(id="x", vector=[math.inf, 1]), r"items\[1\]\.vector has a number"),
        (Item(id="x", vector=[1e39, 1]), r"items\[1\]\.vector has a number"),
        (Item(id="x", vector=[0, 0]), r"items\[1\]\.vector is zero"),
        (Item(id="x", vector=[1e20, 0]), r"items\[1\]\.vector is too long"),
        (Item(id="x"), r"items\[1\] needs either vector or text"),
        (Item(id="x", vector=[1, 0], text="t"), r"items\[1\] needs either vector or text"),
        (Item(id="", vector=[1, 0]), r"items\[1\] has no id"),
        (Item(id="é" * 257, vector=[1, 0]), r"items\[1\] is 514 bytes long"),
        (Item(id="\ud800", vector=[1, 0]), r"items\[1\] has half a surrogate"),
        (Item(id="good", vector=[1, 0]), r"items\[1\] has the id 'good' of items\[0\]"),
        (Item(id="x", vector=[1, 0], metadata={"a": [math.nan]}), r"items\[1\]\.metadata"),
        (Item(id="x", vector=[1, 0], metadata={"a": {"b": -math.inf}}), r"items\[1\]\.metadata"),
        (Item(id="x", vector=[1, 0], metadata={"a": object()}), r"items\[1\]\.metadata"),
        (Item(id="x", vector=[1, 0], metadata={"a": "\ud800"}), r"items\[1\]\.metadata"),
        (Item(id="x", text="hello"), r"items\[1\]\.text: index 'people' holds vectors"),
    ],
)
def test_add_bad_item_is_named_and_nothing_is_stored(vectors: Vectors, bad: Item, named: str) -> None:
    vectors.create("people", 2)
    with pytest.raises(InvalidInput, match=named):
        vectors.add("people", [item("good", 1, 0), bad])
    assert vectors.ids("people").ids == []


def test_add_zero_vector_is_fine_without_cosine(vectors: Vectors) -> None:
    for distance in ("dot", "euclid"):
        vectors.create(distance, 2, distance=distance)
        vectors.add(distance, [item("a", 0, 0), item("b", 3, 4)])
        assert found(vectors, distance, vector=[0, 0], k=1) == ["a"]


def test_add_text_is_embedded_by_the_model_of_the_index(vectors: Vectors) -> None:
    vectors.create("letters", 8, model="letters")
    vectors.create("other", 8, model="other")
    vectors.create("unnamed", 8)
    for name in ("letters", "unnamed"):
        vectors.add(name, [Item(id="a", text="forklift"), Item(id="b", text="welder")])
        assert found(vectors, name, text="forklift", k=1) == ["a"]
    with pytest.raises(InvalidInput, match="holds vectors of other"):
        vectors.add("other", [Item(id="a", text="forklift")])
    with pytest.raises(InvalidInput, match="text: index 'other' holds vectors of other"):
        vectors.search("other", text="forklift")


def test_search_distances_are_those_of_the_formula(vectors: Vectors) -> None:
    a, b, query = [3.0, 4.0], [-4.0, 3.0], [6.0, 8.0]
    expected = {"cosine": [0.0, 1.0], "dot": [-50.0, 0.0], "euclid": [5.0, 11.18034]}
    for distance, values in expected.items():
        vectors.create(distance, 2, distance=distance)
        vectors.add(distance, [item("b", *b), item("a", *a)])
        results = vectors.search(distance, vector=query).results
        assert [hit.id for hit in results] == ["a", "b"]
        assert [hit.distance for hit in results] == values


def test_search_ties_are_in_the_order_of_ids(vectors: Vectors) -> None:
    vectors.create("people", 2)
    vectors.add("people", [item(id, 1, 1) for id in "hgfedcba"])
    vectors.add("people", [item("near", 1, 0)])
    assert found(vectors, "people", vector=[1, 0], k=5) == ["near", "a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("distance", "query", "first", "second"),
    [
        ("dot", [-1e-6, 0.0, 0.0], [0.4, 0.0, 0.0], [0.0, 0.0, 1.0]),
        ("euclid", [1e-4, 0, 0], [1.3e-6, 0, 0], [1.4e-6, 0, 0]),
    ],
)
def test_distances_that_round_to_the_same_one_tie(
    vectors: Vectors, distance: str, query: list[float], first: list[float], second: list[float]
) -> None:
    vectors.create("rounded", 3, distance)
    vectors.add("rounded", [Item(id="a", vector=first), Item(id="b", vector=second)])
    both = vectors.search("rounded", vector=query, k=2).results
    assert [hit.id for hit in both] == ["a", "b"]
    assert both[0].distance == both[1].distance
    assert vectors.search("rounded", vector=query, k=1).results == both[:1]


@pytest.mark.parametrize("k", [0, -1, 10_001])
def test_search_k_out_of_range_is_refused(vectors: Vectors, k: int) -> None:
    vectors.create("people", 2)
    with pytest.raises(InvalidInput, match=f"k is {k}"):
        vectors.search("people", k=k, vector=[1, 0])


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "either vector or text"),
        ({"vector": [1, 0], "text": "a"}, "either vector or text"),
        ({"vector": [1, 0, 0]}, "vector has 3 numbers, index 'people' has dimension 2"),
        ({"vector": [math.nan, 0]}, "vector has a number"),
        ({"vector": [0, 0]}, "vector is zero"),
        ({"vector": [1, 0], "filter": Filter(must=[Condition(key="a")])}, r"filter\.must\[0\]"),
    ],
)
def test_search_bad_query_is_refused(vectors: Vectors, query: dict[str, Any], named: str) -> None:
    vectors.create("people", 2)
    vectors.add("people", [item("a", 1, 0)])
    with pytest.raises(InvalidInput, match=named):
        vectors.search("people", **query)


def test_search_filter_and_exclusion_leave_exactly_the_rest(vectors: Vectors) -> None:
    vectors.create("people", 2)
    vectors.add("people", [item(f"p{n}", 1, n / 10, n=n) for n in range(10)])
    even = Filter(must=[Condition(key="n", any=[0, 2, 4, 6, 8])])
    assert found(vectors, "people", vector=[1, 0], filter=even) == ["p0", "p2", "p4", "p6", "p8"]
    assert found(vectors, "people", vector=[1, 0], filter=even, exclude_ids=["p0", "p4", "zz"]) == ["p2", "p6", "p8"]
    assert found(vectors, "people", vector=[1, 0], k=2, exclude_ids=["p0"]) == ["p1", "p2"]
    assert found(vectors, "people", vector=[1, 0], filter=Filter()) == [f"p{n}" for n in range(10)]


def test_search_empty_index_has_no_results(vectors: Vectors) -> None:
    vectors.create("people", 2)
    assert found(vectors, "people", vector=[1, 0], exact=True) == []


def test_delete_item_is_gone_from_everywhere(open_vectors: Open) -> None:
    vectors = open_vectors()
    vectors.create("people", 2)
    vectors.add("people", [item("a", 1, 0), item("b", 0, 1), item("c/d e", 1, 1)])
    vectors.delete_item("people", "c/d e")
    assert vectors.delete_items("people", ["b", "b", "zz"]) == 1
    for again in (vectors, open_vectors()):
        assert again.ids("people").ids == ["a"]
        assert [stored.id for stored in again.scan("people")] == ["a"]
        assert found(again, "people", vector=[0, 1]) == ["a"]
        assert again.stats("people").items == 1
        with pytest.raises(NotFound, match="no item 'b'"):
            again.get("people", "b")
        with pytest.raises(NotFound, match="no item 'b'"):
            again.delete_item("people", "b")
        again.close()


def test_delete_index_frees_its_name(open_vectors: Open) -> None:
    vectors = open_vectors()
    vectors.create("people", 2)
    vectors.add("people", [item("a", 1, 0)])
    vectors.delete("people")
    assert vectors.list().indexes == []
    vectors.create("people", 3)
    assert vectors.stats("people").items == 0
    vectors.delete("people")
    vectors.close()
    assert open_vectors().list().indexes == []


def test_merge_skips_what_is_there_and_is_idempotent(vectors: Vectors) -> None:
    vectors.create("src", 2)
    vectors.create("dest", 2)
    vectors.add("src", [Item(id="a", vector=[1, 0]), item("b", 0, 1, mine=True), item("c", 1, 1)])
    vectors.add("dest", [item("b", 1, 1, mine=False)])
    assert vectors.merge("src", "dest") == Merged(merged=2, skipped=1, cleared=0)
    assert vectors.merge("src", "dest") == Merged(merged=0, skipped=3, cleared=0)
    assert vectors.get("dest", "b").metadata == {"mine": False}
    assert vectors.get("dest", "a").metadata == {}
    assert vectors.merge("src", "dest", clear_source=True) == Merged(merged=0, skipped=3, cleared=3)
    assert vectors.stats("src").items == 0
    assert vectors.ids("dest").ids == ["a", "b", "c"]


def test_merge_across_differing_indexes_is_refused(vectors: Vectors) -> None:
    vectors.create("a", 2, model="m")
    vectors.create("b", 3)
    vectors.create("c", 2, model="n")
    vectors.create("d", 2)
    with pytest.raises(InvalidInput, match="into itself"):
        vectors.merge("a", "a")
    with pytest.raises(InvalidInput, match="dimension 2, 'b' 3"):
        vectors.merge("a", "b")
    with pytest.raises(InvalidInput, match="vectors of m, 'c' of n"):
        vectors.merge("a", "c")
    assert vectors.merge("a", "d").merged == 0


def test_merge_more_than_a_portion_moves_all(vectors: Vectors) -> None:
    vectors.create("src", 2)
    vectors.create("dest", 2)
    vectors.add("src", [item(f"{n:05d}", 1, n) for n in range(1_203)])
    assert vectors.merge("src", "dest", clear_source=True) == Merged(merged=1_203, skipped=0, cleared=1_203)
    assert vectors.stats("dest").items == 1_203


def test_stored_items_are_the_same_after_a_restart(open_vectors: Open) -> None:
    rng = np.random.default_rng(3)
    vectors = open_vectors()
    vectors.create("people", 6)
    rows = rng.normal(size=(300, 6))
    vectors.add("people", [item(f"{n}", *row, n=n) for n, row in enumerate(rows)])
    queries = rng.normal(size=(20, 6)).astype(np.float32)
    before = [vectors.nearest("people", query, 20) for query in queries]
    stored = list(vectors.scan("people"))
    vectors.close()
    again = open_vectors()
    assert [again.nearest("people", query, 20) for query in queries] == before
    assert list(again.scan("people")) == stored


def test_closed_indexes_take_no_writes(vectors: Vectors) -> None:
    vectors.create("people", 2)
    index = vectors._indexes.get("people")
    vectors.close()
    vectors.close()
    with pytest.raises(NotFound, match="deleted or closed"):
        index.drop(["a"])
    with pytest.raises(NotFound, match="deleted or closed"):
        index.put(["a"], np.ones((1, 2), dtype=np.float32), [b"{}"])


def test_damaged_index_is_named_and_leaves_the_others_alone(open_vectors: Open) -> None:
    vectors = open_vectors()
    vectors.create("good", 2)
    vectors.create("bad", 2)
    folder = vectors._indexes.get("bad").folder
    vectors.close()
    (folder / "index.json").write_text('{"format":')
    again = open_vectors()
    assert [stats.name for stats in again.list().indexes] == ["good"]
    with pytest.raises(IntegrityError, match="cannot be read"):
        again.stats("bad")
    again.delete("bad")
    with pytest.raises(NotFound):
        again.stats("bad")


def test_index_of_a_newer_format_is_refused(open_vectors: Open) -> None:
    vectors = open_vectors()
    vectors.create("people", 2)
    manifest = vectors._indexes.get("people").folder / "index.json"
    vectors.close()
    manifest.write_text(manifest.read_text().replace('"format":1', '"format":2'))
    with pytest.raises(IntegrityError, match="format"):
        open_vectors().stats("people")


def test_missing_journal_is_not_taken_for_an_empty_one(open_vectors: Open) -> None:
    vectors = open_vectors(fresh_limit=1)
    vectors.create("people", 2)
    folder = vectors._indexes.get("people").folder
    for number in range(5):
        vectors.add("people", [item(f"i{number}", 1, number)])
    deadline = time.monotonic() + 20
    while (folder / "journal-000001.log").exists():
        assert time.monotonic() < deadline, "it was not built"
        time.sleep(0.01)
    vectors.close()
    # The first that counts: one that a build has taken in may still lie there.
    journal.path_of(folder, read_manifest(folder).journal).unlink()
    with pytest.raises(IntegrityError, match="lacks a part of its journal"):
        open_vectors().stats("people")


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 9), st.integers(1, 20)),
        st.tuples(st.just("delete"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(OPERATIONS)
def test_any_order_of_writes_and_restarts_leaves_the_last_of_each(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, int, int]]
) -> None:
    from lakehouse.settings import Vectors as Config

    folder = tmp_path_factory.mktemp("lake")

    def open_() -> Vectors:
        # So small a limit makes background builds take part.
        config = Config(fresh_limit=4, exact_below=1_000_000)
        return Vectors(config, folder, embed=lambda texts: np.ones((len(texts), 2)), embed_model="m", embed_dimension=2)

    vectors, model = open_(), dict[str, int]()
    vectors.create("people", 2)
    for kind, number, value in operations:
        if kind == "add":
            vectors.add("people", [item(f"i{number}", 1, value, value=value)])
            model[f"i{number}"] = value
        elif kind == "delete":
            assert vectors.delete_items("people", [f"i{number}"]) == int(f"i{number}" in model)
            model.pop(f"i{number}", None)
        else:
            vectors.close()
            vectors = open_()
        assert vectors.stats("people").items == len(model)
    assert {stored.id: stored.metadata["value"] for stored in vectors.scan("people")} == model
    hits = vectors.search("people", vector=[1, 0], k=100).results
    assert [hit.id for hit in hits] == sorted(model, key=lambda name: (model[name], name))
    vectors.close()


def test_indexes_of_memory_are_written_by_memory_alone(vectors: Vectors, tmp_path: Path) -> None:
    vectors.create_unwalked("playbook_x", 2, model="m")
    vectors.put("playbook_x", ["a"], np.ones((1, 2), dtype=np.float32), [b"{}"])
    vectors.create("towns", 2)
    for write in (
        lambda: vectors.create("playbook_y", 2),
        lambda: vectors.add("playbook_x", [item("b", 1, 0)]),
        lambda: vectors.merge("towns", "playbook_x"),
        lambda: vectors.merge("playbook_x", "towns", clear_source=True),
        lambda: vectors.delete_item("playbook_x", "a"),
        lambda: vectors.replace("playbook_x", tmp_path / "rows.arrow", dimension=2),
    ):
        with pytest.raises(InvalidInput, match="/v1/matrix/playbooks"):
            write()
    assert vectors.merge("playbook_x", "towns").merged == 1
    assert vectors.ids("playbook_x").ids == ["a"]
    vectors.delete("playbook_x")
    with pytest.raises(NotFound):
        vectors.stats("playbook_x")


def test_is_unwalked_knows_what_create_unwalked_makes(vectors: Vectors) -> None:
    vectors.create_unwalked("small", 2, model="m")
    vectors.create("large", 2, model="m")
    assert vectors.is_unwalked("small", 2, model="m")
    others = [("small", 3, "m"), ("small", 2, "n"), ("large", 2, "m"), ("none", 2, "m")]
    assert not any(vectors.is_unwalked(name, dimension, model=model) for name, dimension, model in others)
