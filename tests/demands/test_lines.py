"""A CSV of demands, line by line."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.demands import lines
from lakehouse.errors import InvalidInput, LakehouseError, TooLarge
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.parse import Parser
from lakehouse.staffing.places import Places
from lakehouse.staffing.roles import Roles


@pytest.fixture(scope="module")
def parse():
    return Parser(Places.shipped(), Roles.shipped(), Certifications.shipped()).parse


def test_fields_become_a_line_that_says_them(parse):
    data = "﻿Role;Count;City;State;Certs;Urgency;Ref\nForklift Operator;5;Cleveland;OH;OSHA-30;URGENT;7\n".encode()
    found, refused = lines.read(data, parse)
    assert refused == []
    assert [(one.number, one.text, one.urgency) for one in found] == [
        (2, "Need 5 Forklift Operators in Cleveland OH, OSHA-30 certified", "urgent")
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("x,Welder,,,", "count 'x'"),
        ("0,Welder,,,", "count '0'"),
        ("2,,Parma,,", "role is empty"),
        ("2,Welder,Parma,blue,", "shift 'blue'"),
        ("2,Welder,Parma,day,now", "urgency 'now'"),
        ("2,Welder,Parma,day,low,more", "more values than columns"),
    ],
)
def test_line_that_is_none_is_refused_by_number_and_the_others_stay(parse, row, says):
    data = f"count,role,city,shift,urgency\n2,Line Cook,Parma,day,low\n\n{row}\n3,Welder,Parma,,\n"
    found, refused = lines.read(data.encode(), parse)
    assert [one.number for one in found] == [2, 5]
    assert [(one.line, says in one.reason) for one in refused] == [(4, True)]


def test_line_after_a_value_of_several_lines_has_its_own_number(parse):
    data = 'demand,note\n"Need 2 welders\nin Parma OH","a\nb"\n,x\n'
    found, refused = lines.read(data.encode(), parse)
    assert [(one.number, one.note) for one in found] == [(2, "a\nb")]
    assert [one.line for one in refused] == [5]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no heading"),
        (b"role,rolle\n", "no column 'rolle'"),
        (b"role,role\n", "twice"),
        (b"count,city\n1,Parma\n", "'demand' and 'role'"),
        (b"role\n", "no line below"),
        (b"role\n\xff\n", "not UTF-8"),
    ],
)
def test_file_that_is_none_is_refused_whole(parse, data, says):
    with pytest.raises(InvalidInput, match=says):
        lines.read(data, parse)


def test_file_of_too_many_lines_is_refused(parse):
    with pytest.raises(TooLarge):
        lines.read(b"role\n" + b"cook\n" * (lines.MOST_LINES + 1), parse)


def test_same_line_twice_means_two_and_the_same_ref_one(parse):
    twice, _ = lines.read(b"role\nWelder\nWelder\n", parse)
    assert len({one.source for one in twice}) == 2
    again, _ = lines.read(b"role\nWelder\nWelder\n", parse)
    assert [one.source for one in again] == [one.source for one in twice]
    refs, _ = lines.read(b"role,ref\nWelder,1\nLine Cook,1\n", parse)
    assert len({one.source for one in refs}) == 1


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_the_products_words(parse, text):
    with contextlib.suppress(LakehouseError):
        lines.read(("role,count\n" + text).encode("utf-8", "replace"), parse)
