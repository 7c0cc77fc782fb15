import csv
from datetime import date

import msgspec
import pytest

from lakehouse.evals._roster_asks import Ask, Truth, asks, known_places, read_people, read_rows
from lakehouse.evals.search_quality import lake_of, main, measure_demands, measure_fresh, measure_names, swap_names
from lakehouse.staffing import roster
from lakehouse.staffing.demand import Location
from lakehouse.staffing.worker import COLUMNS

TODAY = date(2026, 6, 1)
HEADER = list(COLUMNS)
CLEVELAND = ("Cleveland", "OH", 41.4995, -81.6954)
PARMA = ("Parma", "OH", 41.4048, -81.7229)
DETROIT = ("Detroit", "MI", 42.3314, -83.0457)


def row(id, home=CLEVELAND, *, certs="OSHA-30", expiry="2027-01-01", shifts="day", since="2026-01-01", role="Welder"):
    city, state, lat, lon = home
    return {
        "id": str(id),
        "name": f"Pat Example{id}",
        "role": role,
        "role_code": {"Welder": "51-4121.00", "Line Cook": "35-2014.00"}[role],
        "skills": "MIG welders; grinders",
        "certs": certs,
        "cert_expiry": expiry,
        "years": "4",
        "city": city,
        "state": state,
        "lat": str(lat),
        "lon": str(lon),
        "shifts": shifts,
        "available_from": since,
        "pay_hourly": "24.5",
        "phone": f"216-555-01{int(id) % 100:02d}",
        "email": f"pat{id}@example.com",
        "resume": f"Worked {id} jobs as {role.lower()} with grinders and torches.",
    }


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def truth_of(tmp_path, rows):
    return Truth(read_people(write_rows(tmp_path / "r.csv", rows), "w-"), on=TODAY, near_km=40)


def ask(**changes):
    place = Location("Cleveland", "OH", 41.4995, -81.6954)
    stated = Ask(text="x", role_code="51-4121.00", certs=("OSHA-30",), place=place, shift="day")
    return msgspec.structs.replace(stated, **changes)


@pytest.mark.parametrize(
    ("person", "unmet"),
    [
        (row(1), []),
        (row(1, PARMA), []),
        (row(1, DETROIT), ["place"]),
        (row(1, expiry="2026-05-31"), ["certs"]),
        (row(1, expiry="2026-06-01"), []),
        (row(1, expiry=""), []),
        (row(1, certs="", expiry=""), ["certs"]),
        (row(1, shifts="night; evening"), ["shift"]),
        (row(1, role="Line Cook"), ["role"]),
        (row(1, DETROIT, role="Line Cook", certs="", expiry="", shifts=""), ["role", "certs", "place", "shift"]),
    ],
)
def test_unmet_is_what_the_row_lacks(tmp_path, person, unmet):
    truth = truth_of(tmp_path, [person])
    assert truth.unmet(truth.people["w-1"], ask()) == unmet


def test_unmet_a_certification_that_covers_the_wanted_one_counts(tmp_path):
    truth = truth_of(tmp_path, [row(1, certs="OSHA-30", expiry="2027-01-01")])
    assert truth.unmet(truth.people["w-1"], ask(certs=("OSHA-10",))) == []


def test_complete_tells_who_fits_now_from_who_will(tmp_path):
    truth = truth_of(tmp_path, [row(1), row(2, since="2026-07-01"), row(3, DETROIT)])
    complete = truth.complete(ask())
    assert complete.fitting == {"w-1"}
    assert complete.later == {"w-2"}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    file = tmp_path_factory.mktemp("generated") / "roster.csv"
    roster.write(file, 90, 5, "csv", reference=TODAY)
    return file


def test_asks_kinds_hold_and_repeat(tmp_path):
    roster.write(tmp_path / "roster.csv", 1_500, 5, "csv", reference=TODAY)
    truth = Truth(read_people(tmp_path / "roster.csv", "w-"), on=TODAY, near_km=40)
    places = known_places(truth.people.values())
    found = asks(truth, places, number=15, seed=3)
    assert found == asks(truth, places, number=15, seed=3)
    assert found != asks(truth, places, number=15, seed=4)
    for kind, (least, most) in {"plenty": (10, 1_500), "few": (1, 9), "none": (0, 0)}.items():
        assert found[kind]
        for each in found[kind]:
            assert least <= len(each.fitting) <= most
            assert len(truth.complete(each).fitting) == len(each.fitting)
            assert all(not truth.unmet(truth.people[id], each) for id in each.fitting | each.later)
    assert all(not each.later for each in found["none"])
    texts = [each.text for kind in found.values() for each in kind]
    assert len(set(texts)) == len(texts)


