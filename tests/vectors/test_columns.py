"""Many words are found in a stored column as each of them alone is."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.vectors import columns

WORDS = st.text("abc\0é", max_size=3)


def stored(rows: list[list[str]], folder) -> dict[str, columns.StoredColumn]:
    growing = columns.Columns()
    for row, held in enumerate(rows):
        growing.add(row, {"key": held, "number": row})
    growing.save(folder / "columns.npz")
    return columns.load_columns(folder / "columns.npz")


def holding(rows: list[list[str]], word: str) -> list[int]:
    return [at for at, row in enumerate(rows) for one in row if one == word]


@pytest.mark.parametrize("hashed", [hash, len], ids=["by-hash", "with-equal-hashes"])
def test_many_words_find_the_rows_of_each(tmp_path_factory, monkeypatch, hashed):
    monkeypatch.setattr(columns, "hash", hashed, raising=False)

    @settings(deadline=None)
    @given(st.lists(st.lists(WORDS, max_size=3), max_size=8), st.lists(WORDS, min_size=6, max_size=9))
    def check(rows, asked):
        rows = [["a"], *rows]
        column = stored(rows, tmp_path_factory.mktemp("columns"))["key"]
        # What nothing holds may be left out; rows of any order stand for themselves.
        found = sorted(held.tolist() for held in column.holding(asked) if len(held))
        assert found == sorted(held for word in asked if (held := holding(rows, word)))

    check()


def test_words_of_several_keys_are_found_together(tmp_path):
    held = stored([["a", "b"], ["b"], [], ["c", "a"]], tmp_path)
    words = [("key", word) for word in "acdefgh"] + [("number", "1"), ("nothing", "a")]
    assert columns.holding(held, words, 4).tolist() == [0, 3]
    assert columns.holding(held, words, 3).tolist() == [0]
    assert columns.holding(held, [("key", "x")], 4).tolist() == []
    assert columns.holding(held, [("key", "b")], 4).dtype == np.int32


@pytest.mark.parametrize("most", [50, 100_000])
def test_rows_are_put_in_order_each_once_whether_many_or_few(most):
    chance = random.Random(most)
    for amount in (0, 1, 2, 40):
        rows = np.array([chance.randrange(most) for _ in range(amount)], dtype=np.int32)
        found = columns.in_order(rows)
        assert found.tolist() == sorted(set(rows.tolist()))
        assert found.dtype == np.int32
