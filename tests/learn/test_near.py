from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.learn import near
from lakehouse.learn.near import Duplicates

LONG = (
    "Need 12 forklift operators in Cleveland for the night shift from Monday, reach truck and pallet jack, OSHA-30,"
    " at least two years, own boots, paid weekly, ask for the gate on the north side of the yard"
)


def test_text_that_changes_a_word_is_a_duplicate_and_another_is_not():
    seen = Duplicates(0.85)
    assert seen.add("a", LONG) == ""
    assert seen.add("b", LONG.replace("Monday", "Tuesday")) == "a"
    assert seen.add("c", LONG.upper()) == "a"
    assert seen.add("d", "Two line cooks in Detroit, grill and prep, dinner service, start at once") == ""


def test_duplicates_are_found_among_thousands():
    seen = Duplicates(0.85)
    for nth in range(3_000):
        assert (
            seen.add(str(nth), f"ask {nth * 7919} for {nth * 104729} people at gate {nth * 31}, day {nth * 13}") == ""
        )
    assert seen.add("again", "Ask 79190 for 1047290 people at gate 310; day 130.") == "10"


@given(st.text(max_size=80))
def test_same_text_is_always_a_duplicate(text):
    seen = Duplicates(1.0)
    assert seen.add("a", text) == ""
    assert seen.add("b", text) == "a"


def test_ngrams_of_a_short_text_are_the_text():
    assert near.ngrams("Need 2 Welders!") == {"need 2 welders"}
    assert len(near.ngrams(" ".join(map(str, range(20))))) == 8
    assert near.ngrams("...") == set()


def test_names_that_hang_together_have_one_root():
    roots = dict(near.joined([["a", "b"], ["c"], ["b", "d"], ["e", "c"]]))
    assert roots == {"a": "a", "b": "a", "d": "a", "c": "c", "e": "c"}