def test_swap_names_gives_everybody_anothers(tmp_path, generated):
    swap_names(generated, tmp_path / "swapped.csv")
    before, after = read_rows(generated), read_rows(tmp_path / "swapped.csv")
    assert len(before) == len(after)
    assert sorted(one["email"] for one in before) == sorted(one["email"] for one in after)
    assert all(one["phone"] != two["phone"] for one, two in zip(before, after, strict=True) if one["id"] != two["id"])
    assert sum(one["name"] != two["name"] for one, two in zip(before, after, strict=True)) > 0.98 * len(before)
    kept = [column for column in before[0] if column not in {"name", "phone", "email"}]
    assert [[one[column] for column in kept] for one in before] == [[two[column] for column in kept] for two in after]


def test_names_swapped_no_answer_changes(tmp_path, generated):
    truth = Truth(read_people(generated, "w-"), on=TODAY, near_km=40)
    kinds = asks(truth, known_places(truth.people.values()), number=5, seed=1)
    resumes = [one["resume"] for one in read_rows(generated)[:4]]
    queries = [each.text for kind in kinds.values() for each in kind] + resumes
    names = measure_names(generated, queries, tmp_path)
    assert names.queries == len(queries)
    assert names.different == []


def test_names_a_real_difference_is_found(tmp_path, generated, monkeypatch):
    # Were a name embedded, through a column that nobody takes for personal, the answers would differ.
    from lakehouse.evals import search_quality

    original = search_quality.swap_names

    def also_in_the_skills(source, target):
        original(source, target)
        rows = read_rows(target)
        write_rows(target, [{**one, "skills": one["name"]} for one in rows])

    monkeypatch.setattr(search_quality, "swap_names", also_in_the_skills)
    assert measure_names(generated, [read_rows(generated)[0]["resume"]], tmp_path).different


def test_fresh_workers_are_first_for_their_resume(tmp_path, generated):
    file = tmp_path / "fresh.csv"
    roster.write(file, 8, 77, "csv", reference=TODAY)
    with lake_of({"workers": generated}, tmp_path / "lake") as lake:
        fresh = measure_fresh(lake, read_rows(file), ["workers"])
    assert fresh.added == 8
    assert fresh.not_first == []
    assert fresh.not_first_by_resume == []


def test_demands_results_are_held_against_the_truth(tmp_path):
    people = [row(number) for number in range(1, 13)]
    people += [row(20, DETROIT), row(21, certs="", expiry=""), row(30, role="Line Cook")]
    file = write_rows(tmp_path / "small.csv", people)
    truth = Truth(read_people(file, "w-"), on=TODAY, near_km=40)
    plenty = truth.complete(ask(text="Need 5 Welders in Cleveland OH for day shift, OSHA-30 required"))
    one = truth.complete(ask(text="Need 1 Line Cook in Cleveland, OH", role_code="35-2014.00", certs=(), shift=None))
    nobody = truth.complete(
        ask(
            text="Need 2 Line Cooks in Detroit, MI",
            role_code="35-2014.00",
            place=Location("Detroit", "MI", 42.33, -83.04),
        )
    )
    assert [len(each.fitting) for each in (plenty, one, nobody)] == [12, 1, 0]
    with lake_of({"workers": file}, tmp_path / "lake") as lake:
        found = measure_demands(lake, truth, {"plenty": [plenty], "few": [one], "none": [nobody]}, ["workers"])
        # Against a truth by which everybody's certification has lapsed, the same answers fail.
        lapsed = Truth(truth.people.values(), on=date(2030, 1, 1), near_km=40)
        failed = measure_demands(lake, lapsed, {"plenty": [plenty], "few": [], "none": []}, ["workers"])
    assert (found.plenty, found.few, found.none) == (1, 1, 1)
    assert (found.satisfied, found.missed, found.found, found.honest, found.hidden) == (10, {}, 1, 1, 0)
    assert found.failures == []
    assert failed.satisfied == 0
    assert failed.missed == {"certs": 10}
    assert "0 of 10 fit" in failed.failures[0]


def test_main_prints_the_parts_asked_for(capsys):
    main(["--workers", "60", "--others", "0", "--asks", "3", "--failures", "0", "--part", "demands", "--part", "fresh"])
    printed = capsys.readouterr().out
    assert "of the top 10 meet everything" in printed
    assert "no_good_match on" in printed
    assert "3 of 3 fresh workers first by their text, 3 by their resume" in printed
    assert "swapped" not in printed
