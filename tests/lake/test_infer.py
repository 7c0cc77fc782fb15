"""Types of text: the SQL rule and its Python twin say the same."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.lake import _infer
from lakehouse.lake._delimited import CsvReader

NUMBERLIKE = st.text("0123456789.eE+-", min_size=1, max_size=12) | st.integers(-(2**65), 2**65).map(str)
MOMENTLIKE = st.from_regex(
    r"\A\d{3,4}-[01]\d-[0-3]\d([T ][0-2]\d:[0-6]\d(:\d\d(\.\d{1,7})?)?(Z|[+-]\d\d(:?\d\d)?)?)?\Z"
)
TEXTS = (
    NUMBERLIKE | MOMENTLIKE | st.floats().map(str) | st.text(min_size=1, max_size=6) | st.sampled_from(["True", "tRUE"])
)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect(":memory:") as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


@settings(max_examples=250, deadline=None)
@given(value=TEXTS.filter(lambda value: "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)))
def test_sql_and_python_agree(connection, value: str) -> None:
    tests = ", ".join(_infer.condition(kind, "v") for kind in _infer.CANDIDATES)
    held = connection.execute(f"SELECT {tests} FROM (SELECT ? AS v)", [value]).fetchone()
    by_sql = [kind for kind, holds in zip(_infer.CANDIDATES, held, strict=True) if holds]
    assert _infer.possible([value]) == by_sql


@settings(max_examples=200, deadline=None)
@given(value=st.integers(-(2**63), 2**63 - 1))
def test_every_integer_comes_back_as_written(connection, value: int) -> None:
    found = connection.execute(f"SELECT {_infer.cast('int64', 'v')} FROM (SELECT ? AS v)", [str(value)]).fetchone()
    assert found == (value,)
    assert _infer.narrowest(_infer.possible([str(value)])) == "int64"


def test_empty_values_leave_every_type_possible() -> None:
    assert _infer.possible([None, ""]) == list(_infer.CANDIDATES)
    assert _infer.narrowest(_infer.possible([None, "1", "", "2.5"])) == "float64"
    assert _infer.narrowest(_infer.possible(["1", "x"])) == "string"


@settings(max_examples=250, deadline=None)
@given(value=TEXTS.filter(lambda value: "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)))
def test_a_type_among_others_is_told_as_by_itself(connection, value: str) -> None:
    alone, among = (_infer.condition("float64", "v", among=kinds) for kinds in ((), ("int64", "float64")))
    held = connection.execute(f"SELECT {alone}, {among} FROM (SELECT ? AS v)", [value]).fetchone()
    assert held[0] == held[1]


CELLS = {
    "bool": st.sampled_from(["true", "FALSE", "True"]),
    "int64": st.integers(-(2**63), 2**63 - 1).map(str),
    "float64": st.from_regex(r"\A-?((0|[1-9]\d{0,17})(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,2})?\Z"),
    "date": st.dates().map(str),
}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), quote=st.booleans(), empty=st.sampled_from(["", "", '""']))
def test_cells_that_the_parser_reads_are_those_of_the_cast(connection, tmp_path_factory, data, quote, empty) -> None:
    kinds = list(CELLS)
    cells = [[data.draw(CELLS[kind] | st.just("")) for kind in kinds] for _ in range(data.draw(st.integers(1, 6)))]
    rows = [[empty if not cell else f'"{cell}"' if quote else cell for cell in row] for row in cells]
    folder = tmp_path_factory.mktemp("csv")
    path = folder / "t.csv"
    path.write_text("\n".join([",".join([*kinds, "n"]), *(",".join([*row, "x"]) for row in rows)]) + "\n", "utf-8")
    reader = CsvReader(path, charset="utf-8", tabs=False, scratch=folder)
    reader.survey({})
    parsed = reader._parsed_there()
    here = connection.execute(reader.rows(connection)).fetchall()
    reader._parsed = {}
    assert here == connection.execute(reader.rows(connection)).fetchall()
    assert len(here) == len(cells)
    # A column is read by the parser unless it is all empty, or has a cell that only the cast makes null.
    for place, kind in enumerate(kinds):
        column = [row[place] for row in rows]
        wanted = any(cell not in ("", '""') for cell in column) and '""' not in column
        # Floats that are all whole are integers.
        assert (kind in parsed) == wanted or kind == "float64"
