"""The synthetic roster: the same everywhere, true to itself, and with people in it for real demands."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lakehouse
from lakehouse.errors import InvalidInput
from lakehouse.staffing import roster, worker
from lakehouse.staffing._roster_market import Market
from lakehouse.staffing._roster_row import row as draw_row
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.demand import Location
from lakehouse.staffing.parse import Parser
from lakehouse.staffing.places import Places, distance_km
from lakehouse.staffing.roles import Roles
from lakehouse.staffing.shifts import SHIFTS

PEOPLE = 6_000  # more than one batch
FEW = 300
FORKLIFT = "53-7051.00"


def text(workers: int, seed: int, **arguments) -> bytes:
    file = io.BytesIO()
    roster.write(file, workers, seed, **arguments)
    return file.getvalue()


def listed(value: str) -> list[str]:
    return value.split(worker.SEPARATOR) if value else []


@pytest.fixture(scope="module")
def whole() -> bytes:
    return text(PEOPLE, 1)


@pytest.fixture(scope="module")
def rows(whole: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(whole.decode())))


@pytest.fixture(scope="module")
def few() -> dict[str, bytes]:
    return {format: text(FEW, 1, format=format) for format in roster.FORMATS}


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


@pytest.fixture(scope="module")
def roles() -> Roles:
    return Roles.shipped()


@pytest.fixture(scope="module")
def places() -> Places:
    return Places.shipped()


def test_write_another_process_and_hash_seed_gives_same_bytes(few: dict[str, bytes]) -> None:
    script = (
        "import hashlib, io; from lakehouse.staffing import roster\n"
        "for format in roster.FORMATS:\n"
        f"    file = io.BytesIO(); roster.write(file, {FEW}, 1, format)\n"
        "    print(hashlib.sha256(file.getvalue()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4321", "PYTHONPATH": str(Path(lakehouse.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [hashlib.sha256(written).hexdigest() for written in few.values()]


def test_write_longer_roster_begins_with_the_shorter_one(whole: bytes, few: dict[str, bytes]) -> None:
    assert whole.startswith(few["csv"])
    assert len(whole) > len(few["csv"])


def test_write_another_seed_gives_other_people(rows: list[dict[str, str]]) -> None:
    others = [row for batch in roster.generate(500, 2) for row in batch.to_pylist()]
    known = {(row["name"], row["email"], row["resume"]) for row in rows}
    assert not known & {(row["name"], row["email"], row["resume"]) for row in others}


def test_write_columns_are_those_of_a_worker_in_both_formats(rows: list[dict[str, str]], few: dict[str, bytes]) -> None:
    table = pq.read_table(io.BytesIO(few["parquet"]))
    assert table.num_rows == FEW
    assert tuple(rows[0]) == worker.COLUMNS
    assert tuple(table.column_names) == worker.COLUMNS
    for expected, row in zip(rows, table.to_pylist(), strict=False):
        written = {column: "" if value is None else str(value) for column, value in row.items()}
        assert written == expected


def test_write_to_path_is_whole_and_leaves_nothing_else(tmp_path: Path, few: dict[str, bytes]) -> None:
    told: list[tuple[int, int]] = []
    target = tmp_path / "people.csv"
    target.write_bytes(b"old")
    assert roster.write(target, FEW, 1, progress=lambda done, total: told.append((done, total))) == FEW
    assert target.read_bytes() == few["csv"]
    assert told == [(FEW, FEW)]
    assert [*tmp_path.iterdir()] == [target]


def test_write_fails_midway_keeps_the_old_file(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "people.parquet"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        roster.write(target, 50, 3, "parquet", progress=stop)
    assert target.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [target]


@pytest.mark.parametrize("workers", [0, -1, 10_000_001, 2.0, "5", True, None])
def test_generate_workers_out_of_range_is_refused_at_once(workers) -> None:
    with pytest.raises(InvalidInput, match="workers") as raised:
        roster.generate(workers, 1)
    assert raised.value.detail["field"] == "workers"


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("seed", {"seed": -1}),
        ("seed", {"seed": 2**63}),
        ("format", {"format": "xlsx"}),
        ("target", {"target": Path("no-such-folder") / "people.csv"}),
    ],
)
def test_write_bad_argument_is_refused_by_name(field: str, arguments: dict) -> None:
    with pytest.raises(InvalidInput) as raised:
        roster.write(**{"target": io.BytesIO(), "workers": 5, "seed": 1} | arguments)
    assert raised.value.detail["field"] == field


def test_roster_numbers_people_from_one_on(rows: list[dict[str, str]]) -> None:
    assert [row["id"] for row in rows] == [str(number) for number in range(1, PEOPLE + 1)]


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), reference=st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_row_any_seed_and_reference_gives_a_full_row(market: Market, seed: int, reference: date) -> None:
    random, again = Random(seed), Random(seed)
    job, city = market.draw(random)
    row = dict(zip(worker.COLUMNS, draw_row(random, 1, job, city, reference), strict=True))
    assert not [column for column in row if row[column] in (None, "") and not column.startswith("cert")]
    assert len(listed(row["certs"] or "")) == len(listed(row["cert_expiry"] or ""))
    assert (row["role"] in job.titles, row["role_code"]) == (True, job.code)
    assert 25 <= len(row["resume"].split()) <= 40
    later = reference + timedelta(days=1000)
    moved = dict(zip(worker.COLUMNS, draw_row(again, 1, *market.draw(again), later), strict=True))
    assert moved["available_from"] - row["available_from"] == timedelta(days=1000)
    assert moved["resume"] == row["resume"]


def test_roster_role_resolves_to_its_code(rows: list[dict[str, str]], roles: Roles) -> None:
    for title, code in {(row["role"], row["role_code"]) for row in rows}:
        match = roles.resolve(title)
        assert match is not None
        assert match.code == code


def test_roster_certifications_are_canonical_and_expire_one_by_one(rows: list[dict[str, str]]) -> None:
    known = frozenset(Certifications.shipped().names)
    valid = total = 0
    for row in rows:
        certs, expiry = listed(row["certs"]), listed(row["cert_expiry"])
        assert set(certs) <= known
        assert len(set(certs)) == len(certs) == len(expiry)
        total += len(certs)
        valid += sum(date.fromisoformat(until) >= roster.REFERENCE for until in expiry)
    assert 0.9 < valid / total < 0.98


def test_roster_title_that_names_a_licence_comes_with_it(rows: list[dict[str, str]]) -> None:
    aides = [row for row in rows if row["role"] == "CNA"]
    assert aides
    assert all("CNA" in listed(row["certs"]) for row in aides)


def test_roster_homes_are_in_their_city(rows: list[dict[str, str]], places: Places) -> None:
    for row in rows:
        city = places.lookup(row["city"], row["state"])
        assert city is not None
        assert (city.city, city.state) == (row["city"], row["state"])
        home = Location(None, None, float(row["lat"]), float(row["lon"]))
        assert (distance_km(city, home) or 0) <= 5


def test_roster_shifts_years_pay_and_availability_are_sound(rows: list[dict[str, str]]) -> None:
    for row in rows:
        shifts = listed(row["shifts"])
        assert shifts == [shift for shift in SHIFTS if shift in shifts]
        assert 0 <= int(row["years"]) <= 40
        assert 12 <= float(row["pay_hourly"]) <= 80
    free = sum(date.fromisoformat(row["available_from"]) <= roster.REFERENCE for row in rows)
    assert 0.8 < free / len(rows) < 1


def test_roster_contact_data_belongs_to_nobody(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert re.search(r"555.01\d\d$", row["phone"])
        assert re.fullmatch(r"[a-z0-9._]+@example\.(com|net|org)", row["email"])
    assert len({re.sub(r"\d", "0", row["phone"]) for row in rows}) >= 5


def test_resume_holds_nothing_of_the_person_or_the_place(rows: list[dict[str, str]]) -> None:
    for row in rows:
        said = {word.casefold() for word in re.findall(r"[^\W\d_]+", row["resume"])}
        assert not said & {part.casefold() for part in re.split(r"[\s'-]", row["name"]) if len(part) > 2}
        assert "@" not in row["resume"]
        assert "555" not in row["resume"]
        assert row["city"] not in row["resume"]


def test_names_are_no_words_of_any_occupation(market: Market, rows: list[dict[str, str]]) -> None:
    random = Random(4)
    jobs = {job.code: job for job, _ in (market.draw(random) for _ in range(20_000))}.values()
    texts = [text for job in jobs for text in (*job.titles, *job.tools, *job.duties, *job.sites)]
    trade = {word.casefold() for text in texts for word in re.findall(r"[^\W\d_]+", text)}
    names = {part for row in rows for part in re.split(r"[\s'-]", row["name"]) if len(part) > 2}
    assert len(names) > 400
    assert {name for name in names if name.casefold() in trade} == set()
    assert not [text for text in texts if "@" in text]


def test_resume_has_25_to_40_words_and_is_like_no_other(rows: list[dict[str, str]]) -> None:
    assert all(25 <= len(row["resume"].split()) <= 40 for row in rows)
    assert len({row["resume"] for row in rows}) > 0.999 * len(rows)


def test_resume_is_true_to_its_row(rows: list[dict[str, str]]) -> None:
    distinct = [name for name in Certifications.shipped().names if re.search(r"\d|[A-Z]{3}", name)]
    for row in rows:
        low = row["resume"].casefold()
        assert sum(skill.casefold() in low for skill in listed(row["skills"])) >= 2
        valid = [
            name
            for name, until in zip(listed(row["certs"]), listed(row["cert_expiry"]), strict=True)
            if date.fromisoformat(until) > roster.REFERENCE
        ]
        named = [name for name in valid if name in row["resume"]]
        assert len(named) >= min(2, len(valid))
        said = {name for name in distinct if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", row["resume"])}
        assert {name for name in said if not any(cert.startswith(name) for cert in listed(row["certs"]))} == set()


def test_resume_is_read_as_a_description_not_as_a_demand(rows: list[dict[str, str]]) -> None:
    parser = Parser.shipped()
    for row in rows[:1_000]:
        demand = parser.parse(row["resume"])
        assert demand.style is None, row["resume"]
        assert demand.location is None
        assert demand.client is None


def test_roster_has_many_people_of_a_kind_in_one_city(rows: list[dict[str, str]]) -> None:
    pairs = Counter((row["role_code"], row["city"], row["state"]) for row in rows)
    assert sum(count >= 10 for count in pairs.values()) >= 60
    assert len(pairs) > 2_000
    assert len({row["role_code"] for row in rows}) > 150
    certified = [
        row
        for row in rows
        if (row["role_code"], row["city"], row["state"]) == (FORKLIFT, "Cleveland", "OH")
        and "OSHA-30" in listed(row["certs"])
    ]
    assert len(certified) >= 10


def test_roster_has_every_state_and_the_roles_of_real_demands(rows: list[dict[str, str]]) -> None:
    assert len({row["state"] for row in rows}) >= 48
    common = Counter(row["role_code"] for row in rows)
    for code in ("37-3011.00", "37-2012.00", "35-2014.00", "31-1131.00", "47-2111.00", "51-4121.00", "53-3032.00"):
        assert common[code] >= 40


def test_market_has_no_ships_electronics_far_from_any_coast(market: Market, places: Places) -> None:
    bozeman = places.lookup("Bozeman", "MT")
    random = Random(3)
    drawn = [market.draw(random) for _ in range(20_000)]
    afloat = [city for job, city in drawn if job.code.startswith(("49-2093", "49-2094", "53-50"))]
    assert afloat
    for city in afloat:
        assert city.state != "MT"
        assert (distance_km(bozeman, city.location) or 0) > 100
