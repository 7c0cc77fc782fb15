"""Files written by what their beginning tells give what a survey of the whole file gives."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput
from lakehouse.lake import _delimited, _mapping
from lakehouse.lake._ahead import PIECE_BYTES, PIECES, holds
from lakehouse.lake._delimited import CsvReader
from lakehouse.lake._dialect import Dialect
from lakehouse.lake._mapping import MappedReader

CELLS = st.sampled_from(
    [
        *(b"", b"1", b"-7", b"05", b"2.5", b".5", b"1e9", b"true", b"FALSE", b"2024-02-29", b"2024-02-30"),
        *(
            b"2024-01-31 06:00",
            b"2024-01-31T06:00:00Z",
            b"x",
            b'""',
            b'"1"',
            b'"a,b"',
            b'"a\nb"',
            b'"open',
            b'x"y',
            b"\xff",
        ),
    ]
)
FILES = st.lists(
    st.lists(CELLS, min_size=1, max_size=3) | st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6
)


def _text(lines: list[list[bytes]]) -> bytes:
    return b"".join(b",".join(cells) + b"\n" for cells in lines)


def reader(path: Path) -> CsvReader:
    return CsvReader(path, charset="utf-8", tabs=False, scratch=path.parent)


@pytest.fixture
def one_row_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_delimited, "SAMPLE_CELLS", 1)
    monkeypatch.setattr(_delimited, "MIN_SAMPLE_ROWS", 1)


@pytest.fixture
def connection():
    with duckdb.connect(":memory:") as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    lines=FILES.filter(lambda lines: _text(lines).strip()),
    wanted=st.dictionaries(st.sampled_from("ab"), st.sampled_from(["string", "float64", "date"])),
)
@example(lines=[[b"1", b"x"], [b"05", b"x"]], wanted={})
@example(lines=[[b"1", b""], [b"2", b"2"]], wanted={})
@example(lines=[[b"1", b"2"], [b"2.5", b'""']], wanted={"a": "float64"})
@example(lines=[[b"1", b"2"], [b"3"]], wanted={})
@example(lines=[[b"1", b"2"], [b"3", b"4", b"5"]], wanted={})
@example(lines=[[b"1", b"x"], [b"2", b'"open']], wanted={})
@example(lines=[[b"1", b"x"], [b"2", b"\xff"]], wanted={})
@example(lines=[[b"", b"\xff"], [b"05", b""]], wanted={"a": "float64"})
def test_rows_by_guess_are_those_by_survey(lines: list[list[bytes]], wanted: dict[str, str]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        duckdb.connect(":memory:") as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        patch.setattr(_delimited, "SAMPLE_CELLS", 1)
        patch.setattr(_delimited, "MIN_SAMPLE_ROWS", 1)
        path = Path(folder, "t.csv")
        path.write_bytes(b"a,b\n" + _text(lines))
        surveying = reader(path)
        survey = surveying.survey(wanted)
        guessing = reader(path)
        columns = guessing.guess(wanted)
        if columns is None:
            return
        try:
            rows = connection.execute(guessing.rows(connection)).to_arrow_table()
        except duckdb.Error:
            # A survey follows, and is not led astray by what was guessed.
            assert guessing.survey(wanted) == survey
            rows = connection.execute(guessing.rows(connection)).to_arrow_table()
        else:
            assert (columns, []) == (survey.columns, survey.bad)
        assert rows == connection.execute(surveying.rows(connection)).to_arrow_table()


@pytest.mark.usefixtures("one_row_sample")
@pytest.mark.parametrize(
    ("first", "later", "kind"),
    [
        (b"44101", b"05356", "string"),
        (b"1", b"2.5", "float64"),
        (b"1", b"9223372036854775808", "float64"),
        (b"true", b"no", "string"),
        (b"2024-01-31", b"2024-02-30", "string"),
        (b"2024-01-31", b"2024-01-31 06:00", "string"),
        (b"", b"7", "int64"),
        (b"", b"x", "string"),
        (b'""', b"2.5", "float64"),
    ],
)
def test_a_beginning_that_misleads_does_not_decide(ingest, types, rows, first: bytes, later: bytes, kind: str) -> None:
    data = b"id,v\n1," + first + b"\n2," + first + b"\n3," + later + b"\n"
    assert ingest.file(data, "t").rows == 3
    # An integer beyond 64 bits is no float either.
    kind = "string" if later == b"9223372036854775808" else kind
    assert types("t") == {"id": "int64", "v": kind}
    if kind == "string":
        assert rows("t")[2]["v"] == later.decode()


@pytest.mark.usefixtures("one_row_sample")
def test_a_bad_row_late_in_the_file_refuses_it_as_ever(ingest, catalog) -> None:
    with pytest.raises(InvalidInput, match="line 4, column 'v': has 1 cells, the header has 2") as caught:
        ingest.file(b"id,v\n1,2\n2,3\n3\n4,5\n", "t")
    assert caught.value.detail["rejected"] == [
        {"line": 4, "column": "v", "reason": "has 1 cells, the header has 2"},
    ]
    assert catalog.datasets().datasets == []


@pytest.mark.usefixtures("one_row_sample")
def test_a_value_that_the_dataset_cannot_take_is_named_by_line(ingest, rows) -> None:
    ingest.file(b"id,v\n1,2\n", "t", key="id")
    with pytest.raises(InvalidInput, match="line 3, column 'v': 'x' is not int64"):
        ingest.file(b"id,v\n2,3\n3,x\n", "t", key="id")
    assert rows("t") == [{"id": 1, "v": 2}]
    ingest.file(b"id,v\n2,3\n3,4\n", "t", key="id")
    assert rows("t") == [{"id": 1, "v": 2}, {"id": 2, "v": 3}, {"id": 3, "v": 4}]


def test_a_column_that_a_mapping_drops_still_makes_short_rows_bad(connection, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n3\n")
    plan = _mapping.plan(_mapping.parse('others = "drop"\n[columns]\nx = "a"\n'), ["a", "b"])
    mapped = MappedReader(reader(path), plan)
    assert mapped.guess({}) is None
    assert [bad.line for bad in mapped.survey({}).bad] == [3]
    whole = _mapping.plan(_mapping.parse('[columns]\nx = "a"\ny = "b"\n'), ["a", "b"])
    path.write_bytes(b"a,b\n1,2\n")
    mapped = MappedReader(reader(path), whole)
    assert [(column.name, column.type) for column in mapped.guess({}) or []] == [("x", "int64"), ("y", "int64")]
    assert connection.execute(mapped.rows(connection)).fetchall() == [(1, 2)]


@pytest.mark.parametrize("key", [None, "x"])
def test_row_that_is_bad_in_a_column_left_out_does_not_land(ingest, rows, key) -> None:
    lines = b"a,b\n1,\xff\n2,x\n2,y\n" if key else b"a,b\n1,\xff\n2,x\n"
    mapping = 'others = "drop"\n[columns]\nx = "a"\n'
    report = ingest.file(lines, "t", "text/csv; charset=utf-8", quarantine=True, mapping=mapping, key=key)
    assert [row.line for row in report.rejected] == ([2, 4] if key else [2])
    assert rows("t") == [{"x": 2}]


def test_pieces_of_a_large_file_tell_that_a_type_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    dialect = Dialect(",", ["id", "v"], 0)
    lines = [b"%d,\n" % number for number in range(1, 200_000)]
    path.write_bytes(b"id,v\n" + b"".join(lines))
    assert path.stat().st_size > 2 * PIECES * PIECE_BYTES
    assert holds(path, dialect, "\n", {"id": "int64", "v": "null"})
    assert not holds(path, dialect, "\n", {"id": "date"})
    path.write_bytes(b"id,v\n" + b"".join(lines[:-100]) + b"7,filled\n" * 100)
    assert holds(path, dialect, "\n", {"id": "int64"})
    assert not holds(path, dialect, "\n", {"v": "null"})
