"""Upsert: rows replaced by key, columns added and widened, everything else refused."""

from __future__ import annotations

import io
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput


def csv(rows: dict, header: str = "id,v") -> bytes:
    return "\n".join([header, *(f"{key},{value}" for key, value in rows.items())]).encode() + b"\n"


def contents(rows, name: str = "t") -> dict:
    found = rows(name)
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row["v"] for row in found}


def refusal(ingest, data: bytes, **options) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        ingest.file(data, "t", **options)
    return caught.value


def test_rows_with_the_same_key_are_replaced_and_others_kept(ingest, catalog, rows) -> None:
    ingest.file(csv({1: "a", 2: "b", 3: "c"}), "t", key="id")
    report = ingest.file(csv({2: "B", 4: "D"}), "t", key="id")
    assert (report.rows, catalog.dataset("t").rows) == (2, 4)
    assert contents(rows) == {1: "a", 2: "B", 3: "c", 4: "D"}
    assert ingest.file(csv({2: "B", 4: "D"}), "t", key="id").unchanged


def test_same_bytes_with_another_key_or_mode_are_not_unchanged(ingest) -> None:
    data = csv({1: "a"})
    assert not ingest.file(data, "t").unchanged
    assert not ingest.file(data, "t", key="id").unchanged
    assert ingest.file(data, "t", key="id").unchanged
    assert not ingest.file(data, "t", key="id", quarantine=True).unchanged
    assert not ingest.file(data, "t").unchanged


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(st.dictionaries(st.integers(0, 8), st.integers(0, 99), min_size=1), min_size=1, max_size=4))
def test_any_sequence_of_upserts_equals_a_dictionary(ingest, catalog, rows, files: list[dict]) -> None:
    if any(manifest.name == "t" for manifest in catalog.datasets().datasets):
        catalog.drop("t")
    expected: dict = {}
    for file in files:
        expected |= file
        ingest.file(csv(file), "t", key="id")
        assert contents(rows) == expected


def test_large_files_without_the_keys_stay_as_they_are(ingest, catalog, rows, monkeypatch) -> None:
    monkeypatch.setattr("lakehouse.lake._merge.SMALL_FILE_BYTES", 0)
    ingest.file(csv(dict.fromkeys(range(100), "a")), "t", key="id")
    (first,) = catalog.dataset("t").objects
    ingest.file(csv(dict.fromkeys(range(200, 300), "b")), "t", key="id")
    assert catalog.dataset("t").objects[0] == first
    ingest.file(csv({250: "c", 400: "d"}), "t", key="id")
    assert catalog.dataset("t").objects[0] == first
    found = contents(rows)
    assert (len(found), found[0], found[250], found[299], found[400]) == (201, "a", "c", "b", "d")


def test_small_upserts_leave_one_file(ingest, catalog, rows) -> None:
    for number in range(6):
        ingest.file(csv({number: "x"}), "t", key="id")
    assert len(catalog.dataset("t").objects) == 1
    assert len(contents(rows)) == 6


def test_new_columns_are_added_and_integers_widened(ingest, types, rows) -> None:
    ingest.file(b"id,n\n1,10\n2,20\n", "t", key="id")
    ingest.file(b"note,id,n\nnew,2,2.5\n", "t", key="id")
    assert types("t") == {"id": "int64", "n": "float64", "note": "string"}
    assert rows("t") == [{"id": 1, "n": 10.0, "note": None}, {"id": 2, "n": 2.5, "note": "new"}]


