"""Types of text: the SQL rule and its Python twin say the same."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.lake import _infer

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
