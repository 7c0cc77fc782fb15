import json
import shutil

import msgspec
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import InvalidInput, NotFound, TooLarge

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift, must have OSHA-30"


def ids(answer) -> list[str]:
    return [match.id for match in answer.results]


def test_search_full_demand_puts_who_meets_all_of_it_first(shared_lake):
    answer = shared_lake.matrix.search(FORKLIFT, ["workers"], k=5)
    top = answer.results[0]
    assert (top.metadata["role"], top.metadata["city"], top.metadata["certs"]) == (
        "Forklift Operator",
        "Cleveland",
        ["OSHA-30"],
    )
    assert top.rating == 5
    assert top.reasons
    assert top.memory is None
    assert not answer.no_good_match
    assert answer.per_corpus["workers"].returned == 5


def test_search_near_town_comes_before_far_one(shared_lake):
    answer = shared_lake.matrix.search("Need 9 Line Cooks in Cleveland OH", ["workers"], k=12)
    cities = [match.metadata["city"] for match in answer.results if match.metadata["role"] == "Line Cook"]
    assert cities == ["Cleveland"] * 4 + ["Parma"] * 4 + ["Detroit"] * 4


def test_search_role_nobody_has_says_no_good_match(shared_lake):
    answer = shared_lake.matrix.search("Need 2 Marine Radar Technicians in Bozeman MT", ["workers"])
    assert answer.no_good_match
    assert answer.results
    assert {match.rating for match in answer.results} == {1}


@pytest.mark.parametrize("asked", ["people", "temps", "workers", "zorbs"])
def test_search_place_counts_whatever_is_known_of_the_role(shared_lake, asked):
    answer = shared_lake.matrix.search(f"Need 2 {asked} in Detroit MI", ["workers"], k=6)
    assert {match.metadata["city"] for match in answer.results} == {"Detroit"}
    assert {match.rating for match in answer.results} == {1 if asked == "zorbs" else 5}
    assert any("wrong role" in reason for match in answer.results for reason in match.reasons) == (asked == "zorbs")


def test_search_title_without_a_code_is_found_wherever_it_is(make_lake, people):
    lake = make_lake([*people, {**people[0], "id": 999, "role": "Zorb", "role_code": ""}])
    assert lake.matrix.search("Need 2 zorbs in Detroit MI", ["workers"], k=2).results[0].metadata["role"] == "Zorb"


def test_search_excluded_people_never_come_back(shared_lake):
    first = shared_lake.matrix.search(FORKLIFT, ["workers"], k=3)
    again = shared_lake.matrix.search(FORKLIFT, ["workers"], k=3, exclude_ids=ids(first))
    assert not set(ids(first)) & set(ids(again))
    assert again.excluded == 3


def test_search_filter_is_met_by_every_result(shared_lake):
    answer = shared_lake.matrix.search(
        "cook", ["workers"], k=30, filter={"must": [{"key": "state", "match": "MI"}, {"key": "years", "gte": 3}]}
    )
    assert answer.results
    assert all(match.metadata["state"] == "MI" and match.metadata["years"] >= 3 for match in answer.results)


def test_search_k_is_the_most_results(shared_lake):
    assert len(shared_lake.matrix.search("cook", ["workers"], k=1).results) == 1
    assert len(shared_lake.matrix.search("cook", ["workers"], k=10_000).results) == 36


def test_search_of_more_than_the_setting_allows_is_refused(built, people, tmp_path):
    folder = shutil.copytree(built(people), tmp_path / "lake")
    config = settings.load(environ={}, overrides={"data": str(folder), "matrix": {"max_k": 5}})
    with lakehouse.connect(config=config) as lake:
        assert len(lake.matrix.search("cook", ["workers"], k=5).results) == 5
        with pytest.raises(InvalidInput, match=r"k is 6; at most 5 \(matrix\.max_k\)"):
            lake.matrix.search("cook", ["workers"], k=6)


def test_search_max_distance_leaves_far_results_out(shared_lake):
    every = shared_lake.matrix.search("grill and prep", ["workers"], k=36)
    limit = every.results[4].distance
    near = shared_lake.matrix.search("grill and prep", ["workers"], k=36, max_distance=limit)
    assert near.results
    assert all(match.distance <= limit for match in near.results)


