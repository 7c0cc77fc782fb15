import pytest

from lakehouse.staffing.opinion import opinion, weighted_kappa


@pytest.mark.parametrize(
    ("answer", "rating"), [("4", 4), ("Rating: 3 of 5.", 3), ("7", None), ("", None), ("2.5", None), ("I say 15", None)]
)
def test_opinion_reads_one_digit_or_nothing(answer, rating):
    assert opinion(lambda _: answer)("Need a cook", {"role": "Cook"}) == rating


def test_opinion_sends_no_name_and_no_contact_data():
    seen = []
    ask = opinion(lambda prompt: seen.append(prompt) or "5")
    ask(
        "Need a cook",
        {"name": "Ada Byron", "phone": "555-0100", "email": "a@b.c", "role": "Cook", "certs": ["ServSafe"]},
    )
    assert "ServSafe" in seen[0]
    assert not any(secret in seen[0] for secret in ("Ada", "555-0100", "a@b.c"))


def test_weighted_kappa_against_a_hand_worked_table():
    # Squared differences: seen (0+0+1+4)/4 = 1.25; by chance, from the margins, (sum over 16 pairs)/16 = 3.
    pairs = [(1, 1), (5, 5), (3, 4), (5, 3)]
    ones, others = [1, 5, 3, 5], [1, 5, 4, 3]
    chance = sum((a - b) ** 2 for a in ones for b in others) / 16
    assert weighted_kappa(pairs) == pytest.approx(1 - 1.25 / chance, abs=1e-6)
    assert weighted_kappa([]) is None
    assert weighted_kappa([(3, 3), (3, 3)]) is None
