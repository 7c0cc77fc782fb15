"""CSV in: how it is read, typed, refused and quarantined."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput, NotFound

SPECTRUM = [
    "comma_in_quotes",
    "empty",
    "empty_crlf",
    "escaped_quotes",
    "json",
    "location_coordinates",
    "newlines",
    "newlines_crlf",
    "quotes_and_newlines",
    "simple",
    "simple_crlf",
    "utf8",
]


def refusal(ingest, data: bytes, name: str = "t", **options) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        ingest.file(data, name, **options)
    return caught.value


def rejected(error: InvalidInput) -> list[tuple[int, str]]:
    return [(row["line"], row["column"]) for row in error.detail["rejected"]]


@pytest.mark.parametrize("case", SPECTRUM)
def test_csv_spectrum_gives_the_expected_rows(ingest, rows, shared: Path, case: str) -> None:
    folder = shared / "csv_torture" / "csv_spectrum"
    ingest.file(folder / "csvs" / f"{case}.csv", "t")
    raw = (folder / "json" / f"{case}.json").read_bytes()
    try:
        expected = json.loads(raw)
    except UnicodeDecodeError:
        expected = json.loads(raw.decode("cp1252"))
    expected = expected if isinstance(expected, list) else [expected]
    if case == "location_coordinates":
        # Upstream's expectation has a made-up number where the file has another.
        expected[0]["Contact Phone Number"] = "2095257564"
    got = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows("t")]
    assert got == expected


def test_types_are_the_narrowest_that_hold_for_the_whole_file(ingest, types, rows) -> None:
    data = (
        b"i,f,b,d,ts,tz,zip,mixed,empty,quoted\n"
        b'1,1,true,2024-01-31,2024-01-31 06:00,2024-01-31T06:00:00Z,05356,1,,""\n'
        b"-7,2.5,FALSE,2024-02-29,2024-01-31T06:00:01.5,2024-01-31T06:00:00+02:00,90210,x,,a\n"
        b",,,,,,,,,\n"
    )
    assert ingest.file(data, "t").rows == 3
    assert types("t") == {
        "i": "int64",
        "f": "float64",
        "b": "bool",
        "d": "date",
        "ts": "timestamp",
        "tz": "timestamptz",
        "zip": "string",
        "mixed": "string",
        "empty": "string",
        "quoted": "string",
    }
    first, second, third = rows("t")
    assert first["tz"] == dt.datetime(2024, 1, 31, 6, tzinfo=dt.UTC)
    assert second["tz"] == dt.datetime(2024, 1, 31, 4, tzinfo=dt.UTC)
    assert (first["i"], first["f"], first["b"], first["d"]) == (1, 1.0, True, dt.date(2024, 1, 31))
    assert second["ts"] == dt.datetime.fromisoformat("2024-01-31T06:00:01.500")
    assert (first["zip"], first["empty"], first["quoted"]) == ("05356", None, "")
    assert set(third.values()) == {None}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("0", "int64"),
        ("-5", "int64"),
        ("9223372036854775807", "int64"),
        ("9223372036854775808", "string"),
        ("+5", "string"),
        ("-0", "float64"),
        ("05", "string"),
        ("00", "string"),
        ("1_000", "string"),
        ("1e5", "float64"),
        ("1.", "float64"),
        (".5", "float64"),
        ("-.5E-3", "float64"),
        ("05.5", "string"),
        ("1e999", "string"),
        ("nan", "string"),
        ("inf", "string"),
        ("0x1F", "string"),
        ("1,5", "string"),
        ("$5", "string"),
        ("t", "string"),
        ("yes", "string"),
        ("True", "bool"),
        ("2024-02-30", "string"),
        ("2024-1-5", "string"),
        ("3/4/2024", "string"),
        ("2024-01-01 25:00", "string"),
        ("2024-01-01 10:00:00.1234567", "string"),
        ("05356-1234", "string"),
        ("NULL", "string"),
        (" 5", "string"),
    ],
)
def test_one_value_decides_the_type_of_its_column(ingest, types, rows, value: str, kind: str) -> None:
    ingest.file(f'a;v\nx;"{value}"\n'.encode(), "t")
    assert types("t")["v"] == kind
    if kind == "string":
        assert rows("t")[0]["v"] == value


def test_a_late_value_widens_the_column_beyond_any_sample(ingest, types) -> None:
    numbers = b"".join(b"%d,%d,1\n" % (n, n) for n in range(20_000))
    ingest.file(b"a,b,c\n" + numbers + b"1.5,x,1\n", "t")
    assert types("t") == {"a": "float64", "b": "string", "c": "int64"}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(
                st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8),
                min_size=width,
                max_size=width,
            ),
            min_size=1,
            max_size=6,
        )
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
@example(table=[["", '"'], ["\n", "\r"]], end="\r\n", delimiter=";")
def test_any_quoted_table_comes_back_as_it_was(ingest, rows, table, end: str, delimiter: str) -> None:
    names = [f"col {number}" for number in range(len(table[0]))]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    # A letter in front keeps every column text, so that values can be compared as they are.
    writer.writerows([names, *([f"x{cell}" for cell in row] for row in table)])
    ingest.file(out.getvalue().encode(), "any", "text/csv; charset=utf-8")
    assert [list(row.values()) for row in rows("any")] == [[f"x{cell}" for cell in row] for row in table]
    assert list(rows("any")[0]) == names


def test_ragged_rows_are_refused_by_line_and_nothing_is_written(ingest, catalog) -> None:
    data = b'a,b,c\n1,2,3\n4,5\n"x\ny",5,6\n7,8,9,10\n\n1,2,3\n8\n'
    error = refusal(ingest, data)
    assert rejected(error) == [(3, "c"), (6, ""), (9, "b")]
    assert error.detail["line"] == 3
    assert "line 3, column 'c': has 2 cells, the header has 3 and 2 more" in error.message
    with pytest.raises(NotFound):
        catalog.dataset("t")


def test_rejected_rows_are_reported_up_to_the_limit(ingest) -> None:
    error = refusal(ingest, b"a,b\n1,2\n" + b"1\n" * 20)
    assert [line for line, _ in rejected(error)] == [3, 4, 5, 6, 7]
    assert "and 19 more" in error.message


def test_quarantine_lands_the_good_and_keeps_the_bad(ingest, catalog, rows, types) -> None:
    data = b'id,b\n1,"multi\r\nline"\n2\n3,"open\n4,5\n'
    report = ingest.file(data, "t", quarantine=True)
    assert (report.rows, [row.line for row in report.rejected]) == (1, [4, 5])
    assert rows("t") == [{"id": 1, "b": "multi\r\nline"}]
    assert types("t_quarantine") == {"line": "int64", "column": "string", "reason": "string", "raw": "string"}
    assert [(row["line"], row["raw"]) for row in rows("t_quarantine")] == [(4, "2"), (5, '3,"open\n4,5')]
    again = ingest.file(data, "t", quarantine=True)
    assert again.unchanged
    assert (again.rows, again.rejected) == (report.rows, report.rejected)


def test_quarantine_with_nothing_bad_forgets_the_earlier_bad_rows(ingest, catalog) -> None:
    ingest.file(b"id,b\n1,2\n2\n", "t", quarantine=True)
    ingest.file(b"id,b\n1,2\n", "t", quarantine=True)
    assert [manifest.name for manifest in catalog.datasets().datasets] == ["t"]


def test_quarantine_of_only_bad_rows_writes_nothing(ingest, catalog) -> None:
    error = refusal(ingest, b"a,b\n1\n2\n", quarantine=True)
    assert "none of the file's rows is good; line 2" in error.message
    assert catalog.datasets().datasets == []


@pytest.mark.parametrize("name", ["t_quarantine", "t" * 53])
def test_quarantine_needs_a_name_of_its_own(ingest, name: str) -> None:
    assert refusal(ingest, b"a,b\n1,2\n", name, quarantine=True).detail["field"] == "name"


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a b", "é", "a" * 64, "../x", "a;drop", "a\n", "_a"])
def test_dataset_name_out_of_the_alphabet_is_refused(ingest, catalog, name: str) -> None:
    assert refusal(ingest, b"a,b\n1,2\n", name).detail["field"] == "name"
    assert catalog.datasets().datasets == []


@pytest.mark.parametrize("name", ["select", "order", "table", "a" * 63, "x_1"])
def test_dataset_may_be_named_like_sql(ingest, query, name: str) -> None:
    ingest.file(b"a,b\n1,2\n", name)
    assert query.query(f'SELECT b FROM "{name}"').rows == [[2]]


def test_invalid_utf8_in_few_lines_is_a_bad_row(ingest) -> None:
    data = b"name,city\n" + "Zoë,Zürich\n".encode() * 5 + b"Jos\xe9,Leon\n" + b"ok,ok\n"
    assert rejected(refusal(ingest, data)) == [(7, "name")]


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("utf-16-le", ""),
        ("utf-16-be", ""),
        ("utf-32", ""),
        ("cp1252", ""),
        ("iso8859-15", "text/csv; charset=ISO-8859-15"),
        ("shift_jis", 'text/csv; charset="shift_jis"'),
        ("utf-8-sig", "text/csv; charset=utf-8"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_give_the_same_rows(ingest, rows, encoding: str, content_type: str, end: str) -> None:
    words = (
        ["東京", "大阪"] if encoding == "shift_jis" else ["Café €5 “now”" if encoding == "cp1252" else "Café €5", "Zoë"]
    )
    text = end.join(["id,name", f"1,{words[0]}", f'2,"{words[1]}"', ""])
    assert ingest.file(text.encode(encoding), "t", content_type).rows == 2
    assert [row["name"] for row in rows("t")] == words


def test_mixed_line_ends_keep_rows_and_line_numbers(ingest, rows) -> None:
    data = b'a,b\r\n1,2\n3,"x\r\ny\rz"\r5,6\r\n'
    ingest.file(data, "t")
    assert rows("t") == [{"a": 1, "b": "2"}, {"a": 3, "b": "x\r\ny\rz"}, {"a": 5, "b": "6"}]
    assert rejected(refusal(ingest, b'a,b\r\n1,2\n3,"x\r\ny"\r\n5\n')) == [(5, "b")]


@pytest.mark.parametrize(
    ("data", "content_type", "reason"),
    [
        (b"", "", "empty"),
        (b" \n\r\n\t", "", "empty"),
        (b"a,b\n", "", "a header and no rows"),
        (b"a,b", "", "a header and no rows"),
        (b"# only\n# comments\n", "", "only blank lines and comments"),
        (b"1,2,3\n4,5,6\n", "", "line 1 is no header but data"),
        (b"a,,c\n1,2,3\n", "", "column 2 has no name"),
        (b"a,b,a\n1,2,3\n", "", "columns 1 and 3 are both named 'a'"),
        (b"ID,id\n1,2\n", "", "columns 1 and 2 are both named 'id'"),
        (b"a," + b"x" * 200 + b"\n1,2\n", "", "does the file start with a header"),
        (b"PK\x03\x04sheet", "", "ZIP or Excel"),
        (b"\x1f\x8b\x08broken", "", "gzip"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "", "ends too early"),
        (b"a,b\n1,2\n", "application/pdf", "content type 'application/pdf'"),
        (b"a,b\n1,2\n", "text/csv; charset=klingon", "charset 'klingon' is unknown"),
        (b"a,b\n\xff\xff,2\n", "text/csv; charset=utf-16", "not utf-16"),
        (b"PAR1 but not", "", "Parquet"),
        (b"a,b\n1,2\n", "application/vnd.apache.parquet", "is not Parquet"),
        (b'[{"a":1}]', "", "JSON array"),
        (",".join(f"c{n}" for n in range(2001)).encode() + b"\n1\n", "", "2,001 columns"),
    ],
)
def test_file_that_is_no_table_is_refused_saying_why(
    ingest, catalog, data: bytes, content_type: str, reason: str
) -> None:
    assert reason in refusal(ingest, data, content_type=content_type).message
    assert catalog.datasets().datasets == []


def test_path_that_is_no_file_is_refused(ingest, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        assert "is not a file" in refusal(ingest, path).message


@pytest.mark.parametrize("source", ["people.csv", io.StringIO("a,b\n1,2\n"), None, 5])
def test_source_that_is_no_bytes_is_refused(ingest, source: object) -> None:
    assert "opened in binary mode" in refusal(ingest, source).message


def test_header_above_blank_lines_only_is_refused(ingest, catalog) -> None:
    assert "rows is good" in refusal(ingest, b"a,b\n" + b"\n" * 400_000).message
    assert catalog.datasets().datasets == []


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"# a comment\n\n#\na,b\n1,2\n", ["a", "b"]),
        (b"#id,name\n1,x\n", ["#id", "name"]),
        (b"\n\n a ,b\n1,2\n", [" a ", "b"]),
        (b"only\nx\ny\n", ["only"]),
        (b"a;b\n1,5;2\n2,5;3\n", ["a", "b"]),
        (b"a\tb c\n1\t2\n", ["a", "b c"]),
        (b"a|b|c\n1|2|3\n4|5\n1|2|3\n1|2|3\n", ["a", "b", "c"]),
        (b'"a,x";"b"\n1;2\n', ["a,x", "b"]),
        (b'"line\nbreak",b\n1,2\n', ["line\nbreak", "b"]),
        (b'select,"we""ird",\xe6\x97\xa5\xe6\x9c\xac\n1,2,3\n', ["select", 'we"ird', "日本"]),
        (b"2015,state\n1,OH\n", ["2015", "state"]),
        (b"n,n0,n1,file_row_number,filename\n1,2,3,4,5\n", ["n", "n0", "n1", "file_row_number", "filename"]),
    ],
)
def test_header_and_delimiter_are_found(ingest, types, data: bytes, names: list[str]) -> None:
    ingest.file(data, "t", quarantine=True)
    assert list(types("t")) == names


def test_gzip_of_several_members_and_padding_is_expanded(ingest, rows) -> None:
    data = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n") + bytes(16)
    report = ingest.file(data, "t")
    assert rows("t") == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert report.fingerprint == hashlib.sha256(data).hexdigest()


def test_large_gzip_is_expanded_whole(ingest, rows) -> None:
    text = b"a,b\n" + b"1,yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n" * 100_000
    assert ingest.file(gzip.compress(text), "t").rows == 100_000


def test_stream_path_and_bytes_are_the_same_content(ingest, tmp_path: Path) -> None:
    data = b"a,b\n1,2\n"
    (tmp_path / "x.csv").write_bytes(data)
    first = ingest.file(data, "t")
    assert not first.unchanged
    for source in (io.BytesIO(data), tmp_path / "x.csv"):
        again = ingest.file(source, "t")
        assert again.unchanged
        assert (again.fingerprint, again.snapshot_id, again.rows) == (first.fingerprint, first.snapshot_id, 1)


def test_other_content_replaces_rows_and_columns(ingest, rows, types) -> None:
    ingest.file(b"a,b\n1,2\n", "t")
    ingest.file(b"b,c\nx,1.5\ny,2\n", "t")
    assert types("t") == {"b": "string", "c": "float64"}
    assert rows("t") == [{"b": "x", "c": 1.5}, {"b": "y", "c": 2.0}]
    assert not ingest.file(b"a,b\n1,2\n", "t").unchanged


def test_progress_ends_at_its_total(ingest) -> None:
    seen: list[tuple[int, int]] = []
    data = b"a,b\n" + b"1,2\n" * 500_000
    ingest.ingest(data, "t", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3 * len(data), 3 * len(data))
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {3 * len(data)}


def test_long_cells_land_and_longer_ones_are_bad_rows(ingest, rows) -> None:
    data = b"a,b\n1," + b"x" * 3_000_000 + b"\n2," + b"y" * 9_000_000 + b"\n3,z\n"
    report = ingest.file(data, "t", quarantine=True)
    assert [row.line for row in report.rejected] == [3]
    assert [len(row["b"]) for row in rows("t")] == [3_000_000, 1]
    assert len(rows("t_quarantine")[0]["raw"]) == 1000


def test_bad_rows_of_a_large_file_have_the_right_lines(ingest) -> None:
    lines = ["a,b,c"]
    wanted = []
    line = 2
    for number in range(300_000):
        row = f'{number},"two\nlines",x' if number % 50 == 0 else f"{number},some text,more text"
        if number % 60_000 == 59_999:
            row = f"{number},short"
            wanted.append(line)
        lines.append(row)
        line += row.count("\n") + 1
    error = refusal(ingest, "\n".join(lines).encode())
    assert [found for found, _ in rejected(error)] == wanted
