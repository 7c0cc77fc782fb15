from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.staffing.demand import Demand, Location
from lakehouse.staffing.rate import rate

CLEVELAND = Location("Cleveland", "OH", 41.4995, -81.6954)
PARMA = {"lat": 41.4048, "lon": -81.7229}
AKRON = {"lat": 41.0814, "lon": -81.5190}
COLUMBUS = {"lat": 39.9612, "lon": -82.9988}
DETROIT = {"lat": 42.3314, "lon": -83.0457}

ASK = Demand(
    role="Forklift Operator",
    role_code="53-7051.00",
    count=3,
    location=CLEVELAND,
    certs=["OSHA-30"],
    shift="day",
)
FITS = {
    "role": "Forklift Driver",
    "role_code": "53-7051.00",
    "certs": ["OSHA-10", "OSHA-30"],
    "cert_expiry": ["2026-01-01", "2028-01-01"],
    "city": "Cleveland",
    "state": "OH",
    "location": {"lat": 41.5, "lon": -81.7},
    "shifts": ["day", "night"],
    "available_from": "2026-01-01",
}
TODAY = date(2026, 6, 1)


def rated(demand=ASK, **changes):
    person = {name: value for name, value in {**FITS, **changes}.items() if value is not None}
    return rate(demand, person, on=TODAY, related=lambda a, b: {a[:2], b[:2]} == {"53"})


@pytest.mark.parametrize(
    ("changes", "rating", "reason"),
    [
        ({}, 5, "OSHA-30 until 2028-01-01"),
        ({"city": "Parma", "location": PARMA}, 4, "11 km from Cleveland (Parma, OH)"),
        ({"shifts": None}, 4, "day shift: not known"),
        ({"shifts": ["night"]}, 3, "works night, asked for day"),
        ({"available_from": "2026-07-01"}, 3, "available from 2026-07-01"),
        ({"city": "Akron", "location": AKRON}, 3, "49 km from Cleveland (Akron, OH)"),
        ({"city": "Columbus", "location": COLUMBUS}, 3, "(Columbus, OH)"),
        ({"city": "Detroit", "state": "MI", "location": DETROIT}, 2, "(Detroit, MI)"),
        ({"certs": ["OSHA-10"], "cert_expiry": ["2028-01-01"]}, 2, "no OSHA-30"),
        ({"cert_expiry": ["2026-01-01", "2026-05-31"]}, 2, "OSHA-30 expired 2026-05-31"),
        ({"role": "Order Picker", "role_code": "53-7065.00"}, 2, "related role: Order Picker"),
        ({"role": "Line Cook", "role_code": "35-2014.00"}, 1, "wrong role: Line Cook"),
    ],
)
def test_rate_follows_the_table(changes, rating, reason):
    found = rated(**changes)
    assert found.rating == rating
    assert any(reason in text for text in found.reasons)


def test_rate_certification_that_covers_the_wanted_one_counts():
    ask = Demand(role="Forklift Operator", role_code="53-7051.00", certs=["OSHA-10"])
    higher = {**FITS, "certs": ["OSHA-30"], "cert_expiry": ["2028-01-01"]}
    covering = rate(ask, higher, on=TODAY, covers=lambda held, wanted: held in {wanted, "OSHA-30"})
    assert covering.rating == 5
    assert "OSHA-30 until 2028-01-01" in covering.reasons
    assert rate(ask, higher, on=TODAY).rating == 2


def test_rate_wrong_role_is_one_however_well_the_rest_fits():
    found = rated(role="CNC Operator", role_code="51-9161.00")
    assert found.rating == 1
    assert found.checks == {"role": False, "certs": True, "place": True, "shift": True, "available": True}


def test_rate_demand_that_states_nothing_is_not_rated():
    assert rate(Demand(count=2, shift="day"), FITS).rating is None


def test_rate_person_of_whom_nothing_is_known_is_not_rated():
    assert rate(ASK, {"phone": "555-0100"}).rating is None


def test_rate_start_date_of_the_demand_decides_over_today():
    late = Demand(role="Forklift Operator", role_code="53-7051.00", certs=["OSHA-30"], start="2028-06-01")
    assert rated(late).rating == 2


def test_rate_role_without_code_compares_titles():
    ask = Demand(role="Widget Polishers")
    assert rate(ask, {"role": "widget polisher"}).rating == 5
    assert rate(ask, {"role": "widget painter"}).rating == 1


def test_rate_state_alone_is_met_anywhere_in_it():
    ask = Demand(role="Forklift Operator", role_code="53-7051.00", location=Location(None, "OH"))
    assert rated(ask, city="Columbus", location=COLUMBUS).rating == 5
    assert rated(ask, city="Detroit", state="MI", location=DETROIT).rating == 2


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["Forklift Operator", "Line Cook"]),
            "role_code": st.sampled_from(["53-7051.00", "35-2014.00"]),
            "certs": st.lists(st.sampled_from(["OSHA-30", "TWIC"])),
            "cert_expiry": st.lists(st.sampled_from(["2025-01-01", "2029-01-01", "soon", ""])),
            "city": st.sampled_from(["Cleveland", "Detroit"]),
            "state": st.sampled_from(["OH", "MI"]),
            "location": st.sampled_from([PARMA, DETROIT]),
            "shifts": st.lists(st.sampled_from(["day", "night"])),
            "available_from": st.sampled_from(["2020-01-01", "2030-01-01", "now"]),
        },
    )
)
def test_rate_any_person_gets_one_to_five_or_null_and_the_same_again(person):
    found = rate(ASK, person, on=TODAY)
    assert found.rating is None or 1 <= found.rating <= 5
    assert rate(ASK, person, on=TODAY) == found
    if found.rating == 5:
        assert all(found.checks.values())


@pytest.mark.parametrize(
    ("has", "rating", "reason"),
    [(4, 5, "4 years of experience"), (1, 3, "1 years of experience, asked for 2"), (None, 4, "not known")],
)
def test_rate_experience_asked_for_is_a_reason(has, rating, reason):
    found = rate(ASK, {**FITS, "years": has}, on=TODAY, years=2)
    assert found.rating == rating
    assert reason in found.reasons[-1]
    assert rate(ASK, {**FITS, "years": has}, on=TODAY).rating == 5


@pytest.mark.parametrize(
    ("asked", "home"), [("St. Louis", "Saint Louis"), ("Fort Worth", "FT WORTH"), ("New York", "NYC")]
)
def test_rate_city_in_another_spelling_is_that_city(asked, home):
    wanted = Demand(role="Cook", role_code="35-2014.00", location=Location(asked, "MO", 38.6, -90.2))
    person = {"role_code": "35-2014.00", "city": home, "state": "MO", "location": {"lat": 38.6, "lon": -90.2}}
    found = rate(wanted, person, on=TODAY)
    assert (found.rating, found.reasons[-1]) == (5, f"in {home}, MO")
