"""What memory does to a search: boost, inject, and the gates before them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import NotFound

ASK = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight"
REWORDED = "Beacon Freight is looking for 2 lift truck drivers in Cleveland, Ohio"
OTHER_ROLE = "Need 2 Line Cooks in Cleveland OH for Beacon Freight"


def search(lake, text=ASK, **options):
    return lake.matrix.search(text, ["workers"], use_playbook=True, **options)


def ids(answer) -> list[str]:
    return [match.id for match in answer.results]


def record_last(lake, k=4, **changes):
    """Record the last of the top k, which a cold search does not put first."""
    answer = lake.matrix.search(ASK, ["workers"], k=k).results[-1].id
    lake.playbooks.record(**{"query_text": ASK, "answer_id": answer, "corpus": "workers", "score": 1.0, **changes})
    return answer


def test_search_recorded_answer_among_results_is_boosted(lake):
    answer = record_last(lake)
    found = search(lake, k=4)
    top = found.results[0]
    assert top.id == answer
    assert top.memory.effect == "boost"
    assert top.distance == pytest.approx(top.memory.base_distance * 0.5, abs=1e-6)
    assert (found.boosted, found.injected) == (1, 0)


def test_search_recorded_answer_missing_from_results_is_injected(lake):
    answer = record_last(lake)
    found = search(lake, k=1)
    assert ids(found) == [answer]
    assert found.results[0].memory.effect == "inject"
    assert (found.boosted, found.injected) == (0, 1)


def test_search_memory_off_changes_nothing(lake):
    before = ids(lake.matrix.search(ASK, ["workers"]))
    record_last(lake)
    assert ids(lake.matrix.search(ASK, ["workers"])) == before


def test_search_same_need_in_other_words_finds_the_recorded_answer(lake):
    answer = record_last(lake)
    assert ids(search(lake, REWORDED, k=4))[0] == answer


def test_search_other_role_of_the_same_client_is_not_touched(lake):
    record_last(lake)
    cold = lake.matrix.search(OTHER_ROLE, ["workers"])
    warm = search(lake, OTHER_ROLE)
    assert ids(warm) == ids(cold)
    assert (warm.boosted, warm.injected) == (0, 0)


def test_search_role_gate_ignores_case_and_plural(lake):
    answer = record_last(lake, role="FORKLIFT OPERATORS")
    assert ids(search(lake, k=4, query_role="forklift operator"))[0] == answer


def test_search_other_place_gets_nobody_from_here(lake):
    answer = record_last(lake)
    found = search(lake, "Need 2 Forklift Operators in Detroit MI for Beacon Freight", k=4)
    assert answer not in ids(found)
    assert found.injected == 0


def test_search_excluded_answer_is_neither_boosted_nor_injected(lake):
    answer = record_last(lake)
    for k in (1, 4, 36):
        found = search(lake, k=k, exclude_ids=[answer])
        assert answer not in ids(found)
        assert (found.boosted, found.injected) == (0, 0)


def test_search_injected_answer_meets_the_callers_filter(lake):
    answer = record_last(lake)
    number = int(answer.removeprefix("w-"))
    years = {"must": [{"key": "years", "lt": 1 + (number - 1) % 4}]}
    assert answer not in ids(search(lake, k=1, filter=years))


def test_search_injected_answer_is_there_once(lake):
    answer = record_last(lake)
    for text in (ASK + " now", ASK + " please", REWORDED):
        lake.playbooks.record(text, answer, "workers", 0.9)
    for k in (1, 4, 36):
        assert ids(search(lake, k=k)).count(answer) == 1


def test_search_answer_rated_below_whom_it_displaces_stays_out(lake):
    cook = lake.matrix.search(OTHER_ROLE, ["workers"], k=1).results[0].id
    lake.playbooks.record(ASK, cook, "workers", 1.0)
    found = search(lake, k=3)
    assert cook not in ids(found)
    assert found.injected == 0


def test_search_rejected_answer_goes_behind_everybody(lake):
    first = ids(lake.matrix.search(ASK, ["workers"], k=4))[0]
    lake.playbooks.record(ASK, first, "workers", 0.0, outcome="rejected")
    found = search(lake, k=36)
    assert ids(found)[-1] == first
    assert any("turned down" in reason for reason in found.results[-1].reasons)
    assert first not in ids(search(lake, k=4))


def test_search_namespaces_do_not_see_each_other_until_handover(lake):
    cold = ids(lake.matrix.search(ASK, ["workers"], k=4))
    answer = record_last(lake, namespace="alice")
    assert ids(search(lake, k=4, playbook="bob")) == cold
    assert ids(search(lake, k=4, playbook="alice"))[0] == answer
    assert lake.playbooks.handover("alice", "bob", "copy").entries == 1
    assert ids(search(lake, k=4, playbook="bob"))[0] == answer


def test_search_person_who_left_the_roster_is_not_injected(lake):
    answer = record_last(lake)
    lake.vectors.delete_item("workers", answer)
    assert answer not in ids(search(lake, k=36))


def test_record_phantom_person_is_refused(lake):
    with pytest.raises(NotFound, match="w-99999"):
        lake.playbooks.record(ASK, "w-99999", "workers", 1.0)
    with pytest.raises(NotFound, match="nobody"):
        lake.playbooks.record(ASK, "w-1", "nobody", 1.0)
    assert lake.playbooks.list().entries == []


def test_search_tells_which_entry_acted_by_whom_and_how_near(lake):
    answer = record_last(lake, by="dana", why="asked back twice")
    used = search(lake, REWORDED, k=1).results[0].memory
    assert (used.effect, used.by, used.why, used.factor) == ("inject", "dana", "asked back twice", 0.5)
    assert used.query_distance <= 0.2
    passed = "excluded role turned_down trust distance gone certs place shift available judge".split()
    assert used.gates == passed
    ohio = {"must": [{"key": "state", "match": "OH"}]}
    assert search(lake, REWORDED, k=1, filter=ohio).results[0].memory.gates == [*passed[:6], "filter", *passed[6:]]
    assert used.posterior.mean == pytest.approx(2 / 3)
    assert search(lake, k=4).results[0].id == answer


def dropped(found, answer):
    return {each.gate for each in found.dropped if each.answer_id == answer}


def test_search_tells_which_gate_stopped_a_memory(lake):
    answer = record_last(lake)
    assert dropped(search(lake, exclude_ids=[answer]), answer) == {"excluded"}
    state = {"must": [{"key": "state", "match": "MI"}]}
    assert dropped(search(lake, k=1, filter=state), answer) == {"filter"}
    lake.vectors.delete_item("workers", answer)
    assert dropped(search(lake, k=1), answer) == {"gone"}


def test_search_contradicting_outcomes_leave_no_trust_and_more_good_ones_restore_it(lake):
    first, *_, answer = ids(lake.matrix.search(ASK, ["workers"], k=4))
    for outcome in ("worked", "rejected"):
        lake.playbooks.record(ASK, answer, "workers", 1.0, outcome=outcome)
    found = search(lake, k=4)
    assert ids(found)[0] == first
    assert [each.reason for each in found.dropped] == ["nothing good is left of its outcomes"]
    lake.playbooks.record(ASK, answer, "workers", 1.0, outcome="asked_back")
    assert ids(search(lake, k=4))[0] == answer


def test_search_entry_recorded_with_no_score_says_so(lake):
    answer = record_last(lake, score=0.0)
    found = search(lake, k=4)
    assert [(each.answer_id, each.gate, each.reason) for each in found.dropped] == [
        (answer, "trust", "recorded with a score of 0")
    ]


def test_search_no_show_elsewhere_bars_for_like_demands_only(lake):
    first = ids(lake.matrix.search(ASK, ["workers"], k=4))[0]
    lake.playbooks.record(REWORDED, first, "workers", 0.0, outcome="no_show")
    found = search(lake, k=36)
    assert ids(found)[-1] == first
    assert found.results[-1].memory.turned_down == "barred"
    assert ids(search(lake, OTHER_ROLE, k=36)) == ids(lake.matrix.search(OTHER_ROLE, ["workers"], k=36))


def test_search_title_that_the_client_tells_apart_is_another_role(lake):
    answers = ids(lake.matrix.search("Need 2 Cooks in Cleveland OH for Beacon Freight", ["workers"], k=4))
    lake.playbooks.record("Need 2 Line Cooks in Cleveland OH for Beacon Freight", answers[-1], "workers", 1.0)
    found = search(lake, "Need 2 Cooks in Cleveland OH for Beacon Freight", k=4)
    assert ids(found) == answers
    assert dropped(found, answers[-1]) == {"role"}


def test_search_answers_are_the_same_bytes_after_a_restart_and_an_index_rebuild(lake, reopen):
    record_last(lake)
    record_last(lake, k=2, outcome="rejected")

    def answer(of):
        found = msgspec.to_builtins(search(of, REWORDED))
        del found["trace_id"]
        return msgspec.json.encode(found)

    before = answer(lake)
    again = reopen(lake)
    assert answer(again) == before
    again.vectors.delete("playbook_default")
    assert answer(reopen(again)) == before


def test_search_demand_that_agrees_in_all_else_finds_an_unsure_title(lake):
    ours, other = (f"Need 8 {title} in Cleveland OH for Beacon Freight" for title in
                   ("Lift Drivers", "Lumber Carrier Operators"))  # fmt: skip
    assert {lake.demand.parse(text).role_code for text in (ours, other)} == {"53-7051.00"}
    cold = ids(lake.matrix.search(ours, ["workers"], k=4))
    lake.playbooks.record(ours, cold[-1], "workers", 1.0)
    assert ids(search(lake, other, k=4))[0] == cold[-1]
    assert dropped(search(lake, other.replace("8", "5"), k=4), cold[-1]) == {"role"}


def test_search_equally_near_entries_are_told_apart_by_count_start_shift_and_certifications(lake):
    first, second, *_ = ids(lake.matrix.search(ASK, ["workers"], k=4))
    said = {first: "Need 9 Forklift Operators in Cleveland OH for Beacon Freight on Monday",
            second: "Need 4 Forklift Operators in Cleveland OH for Beacon Freight on Friday"}  # fmt: skip
    for answer, text in said.items():
        lake.playbooks.record(text, answer, "workers", 1.0)
    for answer, text in said.items():
        reworded = text.replace("Need", "Beacon Freight is looking for").replace(" for Beacon Freight", "")
        assert ids(search(lake, reworded, k=4))[0] == answer


def test_search_with_memory_of_years_ago_moves_less(lake):
    answer = record_last(lake)
    factors = []
    folder = Path(lake.rooms.settings.data)
    lake.close()
    for years in (0, 1, 4):
        config = settings.load(environ={}, overrides={"data": str(folder)})
        later = datetime.now(UTC) + timedelta(days=365 * years)
        with lakehouse.connect(config=config, clock=lambda later=later: later) as aged:
            used = next(match.memory for match in search(aged, k=4).results if match.id == answer)
            factors.append((used.factor, used.posterior.mean))
    assert factors == sorted(factors, key=lambda each: (each[0], -each[1]))
    assert factors[0] == (0.5, pytest.approx(2 / 3))
    assert factors[2][0] > 0.9


def test_search_crowded_memory_keeps_what_speaks_against_somebody(lake):
    """More entries than are looked at, all as near: the one that turned the first down must be among them."""
    first = ids(lake.matrix.search(ASK, ["workers"], k=4))[0]
    others = [f"w-{number}" for number in range(1, 37) if f"w-{number}" != first]
    crowd = [
        {"query_text": f"{ASK} on {day}", "answer_id": other, "corpus": "workers", "score": 1e-9}
        for day in ("Monday", "Tuesday", "Wednesday")
        for other in others
    ]
    lake.playbooks.bulk(crowd)
    lake.playbooks.record(f"{ASK} on Friday", first, "workers", 0.0, outcome="no_show")
    assert ids(search(lake, k=36))[-1] == first


def test_search_city_in_another_spelling_is_the_same_city(make_lake, people):
    moved = {"city": "Ft. Worth", "state": "Texas", "lat": "", "lon": ""}
    lake = make_lake([{**row, **moved} for row in people if row["city"] == "Cleveland"])
    ours = "Need 2 Forklift Operators in {} for Beacon Freight"
    first, *_, last = ids(lake.matrix.search(ours.format("Fort Worth TX"), ["workers"], k=4))
    lake.playbooks.record(ours.format("Ft. Worth TX"), last, "workers", 1.0)
    # Recorded later and of another city, which comes first among what is as near.
    lake.playbooks.record("Need 2 Forklift Operators in Arlington TX for Beacon Freight", first, "workers", 1.0)
    for spelling in ("Fort Worth TX", "FT WORTH, Texas", "Ft Worth TX"):
        assert ids(search(lake, ours.format(spelling).replace("Need", "We need"), k=4))[0] == last


def test_search_word_for_how_long_or_how_well_makes_no_other_title(lake):
    answer = record_last(lake)
    for title in (
        "seasonal forklift operators",
        "Full-Time Temporary Forklift Operators",
        "general forklift operators",
    ):
        found = search(lake, f"Need 2 {title} in Cleveland OH", k=4)
        assert ids(found)[0] == answer
        assert not dropped(found, answer)


def test_search_unknown_role_is_open_to_boost(lake):
    text = "forklift operator's licence and warehouse background, in Cleveland OH"
    assert lake.demand.parse(text).role is None
    answer = record_last(lake)
    found = search(lake, text, k=36)
    assert next(match for match in found.results if match.id == answer).memory.effect == "boost"


def test_search_tells_why_a_title_is_another_role(lake):
    cook, line_cook = "Need 2 Cooks in Cleveland OH", "Need 2 Line Cooks in Cleveland OH"
    answers = ids(lake.matrix.search(cook, ["workers"], k=4))
    lake.playbooks.record(line_cook, answers[-1], "workers", 1.0)
    (told,) = [each.reason for each in search(lake, cook, k=4).dropped if each.answer_id == answers[-1]]
    assert told == "recorded for Line Cook, a wider or narrower title than Cook"
