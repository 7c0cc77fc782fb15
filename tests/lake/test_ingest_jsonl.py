"""JSON Lines in."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput

NDJSON = "application/x-ndjson"


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values)


def test_types_come_from_json_over_the_whole_file(ingest, types, rows) -> None:
    data = lines(
        {"i": 1, "f": 1, "b": True, "s": "05356", "d": "2024-01-31", "t": "2024-01-31T06:00:00Z", "n": None},
        {"i": -(2**63), "f": 2.5, "b": False, "s": "x", "d": "2024-02-29", "t": "2024-01-31T06:00:00+02:00"},
        {"late": [1, None], "mixed": 1},
        {"late": [2.5], "mixed": "x"},
    )
    assert ingest.file(data, "t").rows == 4
    assert types("t") == {
        "i": "int64",
        "f": "float64",
        "b": "bool",
        "s": "string",
        "d": "date",
        "t": "timestamptz",
        "n": "string",
        "late": "list<float64>",
        "mixed": "string",
    }
    first, second, third, fourth = rows("t")
    assert (first["d"], first["f"], first["late"]) == (dt.date(2024, 1, 31), 1.0, None)
    assert second["t"] == dt.datetime(2024, 1, 31, 4, tzinfo=dt.UTC)
    assert (third["late"], third["mixed"], fourth["mixed"]) == ([1.0, None], "1", "x")


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([["a", "b"], []], "list<string>", [["a", "b"], []]),
        ([[], None], "list<string>", [[], None]),
        ([[1], [True]], "list<string>", [["1"], ["true"]]),
        ([[["x"]], ["y"]], "string", ['[["x"]]', '["y"]']),
        ([{"k": [1]}, None], "string", ['{"k":[1]}', None]),
        ([{"k": 1}, "text", 5], "string", ['{"k":1}', "text", "5"]),
        ([2**63, 1], "string", ["9223372036854775808", "1"]),
        (["2024-01-01", "2024-01-01T10:00"], "string", ["2024-01-01", "2024-01-01T10:00"]),
        (["2024-02-30"], "string", ["2024-02-30"]),
        ([True, 1], "string", ["true", "1"]),
        ([1.5, 2], "float64", [1.5, 2.0]),
        ([["2024-01-01"]], "list<string>", [["2024-01-01"]]),
    ],
)
def test_values_of_one_column_get_one_type(ingest, types, rows, values: list, kind: str, expected: list) -> None:
    ingest.file(lines(*({"id": n, "v": value} for n, value in enumerate(values))), "t")
    assert types("t")["v"] == kind
    assert [row["v"] for row in rows("t")] == expected


SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(SCALARS | st.text(max_size=6), lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(VALUES, min_size=1, max_size=5))
def test_any_json_values_land_without_a_loss(ingest, rows, values: list) -> None:
    ingest.file(lines(*({"id": n, "v": value} for n, value in enumerate(values))), "any", NDJSON)
    got = [row["v"] for row in rows("any")]
    assert len(got) == len(values)
    for value, found in zip(values, got, strict=True):
        if value is None:
            assert found is None
        elif isinstance(found, str) and not isinstance(value, str):
            assert json.loads(found) == value
        elif not isinstance(found, (list, dt.date)):
            assert found == value


def test_bad_lines_are_refused_by_number(ingest, catalog) -> None:
    data = b'\xef\xbb\xbf{"a":1}\r\n\n[1]\nnot json\n{"a":"\xff"}\n{"a":NaN}\n  {"a":2}  \n' + b"[" * 3000 + b"\n"
    with pytest.raises(InvalidInput) as caught:
        ingest.file(data, "t", NDJSON)
    assert [row["line"] for row in caught.value.detail["rejected"]] == [3, 4, 5, 6, 8]
    assert catalog.datasets().datasets == []
    report = ingest.file(data, "t", NDJSON, quarantine=True)
    assert (report.rows, [row.line for row in report.rejected]) == (2, [3, 4, 5, 6, 8])
    assert report.rejected[0].reason == "not a JSON object"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":1,"":2}\n', "key 2 has no name"),
        (b'{"a":1}\n{"A":2}\n', "'A'"),
        (b"{}\n{}\n", "no rows"),
        (lines({f"k{n}": 1 for n in range(2001)}), "2,001 columns"),
    ],
)
def test_keys_that_are_no_columns_are_refused(ingest, data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ingest.file(data, "t", NDJSON)
    assert reason in caught.value.message


def test_more_rows_than_a_batch_keep_their_order(ingest, rows) -> None:
    ingest.file(lines(*({"id": n, "text": "x" * (n % 7)} for n in range(3500))), "t")
    assert [row["id"] for row in rows("t")] == list(range(3500))


def test_real_resumes_and_bulletins_land(ingest, types, rows, shared) -> None:
    assert ingest.file(shared / "resumes" / "resumes.jsonl.gz", "resumes").rows == 1738
    assert ingest.file(shared / "la_job_bulletins" / "la_job_bulletins.jsonl.gz", "bulletins").rows == 683
    assert types("resumes") == dict.fromkeys(("id", "category", "title", "text"), "string")
