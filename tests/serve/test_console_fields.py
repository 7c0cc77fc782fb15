"""Chips, and the line that says them again, with the real parser."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.serve.console.fields import read
from lakehouse.staffing.need import NAMES, Fields, fields_of, need_line, whole_number
from lakehouse.staffing.parse import Parser

ASK = "Beacon Freight needs 3 Forklift Operators in Cleveland OH, day shift, OSHA-30"

ROLES = ["Forklift Operator", "Welder", "Line Cook", "Certified Nursing Assistant", "landscape laborer"]
STATES = {"Cleveland": "OH", "St. Louis": "MO", "Winston-Salem": "NC", "New York City": "NY"}


def some_of(*names: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(names), unique=True, max_size=3).map(", ".join)


said = st.builds(
    Fields,
    count=st.sampled_from(["1", "3", "50", "1200"]),
    role=st.sampled_from(ROLES),
    city=st.sampled_from([*STATES]),
    certs=some_of("OSHA-30", "CDL-A", "AWS D1.1", "TWIC", "Forklift"),
    skills=some_of("reach truck", "blueprint reading", "Spanish"),
    shift=st.sampled_from(["", "day", "night", "evening", "weekend", "swing", "rotating"]),
    start=st.sampled_from(["", "06:00", "Monday", "2026-03-01"]),
    client=st.sampled_from(["", "Beacon Freight", "Northern Foods, Inc.", "O'Neil & Sons LLC"]),
)


@pytest.fixture(scope="module")
def parser():
    return Parser.shipped()


@pytest.fixture(scope="module")
def ask(parser):
    return lambda text, typed=None: read(text, typed, parse=parser.parse)


def changed(fields: Fields, **values) -> Fields:
    return msgspec.structs.replace(fields, **values)


def chips(reading) -> dict:
    return {chip.name: chip for chip in reading.chips}


def test_fields_of_a_demand_are_its_parts_as_text(parser):
    assert fields_of(parser.parse(ASK)) == Fields(
        count="3",
        role="Forklift Operator",
        city="Cleveland",
        state="OH",
        certs="OSHA-30",
        shift="day",
        client="Beacon Freight",
    )


def test_fields_of_a_demand_without_a_number_leave_the_count_open(parser):
    assert fields_of(parser.parse("Need a welder in Detroit MI")).count == ""


def test_need_line_reads_like_a_demand():
    line = need_line(
        Fields(
            count=" 3 ", role="Welder", city="Parma", state="OH", shift="day", start="Monday", client="Beacon Freight"
        )
    )
    assert line == "Need 3 Welders in Parma OH, day shift, starting Monday, for Beacon Freight"


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("Line Cook", "2 Line Cooks"),
        ("Waitress", "2 Waitresses"),
        ("Repairman", "2 Repairmen"),
        ("SHORT ORDER COOK", "2 SHORT ORDER COOKS"),
        ("Dye House Lady", "2 Dye House Ladies"),
        ("Valet Boy", "2 Valet Boys"),
        ("Cooks and Servers", "2 Cooks and Servers"),
        ("", "2"),
    ],
)
def test_need_line_puts_the_role_in_the_plural_only_when_it_reads_back(role, said):
    assert need_line(Fields(count="2", role=role)) == f"Need {said}"
    assert need_line(Fields(count="1", role=role)) == f"Need 1 {role}".strip()


def test_need_line_of_nothing_asks_for_one():
    assert need_line(Fields()) == "Need 1"


@given(said)
@settings(max_examples=150, deadline=None)
def test_need_line_is_read_as_the_same_fields(parser, fields):
    fields = changed(fields, state=STATES[fields.city])
    assert fields_of(parser.parse(need_line(fields))) == fields


@given(st.fixed_dictionaries({name: st.text(max_size=20) for name in NAMES}))
@settings(deadline=None)
def test_read_takes_whatever_is_typed_and_stays_put_when_read_again(ask, typed):
    first = ask(ASK, Fields(**typed))
    shown = Fields(**{chip.name: chip.value for chip in first.chips})
    again = ask(ASK, shown)
    assert "".join(piece.text for piece in first.pieces) == ASK
    assert again.line == first.line


def test_read_text_alone_is_searched_for_as_it_is(ask):
    reading = ask(ASK)
    assert (reading.line, reading.edited, reading.edited_parts) == (ASK, False, frozenset())
    assert {chip.state for chip in reading.chips} == {"read", "unsaid", "missing"}


def test_read_fields_as_they_were_are_no_edit(ask, parser):
    typed = changed(fields_of(parser.parse(ASK)), role=" Forklift  Operator ")
    assert ask(ASK, typed).line == ASK


def test_read_missing_fields_are_what_to_ask_the_client(ask):
    states = {name: chip.state for name, chip in chips(ask("Need 3 Forklift Operators")).items()}
    assert states["city"] == states["state"] == states["shift"] == states["start"] == "missing"
    assert states["certs"] == states["skills"] == "unsaid"
    assert states["role"] == states["count"] == "read"


def test_read_edited_field_is_searched_for_and_remembers_what_was_written(ask, parser):
    reading = ask(ASK, changed(fields_of(parser.parse(ASK)), role="line cooks", city="Parma"))
    found = chips(reading)
    assert (found["role"].value, found["role"].state, found["role"].written) == (
        "line cook",
        "edited",
        "Forklift Operator",
    )
    assert (found["city"].state, found["state"].state) == ("edited", "read")
    assert reading.edited_parts == {"role", "location"}
    assert (reading.demand.role, reading.demand.location.city, reading.demand.certs) == (
        "line cook",
        "Parma",
        ["OSHA-30"],
    )
    assert reading.demand.client == "Beacon Freight"


def test_read_filled_field_counts_as_edited(ask, parser):
    reading = ask(ASK, changed(fields_of(parser.parse(ASK)), start="Monday"))
    assert (chips(reading)["start"].state, chips(reading)["start"].written) == ("edited", "")
    assert reading.demand.start == "Monday"


def test_read_emptied_field_is_not_asked_for(ask, parser):
    reading = ask(ASK, changed(fields_of(parser.parse(ASK)), certs=""))
    assert reading.demand.certs == []
    assert (chips(reading)["certs"].state, chips(reading)["certs"].written) == ("edited", "OSHA-30")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"city": "Zzyzxville", "state": ""}, "city"),
        ({"certs": "OSHA-30, Zzyzx-7"}, "certs"),
        ({"count": "lots"}, "count"),
        ({"count": "0"}, "count"),
        ({"count": "9" * 30}, "count"),
        ({"start": "whenever"}, "start"),
    ],
)
def test_read_field_that_is_not_understood_keeps_what_was_typed(ask, parser, change, name):
    reading = ask(ASK, changed(fields_of(parser.parse(ASK)), **change))
    assert (chips(reading)[name].state, chips(reading)[name].value) == ("unclear", change[name])


def test_read_count_that_nobody_said_stays_open_through_other_edits(ask, parser):
    text = "Need a welder in Detroit MI"
    reading = ask(text, changed(fields_of(parser.parse(text)), shift="night"))
    assert (chips(reading)["count"].value, chips(reading)["count"].state) == ("", "missing")
    assert (reading.demand.count, reading.demand.shift) == (1, "night")


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("007", 7), ("", None), ("-1", None), ("1.0", None), ("٣", None), ("9" * 5000, None)]
)
def test_whole_number_reads_digits_only(text, number):
    assert whole_number(text) == number
