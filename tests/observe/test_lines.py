"""One line is one line, for every reader."""

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.observe.lines import LONGEST, one_line


@given(st.text())
def test_one_line_is_one_line(text):
    line = one_line(text)
    assert line.splitlines() in ([], [line])
    assert len(line) <= LONGEST
    assert one_line(line) == line


@given(st.integers(0, 2000))
def test_one_line_cut_shows_a_mark(length):
    line = one_line("x" * length)
    assert line == ("x" * length if length <= LONGEST else "x" * (LONGEST - 1) + "\u2026")


def test_one_line_for_blns(naughty):
    for text in naughty:
        assert len(one_line(text).splitlines()) <= 1
        one_line(text).encode("utf-8")
