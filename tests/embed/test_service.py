from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.embed.cache import DiskCache, RecentVectors, key
from lakehouse.embed.service import CACHE_FILE, Embeddings
from lakehouse.errors import InternalError, InvalidInput, LakehouseError, NotFound, TooLarge, Unavailable


def write(path: Path, texts: list[str | None], **change: Any) -> Path:
    columns = {"id": [f"w-{n}" for n in range(len(texts))], "text": texts, "metadata": ['{"a": 1}'] * len(texts)}
    table = pa.table({**columns, **change})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    return path


def read(path: Path) -> pa.Table:
    with pa.ipc.open_file(str(path)) as reader:
        return reader.read_all()


def vectors_of(table: pa.Table) -> np.ndarray:
    column = table["vector"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def test_texts_answers_in_order_with_unit_norm(embeddings: Embeddings) -> None:
    answer = embeddings.texts(["forklift operator", "x", "Café résumé ⭐ 你好", "x"])
    assert (answer.model, answer.dimension) == ("all-MiniLM-L6-v2", 384)
    assert [len(vector) for vector in answer.vectors] == [384] * 4
    assert answer.vectors[1] == answer.vectors[3] != answer.vectors[0]
    assert np.allclose(np.linalg.norm(answer.vectors, axis=1), 1.0, atol=1e-6)
    assert embeddings.texts(["x"], model="all-MiniLM-L6-v2").vectors == [answer.vectors[1]]


@pytest.mark.parametrize(
    ("texts", "error", "named"),
    [
        ([], InvalidInput, "texts is empty"),
        (["a"] * 1_025, InvalidInput, "1025 entries; at most 1024"),
        (["a", "b", "c", ""], InvalidInput, r"texts\[3\] is blank"),
        (["a", " \n\t"], InvalidInput, r"texts\[1\] is blank"),
        (["a", "x" * 65_536], TooLarge, r"texts\[1\] is over 32,768 bytes"),
        (["é" * 16_385], TooLarge, r"texts\[0\]"),
        (["\ud800"], InvalidInput, "surrogate"),
    ],
)
def test_texts_bad_input_is_named(
    embeddings: Embeddings, texts: list[str], error: type[LakehouseError], named: str
) -> None:
    with pytest.raises(error, match=named):
        embeddings.texts(texts)


def test_texts_at_the_limits_are_taken(embeddings: Embeddings) -> None:
    assert len(embeddings.texts(["é" * 16_384]).vectors) == 1
    assert len(embeddings.texts(["a"] * 1_024).vectors) == 1_024


def test_texts_unknown_model_lists_the_known(config: settings.Embed, tmp_path: Path, embeddings: Embeddings) -> None:
    with pytest.raises(NotFound, match=r"'gpt'; known: all-MiniLM-L6-v2, nomic-embed-text"):
        embeddings.texts(["a"], model="gpt")
    with pytest.raises(NotFound, match="known"):
        Embeddings(settings.Embed(model="gpt"), tmp_path)


def test_array_takes_none_and_any_number(embeddings: Embeddings) -> None:
    assert embeddings.array([]).shape == (0, 384)
    assert embeddings.array([f"text {n % 3}" for n in range(1_500)]).shape == (1_500, 384)


def test_array_results_do_not_share_memory_with_the_cache(embeddings: Embeddings) -> None:
    first = embeddings.array(["x"])
    expected = first.copy()
    first[:] = 0
    assert (embeddings.array(["x"]) == expected).all()


def test_array_from_several_threads_loads_one_model_and_agrees(embeddings: Embeddings) -> None:
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(embeddings.array(["x", "y"]).tobytes())) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert len(answers) == 6


def test_embed_file_rows_come_out_in_order_with_their_vectors(embeddings: Embeddings, tmp_path: Path) -> None:
    texts = [f"{'long ' * (n % 7)}text {n % 40}" for n in range(250)]
    steps: list[tuple[int, int]] = []
    source = write(tmp_path / "in", texts)
    done = embeddings.embed_file(source, tmp_path / "out", progress=lambda *step: steps.append(step))
    distinct = len(set(texts))
    assert (done.embedded, done.reused) == (distinct, 250 - distinct)
    assert steps[-1] == (250, 250)
    assert [step[0] for step in steps] == sorted(step[0] for step in steps)
    table = read(tmp_path / "out")
    assert table.column_names == ["id", "text", "metadata", "vector"]
    assert table.drop_columns("vector").equals(read(source).cast(table.drop_columns("vector").schema))
    assert table.schema.field("vector").type.list_size == 384
    fresh = Embeddings(settings.Embed(cache_path=embeddings._config.cache_path), tmp_path / "elsewhere")
    assert vectors_of(table).tobytes() == fresh.array(texts).tobytes()
    fresh.close()


def test_embed_file_second_time_reuses_all(embeddings: Embeddings, tmp_path: Path) -> None:
    source = write(tmp_path / "in", ["one", "two", "one"])
    assert not embeddings.cached("one")
    embeddings.embed_file(source, tmp_path / "out")
    again = embeddings.embed_file(source, tmp_path / "again")
    assert (again.embedded, again.reused) == (0, 3)
    assert read(tmp_path / "again").equals(read(tmp_path / "out"))
    assert embeddings.cached("one")
    assert not embeddings.cached("three")
    assert embeddings.array(["one"]).tobytes() == vectors_of(read(tmp_path / "out"))[0].tobytes()


