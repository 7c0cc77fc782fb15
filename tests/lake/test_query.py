"""SQL over the datasets: answers, types, limits, freshness."""

from __future__ import annotations

import io
import json
import threading
import time

import msgspec
import pyarrow as pa
import pytest

from lakehouse import settings
from lakehouse.errors import DeadlineExceeded, InvalidInput, LimitExceeded
from lakehouse.lake.query import Query

PEOPLE = b"id,name,city,years\n1,Ann,Parma,3\n2,Bo,Lorain,\n3,Cy,Parma,9\n"
ENDLESS = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"


@pytest.fixture
def people(ingest, query) -> Query:
    ingest.file(PEOPLE, "people")
    return query


def refusal(query: Query, sql: str, **options) -> str:
    with pytest.raises(InvalidInput) as caught:
        query.query(sql, **options)
    assert caught.value.detail["field"] == "sql"
    return caught.value.message


def test_query_returns_typed_columns_and_rows(people) -> None:
    result = people.query("SELECT id, name, years FROM people ORDER BY id")
    assert [(column.name, column.type) for column in result.columns] == [
        ("id", "BIGINT"),
        ("name", "VARCHAR"),
        ("years", "BIGINT"),
    ]
    assert result.rows == [[1, "Ann", 3], [2, "Bo", None], [3, "Cy", 9]]
    assert (result.row_count, result.truncated) == (3, False)
    assert 0 < result.elapsed_ms < 10_000


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT count(*), sum(years), avg(years) FROM people", [[3, 12, 6.0]]),
        ("SELECT city, count(*) n FROM people GROUP BY ALL HAVING n > 1", [["Parma", 2]]),
        ("WITH p AS (FROM people WHERE years > 3) SELECT name FROM p", [["Cy"]]),
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r", [[1], [2], [3]]),
        ("SELECT name, rank() OVER (PARTITION BY city ORDER BY years DESC) FROM people WHERE city = 'Parma' ORDER BY 1",
         [["Ann", 2], ["Cy", 1]]),
        ("SELECT a.name, b.name FROM people a JOIN people b ON a.city = b.city AND a.id < b.id", [["Ann", "Cy"]]),
        ("SELECT name FROM people WHERE id IN (SELECT max(id) FROM people)", [["Cy"]]),
        ("SELECT name FROM main.people WHERE name LIKE 'A%' UNION SELECT 'Zed' ORDER BY 1", [["Ann"], ["Zed"]]),
        ("FROM PEOPLE SELECT name LIMIT 1", [["Ann"]]),
        ("VALUES (1, 'x')", [[1, "x"]]),
        ("SELECT unnest([1, 2])", [[1], [2]]),
        ("SELECT * FROM range(2) r, generate_series(5, 6) s ORDER BY ALL", [[0, 5], [0, 6], [1, 5], [1, 6]]),
        ("PIVOT people ON city IN ('Parma', 'Lorain') USING count(*) GROUP BY years ORDER BY years",
         [[3, 1, 0], [9, 1, 0], [None, 0, 1]]),
        ("SELECT list_transform([1, 2], lambda x: x + 1)", [[[2, 3]]]),
        ("SHOW TABLES", [["people"]]),
        ("SELECT column_name FROM (DESCRIBE people) LIMIT 2", [["id"], ["name"]]),
        ("SELECT column_name, max FROM (SUMMARIZE people) WHERE column_name = 'years'", [["years", "9"]]),
        ("SELECT table_name FROM information_schema.tables", [["people"]]),
        ("SELECT 1 -- a comment; with a semicolon\n;", [[1]]),
    ],
)  # fmt: skip
def test_analytic_sql_works(people, sql: str, rows: list) -> None:
    assert people.query(sql).rows == rows


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("170141183460469231731687303715884105727::HUGEINT", "HUGEINT", 170141183460469231731687303715884105727),
        ("sum(range) FROM range(3)", "HUGEINT", 3),
        ("1.50::DECIMAL(9,2)", "DECIMAL(9,2)", 1.5),
        ("5::DECIMAL(9,0)", "DECIMAL(9,0)", 5),
        ("12345678901234567.12345::DECIMAL(38,5)", "DECIMAL(38,5)", "12345678901234567.12345"),
        ("'nan'::DOUBLE", "DOUBLE", None),
        ("'-inf'::FLOAT", "FLOAT", None),
        ("0.1", "DECIMAL(2,1)", 0.1),
        ("true", "BOOLEAN", True),
        ("NULL", "INTEGER", None),
        ("DATE '2024-01-31'", "DATE", "2024-01-31"),
        ("TIME '06:00:01.5'", "TIME", "06:00:01.500000"),
        ("TIMESTAMP '2024-01-31 06:00'", "TIMESTAMP", "2024-01-31T06:00:00"),
        ("TIMESTAMPTZ '2024-01-31 06:00:00+02'", "TIMESTAMP WITH TIME ZONE", "2024-01-31T04:00:00Z"),
        ("TIMESTAMP_NS '2024-01-31 06:00:00.123456789'", "TIMESTAMP_NS", "2024-01-31 06:00:00.123456789"),
        ("'infinity'::TIMESTAMP", "TIMESTAMP", None),
        ("INTERVAL '-1 month 2 days 3.5 seconds'", "INTERVAL", "P-1M2DT3.5S"),
        ("INTERVAL 0 days", "INTERVAL", "PT0S"),
        ("'a\\x00b'::BLOB", "BLOB", "YQBi"),
        ("[1.5::DECIMAL(3,1), NULL]", "DECIMAL(3,1)[]", [1.5, None]),
        (
            "{'a': DATE '2024-01-31', 'b': ['nan'::DOUBLE]}",
            "STRUCT(a DATE, b DOUBLE[])",
            {"a": "2024-01-31", "b": [None]},
        ),
        ("MAP {'k': 2}", "MAP(VARCHAR, INTEGER)", [["k", 2]]),
        ("'{\"a\": 1}'::JSON", "JSON", '{"a": 1}'),
        ("'x'::ENUM('x', 'y')", "ENUM('x', 'y')", "x"),
        ("'6b1d3c1e-0000-4000-8000-000000000000'::UUID", "UUID", "6b1d3c1e-0000-4000-8000-000000000000"),
        ("1e400", "DOUBLE", None),
    ],
)
def test_values_are_json(query, expression: str, kind: str, value: object) -> None:
    result = query.query(f"SELECT {expression}")
    assert result.columns[0].type == kind
    assert result.rows[0][0] == value
    assert json.loads(msgspec.json.encode(result.rows)) == [[value]]


