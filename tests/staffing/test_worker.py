from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.staffing import worker
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.places import Places

ROW = {
    "id": 7,
    "name": "Ana Maria O'Neil",
    "role": "Forklift Operator",
    "skills": "reach truck; pallet jack;",
    "certs": "osha 30; Left-handed juggling",
    "cert_expiry": "2027-01-01; 2026-05-05",
    "years": 4,
    "city": "Cleveland",
    "state": "OH",
    "lat": None,
    "lon": None,
    "available_from": date(2026, 3, 1),
    "phone": "(216) 555-0134",
    "email": "ana@example.com",
}


@pytest.mark.parametrize(
    "column",
    [
        "name",
        "Name",
        "first_name",
        "lastName",
        "E-Mail",
        "email",
        "home_phone",
        "SSN",
        "date of birth",
        "Street Address",
    ],
)
def test_is_personal_names_and_contact_are(column):
    assert worker.is_personal(column)


@pytest.mark.parametrize("column", ["role", "resume", "skills", "id", "city", "certs", "years"])
def test_is_personal_facts_of_work_are_not(column):
    assert not worker.is_personal(column)


def test_metadata_splits_lists_and_derives_the_location():
    found = worker.metadata(
        ROW,
        ["name", "skills", "certs", "cert_expiry", "years", "city", "lat", "available_from"],
        places=Places.shipped(),
        certifications=Certifications.shipped(),
    )
    assert found["skills"] == ["reach truck", "pallet jack"]
    assert found["certs"] == ["OSHA-30", "Left-handed juggling"]
    assert found["cert_expiry"] == ["2027-01-01", "2026-05-05"]
    assert found["available_from"] == "2026-03-01"
    assert found["location"]["lat"] == pytest.approx(41.5, abs=0.1)
    assert "lat" not in found
    assert "phone" not in found


def test_metadata_own_coordinates_win():
    found = worker.metadata({**ROW, "lat": "10.5", "lon": -20}, ["city"], places=Places.shipped())
    assert found["location"] == {"lat": 10.5, "lon": -20.0}


@pytest.mark.parametrize(("state", "kept"), [("Texas", "TX"), ("tex.", "TX"), ("tx", "TX"), ("Ontario", "Ontario")])
def test_metadata_state_is_kept_as_demands_have_it(state, kept):
    row = {"city": "Fort Worth", "state": state}
    assert worker.metadata(row, ["city", "state"], places=Places.shipped())["state"] == kept


@pytest.mark.parametrize(
    ("column", "written", "kept"),
    [
        ("shifts", "Nights", ["night"]),
        ("shifts", "1st; 2nd", ["day", "evening"]),
        ("shifts", "Days, weekends / Graveyard shift", ["day", "weekend", "night"]),
        ("shifts", "any shift", ["day", "evening", "night", "weekend", "swing", "rotating"]),
        ("shifts", ["night", "4x10"], ["night", "4x10"]),
        ("years", "6", 6),
        ("years", "12.5 yrs", 12.5),
        ("years", "six", "six"),
        ("years", 3, 3),
        ("available_from", "1/5/2026", "2026-01-05"),
        ("available_from", "13/45/2026", "13/45/2026"),
        ("available_from", "2026-01-05", "2026-01-05"),
    ],
)
def test_metadata_reads_what_spreadsheets_write(column, written, kept):
    assert worker.metadata({column: written}, [column]) == {column: kept}


def test_metadata_leaves_empty_values_out():
    row = {"role": "", "skills": " ; ", "years": None, "pay": float("nan"), "certs": None}
    assert worker.metadata(row, ["role", "skills", "years", "pay"]) == {}


def test_metadata_column_of_certifications_knows_who_has_none():
    assert worker.metadata({"certs": ""}, ["certs"]) == {"certs": []}


def test_without_names_takes_the_rows_own_data_out():
    text = "ANA maria o'neil drives forklifts since 2012. Call 216.555.0134 or ana@example.com. Banana depot."
    left = worker.without_names(text, ROW)
    assert left == "drives forklifts since 2012. Call or . Banana depot."


def test_without_names_job_that_is_somebodys_name_stays():
    assert worker.without_names("line cook; James Cook", {"name": "James Cook"}) == "line cook;"


@given(
    st.from_regex(r"[A-Z][a-z]{1,8} [A-Z][a-z]{2,10}", fullmatch=True),
    st.from_regex(r"[A-Z][a-z]{1,8} [A-Z][a-z]{2,10}", fullmatch=True),
)
def test_without_names_text_is_the_same_whoever_it_names(one, other):
    text = "{0} ran the line. Ask {0} about forklifts."
    texts = {worker.without_names(text.format(name), {"name": name}) for name in (one, other)}
    if not ({*one.split(), *other.split()} & {"Ask", "Forklifts", "Line", "About", "Ran", "The"}):
        assert len(texts) == 1
