import pytest

from lakehouse.evals.demand_lines import STYLES, contracts, lines
from lakehouse.evals.parsing import evaluate, table
from lakehouse.staffing.parse import Parser

CONTRACTS = contracts(years=["2018"])


@pytest.fixture(scope="module")
def parser():
    return Parser.shipped()


def test_lines_same_seed_gives_the_same_lines():
    first, again, other = (list(lines(CONTRACTS, number=40, seed=seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert [line.style for line in first[:4]] == list(STYLES)


def test_lines_say_the_role_and_the_city_they_are_known_for():
    for line in lines(CONTRACTS, number=200, seed=1, wording="second"):
        assert line.role.casefold() in line.text.casefold()
        assert line.city.casefold() in line.text.casefold()


@pytest.mark.parametrize("wording", ["first", "second", "third", "fourth"])
def test_evaluate_styles_reach_what_the_product_promises(parser, wording):
    report = evaluate(parser, lines(CONTRACTS, number=600, seed=11, wording=wording), wording=wording)
    for style, right in report.right.items():
        least = 0.92 if style == "shorthand" else 0.97
        assert all(right[field] >= least for field in ("role", "count", "city", "state")), table(report)
        assert right["certs"] >= 0.95, table(report)
        assert right["shift"] >= 0.95, table(report)
    assert report.invented <= 2, table(report)


def test_evaluate_wrong_field_is_counted_and_listed(parser):
    [line] = lines(CONTRACTS, number=1, seed=3)
    wrong = type(line)(text=line.text, style=line.style, role="Astronaut", count=7, city=line.city, state=line.state)
    report = evaluate(parser, [wrong], wording="first")
    assert report.right[line.style]["role"] == 0
    assert {"role", "count"} <= {failure.field for failure in report.failures}