def test_columns_of_the_same_name_stay_apart(query) -> None:
    result = query.query("SELECT 1 AS a, 2 AS a")
    assert ([column.name for column in result.columns], result.rows) == (["a", "a"], [[1, 2]])


def test_limit_truncates_and_says_so(query) -> None:
    assert query.query("FROM range(5)", limit=5).truncated is False
    result = query.query("FROM range(100000)", limit=4)
    assert (result.rows, result.row_count, result.truncated) == ([[0], [1], [2], [3]], 4, True)
    result = query.query("FROM range(100000)")
    assert (result.row_count, result.truncated) == (settings.Query().max_rows, True)
    assert query.query("FROM range(50000)", limit=50_000).row_count == 50_000


def test_no_rows_is_an_answer(people) -> None:
    result = people.query("SELECT name FROM people WHERE false")
    assert (result.rows, len(result.columns)) == ([], 1)


def test_arrow_gives_the_same_rows_as_a_stream(people) -> None:
    with pa.ipc.open_stream(io.BytesIO(people.arrow("FROM people ORDER BY id", limit=2))) as reader:
        table = reader.read_all()
    assert table.column("name").to_pylist() == ["Ann", "Bo"]
    assert table.schema.field("id").type == pa.int64()
    assert reader.schema.metadata == {b"lakehouse.truncated": b"true"}


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("", "sql is empty"),
        (" \n -- nothing\n;", "sql is empty"),
        ("SELEC 1", "syntax error"),
        ("SELECT", "SELECT clause without selection list"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT nope FROM people", 'Candidate bindings: "name"'),
        ("SELECT * FROM poeple", "no dataset 'poeple'; did you mean 'people'? there are: people"),
        ("SELECT 'x'::INT", "Could not convert string 'x'"),
        ("SELECT CAST(CASE WHEN range > 90000 THEN 'x' ELSE '1' END AS INT) FROM range(100000)", "Could not convert"),
        ("SELECT $1", "Values were not provided"),
        ("SELECT nosuch(1)", "nosuch"),
        ("SELECT " + "(" * 90_000 + "1" + ")" * 90_000, "memory exhausted"),
        ("SELECT " + " + ".join(["1"] * 5_000), "depth limit"),
        ("SELECT '" + "x" * 200_000 + "'", "characters"),
        ("SELECT * FROM people AT (VERSION => 1)", ""),
        ("SELECT \0", ""),
    ],
)
def test_wrong_sql_is_refused_in_the_engines_words(people, sql: str, reason: str) -> None:
    assert reason in refusal(people, sql, limit=100_000)
    assert people.query("SELECT count(*) FROM people").rows == [[3]]


def test_deep_nesting_is_refused_before_it_breaks_anything(query) -> None:
    message = refusal(query, "SELECT " + "[" * 500 + "1" + "]" * 500)
    assert "nested too deeply" in message or "Recursion level" in message


def test_unknown_table_without_any_dataset_says_so(query) -> None:
    assert "there are: none yet" in refusal(query, "FROM people")


