from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.cli import reading
from lakehouse.errors import InvalidInput, NotFound
from lakehouse.vectors.base import Filter, Item


def test_text_of_words_joins_them() -> None:
    assert reading.text(["3", "Welders", "in", "Tulsa"], "the demand") == "3 Welders in Tulsa"


def test_text_of_dash_reads_standard_input_as_utf8(stdin) -> None:
    stdin("Café résumé ⭐\n".encode())
    assert reading.text(["-"], "the demand") == "Café résumé ⭐"


def test_text_of_at_sign_reads_the_file_without_its_mark(tmp_path: Path) -> None:
    file = tmp_path / "mail.txt"
    file.write_bytes(b"\xef\xbb\xbfNeed 2 cooks\nin Reno\n")
    assert reading.text([f"@{file}"], "the demand") == "Need 2 cooks\nin Reno"


@pytest.mark.parametrize("words", [[""], [" ", "\n"]])
def test_text_that_is_blank_is_refused_with_the_ways_to_give_it(words: list[str]) -> None:
    with pytest.raises(InvalidInput, match="the demand is empty; give it as words, as @FILE, or as -"):
        reading.text(words, "the demand")


def test_text_that_is_not_utf8_is_refused_with_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "mail.txt"
    file.write_bytes(b"Need caf\xe9")
    with pytest.raises(InvalidInput, match=r"not UTF-8 \(byte 8\)"):
        reading.text([f"@{file}"], "the demand")


def test_path_of_missing_file_and_of_folder_says_which(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no file .*none\.csv"):
        reading.path(str(tmp_path / "none.csv"))
    with pytest.raises(InvalidInput, match="is a folder; name a file"):
        reading.path(str(tmp_path))


def test_json_lines_skips_blank_lines_and_keeps_order_and_numbers(stdin) -> None:
    stdin(b'{"id":"a","text":"x"}\n\n  \n{"id":"b","vector":[1.0]}')
    assert [(number, item.id) for number, item in reading.json_lines("-", Item)] == [(1, "a"), (4, "b")]


def test_json_lines_takes_the_mark_off_the_first_line_alone(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"id":"a"}\n{"id":"b"}\n')
    assert [item.id for _, item in reading.json_lines(str(file), Item)] == ["a", "b"]
    file.write_bytes(b'{"id":"a"}\n\xef\xbb\xbf{"id":"b"}\n')
    with pytest.raises(InvalidInput, match="line 2"):
        list(reading.json_lines(str(file), Item))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id":"b",', "line 2: Input data was truncated"),
        (b'{"text":"b"}', "line 2: Object missing required field `id`"),
        (b'{"id":"b","txt":"b"}', "line 2: Object contains unknown field `txt`"),
        (b'{"id":"\xff"}', "line 2: "),
    ],
)
def test_json_lines_with_a_bad_line_names_file_and_line(tmp_path: Path, line: bytes, words: str) -> None:
    file = tmp_path / "items.jsonl"
    file.write_bytes(b'{"id":"a"}\n' + line + b"\n")
    with pytest.raises(InvalidInput) as caught:
        list(reading.json_lines(str(file), Item))
    assert f"{file}, {words}" in caught.value.message
    assert caught.value.detail["line"] == 2


def test_json_value_with_an_unknown_field_names_the_option() -> None:
    with pytest.raises(InvalidInput, match="--filter: Object contains unknown field `musst`"):
        reading.json_value('{"musst":[]}', Filter, "--filter")
    with pytest.raises(InvalidInput, match="--filter is not valid JSON"):
        reading.json_value("{", Filter, "--filter")


def test_ids_reads_plain_words_and_lists(tmp_path: Path) -> None:
    file = tmp_path / "placed.txt"
    file.write_text("w-1\n\n w-2 \n", encoding="utf-8")
    assert reading.ids(["w-9", f"@{file}"]) == ["w-9", "w-1", "w-2"]
