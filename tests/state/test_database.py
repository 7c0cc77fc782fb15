"""The database of mutable state on SQLite: transactions, migrations, refusals."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Executable,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.pool import Pool

from lakehouse.errors import (
    IntegrityError,
    InternalError,
    InvalidInput,
    LakehouseError,
    NotInstalled,
    PermissionDenied,
    Unavailable,
)
from lakehouse.state import _engine
from lakehouse.state.database import Database, Migration

OLD = MetaData()
OLD_NOTES = Table("notes", OLD, Column("id", Integer, primary_key=True))
NEW = MetaData()
NOTES = Table(
    "notes", NEW, Column("id", Integer, primary_key=True), Column("body", String(50)), Column("raw", LargeBinary)
)
STEPS = (
    Migration(2, lambda c: c.execute(text("ALTER TABLE notes ADD COLUMN body VARCHAR(50)"))),
    Migration(3, lambda c: c.execute(text("ALTER TABLE notes ADD COLUMN raw BLOB"))),
)


@pytest.fixture
def database(tmp_path: Path):
    opened = Database.open(tmp_path / "state.db")
    opened.prepare("notes", NEW, STEPS)
    yield opened
    opened.close()


def ids(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(select(NOTES.c.id).order_by(NOTES.c.id)))


def test_write_is_there_after_reopening(tmp_path: Path) -> None:
    first = Database.open(tmp_path / "s.db")
    first.prepare("notes", NEW, STEPS)
    with first.write() as connection:
        connection.execute(insert(NOTES).values(id=1, body="é"))
    first.close()
    again = Database.open(str(tmp_path / "s.db"))
    again.prepare("notes", NEW, STEPS)
    assert ids(again) == [1]
    again.close()


def write_and_fail(database: Database, statement: Executable) -> None:
    with database.write() as connection:
        connection.execute(statement)
        raise ZeroDivisionError


def test_write_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        write_and_fail(database, insert(NOTES).values(id=1))
    assert ids(database) == []


def test_write_ddl_that_raises_is_rolled_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        write_and_fail(database, text("CREATE TABLE other (id INTEGER)"))
    with database.read() as connection:
        assert "other" not in inspect(connection).get_table_names()


def test_read_refuses_to_write(database: Database) -> None:
    with pytest.raises(PermissionDenied), database.read() as connection:
        connection.execute(insert(NOTES).values(id=1))
    assert ids(database) == []


def test_read_sees_one_state_while_others_write(database: Database) -> None:
    with database.read() as connection:
        before = connection.scalars(select(NOTES.c.id)).all()
        with database.write() as writer:
            writer.execute(insert(NOTES).values(id=1))
        assert connection.scalars(select(NOTES.c.id)).all() == before
    assert ids(database) == [1]


def test_write_inside_write_is_refused_at_once(database: Database) -> None:
    with database.write(), pytest.raises(InternalError, match="inside a write block"), database.write():
        pass
    with database.write() as connection:
        connection.execute(insert(NOTES).values(id=1))


def test_write_constraint_violation_reaches_the_room(database: Database) -> None:
    with pytest.raises(ConstraintError), database.write() as connection:
        connection.execute(insert(NOTES), [{"id": 1}, {"id": 1}])


def test_write_from_many_threads_loses_nothing(database: Database) -> None:
    def add(start: int) -> None:
        for number in range(start, start + 25):
            with database.write() as connection:
                connection.execute(insert(NOTES).values(id=number))
            assert number in ids(database)

    threads = [threading.Thread(target=add, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids(database)) == 100


def test_prepare_older_layout_runs_the_missing_steps(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "s.db")
    database.prepare("notes", OLD)
    with database.write() as connection:
        connection.execute(insert(OLD_NOTES).values(id=5))
    database.prepare("notes", NEW, STEPS[:1])
    database.prepare("notes", NEW, STEPS)
    database.prepare("notes", NEW, STEPS)
    with database.read() as connection:
        assert connection.execute(select(NOTES)).all() == [(5, None, None)]
        assert connection.execute(text("SELECT room, version FROM schema_version")).all() == [("notes", 3)]
    database.close()


def test_prepare_failing_step_leaves_the_old_layout(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "s.db")
    database.prepare("notes", OLD)
    with pytest.raises(InternalError):
        database.prepare("notes", NEW, STEPS[1:])

    def fail(_connection: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.prepare("notes", NEW, (STEPS[0], Migration(3, fail)))
    with database.read() as connection:
        assert [column["name"] for column in inspect(connection).get_columns("notes")] == ["id"]
    database.close()


def test_prepare_newer_layout_is_refused_naming_both(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "s.db")
    database.prepare("notes", NEW, STEPS)
    with pytest.raises(InvalidInput, match="layout 3, this version reads up to layout 1"):
        database.prepare("notes", OLD)
    database.close()


def test_open_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"hello " * 1000)
    with pytest.raises(IntegrityError, match=r"s\.db"):
        Database.open(tmp_path / "s.db")


def test_open_read_only_place_is_denied(read_only_folder: Path) -> None:
    with pytest.raises(PermissionDenied, match=str(read_only_folder)):
        Database.open(read_only_folder / "s.db")


@pytest.mark.parametrize("url", ["://", "nosuch://host/db"])
def test_open_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="not a database URL"):
        Database.open(url)


def test_open_without_a_driver_names_what_to_install() -> None:
    with pytest.raises(NotInstalled, match="pip install asyncpg"):
        Database.open("postgresql+asyncpg://host/db")


def test_open_names_the_journal_and_sync_modes(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "s.db")
    with database.read() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    database.close()


def test_write_full_disk_is_unavailable_and_recovers(small_disk: Path) -> None:
    database = Database.open(small_disk / "s.db")
    database.prepare("notes", NEW, STEPS)
    with pytest.raises(Unavailable, match="no room left"), database.write() as connection:
        connection.execute(insert(NOTES).values(id=1, raw=bytes(4 * 1024 * 1024)))
    assert ids(database) == []
    with database.write() as connection:
        connection.execute(insert(NOTES).values(id=2))
    assert ids(database) == [2]
    database.close()


def test_open_on_a_full_disk_says_that_there_is_no_room(small_disk: Path) -> None:
    database = Database.open(small_disk / "s.db")
    database.prepare("notes", NEW, STEPS)
    database.close()
    with (small_disk / "rest").open("wb", buffering=0) as rest, suppress(OSError):
        while rest.write(bytes(4096)):
            pass
    # SQLite makes a file beside the database even to read, and calls it an I/O error that it cannot.
    with pytest.raises(Unavailable, match="no room left"):
        ids(Database.open(small_disk / "s.db"))
    (small_disk / "rest").unlink()
    database = Database.open(small_disk / "s.db")
    assert ids(database) == []
    database.close()


def test_write_held_by_another_process_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.state.database.BUSY_TIMEOUT_MS", 50)
    database = Database.open(tmp_path / "s.db")
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="held by another process"), database.write():
        pass
    other.close()
    database.close()


@pytest.fixture
def refused(postgres: Callable[[], str]) -> Callable[[str], str]:
    """Give the URL of a user of a Postgres who may not do everything."""

    def url(rule: str) -> str:
        whole = make_url(postgres())
        engine = create_engine(whole, isolation_level="AUTOCOMMIT")
        name = f"u{secrets.token_hex(4)}"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {name} {rule}")
        engine.dispose()
        return whole.set(username=name).render_as_string(hide_password=False)

    return url


@pytest.mark.parametrize(
    ("rule", "error", "says"),
    [
        ("NOLOGIN", PermissionDenied, "refuses this user or password: .*mend state.url"),
        ("LOGIN CONNECTION LIMIT 0", Unavailable, "too many connections .*try again in a moment"),
        ("LOGIN", PermissionDenied, "permission denied for schema public; .*GRANT CREATE ON SCHEMA public"),
    ],
)
def test_open_what_a_server_refuses_is_named_with_the_way_out(
    refused: Callable[[str], str], rule: str, error: type[LakehouseError], says: str
) -> None:
    with pytest.raises(error, match=says):
        Database.open(refused(rule))


def test_open_a_database_that_is_not_there_is_named(postgres: Callable[[], str]) -> None:
    url = make_url(postgres()).set(database="nowhere")
    with pytest.raises(InvalidInput, match=r'"nowhere" does not exist; create it, or mend state\.url'):
        Database.open(url.render_as_string(hide_password=False))


def test_write_waits_for_another_process_no_longer_than_it_may(
    postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres()
    monkeypatch.setattr(_engine, "_LOCK_S", 1)
    one, other = Database.open(url), Database.open(url)
    try:
        with one.write(), pytest.raises(Unavailable, match="another process has been writing"), other.write():
            pytest.fail("two wrote at once")
        with other.write():
            pass
    finally:
        one.close()
        other.close()


def test_write_after_a_newer_edition_has_changed_the_tables_is_refused_and_nothing_of_it_stays(
    postgres: Callable[[], str],
) -> None:
    url = postgres()
    older, newer = Database.open(url), Database.open(url)
    try:
        older.prepare("notes", OLD)
        with older.write() as connection:
            connection.execute(insert(OLD_NOTES).values(id=1))
        older.check_layouts()
        newer.prepare("notes", NEW, STEPS[:1])
        with pytest.raises(Unavailable, match=r"a newer lakehouse has changed tables of notes in"), older.write() as c:
            c.execute(insert(OLD_NOTES).values(id=2))
        with pytest.raises(Unavailable, match="install what the other replicas run"):
            older.check_layouts()
        assert ids(newer) == [1]
        with newer.write() as connection:
            connection.execute(text("INSERT INTO notes (id, body) VALUES (3, 'new')"))
    finally:
        older.close()
        newer.close()


def test_turns_reads_and_writes_leave_no_warning_in_the_log_of_the_server(postgres: Callable[[], str]) -> None:
    told: list[object] = []

    def listen(connection: Any, _record: object) -> None:
        told.extend(connection.notices if connection is not None else ())

    event.listen(Pool, "checkin", listen)
    database = Database.open(postgres())
    try:
        database.prepare("notes", OLD)
        with database.alone("notes"), database.write() as connection:
            connection.execute(insert(OLD_NOTES).values(id=1))
        database.number()
        assert ids(database) == [1]
    finally:
        database.close()
        event.remove(Pool, "checkin", listen)
    assert told == []
