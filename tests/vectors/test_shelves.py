"""Look-ups by word: what is kept in memory gives what scoring everything gives, whatever is written in between."""

import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from lakehouse import settings
from lakehouse.vectors._shelf import first
from lakehouse.vectors.base import Condition, Filter
from lakehouse.vectors.service import Vectors

WIDTH, KINDS, IDS = 4, 6, 12
MEANINGS = np.random.default_rng(11).normal(size=(KINDS, WIDTH)).astype(np.float32)
# As near to everybody as the first, so that ids decide between vectors too.
MEANINGS[1] = 2 * MEANINGS[0]
WORDS = [f"k{number}" for number in range(5)]

ids = st.integers(0, IDS - 1).map(lambda number: f"i{number:02}")
words = st.lists(st.sampled_from(WORDS), max_size=3)
put = st.tuples(st.just("put"), st.lists(st.tuples(ids, st.integers(0, KINDS - 1), words), min_size=1, max_size=5))
drop = st.tuples(st.just("drop"), st.lists(ids, min_size=1, max_size=3))
build = st.tuples(st.just("build"), st.just(None))
look = st.tuples(st.just("look"), st.tuples(st.integers(0, KINDS - 1), st.lists(st.sampled_from(WORDS), min_size=1,
                 max_size=4), st.integers(1, 8)))  # fmt: skip


def open_in(folder) -> Vectors:
    vectors = Vectors(settings.Vectors(), folder, embed=lambda texts: np.ones((len(texts), WIDTH)), embed_model="m",
                      embed_dimension=WIDTH)  # fmt: skip
    vectors.create_unwalked("memory", WIDTH, model="m")
    return vectors


def store(vectors, items):
    items = list({id: (id, kind, held) for id, kind, held in items}.values())
    vectors.put(
        "memory",
        [id for id, _, _ in items],
        MEANINGS[[kind for _, kind, _ in items]],
        [json.dumps({"key": held, "kind": kind}).encode() for _, kind, held in items],
    )


def kept(vectors, meaning, held, k):
    shelves = vectors.shelves("memory", MEANINGS[meaning])
    return shelves.nearest(MEANINGS[meaning], [("key", word) for word in held], k, bytes)


def scored(vectors, meaning, held, k):
    hits = vectors.nearest("memory", MEANINGS[meaning], k, filter=Filter(should=[Condition(key="key", any=held)]))
    return [(hit.distance, hit.id, hit.metadata) for hit in hits]


def decoded(near):
    return [(distance, id, json.loads(note)) for distance, id, note in near]


@checked(max_examples=60)
@given(
    most=st.sampled_from([2, 500]),
    distances=st.sampled_from([3, 500]),
    often=st.sampled_from([0, 1, 8]),
    steps=st.lists(st.one_of(put, put, drop, build, look), max_size=25),
)
def test_shelves_give_what_scoring_gives_whatever_is_written(tmp_path_factory, most, distances, often, steps):
    patch = pytest.MonkeyPatch()
    patch.setattr("lakehouse.vectors._shelves._OFTEN", often)
    vectors = open_in(tmp_path_factory.mktemp("shelves"))
    vectors._indexes.get("memory").shelves._most_groups = most
    vectors._indexes.get("memory").shelves._most_distances = distances
    seen = []
    try:
        for kind, what in steps:
            if kind == "put":
                store(vectors, what)
            elif kind == "drop":
                vectors.delete_items("memory", what)
            elif kind == "build":
                # Of nobody: the index is written again.
                vectors.purge("memory", [])
            else:
                meaning, held, k = what
                shelves = vectors.shelves("memory", MEANINGS[meaning])
                writes = shelves.writes
                near = kept(vectors, meaning, held, k)
                expected = scored(vectors, meaning, held, k)
                assert near is None or decoded(near) == expected
                assert near is not None or most == 2
                sizes = [len(known) for known in shelves._measured.values()]
                assert shelves._distances_kept == sum(sizes)
                assert sum(sizes) <= distances or len(sizes) == 1
                seen.append((what, expected, shelves.settled(writes)))
            for (meaning, held, k), before, since in seen:
                shelves = vectors.shelves("memory", MEANINGS[meaning])
                if shelves.unchanged([("key", word) for word in held], since):
                    assert scored(vectors, meaning, held, k) == before
    finally:
        vectors.close()
        patch.undo()


@checked(max_examples=40)
@given(most_ids=st.sampled_from([4, 1_000]), behind=st.integers(1, 3), steps=st.lists(st.one_of(put, put, put, drop),
       max_size=12))  # fmt: skip
