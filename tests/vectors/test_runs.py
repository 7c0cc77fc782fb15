"""Indexes in which most rows share their vector with others: scored once a run, and told apart by id."""

import json
import mmap
import os
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from lakehouse import settings
from lakehouse.vectors import _built, _parts
from lakehouse.vectors.base import Condition, Filter
from lakehouse.vectors.service import Vectors

WIDTH, KINDS, ROWS = 4, 6, 300
_RNG = np.random.default_rng(5)
MEANINGS = _RNG.normal(size=(KINDS, WIDTH)).astype(np.float32)


def metadata_of(row: int) -> dict:
    return {"role_code": f"r{row % KINDS // 2}", "key": [f"k{row % 5}", f"j{row % 11}"]}


def open_in(folder, **config) -> Vectors:
    section = settings.Vectors(**config)
    return Vectors(section, folder, embed=lambda texts: np.ones((len(texts), WIDTH)), embed_model="m",
                   embed_dimension=WIDTH)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An index whose built part is in runs, with some rows deleted and some written anew."""
    folder = tmp_path_factory.mktemp("runs")
    order = _RNG.permutation(ROWS).tolist()
    rows = folder / "rows.arrow"
    table = pa.table(
        {
            "id": [f"i{row:03}" for row in order],
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(MEANINGS[[row % KINDS for row in order]].ravel()), WIDTH
            ),
            "metadata": [json.dumps(metadata_of(row)) for row in order],
        }
    )
    with pa.ipc.new_file(str(rows), table.schema) as writer:
        writer.write_table(table, max_chunksize=70)
    vectors = open_in(folder)
    vectors.create_unwalked("memory", WIDTH, model="m")
    vectors.replace("memory", rows, dimension=WIDTH, model="m")
    assert list((folder / "vectors" / "memory").glob("*/runs.npy"))
    vectors.delete_items("memory", [f"i{row:03}" for row in range(0, ROWS, 17)])
    kept = {row: row % KINDS for row in range(ROWS) if row % 17}
    moved = range(1, ROWS, 23)
    changed = [row for row in moved if row in kept]
    kept |= {row: (row + 1) % KINDS for row in changed}
    vectors.put("memory", [f"i{row:03}" for row in changed], MEANINGS[[kept[row] for row in changed]],
                [json.dumps(metadata_of(row)).encode() for row in changed])  # fmt: skip
    yield vectors, kept
    vectors.close()


@checked(max_examples=60)
@given(
    meaning=st.integers(0, KINDS - 1),
    k=st.integers(1, 40),
    words=st.lists(st.sampled_from([f"k{n}" for n in range(6)] + [f"j{n}" for n in range(11)]), max_size=4),
    gone=st.sets(st.integers(0, ROWS), max_size=20),
)
def test_nearest_in_runs_is_what_scoring_everything_gives(built, meaning, k, words, gone):
    vectors, kept = built
    query = MEANINGS[meaning].astype(np.float64)
    wide = MEANINGS.astype(np.float64)
    distances = 1 - wide @ query / np.linalg.norm(wide, axis=1) / np.linalg.norm(query)
    expected = sorted(
        (round(float(distances[kind]), 6) + 0.0, f"i{row:03}")
        for row, kind in kept.items()
        if row not in gone and (not words or set(words) & set(metadata_of(row)["key"]))
    )[:k]
    filter = Filter(should=[Condition(key="key", any=words)]) if words else None
    found = vectors.nearest("memory", MEANINGS[meaning], k, filter=filter, exclude={f"i{row:03}" for row in gone})
    assert [(hit.distance, hit.id) for hit in found] == expected


def test_unwalked_index_gets_no_graph_and_waits_with_builds_for_a_share(tmp_path):
    vectors = open_in(tmp_path, exact_below=50, fresh_limit=100)
    vectors.create_unwalked("memory", WIDTH, model="m")
    try:
        for start in range(0, 1_000, 50):
            ids = [f"i{row:04}" for row in range(start, start + 50)]
            vectors.put("memory", ids, MEANINGS[[row % KINDS for row in range(50)]], [b"{}"] * 50)
        deadline = time.monotonic() + 30
        index = vectors._indexes.get("memory")
        while index._parts.built is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert index._parts.built is not None
        stats = vectors.stats("memory")
        assert (stats.items, stats.indexed, stats.findability) == (1_000, 0, None)
    finally:
        vectors.close()


def test_what_is_read_ahead_is_where_vectors_and_metadata_lie(built, monkeypatch):
    part = built[0]._indexes.get("memory")._parts.built
    assert isinstance(part._vectors_ahead._map, mmap.mmap)
    assert isinstance(part.metadata._ahead._map, mmap.mmap)
    rows = [0, 7, len(part) - 1]
    part.read_vectors_ahead(rows)
    part.read_metadata_ahead([part.ids[row] for row in rows])
    read = []
    monkeypatch.setattr(_built._Ahead, "read", lambda self, places: read.append([*places]))
    part.read_vectors_ahead(rows)
    part.read_metadata_ahead(["nobody", *(part.ids[row] for row in rows)])
    vectors, metadata = read
    for row, (begin, end), (first, last) in zip(rows, vectors, metadata, strict=True):
        assert (part.folder / "vectors.npy").read_bytes()[begin:end] == part.vectors[row].tobytes()
        assert (part.folder / "metadata.bin").read_bytes()[first:last] == bytes(part.metadata[row])


def test_no_more_vectors_are_read_ahead_than_are_looked_at_next(built, monkeypatch):
    parts = built[0]._indexes.get("memory")._parts
    read = []
    reading = _built.Built.read_vectors_ahead

    def noted(self, rows):
        read.append(len(rows))
        reading(self, rows)

    monkeypatch.setattr(_built.Built, "read_vectors_ahead", noted)
    monkeypatch.setattr(_parts, "_AHEAD", 2)
    found = parts.by_vector([("key", f"k{number}") for number in range(5)])
    next(found)
    assert read == [2], "whoever asks may give up after the first"
    assert 1 + sum(1 for _ in found) > 2
    assert max(read) == 2


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux tells what of a file is in memory")
def test_places_that_are_read_ahead_are_in_memory_before_anybody_looks(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(64 << 20))

    def in_memory(place):
        try:
            return os.preadv(file.fileno(), [bytearray(100)], place, os.RWF_NOWAIT) == 100
        except BlockingIOError:
            return False

    with path.open("r+b") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        wanted = [10 << 20, 40 << 20]
        try:
            if any(map(in_memory, wanted)):
                pytest.skip("this file system keeps its files in memory")
        except OSError as error:
            pytest.skip(f"this file system does not tell what of a file is in memory: {error}")
        _built._Ahead(np.memmap(path, dtype=np.uint8, mode="r")).read((place, place + 100) for place in wanted)
        until = time.monotonic() + 30
        while not all(map(in_memory, wanted)):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert not in_memory(25 << 20)
