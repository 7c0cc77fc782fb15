import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.staffing.titles import role_equal, role_key, singular, singular_word, unqualified


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("Forklift Operators", "Forklift Operator"),
        ("FORKLIFT OPERATORS", "FORKLIFT OPERATOR"),
        ("Waitresses", "Waitress"),
        ("Waitress", "Waitress"),
        ("Nurses", "Nurse"),
        ("Coaches", "Coach"),
        ("Ladies", "Lady"),
        ("Foremen", "Foreman"),
        ("FOREMEN", "FOREMAN"),
        ("Housekeeping", "Housekeeping"),
        ("Sales", "Sales"),
        ("Sales Associates", "Sales Associate"),
        ("Amusement and Recreation Attendants", "Amusement and Recreation Attendant"),
        ("Landscape Laborers.", "Landscape Laborer."),
        ("Bus", "Bus"),
    ],
)
def test_singular_plain_title_drops_the_plural_of_its_last_word(plural, expected):
    assert singular(plural) == expected


@pytest.mark.parametrize(
    "title",
    ["Cooks and Servers", "Cooks, Line", "Attendants - Traveling Ca", "landscape laborers/highway maintenance"],
)
def test_singular_joined_title_with_an_inner_plural_stays_as_written(title):
    assert singular(title) == title


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Forklift Operator", "forklift operators"),
        ("Waitress", "WAITRESSES"),
        ("Box Packer", "Boxes Packers"),
        ("Pantry Lady", "pantry ladies"),
        ("Front-Desk Clerk", "front desk  clerks"),
        ("Cooks, Line", "Cook, Line"),
        ("Bus Driver", "Buses Driver"),
    ],
)
def test_role_equal_same_role_in_other_spelling_is_true(a, b):
    assert role_equal(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("CNC Operator", "Forklift Operator"),
        ("Cook", "Cook Helper"),
        ("C++ Developer", "C Developer"),
        ("Car Washer", "Care Washer"),
    ],
)
def test_role_equal_other_role_is_false(a, b):
    assert not role_equal(a, b)


@pytest.mark.parametrize(
    ("title", "bare"),
    [
        ("certified welders", "welders"),
        ("Licensed, experienced Plumber", "Plumber"),
        ("qualified and certified CNC operator", "CNC operator"),
        ("certified", "certified"),
        ("certified in forklift", "certified in forklift"),
        ("Lead certified welder", "Lead certified welder"),
    ],
)
def test_unqualified_title_loses_the_words_it_begins_with(title, bare):
    assert unqualified(title) == bare


@given(st.text(max_size=40))
def test_role_key_of_a_key_is_stable_in_spacing_and_never_fails(title):
    key = role_key(title)
    assert key == " ".join(key.split())
    assert role_equal(title, title)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12))
def test_singular_word_keeps_case_pattern(word):
    assert singular_word(word.upper()) == singular_word(word).upper()


@given(st.text(max_size=40))
def test_singular_never_grows_a_title(title):
    assert len(singular(title)) <= len(title.strip()) or "people" in title.lower()
