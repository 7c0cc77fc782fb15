import pytest

from lakehouse.staffing import shifts


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("Monday day shift, OSHA-30", "day"),
        ("1st shift", "day"),
        ("Cleveland OH, days, OSHA-30", "day"),
        ("2nd shift", "evening"),
        ("PM shift", "evening"),
        ("AT 1:00 PM, 2ND SHIFT", "evening"),
        ("graveyard", "night"),
        ("work nights", "night"),
        ("shift: 3rd", "night"),
        ("weekends only", "weekend"),
        ("swing shift", "swing"),
        ("rotating shift schedule", "rotating"),
        ("starts 18:00 on days", "day"),
    ],
)
def test_find_wording_gives_the_shift(text, shift):
    assert [match.shift for match in shifts.find(text)] == [shift]


@pytest.mark.parametrize(
    "text",
    [
        "starting at 06:00",
        "5 days a week",
        "two nights",
        "12-hour shifts",
        "day laborer",
        "7 AM shift lead",
        "no weekends",
        "any shift",
    ],
)
def test_find_no_shift_said_is_empty(text):
    assert shifts.find(text) == []


@pytest.mark.parametrize(("value", "shift"), [("2nd", "evening"), ("Night shift", "night"), ("AM", "day"), ("x", None)])
def test_canonical_roster_value_is_resolved(value, shift):
    assert shifts.canonical(value) == shift
