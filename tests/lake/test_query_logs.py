"""Logs as tables beside the datasets."""

import pytest

from lakehouse import settings
from lakehouse.errors import InvalidInput, PermissionDenied
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.query import LogTable, Query
from lakehouse.state.log import Log

COLUMNS = {"time": "TIMESTAMPTZ", "kind": "VARCHAR", "ms": "DOUBLE", "who": "STRUCT(id VARCHAR)"}


@pytest.fixture
def query(tmp_path):
    catalog = Catalog(settings.Catalog(), tmp_path / "lake")
    query = Query(settings.Query(), catalog, [LogTable("ops", tmp_path / "logs" / "ops.jsonl", COLUMNS)])
    yield query
    query.close()
    catalog.close()


def test_log_without_a_file_is_a_table_without_rows(query):
    answer = query.query("SELECT * FROM ops")
    assert [column.name for column in answer.columns] == list(COLUMNS)
    assert answer.rows == []


def test_log_rows_appear_with_the_next_statement_also_after_sealing(query, tmp_path):
    log = Log(tmp_path / "logs" / "ops.jsonl", max_bytes=400)
    for number in range(40):
        log.write([b'{"time":"2026-11-01T10:00:%02d.5Z","kind":"k","ms":%d,"more":1}' % (number % 60, number)])
        assert query.query("SELECT count(*), max(ms) FROM ops").rows == [[number + 1, number]]
    log.close()
    assert query.query("SELECT time FROM ops LIMIT 1").rows == [["2026-11-01T10:00:00.500000Z"]]


def test_log_row_still_being_written_is_left_out(query, tmp_path):
    path = tmp_path / "logs" / "ops.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'{"kind":"a","who":{"id":"x"}}\n{"kind":"b"')
    assert query.query("SELECT kind, who.id FROM ops").rows == [["a", "x"]]


def test_log_opens_no_other_file(query, tmp_path):
    log = Log(tmp_path / "logs" / "ops.jsonl")
    log.write([b'{"kind":"a"}'])
    log.close()
    (tmp_path / "logs" / "secret.jsonl").write_text('{"kind":"s"}\n')
    for table in ("read_json('logs/ops.jsonl')", f"'{tmp_path}/logs/secret.jsonl'", f"read_text('{log.path}')"):
        with pytest.raises((PermissionDenied, InvalidInput)):
            query.query(f"SELECT * FROM {table}")