def test_embed_file_without_rows_is_fine(embeddings: Embeddings, tmp_path: Path) -> None:
    source = write(
        tmp_path / "in",
        [],
        id=pa.array([], pa.string()),
        text=pa.array([], pa.string()),
        metadata=pa.array([], pa.string()),
    )
    done = embeddings.embed_file(source, tmp_path / "out")
    assert (done.embedded, done.reused) == (0, 0)
    assert read(tmp_path / "out").num_rows == 0


def test_embed_file_damaged_cache_is_begun_anew(embeddings: Embeddings, tmp_path: Path) -> None:
    (tmp_path / CACHE_FILE).write_bytes(b"not a database at all" * 100)
    assert not embeddings.cached("one")
    done = embeddings.embed_file(write(tmp_path / "in", ["one"]), tmp_path / "out")
    assert done.embedded == 1
    assert embeddings.cached("one")


@pytest.mark.parametrize(
    ("texts", "change", "named"),
    [
        (["a", ""], {}, "text of row 'w-1' is blank"),
        (["a", None], {}, "text of row 'w-1' is blank"),
    ],
)
def test_embed_file_blank_text_is_named_and_nothing_written(
    embeddings: Embeddings, tmp_path: Path, texts: list[str | None], change: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidInput, match=named):
        embeddings.embed_file(write(tmp_path / "in", texts, **change), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == []


def test_embed_file_missing_column_or_file_is_named(embeddings: Embeddings, tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "text": ["b"]})
    with pa.ipc.new_file(str(tmp_path / "in"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InvalidInput, match="no column 'metadata'"):
        embeddings.embed_file(tmp_path / "in", tmp_path / "out")
    with pytest.raises(Unavailable, match="nowhere"):
        embeddings.embed_file(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    with pytest.raises(LakehouseError, match=r"(?i)arrow"):
        embeddings.embed_file(tmp_path / "junk", tmp_path / "out")


def test_embed_file_what_the_listener_raises_ends_the_child(embeddings: Embeddings, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Enough

    source = write(tmp_path / "in", [f"text {n}" for n in range(20_000)])
    start = time.monotonic()
    with pytest.raises(Enough):
        embeddings.embed_file(source, tmp_path / "out", progress=stop)
    assert time.monotonic() - start < 20
    assert not (tmp_path / "out").exists()


def test_close_gives_up_a_running_file(embeddings: Embeddings, tmp_path: Path) -> None:
    source = write(tmp_path / "in", [f"text {n}" for n in range(20_000)])
    with pytest.raises(Unavailable, match="shutting down"):
        embeddings.embed_file(source, tmp_path / "out", progress=lambda *_: embeddings.close())


def embedding_processes(source: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"lakehouse.embed._file" not in (process / "cmdline").read_bytes():
                continue
            if str(source).encode() in (process / "maps").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_child_killed_is_an_error_with_what_it_said(embeddings: Embeddings, tmp_path: Path) -> None:
    source = write(tmp_path / "in", [f"text {n}" for n in range(20_000)])

    def kill(done: int, total: int) -> None:
        for process in embedding_processes(source):
            os.kill(process, signal.SIGKILL)

    with pytest.raises(InternalError, match=r"lakehouse\.embed\._file ended with status -9"):
        embeddings.embed_file(source, tmp_path / "out", progress=kill)


def test_parent_killed_leaves_no_child(config: settings.Embed, tmp_path: Path) -> None:
    source = write(tmp_path / "in", [f"text {n}" for n in range(20_000)])
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from lakehouse import settings
        from lakehouse.embed.service import Embeddings

        folder, cache = Path(sys.argv[1]), sys.argv[2]
        embeddings = Embeddings(settings.Embed(cache_path=cache), folder)
        embeddings.embed_file(folder / "in", folder / "out", progress=lambda *_: print("on", flush=True))
        """
    )
    root = str(Path(lakehouse.__file__).parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), config.cache_path],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    process.stdout.readline()
    children = embedding_processes(source)
    assert len(children) == 1
    assert os.getpriority(os.PRIO_PROCESS, children[0]) == os.getpriority(os.PRIO_PROCESS, process.pid) + 10
    process.kill()
    process.wait()
    process.stdout.close()
    wait_until(lambda: not embedding_processes(source))
    assert not (tmp_path / "out").exists()


def test_disk_cache_is_shared_between_objects(tmp_path: Path) -> None:
    first, second = DiskCache(tmp_path / "c.db"), DiskCache(tmp_path / "c.db")
    names = [key("m", f"text {n}") for n in range(1_200)]
    vectors = {name: np.full(3, n, dtype=np.float32) for n, name in enumerate(names)}
    assert second.read(names) == {}
    first.write(vectors)
    found = second.read([*names, key("other", "text 1")])
    assert {name: vector.tolist() for name, vector in found.items()} == {
        name: v.tolist() for name, v in vectors.items()
    }
    # The first vector of a text stays.
    first.write({names[0]: np.full(3, 9, dtype=np.float32)})
    assert second.read([names[0]])[names[0]].tolist() == [0, 0, 0]
    for cache in (first, second):
        cache.close()


def test_disk_cache_read_only_place_is_an_error(read_only_folder: Path) -> None:
    with pytest.raises(OSError, match=r"c\.db"):
        DiskCache(read_only_folder / "c.db").write({b"k": np.ones(2, dtype=np.float32)})


def test_recent_vectors_drop_the_longest_unused() -> None:
    recent = RecentVectors(2)
    one = np.ones(1)
    recent.put("m", "a", one)
    recent.put("m", "b", one)
    assert recent.get("m", "a") is one
    recent.put("m", "c", one)
    assert recent.get("m", "b") is None
    assert recent.get("m", "a") is one
    assert recent.get("other", "a") is None
    nothing = RecentVectors(0)
    nothing.put("m", "a", one)
    assert nothing.get("m", "a") is None
