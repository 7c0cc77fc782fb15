import pytest

from lakehouse.staffing.experience import years_wanted


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("Need 3 Cooks in Reno NV, 2 years experience", 2),
        ("5+ years of grill experience", 5),
        ("three to 5 yrs. experience", 3),
        ("at least 3-5 years of line cook experience", 3),
        ("10 or more years' experience", 10),
        ("experience: 4 years", 4),
        ("Experience of at least two years", 2),
        ("2 yrs exp required", 2),
        ("Need 20 Cooks in Reno NV for 2 years", None),
        ("must be 18 years old", None),
        ("no experience needed", None),
        ("$20 years experience", None),
        ("a camp for 12 year olds. Experience a plus", None),
        ("", None),
    ],
)
def test_years_wanted_reads_years_of_experience_and_no_other_years(text, years):
    assert years_wanted(text) == years