def test_values_are_read_as_the_dataset_has_them(ingest, types, rows) -> None:
    ingest.file(b"id,zip,pay,day\n1,05356,1.5,2024-01-01\n", "t", key="id")
    ingest.file(b"id,zip,pay,day\n2,90210,2,\n", "t", key="id")
    assert types("t") == {"id": "int64", "zip": "string", "pay": "float64", "day": "date"}
    assert [(row["zip"], row["pay"]) for row in rows("t")] == [("05356", 1.5), ("90210", 2.0)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_values_of_another_type_are_bad_rows(ingest, rows, suffix: str) -> None:
    old = {"csv": b"id,n,day\n1,10,2024-01-01\n", "jsonl": b'{"id":1,"n":10,"day":"2024-01-01"}\n'}
    new = {
        "csv": b'id,n,day\n2,5,"x\ny"\n3\n4,many,2024-01-01\n5,,\n6,7,2024-02-30\n',
        "jsonl": b'{"id":2,"n":5,"day":"x"}\n\n\n{"id":4,"n":"many","day":null}\n{"id":5}\n'
        b'{"id":6,"day":"2024-02-30"}\n',
    }
    ingest.file(old[suffix], "t", key="id")
    error = refusal(ingest, new[suffix], key="id")
    lines = {"csv": [(2, "day"), (4, "n"), (5, "n"), (7, "day")], "jsonl": [(1, "day"), (4, "n"), (6, "day")]}
    assert [(row["line"], row["column"]) for row in error.detail["rejected"]] == lines[suffix]
    assert "'many' is not int64" in str(error.detail["rejected"])
    assert contents_of(rows) == [1]
    report = ingest.file(new[suffix], "t", key="id", quarantine=True)
    assert report.rows == 1
    assert contents_of(rows) == [1, 5]


def contents_of(rows) -> list[int]:
    return [row["id"] for row in rows("t")]


def test_parquet_column_of_another_type_is_refused_with_the_difference(ingest) -> None:
    ingest.file(b"id,n\n1,10\n", "t", key="id")
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [2], "n": ["x"]}), sink)
    assert (
        "column 'n' is string in the file and int64 in the dataset"
        in refusal(ingest, sink.getvalue(), key="id").message
    )


def test_missing_columns_are_refused_by_name(ingest, rows) -> None:
    ingest.file(b"id,a,b\n1,2,3\n", "t", key="id")
    error = refusal(ingest, b"id,b\n1,4\n", key="id")
    assert error.detail["missing"] == ["a"]
    assert rows("t") == [{"id": 1, "a": 2, "b": 3}]


def test_column_that_differs_in_case_only_is_refused(ingest) -> None:
    ingest.file(b"id,Name\n1,x\n", "t", key="id")
    assert "Name" in refusal(ingest, b"id,name\n1,x\n", key="id").message


@pytest.mark.parametrize("present", [False, True])
def test_key_that_is_no_column_is_refused_naming_those_there_are(ingest, present: bool) -> None:
    if present:
        ingest.file(csv({1: "a"}), "t")
    error = refusal(ingest, b"a,b\n1,2\n", key="id")
    assert error.detail["field"] == "key"
    assert "it has a, b" in error.message


def test_list_is_no_key(ingest) -> None:
    assert "is a list" in refusal(ingest, b'{"id":[1]}\n', key="id").message


def test_duplicate_and_empty_keys_are_bad_rows(ingest, rows) -> None:
    data = b'id,v\na,1\n"b\nc",2\na,3\n,4\n" ",5\nshort\n"b\nc",6\nd,7\n'
    error = refusal(ingest, data, key="id")
    assert [(row["line"], row["column"]) for row in error.detail["rejected"]] == [(8, "v")]
    report = ingest.file(data, "t", key="id", quarantine=True)
    assert [(row.line, row.reason) for row in report.rejected] == [
        (5, "key stands already on line 2"),
        (6, "key is empty"),
        (7, "key is empty"),
        (8, "has 1 cells, the header has 2"),
        (9, "key stands already on line 3"),
    ]
    assert [(row["id"], row["v"]) for row in rows("t")] == [("a", 1), ("b\nc", 2), ("d", 7)]
    assert [row["raw"] for row in rows("t_quarantine")] == ["a,3", ",4", '" ",5', "short", '"b\nc",6']


def test_columns_named_like_the_engines_own_may_be_keys(ingest, rows) -> None:
    data = b"n,n0,earliest,empty,o,i,file_row_number\n1,2,3,4,5,6,7\n1,1,1,1,1,1,1\n"
    for key in ("n", "n0", "earliest", "empty", "file_row_number"):
        report = ingest.file(data, f"t_{key}", key=key, quarantine=True)
        assert report.rows + len(report.rejected) == 2
        ingest.file(data.replace(b"7\n", b"8\n"), f"t_{key}", key=key, quarantine=True)


def test_two_threads_lose_no_row(ingest, rows) -> None:
    ingest.file(csv({0: "start"}), "t", key="id")
    failures: list[BaseException] = []

    def add(first: int) -> None:
        try:
            for number in range(first, first + 5):
                ingest.file(csv({number: number, number + 1000: "x"}), "t", key="id")
        except BaseException as error:  # noqa: BLE001 - reported by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=add, args=(first,)) for first in (1, 101, 201)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(contents(rows)) == 31
