"""Texts changed wherever they lie in a database."""

import sqlite3
from contextlib import closing

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, insert, select

from lakehouse.state.database import Database
from lakehouse.state.rewriting import rewrite_file

TABLES = MetaData()
NOTES = Table(
    "notes",
    TABLES,
    Column("id", String(20), primary_key=True),
    Column("title", String(100)),
    Column("body", Text),
    Column("count", Integer),
)
KEPT = Table("kept", TABLES, Column("number", Integer, primary_key=True), Column("body", Text))


def over(texts):
    changed = [text.replace("Anna", "xxxx") for text in texts]
    return changed if changed != texts else None


def test_every_text_but_those_rows_are_found_by_is_changed(tmp_path):
    database = Database.open(tmp_path / "state.db")
    database.prepare("example", TABLES)
    with database.write() as connection:
        rows = [("Anna", "to Anna", "call Anna Anna", 1), ("b", None, "nobody", 2), ("c", "", "Anna", None)]
        connection.execute(insert(NOTES), [dict(zip(NOTES.c.keys(), row, strict=True)) for row in rows])
        connection.execute(insert(KEPT).values(number=1, body="Anna"))
    database.rewrite(over, skip={"kept"})
    with database.read() as connection:
        assert [tuple(row) for row in connection.execute(select(NOTES).order_by(NOTES.c.id))] == [
            ("Anna", "to xxxx", "call xxxx xxxx", 1),
            ("b", None, "nobody", 2),
            ("c", "", "xxxx", None),
        ]
        assert connection.scalar(select(KEPT.c.body)) == "Anna"
    database.close()
    assert not any(b"call Anna" in path.read_bytes() for path in tmp_path.iterdir())


def test_nothing_is_left_in_pages_that_others_freed(tmp_path):
    path = tmp_path / "engine.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA secure_delete=OFF")
        database.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, output TEXT)")
        database.executemany("INSERT INTO runs VALUES (?, ?)", [(str(at), f"Anna {at} " * 200) for at in range(50)])
        database.commit()
        database.execute("DELETE FROM runs WHERE id <> '7'")
        database.commit()
    assert b"Anna 8" in path.read_bytes()
    rewrite_file(path, over)
    assert b"Anna" not in path.read_bytes()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT output FROM runs").fetchall() == [("xxxx 7 " * 200,)]
