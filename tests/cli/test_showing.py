from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.cli import showing
from lakehouse.cli.showing import Column

COLUMNS = (Column("id"), Column("name", wraps=True), Column("km", right=True))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def _plain(columns: tuple[Column, ...], rows: list[list[object]]) -> str:
    out = io.StringIO()
    showing.table(columns, rows, out=out)
    return out.getvalue()


def test_table_in_a_pipe_is_aligned_and_uncut() -> None:
    long = "w-" + "7" * 150
    assert _plain(COLUMNS, [[long, "José Núñez", 3.25], ["w-1", None, 12]]) == (
        f"{'id':<152}  name          km\n{long}  José Núñez  3.25\n{'w-1':<152}                12\n"
    )


def test_table_in_a_pipe_counts_wide_letters_twice() -> None:
    first, second = _plain(COLUMNS, [["a", "你好", 1], ["b", "abcd", 2]]).splitlines()[1:]
    assert first == "a   你好   1"
    assert second == "b   abcd   2"


def test_table_without_rows_still_has_its_titles() -> None:
    assert _plain(COLUMNS, []) == "id  name  km\n"


def test_table_on_a_narrow_terminal_never_cuts_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    showing.table(COLUMNS, [["w-123456789-123456789", "A person of many names " * 4, 1.5]], out=out)
    assert "w-123456789-123456789" in out.getvalue()
    assert "…" not in out.getvalue()


def test_table_shows_markup_and_escapes_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    showing.table(COLUMNS, [["[bold]w[/bold]", "\x1b[31mred\x1b[0m\nnext", 1]], out=out)
    assert "[bold]w[/bold]" in out.getvalue()
    assert "\x1b[31m" not in out.getvalue()
    assert "[31mred [0m next" in out.getvalue()


@given(st.text())
def test_cell_of_any_text_is_one_line_without_control_letters(text: str) -> None:
    shown = showing.cell(text)
    assert len(shown) == len(text)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in shown)


@given(st.text(alphabet="ab, ;", max_size=80), st.integers(min_value=2, max_value=40))
def test_shortened_never_exceeds_its_width_and_marks_what_it_cuts(text: str, width: int) -> None:
    short = showing.shortened(text, width)
    assert len(short) <= width
    assert short == text if len(text) <= width else short.endswith("…")


def test_csv_rows_keep_values_that_need_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    showing.csv_rows(["a", "b"], [['say "hi", now', None], [True, 1.5], [["x"], "line\nbreak"]])
    read = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert read == [["a", "b"], ['say "hi", now', ""], ["true", "1.5"], ['["x"]', "line\nbreak"]]


def test_json_document_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    showing.json_document({"rows": [[1, None, "é"]]})
    assert json.loads(capsys.readouterr().out) == {"rows": [[1, None, "é"]]}


def test_facts_align_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    showing.facts([("rows", 3), ("snapshot", None), ("ok", True)])
    assert capsys.readouterr().out == "rows      3\nsnapshot\nok        yes\n"
