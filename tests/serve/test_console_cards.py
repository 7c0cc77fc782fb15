"""A match in words."""

from datetime import UTC, datetime, timedelta

import pytest

from lakehouse.matrix.base import Match, MemoryUse
from lakehouse.serve.console.cards import Certificate, card
from lakehouse.serve.console.words import age
from lakehouse.staffing.demand import Location

NOW = datetime(2026, 3, 22, 12, tzinfo=UTC)
CLEVELAND = Location("Cleveland", "OH", 41.4995, -81.6954)
MARIA = {
    "name": "Maria Lopez",
    "role": "Forklift Operator",
    "skills": ["reach truck", "RF scanner"],
    "certs": ["OSHA-30", "Forklift Operator", "CPR"],
    "cert_expiry": ["2027-01-01", "2026-03-21", ""],
    "years": 4.0,
    "city": "Parma",
    "state": "OH",
    "location": {"lat": 41.4048, "lon": -81.7229},
    "shifts": ["day", "night"],
    "available_from": "2026-04-01",
    "pay_hourly": 21.5,
    "phone": "(216) 555-0142",
    "email": "maria@example.com",
    "resume": "Four years on forklifts.",
}


def shown(person=MARIA, *, place=CLEVELAND, memory=None, rating=5, distance=0.1):
    match = Match(
        id="w-7", corpus="workers", distance=distance, metadata=person, rating=rating, reasons=["why"], memory=memory
    )
    return card(match, number=1, place=place, now=NOW)


def use(effect, recorded_at="2026-03-01T08:00:00.000+00:00"):
    return MemoryUse(effect=effect, playbook_id="pb-1", base_distance=0.2, namespace="alice", recorded_at=recorded_at)


def test_card_says_who_and_where():
    maria = shown()
    assert (maria.name, maria.role, maria.place, maria.away) == (
        "Maria Lopez",
        "Forklift Operator",
        "Parma, OH",
        "11 km away",
    )
    assert maria.distance == "0.100"


def test_card_marks_certifications_that_have_expired():
    assert shown().certificates == [
        Certificate("OSHA-30", "2027-01-01", False),
        Certificate("Forklift Operator", "2026-03-21", True),
        Certificate("CPR", "", False),
    ]


def test_card_facts_leave_out_what_is_not_known():
    assert shown().facts == [
        ("Available", "from 2026-04-01"),
        ("Shifts", "day, night"),
        ("Experience", "4 years"),
        ("Pay", "$21.50 an hour"),
        ("Skills", "reach truck, RF scanner"),
    ]
    assert shown({"years": 1, "available_from": "2026-03-22"}).facts == [("Available", "now"), ("Experience", "1 year")]


def test_card_of_a_person_of_whom_nothing_is_known_has_the_id_for_a_name():
    nobody = shown({})
    assert (nobody.name, nobody.role, nobody.place, nobody.away, nobody.facts) == ("w-7", "", "", "", [])


@pytest.mark.parametrize(
    ("point", "place"),
    [
        (None, CLEVELAND),
        ({"lat": "x", "lon": None}, CLEVELAND),
        ("Parma", CLEVELAND),
        (MARIA["location"], None),
        (MARIA["location"], Location(None, "OH")),
    ],
)
def test_card_distance_that_cannot_be_known_is_not_given(point, place):
    assert shown({**MARIA, "location": point}, place=place).away == ""


@pytest.mark.parametrize(
    ("city", "state", "away"),
    [("CLEVELAND", "OH", "in town"), ("Cleveland", "TN", "11 km away"), ("", "", "11 km away")],
)
def test_card_in_the_town_itself_says_so(city, state, away):
    assert shown({**MARIA, "city": city, "state": state}).away == away


def test_card_next_door_is_not_nowhere():
    assert shown({**MARIA, "location": {"lat": 41.4995, "lon": -81.6954}}).away == "1 km away"


@pytest.mark.parametrize(
    ("rating", "words"), [(5, "fits all"), (1, "wrong role"), (None, "not rated"), (0, ""), (9, "")]
)
def test_card_rating_in_words_and_unrated_is_no_zero(rating, words):
    rated = shown(rating=rating)
    assert (rated.rating, rated.words) == (rating, words)


@pytest.mark.parametrize(
    ("rating", "distance", "warned"),
    [(1, 0.23, True), (2, 0.3, True), (1, 0.5, False), (3, 0.1, False), (None, 0.1, False)],
)
def test_card_tight_but_wrong_is_visible(rating, distance, warned):
    assert shown(rating=rating, distance=distance).tight_but_wrong is warned


@pytest.mark.parametrize(
    ("effect", "words", "before"),
    [
        ("boost", "boosted: worked out for a like demand on 2026-03-01, recorded by alice (3 weeks ago)", "0.200"),
        ("inject", "brought in: worked out for a like demand on 2026-03-01, recorded by alice (3 weeks ago)", ""),
        ("none", "known: worked out for a like demand on 2026-03-01, recorded by alice (3 weeks ago)", ""),
    ],
)
def test_card_says_what_memory_did_who_recorded_it_and_when(effect, words, before):
    remembered = shown(memory=use(effect))
    assert (remembered.effect, remembered.memory, remembered.before) == (effect, words, before)


def test_card_memory_of_a_time_nobody_can_read_is_given_as_it_stands():
    assert shown(memory=use("boost", "long ago")).memory.endswith("on long ago, recorded by alice")


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (-1, "today"),
        (0, "today"),
        (1, "yesterday"),
        (13, "13 days ago"),
        (14, "2 weeks ago"),
        (59, "8 weeks ago"),
        (60, "2 months ago"),
        (729, "24 months ago"),
        (730, "2 years ago"),
    ],
)
def test_age_in_the_largest_unit_that_says_it(days, words):
    assert age(NOW - timedelta(days=days), NOW) == words


@pytest.mark.parametrize(
    ("phone", "call"),
    [
        ("(216) 555-0142", "tel:2165550142"),
        ("+1 216.555.0142", "tel:+12165550142"),
        ("ask at the desk", ""),
        ("javascript:alert(1)", ""),
        ("", ""),
    ],
)
def test_card_phone_becomes_a_link_only_when_it_is_a_number(phone, call):
    assert shown({"phone": phone}).call == call


@pytest.mark.parametrize(
    ("email", "write"),
    [
        ("maria@example.com", "mailto:maria@example.com"),
        ("a@b.c?bcc=x", "mailto:a@b.c%3Fbcc%3Dx"),
        ("a@b.c,d@e.f", ""),
        ("no address", ""),
        ('"><script>@x', ""),
    ],
)
def test_card_email_becomes_a_link_that_carries_nothing_but_the_address(email, write):
    assert shown({"email": email}).write == write
