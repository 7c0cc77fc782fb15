"""Parquet in."""

from __future__ import annotations

import datetime as dt
import decimal
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.errors import InvalidInput


def parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


MOMENT = dt.datetime.fromisoformat("2024-01-31T06:00:01.123456")


@pytest.mark.parametrize(
    ("array", "kind", "expected"),
    [
        (pa.array([1, None], pa.int8()), "int64", [1, None]),
        (pa.array([2**40, 1], pa.uint64()), "int64", [2**40, 1]),
        (pa.array([1.5, 2], pa.float32()), "float64", [1.5, 2.0]),
        (pa.array([True, None]), "bool", [True, None]),
        (pa.array(["05356", "é"]), "string", ["05356", "é"]),
        (pa.array(["a", "b"], pa.large_string()), "string", ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), "string", ["a", "b"]),
        (pa.nulls(2), "string", [None, None]),
        (pa.array([dt.date(2024, 1, 31), None]), "date", [dt.date(2024, 1, 31), None]),
        (pa.array([dt.time(6, 0), None], pa.time32("s")), "time", [dt.time(6, 0), None]),
        (pa.array([MOMENT, None], pa.timestamp("ns")), "timestamp", [MOMENT, None]),
        (pa.array([b"\0\xff", b""]), "binary", [b"\0\xff", b""]),
        (pa.array([b"ab", b"cd"], pa.binary(2)), "binary", [b"ab", b"cd"]),
        (pa.array([["a"], []]), "list<string>", [["a"], []]),
        (pa.array([[1], [2]], pa.list_(pa.int32(), 1)), "list<int64>", [[1], [2]]),
        (pa.array([[[1]], [[2]]]), "string", ["[[1]]", "[[2]]"]),
        (pa.array([{"k": 1}, None]), "string", ['{"k":1}', None]),
        (pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())), "string", ['[["k",1]]', "[]"]),
        (pa.array([decimal.Decimal("1.50"), None]), "decimal(3,2)", [decimal.Decimal("1.50"), None]),
    ],
)
def test_types_become_the_lakes_own(ingest, types, rows, array: pa.Array, kind: str, expected: list) -> None:
    report = ingest.file(parquet(pa.table({"id": [1, 2], "v": array})), "t")
    assert (report.rows, report.rejected) == (2, [])
    assert types("t") == {"id": "int64", "v": kind}
    assert [row["v"] for row in rows("t")] == expected


def test_instants_keep_their_moment(ingest, types, rows) -> None:
    array = pa.array([dt.datetime(2024, 1, 31, 6, tzinfo=dt.UTC)], pa.timestamp("ms", "America/New_York"))
    ingest.file(parquet(pa.table({"v": array})), "t")
    assert types("t") == {"v": "timestamptz"}
    assert rows("t") == [{"v": dt.datetime(2024, 1, 31, 6, tzinfo=dt.UTC)}]


def test_many_row_groups_keep_their_order(ingest, rows) -> None:
    table = pa.table({"id": range(10_000), "text": ["x"] * 10_000})
    ingest.file(parquet(table, row_group_size=1500), "t")
    assert [row["id"] for row in rows("t")] == list(range(10_000))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (parquet(pa.table({"a": pa.array([], pa.int64())})), "no rows"),
        (parquet(pa.table({"a": [1], "A": [2]})), "columns 1 and 2 are both named"),
        (parquet(pa.table({"a": pa.array([2**64 - 1], pa.uint64())})), "column 'a'"),
        (parquet(pa.table({"a": pa.array([dt.timedelta(1)], pa.duration("us"))})), "duration"),
        (parquet(pa.table({"a": [1]}))[:-20], "not a readable Parquet file"),
        (b"PAR1", "not a readable Parquet file"),
    ],
)
def test_unfit_file_is_refused_and_nothing_is_written(ingest, catalog, data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ingest.file(data, "t")
    assert reason in caught.value.message
    assert catalog.datasets().datasets == []


def test_damaged_pages_are_refused_and_nothing_is_written(ingest, catalog) -> None:
    whole = bytearray(parquet(pa.table({"a": [f"some text {n}" for n in range(5000)]}), use_dictionary=False))
    whole[500:5000] = bytes(4500)
    with pytest.raises(InvalidInput):
        ingest.file(bytes(whole), "t")
    assert catalog.datasets().datasets == []


def test_duplicate_keys_are_named_by_row(ingest) -> None:
    with pytest.raises(InvalidInput) as caught:
        ingest.file(parquet(pa.table({"id": [1, 2, 1], "v": ["a", "b", "c"]})), "t", key="id")
    assert caught.value.detail["rejected"] == [{"line": 3, "column": "id", "reason": "key stands already on line 1"}]
