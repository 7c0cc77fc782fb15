from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.vectors import index
from lakehouse.vectors.base import Condition, Filter, Item
from lakehouse.vectors.service import Vectors

Open = Callable[..., Vectors]


def run_all(*works: Callable[[], None]) -> None:
    """Run each in a thread; what any of them raises is raised here."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("fresh_limit", [300, 1_000_000], ids=["built often", "never built"])
def test_small_index_constant_readds_of_the_same_ids(open_vectors: Open, fresh_limit: int) -> None:
    vectors = open_vectors(fresh_limit=fresh_limit)
    vectors.create("people", 4)
    ids = [f"p{n}" for n in range(24)]
    vectors.add(
        "people", [Item(id=id, vector=[1, 0, 0, n], metadata={"round": 0, "by": 0}) for n, id in enumerate(ids)]
    )
    until = time.monotonic() + 4.0
    last: dict[tuple[int, str], int] = {}
    query = np.array([1, 0, 0, 0], dtype=np.float32)

    def writer(by: int) -> Callable[[], None]:
        def work() -> None:
            rng = np.random.default_rng(by)
            round = 0
            while time.monotonic() < until:
                round += 1
                chosen = rng.choice(24, size=5, replace=False).tolist()
                vectors.add(
                    "people",
                    [Item(id=ids[n], vector=[1, 0, 0, n], metadata={"round": round, "by": by}) for n in chosen],
                )
                for n in chosen:
                    last[by, ids[n]] = round

        return work

    def reader() -> None:
        searches = 0
        while time.monotonic() < until:
            found = [hit.id for hit in vectors.nearest("people", query, 24)]
            # Every item is there at every moment, once.
            assert sorted(found) == sorted(ids)
            assert len(vectors.nearest("people", query, 30, filter=Filter(must=[Condition(key="by", gte=0)]))) == 24
            searches += 1
        assert searches > 20

    run_all(writer(1), writer(2), reader, reader)
    vectors.close()
    again = open_vectors()
    assert again.stats("people").items == 24
    for stored in again.scan("people"):
        by, round = stored.metadata["by"], stored.metadata["round"]
        assert by == 0 or last[by, stored.id] == round, "an acknowledged write was overtaken by an earlier one"


def test_writers_and_builds_at_once_lose_nothing(open_vectors: Open, tmp_path: Path) -> None:
    vectors = open_vectors(fresh_limit=150, exact_below=400)
    vectors.create("people", 4)
    stop = threading.Event()

    def writer(by: int) -> Callable[[], None]:
        def work() -> None:
            rng = np.random.default_rng(by)
            for number in range(150):
                rows = rng.normal(size=(4, 4))
                vectors.add(
                    "people",
                    [
                        Item(id=f"{by}-{number}-{n}", vector=row.tolist(), metadata={"by": by})
                        for n, row in enumerate(rows)
                    ],
                )
                if number % 5 == 4:
                    assert vectors.delete_items("people", [f"{by}-{number - 1}-{n}" for n in range(4)]) == 4
                hits = vectors.nearest("people", rows[0].astype(np.float32), 1)
                assert hits[0].id == f"{by}-{number}-0"

        return work

    def reader() -> None:
        query = np.array([1, 0, 0, 0], dtype=np.float32)
        while not stop.is_set():
            found = [hit.id for hit in vectors.nearest("people", query, 50)]
            assert len(found) == len(set(found))
            time.sleep(0.001)

    reading = threading.Thread(target=reader)
    reading.start()
    try:
        run_all(writer(1), writer(2), writer(3))
    finally:
        stop.set()
        reading.join()
    expected = {f"{by}-{number}-{n}" for by in (1, 2, 3) for number in range(150) for n in range(4) if number % 5 != 3}
    for again in (vectors, open_vectors(fresh_limit=150, exact_below=400)):
        assert set(again.ids("people").ids) == expected
        again.close()


def test_creating_and_deleting_at_once_leaves_one_or_none(vectors: Vectors) -> None:
    from lakehouse.errors import AlreadyExists, NotFound

    made, removed = [], []

    def create() -> None:
        for _ in range(40):
            try:
                vectors.create("people", 2)
                made.append(1)
                vectors.add("people", [Item(id="a", vector=[1, 2])])
            except (AlreadyExists, NotFound):
                continue

    def delete() -> None:
        for _ in range(40):
            try:
                vectors.delete("people")
                removed.append(1)
            except NotFound:
                time.sleep(0.001)

    run_all(create, create, delete, delete)
    assert len(made) - len(removed) == len(vectors.list().indexes)


def test_who_still_looks_at_what_a_build_replaced_sees_it_and_holds_up_no_write(
    open_vectors: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_LOOKED_AT_S", 1.0)
    vectors = open_vectors(fresh_limit=60, exact_below=50)
    vectors.create("people", 4)
    vectors.add("people", [Item(id=f"p{n}", vector=[1, 0, 0, n]) for n in range(60)])
    settled(vectors, 60)
    earlier = vectors.lookup("people", np.array([1, 0, 0, 0], dtype=np.float32))

    vectors.add("people", [Item(id=f"p{n}", vector=[1, 0, n, 0]) for n in range(70)])
    # In place, but what it replaced is still looked at.
    settled(vectors, 70)
    for n in range(20):
        vectors.add("people", [Item(id=f"p{n}", vector=[1, n, 0, 0], metadata={"again": True})])
    assert vectors.stats("people").items == 70
    assert len(vectors._indexes.get("people")._parts.fresh) == 20, "each write is taken in once"
    assert vectors.delete_items("people", ["p3", "p69"]) == 2

    assert {id for _, id, _ in earlier.nearest(100, None)} == {f"p{n}" for n in range(60)}
    del earlier
    expected = {f"p{n}" for n in range(69) if n != 3}
    for again in (vectors, open_vectors()):
        found = again.nearest("people", np.array([1, 0, 0, 0], dtype=np.float32), 100)
        assert {hit.id for hit in found} == expected
        assert {hit.id for hit in found if hit.metadata} == {f"p{n}" for n in range(20) if n != 3}
        again.close()


def settled(vectors: Vectors, rows: int) -> None:
    until = time.monotonic() + 30
    while vectors.stats("people").indexed != rows:
        assert time.monotonic() < until, vectors.stats("people")
        time.sleep(0.01)


def test_search_goes_on_while_another_index_is_built(open_vectors: Open, tmp_path: Path) -> None:
    count, width = 8_000, 32
    rng = np.random.default_rng(5)
    values = rng.normal(size=(count, width)).astype(np.float32)
    table = pa.table(
        {
            "id": [f"w-{n}" for n in range(count)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width),
            "metadata": [f'{{"n": {n}}}' for n in range(count)],
        }
    )
    with pa.ipc.new_file(str(tmp_path / "rows"), table.schema) as writer:
        writer.write_table(table)
    vectors = open_vectors(exact_below=1_000)
    vectors.create("other", width)
    vectors.add("other", [Item(id=f"o-{n}", vector=values[n].tolist()) for n in range(500)])
    waits: list[float] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            start = time.perf_counter()
            vectors.nearest("other", values[len(waits) % count], 10)
            waits.append(time.perf_counter() - start)
            time.sleep(0.001)

    searching = threading.Thread(target=search)
    searching.start()
    try:
        vectors.replace("big", tmp_path / "rows", dimension=width)
    finally:
        done.set()
        searching.join()
    assert len(waits) > 50
    # A build inside this process would hold all of them up for its whole time; the rest is the machine's noise.
    assert sorted(waits)[len(waits) // 2] < 0.05
    assert max(waits) < 1.0
