"""A small roster with everything a validator looks at."""

import csv
import io
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

import lakehouse
from lakehouse import settings

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
COLUMNS = (
    "id name role role_code certs cert_expiry years city state lat lon shifts available_from pay_hourly phone email"
    " status do_not_return resume".split()
)
CLEVELAND = ("Cleveland", "OH", 41.4995, -81.6954)
DETROIT = ("Detroit", "MI", 42.3314, -83.0457)


def person(id: int, name: str, **more: object) -> dict[str, object]:
    city, state, lat, lon = more.pop("home", CLEVELAND)
    row: dict[str, object] = dict.fromkeys(COLUMNS, "")
    row |= {
        "id": id,
        "name": name,
        "role": "Forklift Operator",
        "role_code": "53-7051.00",
        "certs": "OSHA-30; CPR",
        "cert_expiry": "2026-12-31; 2026-06-30",
        "years": 4,
        "city": city,
        "state": state,
        "lat": lat,
        "lon": lon,
        "shifts": "day; night",
        "available_from": "2026-01-01",
        "pay_hourly": 21.5,
        "phone": f"(216) 555-{id:04d}",
        "email": f"person{id}@example.com",
        "resume": f"moved pallets, site {id}",
    }
    return row | more


PEOPLE = [
    person(1, "Maria Lopez"),
    person(2, "Dwayne Carter"),
    person(3, "Aiko Tanaka", certs="CPR", cert_expiry="2027-01-01"),
    person(4, "Grzegorz Nowak", cert_expiry="2026-03-04; 2026-06-30"),
    person(5, "Fatima Noor", home=DETROIT),
    person(6, "John Smith", role="Welder", role_code="51-4121.00"),
    person(7, "Ngozi Obi", available_from="2026-05-01"),
    person(8, "Pilar Ruiz", status="inactive"),
    person(9, "Sam Hill", do_not_return="Beacon Freight; Acme"),
    person(10, "Ivy Chen", shifts="night"),
    person(11, "Max Weber", certs="", cert_expiry=""),
    person(12, "Lea Stone", cert_expiry=""),
]


def as_csv(rows: list[dict[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def opened(folder: Path, **overrides: object) -> lakehouse.Lakehouse:
    config = settings.load(environ={}, overrides={"data": str(folder), **overrides})
    return lakehouse.connect(config=config, clock=lambda: NOW)


def built(folder: Path, rows: list[dict[str, object]] = PEOPLE, **overrides: object) -> lakehouse.Lakehouse:
    lake = opened(folder, **overrides)
    lake.ingest.file(as_csv(rows), "people", "text/csv")
    lake.corpora.build("workers", "people", "id", "w-", ["role", "resume"], ["role", "city"])
    return lake


@pytest.fixture(scope="session")
def built_folder(tmp_path_factory):
    """A lake folder with the roster in it, closed."""
    folder = tmp_path_factory.mktemp("validate") / "lake"
    built(folder).close()
    return folder


@pytest.fixture(scope="session")
def roster_lake(built_folder, tmp_path_factory):
    """One lake for all tests that only read."""
    folder = tmp_path_factory.mktemp("shared") / "lake"
    shutil.copytree(built_folder, folder)
    with opened(folder) as lake:
        yield lake


@pytest.fixture
def open_copy(built_folder, tmp_path):
    """Open lakes of one's own with the roster, under settings of one's own; all are closed at the end."""
    lakes = []

    def make(**overrides: object) -> lakehouse.Lakehouse:
        folder = tmp_path / f"lake{len(lakes)}"
        shutil.copytree(built_folder, folder)
        lakes.append(opened(folder, **overrides))
        return lakes[-1]

    yield make
    for lake in lakes:
        lake.close()


@pytest.fixture
def own_lake(open_copy):
    return open_copy()
