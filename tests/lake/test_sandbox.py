"""Nothing leaves the datasets: what SQL may not do, by the statement check and by the engine alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse import settings
from lakehouse.errors import InvalidInput, PermissionDenied
from lakehouse.lake._session import Session
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest
from lakehouse.lake.query import Query

ESCAPES = [
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'x.csv'",
    'SELECT * FROM "x.parquet"',
    "SELECT * FROM './*.json'",
    "FROM 'https://example.com/x.csv'",
    "FROM 's3://bucket/x.parquet'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM READ_TEXT('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_json_objects('/etc/passwd')",
    "SELECT * FROM read_ndjson('/etc/passwd')",
    "SELECT * FROM read_parquet('{data}')",
    "SELECT * FROM parquet_scan('{data}')",
    "SELECT * FROM parquet_metadata('{data}')",
    "SELECT * FROM parquet_schema('{data}')",
    "SELECT * FROM parquet_kv_metadata('{data}')",
    "SELECT * FROM '{data}'",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM main.glob('/etc/*')",
    "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
    "WITH people AS (FROM '/etc/passwd') FROM people",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM people WHERE name IN (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM people, LATERAL (SELECT * FROM glob('/*'))",
    "SELECT exists(FROM glob('/etc/passwd'))",
    "SELECT 1 UNION ALL SELECT count(*) FROM glob('/*')",
    "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
    "DESCRIBE '/etc/passwd'",
    "SUMMARIZE '/etc/passwd'",
    "SUMMARIZE SELECT * FROM read_csv('/etc/passwd')",
    "PIVOT (FROM glob('/*')) ON file IN ('/etc') USING count(*)",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('people')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM pg_catalog.pg_views",
    "SELECT * FROM information_schema.views",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_temporary_files()",
    "SELECT * FROM pragma_database_size()",
    "SELECT * FROM pragma_user_agent()",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM seq_scan(1)",
    "SELECT current_setting('temp_directory')",
    "SELECT getenv('HOME')",
    "SELECT getvariable('x')",
    "SELECT pg_get_viewdef(1)",
    "SELECT json_serialize_plan('SELECT * FROM people')",
    "SELECT write_log('x')",
    "SELECT sleep_ms(1)",
    "SELECT nextval('s')",
    "SELECT __internal_decompress_string(1::UBIGINT)",
    "COPY people TO '{out}/escape.csv'",
    "COPY (SELECT 1) TO '{out}/escape.parquet'",
    "COPY people FROM '/etc/passwd'",
    "EXPORT DATABASE '{out}/escape'",
    "IMPORT DATABASE '{out}/escape'",
    "ATTACH '{out}/escape.db' AS x",
    "ATTACH ':memory:' AS x",
    "DETACH memory",
    "USE information_schema",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{out}/x.duckdb_extension'",
    "FORCE INSTALL spatial FROM community",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET GLOBAL memory_limit = '100GB'",
    "SET allowed_paths = ['/etc/passwd']",
    "SET VARIABLE x = 1",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "PRAGMA threads = 99",
    "SHOW DATABASES",
    "SHOW VARIABLES",
    "SHOW SCHEMAS",
    "CALL duckdb_settings()",
    "CALL pragma_version()",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "CREATE TABLE x AS SELECT 1",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE OR REPLACE VIEW people AS SELECT 1",
    "CREATE MACRO m() AS TABLE FROM '/etc/passwd'",
    "CREATE SECRET (TYPE s3)",
    "CREATE TYPE t AS ENUM ('a')",
    "CREATE SEQUENCE s",
    "CREATE SCHEMA s",
    "DROP VIEW people",
    "ALTER VIEW people RENAME TO x",
    "INSERT INTO people VALUES (1)",
    "UPDATE people SET name = 'x'",
    "DELETE FROM people",
    "TRUNCATE people",
    "MERGE INTO people USING people p ON true WHEN MATCHED THEN DELETE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "EXPLAIN SELECT * FROM people",
    "EXPLAIN ANALYZE SELECT * FROM people",
    "SELECT 1; DROP VIEW people",
    "SELECT * FROM memory.pg_catalog.pg_class",
    "SELECT * FROM system.information_schema.tables",
    "SELECT * FROM temp.main.people",
]
# Python variables and system views by a bare name are just unknown tables.
UNKNOWN = ["SELECT * FROM duckdb_views", "SELECT * FROM sqlite_master", "SELECT * FROM self", "SELECT * FROM pg_class"]


class Sandbox:
    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.out.mkdir()
        self.catalog = Catalog(settings.Catalog(), folder)
        Ingest(settings.Ingest(), self.catalog).file(b"id,name\n1,Ann\n2,Bo\n", "people")
        self.query = Query(settings.Query(), self.catalog)
        (self.data,) = self.catalog.version("people").files

    def filled(self, sql: str) -> str:
        return sql.replace("{data}", self.data).replace("{out}", str(self.out))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield made
    made.query.close()
    made.catalog.close()


def test_the_list_is_long_enough() -> None:
    assert len(set(ESCAPES)) >= 100


@pytest.mark.parametrize("sql", ESCAPES)
def test_escape_is_refused_and_changes_nothing(sandbox, sql: str) -> None:
    with pytest.raises(PermissionDenied):
        sandbox.query.query(sandbox.filled(sql))
    assert sandbox.query.query("SELECT name FROM people ORDER BY id").rows == [["Ann"], ["Bo"]]
    assert not list(sandbox.out.iterdir())


@pytest.mark.parametrize("sql", UNKNOWN)
def test_bare_system_name_is_an_unknown_dataset(sandbox, sql: str) -> None:
    with pytest.raises(InvalidInput, match="no dataset"):
        sandbox.query.query(sql)


@pytest.mark.parametrize("sql", ESCAPES)
def test_engine_alone_lets_nothing_in_or_out(sandbox, sql: str) -> None:
    """The first fence taken away: no file's content comes back, no file is made, no setting moves."""
    session = Session(sandbox.catalog.versions(), settings.Query())
    cursor = session.cursor()
    try:
        answer = str(cursor.execute(sandbox.filled(sql)).fetchall())
    except Exception as error:  # noqa: BLE001 - any refusal will do
        answer = str(error)
    assert "root:" not in answer
    assert "/etc/passwd'," not in answer
    assert not list(sandbox.out.iterdir())
    if not cursor.execute("SELECT 1").fetchall():
        pytest.fail("the session is unusable")
    for name, value in (("enable_external_access", "false"), ("lock_configuration", "true"), ("threads", "2")):
        found = session.cursor().execute("SELECT value FROM duckdb_settings() WHERE name = ?", [name]).fetchone()
        assert found == (value,)
    session.close()
