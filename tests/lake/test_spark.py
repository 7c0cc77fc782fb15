"""The same statements on a Spark Connect server, here Sail in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import DeadlineExceeded, InvalidInput, LakehouseError, PermissionDenied, Unavailable
from lakehouse.lake.query import LogTable, Query
from lakehouse.progress import awaited

PEOPLE = (
    b"id,name,day,pay,seen,city\n"
    b"1,Ann,2024-01-02,1.25,2024-01-01T10:00:00Z,Reno\n"
    b"2,Bo,,2,,Elko\n"
    b"3,\xc3\x87y,2024-03-04,,2024-02-01T10:00:00Z,Reno\n"
)
CITIES = b"city,state\nReno,NV\nElko,NV\n"
SERVER = """
import sys
from pysail.spark import SparkConnectServer
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
print(server.listening_address[1], flush=True)
sys.stdin.read()
server.stop()
"""
# Each gives the same names, types and rows on both engines.
SAME = [
    "SELECT * FROM people ORDER BY id",
    "FROM people ORDER BY pay DESC, id",
    "SELECT id, name FROM people ORDER BY pay",
    "SELECT count(*) AS n, sum(id) AS s, avg(pay) AS a, min(day) AS d FROM people",
    "SELECT city, count(*) FILTER (WHERE pay > 1) FROM people GROUP BY city ORDER BY 1",
    "SELECT p.name, c.state FROM people p JOIN cities c USING (city) ORDER BY 1",
    "SELECT people.name, cities.state FROM people, cities WHERE people.city = cities.city ORDER BY 1",
    "WITH people AS (SELECT city AS name FROM cities) SELECT name FROM people ORDER BY 1",
    "WITH twice AS (SELECT id * 2 AS d FROM people) SELECT * FROM twice ORDER BY d DESC",
    "SELECT id FROM people WHERE city IN (SELECT city FROM cities WHERE state = 'NV') ORDER BY id",
    "SELECT 7 // 2, 7 / 2, id FROM people ORDER BY id",
    "SELECT day::VARCHAR, strftime(seen, '%Y') FROM people ORDER BY id",
    "SELECT name FROM people WHERE regexp_matches(name, '^A') OR name ILIKE 'b%' ORDER BY name",
    "SELECT list(name ORDER BY name) FROM people",
    "SELECT id, row_number() OVER (PARTITION BY city ORDER BY id DESC) FROM people ORDER BY id",
    "SELECT {'a': pay, 'b': name} FROM people ORDER BY id",
    "SELECT id FROM PEOPLE UNION ALL SELECT 9 ORDER BY 1",
    "SELECT id FROM people WHERE 1 = 0",
    "DESCRIBE people",
    "SELECT 6 * 7 AS answer",
]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """A Spark Connect server; its client looks for itself beside the program that runs, so that is a file."""
    pytest.importorskip("pysail", reason="no Sail here: install pysail and pyspark-client")
    program = folder / "serve.py"
    program.write_text(SERVER, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield f"sc://127.0.0.1:{process.stdout.readline().strip()}", process
            process.stdin.close()
            process.wait(30)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("sail")) as (url, _):
        yield url


@pytest.fixture
def spark(server, catalog, tmp_path) -> Iterator[Query]:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b'{"id": 1}\n')
    query = Query(settings.Query(engine="spark", spark_url=server), catalog, [LogTable("ops", log, {"id": "BIGINT"})])
    yield query
    query.close()


@pytest.fixture
def data(ingest) -> None:
    ingest.file(PEOPLE, "people", key="id")
    ingest.file(CITIES, "cities")


@pytest.mark.parametrize("sql", SAME)
def test_statement_gives_the_same_on_both_engines(data, query, spark, sql) -> None:
    here, there = query.query(sql), spark.query(sql)
    assert there.columns == here.columns
    assert there.rows == here.rows


def test_arrow_has_the_same_schema(data, query, spark) -> None:
    sql = "SELECT * FROM people ORDER BY id"
    there, here = (pa.ipc.open_stream(engine.arrow(sql)).read_all() for engine in (spark, query))
    assert there.schema.equals(here.schema, check_metadata=True)
    assert there == here


def test_limit_is_kept_and_told(data, spark) -> None:
    answer = spark.query("SELECT id FROM people ORDER BY id", limit=2)
    assert (answer.rows, answer.truncated) == ([[1], [2]], True)


def test_rows_of_an_earlier_snapshot_and_of_the_next(data, catalog, ingest, spark) -> None:
    before = catalog.version("people").snapshot_id
    ingest.file(PEOPLE.replace(b"Ann", b"Eve"), "people", key="id")
    sql = "SELECT name FROM people WHERE id = 1"
    assert spark.query(sql).rows == [["Eve"]]
    assert spark.query(sql, snapshots={"people": before}).rows == [["Ann"]]


def test_log_is_read_here_and_joined_to_no_dataset(data, spark) -> None:
    assert spark.query("SHOW TABLES").rows == [["cities"], ["ops"], ["people"]]
    assert spark.query("SELECT id FROM ops").rows == [[1]]
    with pytest.raises(InvalidInput, match="'ops' is a log of this machine"):
        spark.query("SELECT * FROM ops JOIN people USING (id)")


@pytest.mark.parametrize(
    ("sql", "error", "says"),
    [
        ("DROP TABLE people", PermissionDenied, "only queries"),
        ("SELECT reflect('java.lang.System', 'getenv') FROM people", InvalidInput, "reflect"),
        ("SELECT * FROM read_csv('/etc/passwd'), people", PermissionDenied, "read_csv"),
        ("SELECT * FROM parquet.`/tmp/x`", LakehouseError, ""),
        ("SELECT nothing FROM people", InvalidInput, "nothing"),
        ("SELECT name[1:2] FROM people", InvalidInput, ""),
        ("SELECT CAST(name AS INTEGER) FROM people", InvalidInput, "cast"),
    ],
)
def test_statement_is_refused_with_a_reason(data, spark, sql, error, says) -> None:
    with pytest.raises(error, match=f"(?i){says}"):
        spark.query(sql)


# 10**18 rows, made in many steps of about nothing each.
ENDLESS = "SELECT sum(p.id + a.x * b.x) FROM people p" + "".join(
    f" CROSS JOIN (SELECT unnest(range(100)) AS x) {name}" for name in "abcdefghi"
)
# 10**12 rows in steps of a million batches, between which alone this server looks whether it is to stop.
DEAF = (
    "SELECT sum(p.id + a.x * b.x) FROM people p"
    " CROSS JOIN (SELECT unnest(range(1000000)) AS x) a CROSS JOIN (SELECT unnest(range(1000000)) AS x) b"
)


@pytest.mark.parametrize("after_ms", [20, 100, 250, 500, 1_500])
def test_statement_is_stopped_at_its_time_and_leaves_the_server_free(data, spark, after_ms) -> None:
    with pytest.raises(DeadlineExceeded, match=f"longer than {after_ms} ms"):
        spark.query(ENDLESS, timeout_ms=after_ms)
    assert spark.query("SELECT count(*) FROM people").rows == [[3]]


@pytest.mark.filterwarnings("ignore:.*RETRIES_EXCEEDED")
def test_statement_that_the_server_does_not_stop_ends_for_the_caller(data, catalog, tmp_path) -> None:
    with serving(tmp_path) as (url, process):
        query = Query(settings.Query(engine="spark", spark_url=url), catalog)
        with pytest.raises(DeadlineExceeded, match="longer than 3000 ms"):
            query.query(DEAF, timeout_ms=3_000)
        process.kill()
        query.close()


def test_statement_is_stopped_when_nobody_waits(data, spark) -> None:
    gone = threading.Event()
    threading.Timer(0.5, gone.set).start()
    started = time.monotonic()
    with awaited(gone), pytest.raises(DeadlineExceeded, match="hung up"):
        spark.query(ENDLESS)
    assert time.monotonic() - started < 25


@pytest.mark.filterwarnings("ignore:.*RETRIES_EXCEEDED")
def test_server_that_is_not_there_is_named(data, catalog) -> None:
    query = Query(settings.Query(engine="spark", spark_url="sc://127.0.0.1:1"), catalog)
    with pytest.raises(Unavailable, match=r"sc://127\.0\.0\.1:1 does not answer"):
        query.query("SELECT * FROM people")
    query.close()


def test_engine_without_an_address_is_refused(catalog) -> None:
    with pytest.raises(InvalidInput, match=r"query\.spark_url"):
        Query(settings.Query(engine="spark"), catalog)


def test_scan_gives_all_rows_by_the_first_column(data, query, spark) -> None:
    there = spark.scan("people", columns=["id", "name", "seen"])
    assert there.read_all() == query.scan("people", columns=["id", "name", "seen"]).read_all()


def test_corpus_takes_its_rows_from_spark(server, tmp_path) -> None:
    shape = {"dataset": "people", "id_column": "id", "id_prefix": "w-", "text_columns": ["city"]}
    config = {"data": str(tmp_path / "far"), "query": {"engine": "spark", "spark_url": server}}
    with lakehouse.connect(config=settings.load(environ={}, overrides=config)) as lake:
        lake.ingest.file(PEOPLE, "people", "text/csv")
        lake.corpora.build(name="workers", metadata_columns=["name", "day", "pay", "seen"], **shape)
        found = lake.vectors.get("workers", "w-3").metadata
    assert {name: found.get(name) for name in ("name", "day", "pay")} == {
        "name": "Çy",
        "day": "2024-03-04",
        "pay": None,
    }
