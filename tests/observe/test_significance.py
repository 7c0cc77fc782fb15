import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.observe import drift
from lakehouse.observe.significance import chi_square, difference, kolmogorov_smirnov

# Abramowitz and Stegun, table 26.8.
TABLE = {
    (0.05, 1): 3.841,
    (0.05, 2): 5.991,
    (0.05, 9): 16.919,
    (0.01, 5): 15.086,
    (0.01, 9): 21.666,
    (0.05, 30): 43.773,
}


@pytest.mark.parametrize(("asked", "value"), TABLE.items())
def test_chi_square_is_that_of_the_tables(asked, value):
    assert chi_square(*asked) == pytest.approx(value, abs=6e-4)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=12))
def test_same_histogram_never_differs(counts):
    found = difference(counts, counts)
    assert found.psi == 0
    assert found.critical is None or found.critical > 0


def test_too_little_data_is_said_so():
    assert difference([10, 10], [10, 10]).critical is None
    assert difference([100, 0], [100, 0]).critical is None
    assert drift.distribution([1.0, 2.0, 3.0], [7.0, 8.0, 9.0]).verdict == "insufficient_data"
    assert drift.distribution([5.0] * 100, [5.0] * 100).verdict == "stable"


def test_kolmogorov_smirnov_of_known_samples():
    gap, p = kolmogorov_smirnov([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0])
    assert gap == 0.5
    assert 0.3 < p < 0.9
    assert kolmogorov_smirnov([1.0] * 50, [2.0] * 50)[1] < 1e-9
    assert kolmogorov_smirnov([1.0, 2.0], [1.0, 2.0]) == (0.0, 1.0)


def test_verdict_follows_from_chance_and_size():
    one = [math.sin(nth * 12.9898) for nth in range(2_000)]
    assert drift.distribution(one[:100], one[100:200]).verdict == "stable"
    assert drift.distribution(one[:1_000], [value + 1.0 for value in one[1_000:]]).verdict == "major"
    found = drift.compared([], one[:1_000], [value + 1.0 for value in one[1_000:]])
    assert (found.level, found.verdict) == ("major", "major")
