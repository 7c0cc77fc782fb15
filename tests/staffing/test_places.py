import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.staffing.places import Places, distance_km, place_key

PLACES = Places.shipped()


def found(text):
    return [(match.location.city, match.location.state) for match in PLACES.find(text)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Need 3 cooks in Cleveland OH", ("Cleveland", "OH")),
        ("need 3 cooks in cleveland, ohio", ("Cleveland", "OH")),
        ("NEED 3 COOKS IN PORTLAND OR FOR BEACON", ("Portland", "OR")),
        ("need 3 cooks in gary in starting at 06:00", ("Gary", "IN")),
        ("3 Cook Kansas City MO 06:00", ("Kansas City", "MO")),
        ("Washington, D.C.", ("Washington", "DC")),
        ("in Nevada MO", ("Nevada", "MO")),
        ("in New York, New York", ("New York", "NY")),
        ("Winston-Salem NC", ("Winston-Salem", "NC")),
        ("O'Fallon, Ill.", ("O'Fallon", "IL")),
        ("in Coeur d'Alene, ID", ("Coeur d'Alene", "ID")),
        ("in Saint Louis MO", ("Saint Louis", "MO")),
        ("in Ft. Worth, Texas", ("Ft. Worth", "TX")),
        ("at Saipan MP", ("Saipan", "MP")),
        ("in Hoopersvile Md starting", ("Hoopersvile", "MD")),
        ("in Upper Pipe Creek TX", ("Upper Pipe Creek", "TX")),
        ("in Cleveland, Monday", ("Cleveland", None)),
        ("welders in Ohio", (None, "OH")),
    ],
)
def test_find_named_place_is_read(text, place):
    assert found(text) == [place]


@pytest.mark.parametrize(
    "text",
    [
        "experience in food",
        "in August",
        "reading in mobile",
        "I'm feeling ill around here",
        "Lawns of Louisiana, Inc. needs help",
        "at Beacon Freight",
        "call me, ok? or not",
        "",
    ],
)
def test_find_no_place_named_is_empty(text):
    assert found(text) == []


def test_find_or_between_two_cities_is_not_oregon():
    assert found("cooks in Portland or Seattle") == [("Portland", None)]


def test_find_city_of_many_states_has_no_coordinates():
    [match] = PLACES.find("welders in Springfield")
    assert (match.location.city, match.location.lat) == ("Springfield", None)


def test_find_state_never_said_stays_null_with_the_coordinates_of_the_one_meant():
    [match] = PLACES.find("welders in Cleveland")
    assert match.location.state is None
    assert distance_km(match.location, PLACES.lookup("Cleveland", "OH")) == 0


def test_narrow_gives_the_shorter_city_and_the_state_alone():
    text = "3 Stable Attendant West Chester PA"
    [match] = PLACES.find(text)
    assert match.location.city == "West Chester"
    shorter = PLACES.narrow(match, text, match.starts[0])
    assert (shorter.location.city, text[shorter.start : shorter.end]) == ("Chester", "Chester PA")
    assert PLACES.narrow(match, text, match.city_end).location.city is None


@pytest.mark.parametrize(
    ("a", "b"),
    [("Saint Louis", "St. Louis"), ("La Vergne", "LaVergne"), ("N. Chatham", "North Chatham"), ("NYC", "New York")],
)
def test_place_key_unites_spellings(a, b):
    assert place_key(a) == place_key(b)


@pytest.mark.parametrize(("city", "state"), [("Nowhereville", "OH"), ("Cleveland", "Narnia"), ("", "OH")])
def test_lookup_unknown_is_null(city, state):
    assert PLACES.lookup(city, state) is None


def test_states_are_all_fifty_with_the_district_and_the_territories():
    assert len(PLACES.state_names) == 56
    assert {"DC", "PR", "GU", "VI", "AS", "MP"} <= PLACES.state_names.keys()


def test_distance_km_known_pair_is_right():
    km = distance_km(PLACES.lookup("Cleveland", "OH"), PLACES.lookup("Detroit", "MI"))
    assert km == pytest.approx(145, abs=3)


def test_distance_km_without_coordinates_is_null():
    assert distance_km(PLACES.lookup("Cleveland", "OH"), PLACES.find("in Ohio")[0].location) is None


@given(st.text(max_size=80))
def test_find_any_text_gives_ordered_spans_that_hold_the_city(text):
    end = 0
    for match in PLACES.find(text):
        assert end <= match.start < match.end <= len(text)
        if match.location.city:
            assert place_key(match.location.city) == place_key(text[match.start : match.city_end])
        end = match.end