def test_slow_statement_is_stopped_in_time(query) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="200 ms"):
        query.query(ENDLESS, timeout_ms=200)
    with pytest.raises(DeadlineExceeded):
        query.query(
            "SELECT a.range FROM range(1000000) a, range(1000000) b WHERE a.range + b.range < 0", timeout_ms=200
        )
    assert time.monotonic() - started < 20
    assert query.query("SELECT 1").rows == [[1]]


def test_settings_bound_the_time_a_caller_may_ask_for(catalog) -> None:
    query = Query(settings.Query(timeout_ms=100), catalog)
    with pytest.raises(DeadlineExceeded, match="100 ms"):
        query.query(ENDLESS, timeout_ms=60_000)
    query.close()


def test_memory_is_limited(query) -> None:
    for sql in (
        "SELECT list(range) FROM range(100000000)",
        "SELECT range, repeat('x', 1000) FROM range(2000000) ORDER BY 2, 1",
    ):
        with pytest.raises(LimitExceeded, match="300 MiB"):
            query.query(sql)
    assert query.query("SELECT 1").rows == [[1]]


def test_slow_statement_does_not_hold_others_back(people) -> None:
    stopped: list[BaseException] = []

    def slow() -> None:
        try:
            people.query(ENDLESS, timeout_ms=4000)
        except DeadlineExceeded as error:
            stopped.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    time.sleep(0.2)
    for _ in range(10):
        assert people.query("SELECT count(*) FROM people").rows == [[3]]
    assert thread.is_alive()
    thread.join()
    assert len(stopped) == 1


def test_commit_is_visible_to_the_next_statement(ingest, catalog, query) -> None:
    for number in range(1, 4):
        ingest.file(b"a,b\n" + b"1,2\n" * number, "t")
        assert query.query("SELECT count(*) FROM t").rows == [[number]]
    ingest.file(b"x,y\n1,2\n", "other")
    assert query.query("SHOW TABLES").rows == [["other"], ["t"]]
    catalog.drop("t")
    assert "no dataset 't'" in refusal(query, "FROM t")


def test_commit_of_another_process_is_visible_in_time(ingest, query, folder) -> None:
    from lakehouse.lake.catalog import Catalog

    ingest.file(b"a,b\n1,2\n", "t")
    other = Catalog(settings.Catalog(), folder)
    patient = Query(settings.Query(refresh_every_ms=60_000), other)
    quick = Query(settings.Query(refresh_every_ms=0), other)
    assert patient.query("SELECT count(*) FROM t").rows == quick.query("SELECT count(*) FROM t").rows == [[1]]
    ingest.file(b"a,b\n1,2\n3,4\n", "t")
    assert quick.query("SELECT count(*) FROM t").rows == [[2]]
    for opened in (patient, quick, other):
        opened.close()


def test_statement_keeps_its_state_while_the_dataset_changes(ingest, catalog, query) -> None:
    ingest.file(b"a,b\n" + b"".join(b"%d,x\n" % n for n in range(50_000)), "t")
    counts: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            counts.append(query.query("SELECT count(b) + 0 * sum(a) FROM t").rows[0][0])

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(8):
        ingest.file(b"a,b\n" + b"".join(b"%d,%d\n" % (n, number) for n in range(50_000)), "t")
    done.set()
    for thread in threads:
        thread.join()
    assert set(counts) == {50_000}
    assert len(counts) > 5


def test_widened_and_added_columns_read_as_one_table(ingest, query) -> None:
    ingest.file(b"id,n\n1,10\n", "t", key="id")
    ingest.file(b"id,n,x\n2,2.5,new\n", "t", key="id")
    assert query.query("FROM t ORDER BY id").rows == [[1, 10.0, None], [2, 2.5, "new"]]


def test_odd_column_names_can_be_queried(ingest, query) -> None:
    ingest.file(b'"a ""b""","sel\'ect","x\ny"\n1,2,3\n', "t")
    assert query.query('SELECT "a ""b""", "sel\'ect", "x\ny" FROM t').rows == [[1, 2, 3]]


def test_missing_files_are_unavailable_without_their_path(ingest, query, folder) -> None:
    from lakehouse.errors import Unavailable

    ingest.file(b"a,b\n1,2\n", "t")
    ingest.file(b"a,b\n1,2\n", "sound")
    query.query("FROM t")
    for path in folder.glob("warehouse/t-*/data/*"):
        path.unlink()
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            query.query("SELECT sum(a) FROM t")
        assert str(folder) not in caught.value.message
        ingest.file(b"a,b\n3,4\n", "sound")
    assert query.query("SELECT sum(a) FROM sound").rows == [[3]]


def test_closed_query_refuses_nothing_it_can_do_again(people) -> None:
    people.close()
    assert people.query("SELECT count(*) FROM people").rows == [[3]]