def test_look_up_done_again_gives_what_scoring_gives_after_every_write(tmp_path_factory, most_ids, behind, steps):
    looks = [(0, ["k0", "k1"], 3), (2, ["k1", "k2", "k3"], 1), (1, WORDS, 8), (0, ["k4"], 40)]
    vectors = open_in(tmp_path_factory.mktemp("shelves"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lakehouse.vectors._shelves._MOST_IDS", most_ids)
        store(vectors, [(f"i{number:02}", number % KINDS, [WORDS[number % 5]]) for number in range(IDS)])
        try:
            for number, (kind, what) in enumerate(steps):
                if kind == "put":
                    store(vectors, what)
                else:
                    vectors.delete_items("memory", what)
                # Some look-ups are several writes behind.
                for meaning, held, k in looks if number % behind == 0 else ():
                    assert decoded(kept(vectors, meaning, held, k)) == scored(vectors, meaning, held, k)
        finally:
            vectors.close()


def test_look_up_done_again_does_not_look_at_what_was_not_written(tmp_path):
    vectors = open_in(tmp_path)
    try:
        store(vectors, [("a", 0, ["k0"]), ("b", 2, ["k0"])])
        shelves = vectors.shelves("memory", MEANINGS[0])
        before = kept(vectors, 0, ["k0", "k1"], 3)
        assert kept(vectors, 0, ["k0", "k1"], 3) is before
        store(vectors, [("c", 0, ["k1"]), ("d", 0, ["k2"])])
        assert [near.id for near in kept(vectors, 0, ["k0", "k1"], 3)] == ["a", "c", "b"]
        vectors.delete_items("memory", ["a"])
        assert not shelves._kept._done
    finally:
        vectors.close()


def test_look_up_that_is_many_writes_behind_is_done_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("lakehouse.vectors._kept_near._MOST_BEHIND", 3)
    vectors = open_in(tmp_path)
    try:
        store(vectors, [("a", 0, ["k0"])])
        for number in range(8):
            # Sooner or later than what is noted of writes reaches back.
            if number % 5 == 0:
                assert decoded(kept(vectors, 0, ["k0", "k1"], 4)) == scored(vectors, 0, ["k0", "k1"], 4)
            store(vectors, [(f"i{number % 3}", number % KINDS, [WORDS[number % 2]])])
        assert decoded(kept(vectors, 0, ["k0", "k1"], 4)) == scored(vectors, 0, ["k0", "k1"], 4)
        known = vectors.shelves("memory", MEANINGS[0])._kept
        assert len(known._written) == 3
        assert sum(map(len, known._of_word.values())) == 3
        assert set(known._of_item) == {"i0", "i1", "i2"}
    finally:
        vectors.close()


def test_words_that_hold_a_separator_are_not_taken_for_others(tmp_path):
    vectors = open_in(tmp_path)
    try:
        store(vectors, [("a", 0, ["x"]), ("b", 0, ["y"]), ("c", 0, ["x\0key\0y"])])
        assert [near.id for near in kept(vectors, 0, ["x", "y"], 4)] == ["a", "b"]
        assert [near.id for near in kept(vectors, 0, ["x\0key\0y"], 4)] == ["c"]
    finally:
        vectors.close()


def test_shelves_tell_whether_a_word_is_held(tmp_path):
    vectors = open_in(tmp_path)
    try:
        shelves = vectors.shelves("memory", MEANINGS[0])
        assert not shelves.holds(("key", "k0"))
        store(vectors, [("a", 0, ["k0"])])
        assert shelves.holds(("key", "k0"))
        vectors.delete_items("memory", ["a"])
        assert not shelves.holds(("key", "k0"))
        assert shelves.items == 0
    finally:
        vectors.close()


def test_look_up_whose_shelf_had_to_go_at_once_is_done_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("lakehouse.vectors._shelves._MOST_IDS", 4)
    vectors = open_in(tmp_path)
    try:
        store(vectors, [(f"i{number}", number % KINDS, [WORDS[number % 2]]) for number in range(6)])
        for number in range(3):
            assert decoded(kept(vectors, 0, ["k0", "k1"], 20)) == scored(vectors, 0, ["k0", "k1"], 20)
            store(vectors, [(f"j{number}", number, ["k0"])])
    finally:
        vectors.close()


def test_write_leaves_shelves_of_other_words_unchanged(tmp_path):
    vectors = open_in(tmp_path)
    try:
        store(vectors, [("a", 0, ["k0"]), ("b", 1, ["k1"])])
        shelves = vectors.shelves("memory", MEANINGS[0])
        writes = shelves.writes
        for word in ("k0", "k1"):
            kept(vectors, 0, [word], 3)
        since = shelves.settled(writes)
        store(vectors, [("c", 0, ["k1"])])
        vectors.purge("memory", [])
        assert shelves.unchanged([("key", "k0")], since)
        assert not shelves.unchanged([("key", "k1")], since)
        assert shelves.settled(writes) is None
    finally:
        vectors.close()


def test_build_without_a_graph_is_no_change_and_exchanging_all_items_is(tmp_path):
    import pyarrow as pa

    vectors = open_in(tmp_path)
    try:
        store(vectors, [("a", 0, ["k0"])])
        assert [near.id for near in kept(vectors, 0, ["k0"], 3)] == ["a"]
        version = vectors.version("memory")
        vectors.purge("memory", [])
        assert vectors.version("memory") == version
        rows = tmp_path / "rows.arrow"
        vector = pa.FixedSizeListArray.from_arrays(pa.array(MEANINGS[1]), WIDTH)
        table = pa.table({"id": ["z"], "vector": vector, "metadata": ['{"key": ["k0"]}']})
        with pa.ipc.new_file(str(rows), table.schema) as writer:
            writer.write_table(table)
        vectors.replace("memory", rows, dimension=WIDTH, model="m")
        assert vectors.version("memory") != version
        assert [near.id for near in kept(vectors, 0, ["k0"], 3)] == ["z"]
    finally:
        vectors.close()


def test_look_ups_beside_writes_miss_nothing_that_stays(tmp_path):
    vectors = open_in(tmp_path)
    stop = threading.Event()
    store(vectors, [(f"s{number}", number % KINDS, ["k0"]) for number in range(20)])

    def write():
        for number in range(150):
            store(vectors, [("moving", number % KINDS, ["k0", WORDS[number % 5]])])
            vectors.delete_items("memory", ["moving"] if number % 3 == 0 else [])
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not stop.is_set():
            found = [near.id for near in kept(vectors, 0, ["k0"], 100)]
            assert sorted(set(found)) == sorted(found)
            assert {f"s{number}" for number in range(20)} <= set(found)
    finally:
        writer.join()
    try:
        for meaning in range(KINDS):
            assert decoded(kept(vectors, meaning, WORDS, 50)) == scored(vectors, meaning, WORDS, 50)
    finally:
        vectors.close()


@given(st.lists(st.lists(st.sampled_from("abcdefghij"), unique=True).map(sorted), min_size=1, max_size=6),
       st.integers(1, 12))  # fmt: skip
def test_first_is_the_beginning_of_all_lists_together(lists, k):
    assert first(lists, k) == sorted({each for one in lists for each in one})[:k]


@pytest.mark.parametrize("most", [0, 500])
def test_word_that_nothing_holds_finds_nothing(tmp_path, most, monkeypatch):
    monkeypatch.setattr("lakehouse.vectors._shelves._OFTEN", 0)
    vectors = open_in(tmp_path)
    try:
        vectors._indexes.get("memory").shelves._most_groups = most
        assert kept(vectors, 0, ["k0"], 3) == []
        store(vectors, [("a", 0, ["k0"])])
        assert (kept(vectors, 0, ["k0"], 3) is None) == (most == 0)
    finally:
        vectors.close()


def test_shelves_of_words_that_nothing_holds_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr("lakehouse.vectors._shelves._MOST_SHELVES", 8)
    vectors = open_in(tmp_path)
    try:
        store(vectors, [("a", 0, ["k0"]), ("b", 2, ["k1"])])
        shelves = vectors.shelves("memory", MEANINGS[0])
        for number in range(20):
            held = ["k0", f"nobody {number}", f"nothing {number}"]
            assert decoded(kept(vectors, 0, held, 3)) == scored(vectors, 0, held, 3)
            assert len(shelves._shelves) <= 8
    finally:
        vectors.close()


def test_nothing_of_what_was_removed_stays_with_look_ups(tmp_path):
    vectors = open_in(tmp_path)
    try:
        store(vectors, [("i01", 0, ["k1"]), ("i02", 0, ["k1"])])
        for _ in range(2):
            kept(vectors, 0, ["k1"], 3)
        store(vectors, [("i01", 2, ["k1"])])
        assert [id for _, id, _ in kept(vectors, 0, ["k1"], 3)] == ["i02", "i01"]
        vectors.delete_items("memory", ["i01"])
        looked_up = vectors.shelves("memory", MEANINGS[0])._kept
        assert "i01" not in repr(vars(looked_up))
        assert [id for _, id, _ in kept(vectors, 0, ["k1"], 3)] == ["i02"]
    finally:
        vectors.close()
