from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lakehouse.matrix.requirements import ANYONE, Requirements
from lakehouse.staffing.demand import Location
from lakehouse.vectors.base import Condition, Filter
from lakehouse.vectors.filters import passes

CLEVELAND = Location("Cleveland", "OH", 41.4995, -81.6954)
PLACES = {
    "Cleveland": ("OH", 41.4995, -81.6954),
    "Parma": ("OH", 41.4048, -81.7229),
    "Columbus": ("OH", 39.9612, -82.9988),
    "Detroit": ("MI", 42.3314, -83.0457),
}


def wanted(**changes) -> Requirements:
    fields = {
        "role": "Forklift Operator",
        "role_code": "53-7051.00",
        "certs": (("OSHA-30",),),
        "shift": "day",
        "place": CLEVELAND,
        "near_km": 40.0,
    }
    return Requirements(**{**fields, **changes})


def person(city="Cleveland", code="53-7051.00", certs=("OSHA-30",), shifts=("day",)) -> dict:
    state, lat, lon = PLACES[city]
    return {
        "role": "Forklift Operator",
        "role_code": code,
        "certs": list(certs),
        "shifts": list(shifts),
        "city": city,
        "state": state,
        "location": {"lat": lat, "lon": lon},
    }


def test_standing_follows_the_table():
    ask = wanted()
    assert ask.standing(person()) == 0
    assert ask.standing(person("Parma")) == 1
    assert ask.standing(person(shifts=["night"])) == 2
    assert ask.standing(person("Columbus")) == 3
    assert ask.standing(person(certs=[])) == 4
    assert ask.standing(person("Detroit")) == 5
    assert ask.standing(person("Columbus", certs=[])) == 5
    assert ask.standing(person(code="51-4041.00")) == ANYONE


def test_standing_certificate_that_is_over_counts_as_missing():
    ask = wanted(on=date(2026, 6, 1))
    assert ask.standing({**person(), "cert_expiry": ["2026-06-01"]}) == 0
    assert ask.standing({**person(), "cert_expiry": ["2026-05-31"]}) == 4


def test_standing_certificate_that_covers_the_wanted_one_counts():
    assert wanted(certs=(("OSHA-10", "OSHA-30"),)).standing(person()) == 0


def test_standing_not_free_yet_counts_as_the_wrong_shift():
    ask = wanted(on=date(2026, 6, 1))
    assert ask.standing({**person(), "available_from": "2026-06-01"}) == 0
    assert ask.standing({**person(), "available_from": "2026-06-02"}) == 2


def test_standing_unknown_facts_count_as_met():
    assert wanted().standing({}) == 0
    assert wanted().standing({"role": "forklift operators"}) == 0
    assert wanted().standing({"role": "CNC Operator"}) == ANYONE


def test_standing_of_another_title_than_one_without_a_code_follows_the_rest_of_the_table():
    ask = wanted(role="Zorb Tuner", role_code="")
    assert ask.standing({**person("Detroit"), "role": "zorb tuners"}) == 5
    assert [ask.standing(one) for one in (person(), person("Parma"), person(shifts=["night"]))] == [6, 7, 8]
    assert [ask.standing(one) for one in (person("Columbus"), person(certs=[]), person("Detroit"))] == [9, 10, 11]
    assert ask.steps(None).standings == [6, 7, 8, 9, 10, 11]


def test_standing_nothing_stated_is_met_by_everyone():
    ask = Requirements(role="", role_code="", certs=(), shift="", place=None, near_km=0)
    assert not ask.stated
    assert ask.standing(person("Detroit")) == 0
    assert ask.steps(None) == ([None], [0])


people = st.builds(
    person,
    city=st.sampled_from(sorted(PLACES)),
    code=st.sampled_from(["53-7051.00", "51-4041.00"]),
    certs=st.lists(st.sampled_from(["OSHA-30", "OSHA-10", "TWIC"]), unique=True),
    shifts=st.lists(st.sampled_from(["day", "night"]), min_size=1, unique=True),
)
asks = st.builds(
    wanted,
    certs=st.lists(st.sampled_from([("OSHA-30",), ("OSHA-10", "OSHA-30"), ("TWIC",)]), unique=True).map(tuple),
    shift=st.sampled_from(["", "day", "night"]),
    place=st.sampled_from([None, CLEVELAND, Location(None, "OH")]),
)


@given(asks | asks.map(lambda ask: replace(ask, role="Zorb Tuner", role_code="")), st.lists(people, min_size=1))
def test_filters_order_never_finds_a_worse_person_in_an_earlier_step(ask, crowd):
    steps = ask.steps(None).filters

    def found_at(who):
        return next(at for at, step in enumerate(steps) if step is None or passes(step, who))

    for one in crowd:
        for other in crowd:
            if found_at(one) < found_at(other):
                assert ask.standing(one) <= ask.standing(other)


def test_filters_keep_the_callers_own_conditions_in_every_step():
    mine = Filter(must=[Condition(key="years", gte=2)], must_not=[Condition(key="state", match="MI")])
    for step in wanted().steps(mine).filters:
        assert step.must[0] == mine.must[0]
        assert step.must_not == mine.must_not


def test_filters_role_without_code_searches_by_all_else():
    assert wanted(role="Zorb", role_code="").steps(None).filters == wanted(role="", role_code="").steps(None).filters


@given(asks, people)
def test_standings_of_steps_are_those_of_the_people_who_pass(ask, who):
    filters, standings = ask.steps(None)
    assert standings == sorted(set(standings))
    passed = [at for at, step in enumerate(filters) if step is None or passes(step, who)]
    # Who passes a step is not better than it, and of whom everything is known is found by the first that is as good.
    assert passed[0] == max(at for at, standing in enumerate(standings) if standing <= ask.standing(who))
