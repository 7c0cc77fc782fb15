"""A lake for the console: a small roster with everything a card can show, served on a free port."""

import contextlib
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lakehouse
from lakehouse import settings
from lakehouse.evals.fake_provider import FakeProvider
from lakehouse.serve import console
from serving import stack_of

ROLES = {
    "Forklift Operator": ("53-7051.00", "reach truck; pallet jack", "loaded trailers with reach trucks"),
    "Welder": ("51-4121.00", "MIG; TIG", "welded frames and read drawings"),
    "Line Cook": ("35-2014.00", "grill; prep", "worked the grill at dinner service"),
}
CITIES = {
    "Cleveland": ("OH", 41.4995, -81.6954),
    "Parma": ("OH", 41.4048, -81.7229),
    "Detroit": ("MI", 42.3314, -83.0457),
    "Toledo": ("OH", 41.6528, -83.5379),
}
GIVEN = "Maria Dwayne Aiko Grzegorz Fatima John Ngozi Pilar Sam Bo Ivy Max Lea Tom Ada Noor Kofi Ines Yuki Ravi".split()
PER_GROUP = 20
HOSTILE_NAME = "<img src=x onerror=alert(1)>"


def people() -> list[dict]:
    """Every role in every city; of each group every second holds OSHA-30, one with an expired certification."""
    rows = []
    for role, (code, skills, work) in ROLES.items():
        for city, (state, lat, lon) in CITIES.items():
            for nth in range(PER_GROUP):
                number = len(rows) + 1
                # The last welder of Toledo has a name that would run if it were not escaped.
                hostile = role == "Welder" and city == "Toledo" and nth == PER_GROUP - 1
                rows.append(
                    {
                        "id": number,
                        "name": HOSTILE_NAME if hostile else f"{GIVEN[nth]} {role.split()[-1]}-{number}",
                        "role": role,
                        "role_code": code,
                        "skills": skills,
                        "certs": "OSHA-30; CPR" if nth % 2 == 0 else "",
                        "cert_expiry": "2199-01-01; 2020-01-01" if nth % 2 == 0 else "",
                        "years": 1 + nth,
                        "city": city,
                        "state": state,
                        "lat": lat,
                        "lon": lon,
                        "shifts": "night" if nth % 5 == 4 else "day",
                        "available_from": "2199-12-24" if nth % 3 == 0 else "2020-01-01",
                        "pay_hourly": 18 + nth / 4,
                        "phone": f"(216) 555-{number:04d}",
                        "email": f"person{number}@example.com",
                        "resume": f"{1 + nth} years as {role.lower()}: {work}, site {number}",
                    }
                )
    return rows


def built(folder: Path) -> lakehouse.Lakehouse:
    """Open a lake with the people in the corpus `workers`."""
    rows = people()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    lake = opened(folder)
    lake.ingest.file(text.getvalue().encode(), "people", "text/csv")
    lake.corpora.build(
        name="workers",
        dataset="people",
        id_column="id",
        id_prefix="w-",
        text_columns=["role", "skills", "certs", "resume"],
        metadata_columns=[column for column in rows[0] if column != "id"],
    )
    return lake


def opened(folder: Path, **overrides) -> lakehouse.Lakehouse:
    """Open a lake under default settings but for `overrides`, whatever the environment says."""
    return lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(folder), **overrides}))


@contextlib.contextmanager
def with_console(lake: lakehouse.Lakehouse) -> Iterator[str]:
    """Serve a lake with its console as the product does, and give the address."""
    pages = console.pages(lake, draft_model=lake.rooms.settings.chat.draft_model)
    with stack_of(lake, pages=pages) as stack:
        yield stack.url


@pytest.fixture(scope="session")
def console_lake(tmp_path_factory) -> Iterator[lakehouse.Lakehouse]:
    """One lake for all tests of the console; each is a coordinator of its own and remembers apart."""
    with built(tmp_path_factory.mktemp("console") / "lake") as lake:
        yield lake


@pytest.fixture(scope="session")
def console_url(console_lake) -> Iterator[str]:
    """Where the console of `console_lake` is."""
    with with_console(console_lake) as url:
        yield url


@pytest.fixture(scope="session")
def rooms_lake(tmp_path_factory) -> Iterator[lakehouse.Lakehouse]:
    """A lake for pages that change it: datasets come, people go."""
    with built(tmp_path_factory.mktemp("console") / "rooms") as lake:
        yield lake


@pytest.fixture(scope="session")
def rooms_url(rooms_lake) -> Iterator[str]:
    """Where the console of `rooms_lake` is."""
    with with_console(rooms_lake) as url:
        yield url


@pytest.fixture(scope="session")
def writing_console(tmp_path_factory) -> Iterator[tuple[lakehouse.Lakehouse, str, FakeProvider]]:
    """A lake whose console lets a model write drafts, where it is, and the model's provider."""
    folder = tmp_path_factory.mktemp("console") / "writing"
    built(folder).close()
    with FakeProvider() as provider:
        chat = {"ollama_url": provider.url, "draft_model": "writer", "retries": 0}
        with opened(folder, chat=chat) as lake, with_console(lake) as url:
            yield lake, url, provider


@pytest.fixture
def fresh_console(tmp_path) -> Iterator[tuple[lakehouse.Lakehouse, str]]:
    """An empty lake of one test's own, and where its console is."""
    with opened(tmp_path / "lake") as lake, with_console(lake) as url:
        yield lake, url


@pytest.fixture(scope="session")
def empty_console_url(tmp_path_factory) -> Iterator[str]:
    """Where a console is that has nobody to search yet."""
    with opened(tmp_path_factory.mktemp("console") / "empty") as lake, with_console(lake) as url:
        yield url


@pytest.fixture
def coordinator(request) -> str:
    """A coordinator whose memory no other test has."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name)[-64:]
