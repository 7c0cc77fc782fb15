"""Every demand in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput, TooLarge
from lakehouse.staffing.parse import MAX_TEXT_BYTES, Parser

PARSER = Parser.shipped()


@pytest.fixture
def parser() -> Parser:
    return PARSER


def asked(parser, text):
    return [
        (demand.count, demand.role.casefold(), demand.location.city if demand.location else None)
        for demand in parser.parse_all(text)
    ]


@pytest.mark.parametrize(
    ("text", "demands"),
    [
        ("Need 3 Forklift Operators in Detroit MI", [(3, "forklift operator", "Detroit")]),
        (
            "Need 3 welders in Toledo OH and 2 cooks in Akron OH, day shift",
            [(3, "welder", "Toledo"), (2, "cook", "Akron")],
        ),
        ("We need 3 Welders and 2 Cooks in Akron OH", [(3, "welder", "Akron"), (2, "cook", "Akron")]),
        (
            "Hi team,\n\nSend 4 forklift operators to Cleveland OH.\nAlso need 2 welders in Toledo OH.\n\nThanks,",
            [(4, "forklift operator", "Cleveland"), (2, "welder", "Toledo")],
        ),
        (
            "- 3 welders, Toledo OH\n- 2 cooks, Akron OH\n- 1 RN, Dayton OH",
            [(3, "welder", "Toledo"), (2, "cook", "Akron"), (1, "rn", "Dayton")],
        ),
        (
            "Role: Welder\nQty: 3\nLocation: Toledo, OH\n\nRole: Line Cook\nQty: 2\nLocation: Akron, OH",
            [(3, "welder", "Toledo"), (2, "line cook", "Akron")],
        ),
        ("See you on Friday", []),
    ],
)
def test_parse_all_reads_each(parser, text, demands):
    assert asked(parser, text) == demands


@pytest.mark.parametrize(
    "text", ["Need 2 cooks in Akron OH, 5 days a week", "Need 2 forklift operators with OSHA-30 and 3 years experience"]
)
def test_parse_all_takes_no_other_number_for_a_demand(parser, text):
    assert len(parser.parse_all(text)) == 1


def test_parse_all_of_one_demand_is_parse(parser):
    text = "Beacon Freight needs 3 Forklift Operators in Detroit MI starting at 06:00, OSHA-30"
    assert parser.parse_all(text) == [parser.parse(text)]


def test_parse_all_spans_are_of_the_whole_text(parser):
    text = "Role: Welder\nQty: 3\nLocation: Toledo, OH\n\nRole: Line Cook\nQty: 2\nLocation: Akron, OH"
    second = parser.parse_all(text)[1]
    assert text[slice(*second.spans["role"])] == "Line Cook"
    assert text[slice(*second.spans["location"])] == "Akron, OH"


def test_parse_all_limits_are_those_of_parse(parser):
    with pytest.raises(TooLarge):
        parser.parse_all("x" * (MAX_TEXT_BYTES + 1))
    with pytest.raises(InvalidInput):
        parser.parse_all(" ")


@given(st.text(min_size=1, max_size=300).filter(str.strip))
def test_parse_all_spans_lie_in_the_text(text):
    for demand in PARSER.parse_all(text):
        for start, end in demand.spans.values():
            assert 0 <= start <= end <= len(text)
