"""Drift and scoring: the pure parts of two modes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput
from lakehouse.observe.drift import Verdict, compared, distribution
from lakehouse.observe.scoring import Record, scored

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60)


@given(NUMBERS, NUMBERS)
def test_no_bucket_loses_a_count(old, new):
    found = distribution(old, new)
    assert (sum(bucket.old for bucket in found.buckets), sum(bucket.new for bucket in found.buckets)) == (
        len(old),
        len(new),
    )
    assert math.isfinite(found.psi)
    assert found.psi >= 0


@given(NUMBERS)
def test_same_numbers_are_stable(values):
    assert (distribution(values, values).psi, distribution(values, values).level) == (0, "stable")


def test_levels():
    base = [float(number % 10) for number in range(1000)]
    assert distribution(base, [value for value in base if value != 3] + [3.0] * 20).level == "minor"
    assert distribution(base, [9.0] * 1000).level == "major"
    assert distribution([5.0] * 10, [5.0] * 3).buckets[0].old == 10


@pytest.mark.parametrize(("old", "new"), [([], [1.0]), ([1.0], []), ([], [])])
def test_empty_side_is_nothing_to_compare_and_no_error(old, new):
    found = distribution(old, new)
    assert (found.psi, found.level, found.buckets, found.verdict) == (0, "stable", [], "insufficient_data")
    if old or new:
        assert compared([], old, new).verdict == "insufficient_data"
    assert compared([Verdict("a", "accepted", "accepted")], old, new).verdict == "stable"


@pytest.mark.parametrize("buckets", [0, -1, 1])
def test_fewer_buckets_than_one_are_one(buckets):
    found = distribution([1.0, 2.0], [3.0, 4.0], buckets)
    assert [(bucket.old, bucket.new) for bucket in found.buckets] == [(2, 2)]


@pytest.mark.parametrize(("old", "new"), [([math.nan], [1.0]), ([1.0], [math.inf]), ([math.nan], [])])
def test_what_cannot_be_compared_is_refused(old, new):
    with pytest.raises(InvalidInput):
        distribution(old, new)


def test_verdicts_that_moved_are_counted_and_named():
    pairs = [Verdict(str(number), "accepted", "rejected" if number < 2 else "accepted") for number in range(10)]
    found = compared(pairs)
    assert (found.changed, found.share, found.moves, found.ids) == (2, 0.2, {"accepted -> rejected": 2}, ["0", "1"])
    assert found.level == "minor"
    assert compared(pairs[5:]).level == "stable"
    with pytest.raises(InvalidInput, match="nothing to compare"):
        compared([])


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        (Record(status="accepted", attempts=1), "accepted"),
        (Record(status="accepted", attempts=[{}, {}]), "partially_accepted"),
        (Record(status="accepted", rating=3), "partially_accepted"),
        (Record(status="accepted", rating=1), "rejected"),
        (Record(status="accepted", grounded_in_roster=False), "rejected"),
        (Record(status="max_iter_exhausted"), "rejected"),
        (Record(status="infra_error"), "needs_human"),
        (Record(output="x"), "needs_human"),
        (Record(rating=5), "accepted"),
    ],
)
def test_records_are_scored(record, outcome):
    assert scored(record).outcome == outcome


def test_empty_record_is_refused():
    with pytest.raises(InvalidInput, match="empty"):
        scored(Record())
