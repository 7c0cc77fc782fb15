from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.memory.evidence import better, fading, held_out, posterior, trust

weights = st.floats(0, 1000)


@given(weights, weights)
def test_posterior_mean_lies_between_and_trust_within_bounds(good, bad):
    found = posterior(good, bad)
    assert 0 < found.mean < 1
    assert -1 <= trust(found) <= 1
    assert (trust(found) > 0) == (found.mean > 0.5 + 1e-7) or abs(found.mean - 0.5) < 1e-6


def test_trust_of_one_outcome_is_full_and_of_contradicting_ones_none():
    assert trust(posterior(1, 0)) == 1.0
    assert trust(posterior(1, 1)) == 0.0
    assert trust(posterior(0, 1)) == -1.0


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_fading_never_rises_with_age(younger, more):
    today = date(2026, 1, 1)
    one, other = (fading((today - timedelta(days)).isoformat(), today, 365) for days in (younger, younger + more))
    assert 0 <= other <= one <= 1


def test_fading_halves_in_a_half_life_and_not_at_all_without_one():
    assert fading("2025-01-01", date(2026, 1, 1), 365) == pytest.approx(0.5)
    assert fading("1990-01-01", date(2026, 1, 1), 0) == 1.0
    assert fading("2027-01-01", date(2026, 1, 1), 365) == 1.0


def test_held_out_is_a_share_of_texts_and_the_same_for_the_same_text():
    texts = [f"Need {number} cooks in Reno" for number in range(2000)]
    held = [text for text in texts if held_out(text, 0.2)]
    assert 0.15 < len(held) / len(texts) < 0.25
    assert all(held_out(f"  {text.upper()} ", 0.2) for text in held)
    assert not any(held_out(text, 0.0) for text in texts)
    assert all(held_out(text, 1.0) for text in texts)


def test_better_is_even_for_equal_posteriors_and_sure_for_far_ones():
    assert better(posterior(5, 5), posterior(5, 5)) == 0.5
    assert better(posterior(90, 10), posterior(10, 90)) > 0.99
