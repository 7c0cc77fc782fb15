import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import NotFound
from lakehouse.staffing.certifications import Certifications

KNOWN = Certifications.shipped()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("OSHA-30 + active forklift cert required.", ["OSHA-30", "Forklift"]),
        ("must have OSHA-30 and a forklift cert", ["OSHA-30", "Forklift"]),
        ("certified in forklift and scissor lift", ["Forklift", "Scissor Lift"]),
        ("forklift and scissor lift certified", ["Forklift", "Scissor Lift"]),
        ("class A cdl with hazmat endorsement", ["CDL-A", "Hazmat"]),
        ("need a class a driver's license", ["CDL-A"]),
        ("must have a CDL", ["CDL"]),
        ("CDL a plus", ["CDL"]),
        ("osha10, aws d1.1", ["OSHA-10", "AWS D1.1"]),
        ("CPR/First Aid", ["CPR", "First Aid"]),
        ("ServSafe, food handler's card", ["ServSafe", "Food Handler"]),
        ("FAA Part 107", ["FAA Part 107"]),
        ("30-hour OSHA card", ["OSHA-30"]),
        ("RN license", ["RN"]),
        ("3 CNAs in Tampa", ["CNA"]),
        ("3 certified forklift operators", ["Forklift"]),
        ("3 Roofers in Detroit MI, Fall Protection required", ["Fall Protection"]),
        ("2 Order Fillers in Detroit MI, Forklift and OSHA-10 required", ["Forklift", "OSHA-10"]),
        ("Need 2 Forklift Operators in Detroit MI, forklift is a must", ["Forklift"]),
        ("4 bellmen who have CDL A. Day shift", ["CDL-A"]),
        ("12 laborers with TWIC card, CDL-A, DAY SHIFT", ["TWIC", "CDL-A"]),
        ("A & M Irrigation; NCCCO certification needed", ["NCCCO"]),
        ("Passenger endorsement", ["Passenger"]),
        ("hazmat endorsed", ["Hazmat"]),
    ],
)
def test_find_asked_for_certification_is_found(text, names):
    assert [match.name for match in KNOWN.find(text)] == names


@pytest.mark.parametrize(
    "text",
    [
        "forklift operator",
        "forklift operators, nights",
        "forklift experience",
        "no CDL required",
        "CDL not required",
        "tips welcome",
        "rn",
        "first aid kit",
        "2 forklift drivers required",
        "forklift experience required",
        "forklift not required",
        "passenger tickets",
        "the passenger seat is required",
        "you got a red",
        "sand blaster",
        "my driver's license number is 12",
        "",
    ],
)
def test_find_thing_or_job_is_no_certification(text):
    assert KNOWN.find(text) == []


@pytest.mark.parametrize("name", KNOWN.names)
def test_find_name_certified_is_that_certification(name):
    assert [match.name for match in KNOWN.find(f"3 people in Detroit MI, {name} certified")] == [name]


def test_canonical_every_name_is_its_own_canonical():
    assert [KNOWN.canonical(name) for name in KNOWN.names] == KNOWN.names


@pytest.mark.parametrize(
    ("name", "expected"), [("active forklift cert", "Forklift"), ("Class A CDL", "CDL-A"), ("xyz", None)]
)
def test_canonical_spelling_is_resolved(name, expected):
    assert KNOWN.canonical(name) == expected


def test_covers_more_satisfies_less_and_not_the_other_way():
    assert KNOWN.covers("OSHA-30", "OSHA-10")
    assert not KNOWN.covers("OSHA-10", "OSHA-30")
    assert KNOWN.covers("TWIC", "TWIC")


def test_names_there_are_more_than_sixty_with_domains():
    assert len(KNOWN.names) > 60
    assert all(KNOWN.domains(name) for name in KNOWN.names)


def test_domains_unknown_name_is_refused():
    with pytest.raises(NotFound, match="Basket Weaving"):
        KNOWN.domains("Basket Weaving")


@given(st.text(max_size=80))
def test_find_any_text_gives_ordered_spans_inside_it(text):
    end = 0
    for match in KNOWN.find(text):
        assert end <= match.start < match.end <= len(text)
        end = match.end