def test_search_rate_off_leaves_ratings_null(shared_lake):
    answer = shared_lake.matrix.search(FORKLIFT, ["workers"], rate=False)
    assert {match.rating for match in answer.results} == {None}
    assert not answer.no_good_match


def test_search_same_request_twice_gives_same_bytes(shared_lake):
    one, two = (
        msgspec.json.encode(
            msgspec.structs.replace(shared_lake.matrix.search(FORKLIFT, ["workers"], k=36), trace_id="")
        )
        for _ in range(2)
    )
    assert one == two


def test_search_query_role_overrides_the_parsed_one(shared_lake):
    answer = shared_lake.matrix.search("Need 2 people in Detroit MI", ["workers"], k=4, query_role="CNC operators")
    assert {match.metadata["role"] for match in answer.results} == {"CNC Operator"}


def test_search_swapping_all_names_changes_no_ranking(make_lake, people):
    names = [row["name"] for row in people]
    swapped = [{**row, "name": name} for row, name in zip(people, reversed(names), strict=True)]
    answers = []
    for rows in (people, swapped):
        lake = make_lake(rows)
        found = [
            [(match.id, match.distance, match.rating) for match in lake.matrix.search(text, ["workers"], k=36).results]
            for text in (FORKLIFT, "reach truck", "Person Number7 wants a cook")
        ]
        answers.append(json.dumps(found))
    assert answers[0] == answers[1]


def test_search_fresh_person_is_found_by_the_next_search(lake):
    for number in range(20):
        resume = f"Underwater welder, {number} years on offshore rigs, hyperbaric chamber tender number {number}"
        lake.vectors.add("workers", [{"id": f"w-fresh{number}", "text": resume, "metadata": {"name": "New Person"}}])
        assert ids(lake.matrix.search(resume, ["workers"], k=1)) == [f"w-fresh{number}"]


def test_search_description_copied_from_a_resume_finds_whose_it_is(lake):
    told = (
        "ran a hyperbaric chamber offshore, tended divers through long decompressions and logged every gas mix by hand"
    )
    for number in range(8):
        resume = " ".join(f"{word}{number}" for word in told.split())
        text = f"Diver. {'Dive tender, rope access, ' * (number + 1)}. {resume}"
        lake.vectors.add("workers", [{"id": f"w-d{number}", "text": text, "metadata": {"resume": resume}}])
        answer = lake.matrix.search(resume, ["workers"], k=1)
        assert ids(answer) == [f"w-d{number}"]
        assert answer.per_corpus["workers"].candidates == 1


def test_search_merges_several_corpora(lake):
    lake.corpora.build(
        name="others",
        dataset="people",
        id_column="id",
        id_prefix="e-",
        text_columns=["role", "resume"],
        metadata_columns=["role", "city", "state"],
    )
    answer = lake.matrix.search("Need 3 Line Cooks in Detroit MI", ["workers", "others"], k=8)
    assert {match.corpus for match in answer.results} == {"workers", "others"}
    assert {match.metadata["city"] for match in answer.results} == {"Detroit"}
    assert sum(counts.returned for counts in answer.per_corpus.values()) == 8


def test_search_memory_is_no_corpus(lake):
    text = "Need 3 Line Cooks in Detroit MI"
    lake.playbooks.record(text, "w-1", "workers", 1.0)
    with pytest.raises(NotFound, match="'playbook_default' does not exist; there are: workers"):
        lake.matrix.search(text, ["playbook_default"])


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        ({"query_text": " ", "corpora": ["workers"]}, InvalidInput, "query_text is empty"),
        ({"query_text": "x" * 65_536, "corpora": ["workers"]}, TooLarge, "65536 bytes"),
        ({"query_text": "cook", "corpora": ["wrokers"]}, NotFound, "there are: workers"),
        ({"query_text": "cook", "corpora": ["workers"], "query_role": "r" * 201}, InvalidInput, "query_role"),
        ({"query": "cook", "corpora": ["workers"]}, InvalidInput, "did you mean 'query_text'"),
    ],
)
def test_search_bad_request_is_refused_by_name(shared_lake, request_, error, says):
    with pytest.raises(error, match=says):
        shared_lake.matrix.search(**request_)
