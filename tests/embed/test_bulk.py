"""Bulk embedding: what workers leave in shared files, a build finds, and runs no model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from lakehouse import settings
from lakehouse.embed import worker
from lakehouse.embed.service import Embeddings
from lakehouse.embed.shared import SharedVectors
from lakehouse.errors import InvalidInput, Unavailable

TEXTS = [f"forklift operator {number}, moved pallets at site {number % 7}" for number in range(90)]
# Two workers of its own, as a cluster has them.
SERVER = """
import os, sys
os.environ["SAIL_MODE"] = "local-cluster"
os.environ["SAIL_CLUSTER__WORKER_INITIAL_COUNT"] = os.environ["SAIL_CLUSTER__WORKER_MAX_COUNT"] = "2"
from pysail.spark import SparkConnectServer
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
print(server.listening_address[1], flush=True)
sys.stdin.read()
server.stop()
"""
PROCESS = """
import sys
import msgspec
from lakehouse.embed import worker
request = msgspec.json.decode(sys.stdin.buffer.read())
print(worker.embed(request["texts"], request["config"])[1])
"""


def config(folder: Path, **more: Any) -> settings.Embed:
    return settings.Embed(shared_vectors=str(folder / "shared"), spark_from=1, **more)


def build(folder: Path, section: settings.Embed, texts: list[str] = TEXTS) -> tuple[int, int, np.ndarray]:
    """Embed a file as a build of a corpus does: texts that went through a model, those that did not, the vectors."""
    folder.mkdir(exist_ok=True)
    source, target = folder / "rows.arrow", folder / "vectors.arrow"
    table = pa.table({"id": [*map(str, range(len(texts)))], "text": texts, "metadata": ["{}"] * len(texts)})
    with pa.OSFile(str(source), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    embeddings = Embeddings(section, folder)
    try:
        done = embeddings.embed_file(source, target)
    finally:
        embeddings.close()
    with pa.OSFile(str(target)) as file:
        vectors = pa.ipc.open_file(file).read_all().column("vector").to_pylist()
    return done.embedded, done.reused, np.array(vectors, dtype=np.float32)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return build(tmp_path_factory.mktemp("plain"), settings.Embed())[2]


@pytest.fixture(scope="module")
def sail() -> Iterator[str]:
    pytest.importorskip("pysail", reason="no Spark here: install pysail")
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    yield f"sc://127.0.0.1:{int(server.stdout.readline())}"
    server.communicate(timeout=60)


def test_build_after_a_job_of_two_processes_embeds_nothing(tmp_path: Path, plain: np.ndarray) -> None:
    section = config(tmp_path)
    values = msgspec.structs.asdict(section)
    workers = [
        subprocess.Popen([sys.executable, "-c", PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for half, process in zip((TEXTS[:50], TEXTS[40:]), workers, strict=True):
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode({"texts": half, "config": values}))
        process.stdin.close()
    counts = []
    for process in workers:
        assert process.stdout is not None
        with process, process.stdout as said:
            counts.append(int(said.read()))
    assert counts == [50, 50]
    embedded, reused, vectors = build(tmp_path / "lake", section)
    assert (embedded, reused) == (0, len(TEXTS))
    assert np.array_equal(vectors, plain)


def test_build_on_spark_embeds_by_two_workers_and_then_nothing(
    tmp_path: Path, plain: np.ndarray, sail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakehouse.embed import _bulk

    monkeypatch.setattr(worker, "PART", 24)
    section = config(tmp_path, spark_url=sail)
    told: list[int] = []
    values = msgspec.structs.asdict(section)
    assert _bulk.embed(sorted(TEXTS), values, url=sail, token_env="", done=told.append) == len(TEXTS)
    assert told[-1] == len(TEXTS)
    assert len(list((tmp_path / "shared").iterdir())) == 4
    # A job that is run again, say after a crash, finds the files.
    assert _bulk.embed(sorted(TEXTS), values, url=sail, token_env="", done=told.append) == 0
    embedded, _, vectors = build(tmp_path / "lake", section)
    assert embedded == 0
    assert np.array_equal(vectors, plain)


def test_build_by_settings_alone_goes_to_spark_and_its_vectors_to_the_next_lake(
    tmp_path: Path, plain: np.ndarray, sail: str
) -> None:
    section = config(tmp_path, spark_url=sail)
    assert build(tmp_path / "one", section)[:2] == (len(TEXTS), 0)
    # What one build embeds itself is there for others too, and is not asked for again.
    more = config(tmp_path, spark_url="")
    assert build(tmp_path / "one", more, [*TEXTS, "welder, TIG"])[:2] == (1, len(TEXTS))
    embedded, _, vectors = build(tmp_path / "two", more, [*TEXTS, "welder, TIG"])
    assert embedded == 0
    assert np.array_equal(vectors[:-1], plain)


def test_vectors_that_workers_left_elsewhere_fail_the_build_and_are_not_made_again(
    tmp_path: Path, sail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakehouse.embed import _bulk, _file

    embed = _bulk.embed

    def unmounted(texts: list[str], section: dict[str, Any], **more: Any) -> int:
        return embed(texts, {**section, "shared_vectors": str(tmp_path / "elsewhere")}, **more)

    monkeypatch.setattr(_bulk, "embed", unmounted)
    section = config(tmp_path, spark_url=sail)
    build(tmp_path / "lake", config(tmp_path), TEXTS[:1])
    table = pa.table({"id": ["1", "2"], "text": TEXTS[:2], "metadata": ["{}"] * 2})
    with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    request = {
        "config": msgspec.structs.asdict(section),
        "folder": str(tmp_path / "lake"),
        "source": str(tmp_path / "rows.arrow"),
        "target": str(tmp_path / "vectors.arrow"),
    }
    with pytest.raises(Unavailable, match=r"have embedded 1 texts, and 1 of the vectors are not in embed\.shared_vec"):
        _file.main(request, lambda *_: None)
    assert not (tmp_path / "vectors.arrow").exists()


@pytest.mark.parametrize(("shared", "says"), [("", "is empty"), ("vectors", "is 'vectors'")])
def test_workers_without_a_place_for_vectors_are_refused(tmp_path: Path, shared: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=f"embed.shared_vectors {says}; set it to the absolute path"):
        Embeddings(settings.Embed(spark_url="sc://127.0.0.1:9", shared_vectors=shared), tmp_path)


def test_spark_out_of_reach_fails_the_build_and_names_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"bulk embedding on 127\.0\.0\.1:9 failed"):
        build(tmp_path / "lake", config(tmp_path, spark_url="sc://127.0.0.1:9"))


def test_forgotten_text_is_in_no_shared_file_and_a_broken_file_is_passed_over(tmp_path: Path) -> None:
    section = config(tmp_path)
    build(tmp_path / "one", section, TEXTS[:5])
    embeddings = Embeddings(section, tmp_path / "one")
    embeddings.forget(TEXTS[:1])
    embeddings.close()
    shared = SharedVectors(tmp_path / "shared")
    assert [len(found) for _, found in shared.files(known=())] == [4]
    (tmp_path / "shared" / "broken.vectors").write_bytes(b"ARROW1 but no more")
    assert build(tmp_path / "two", section, TEXTS[:5])[:2] == (1, 4)
