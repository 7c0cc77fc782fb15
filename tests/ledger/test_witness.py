"""Statements are written on the chains of those whom they show."""

import pytest


def rows_of(lake, subject):
    head = lake.rooms.ledger.head(subject)
    return head.count if head else 0


def shown_by(lake, ask):
    """Return on whose chains a call wrote."""
    subjects = [*(f"w-{number}" for number in range(1, 37)), "dataset:people", "dataset:staff"]
    before = {subject: rows_of(lake, subject) for subject in subjects}
    ask()
    return [subject for subject in subjects if rows_of(lake, subject) > before[subject]]


@pytest.mark.parametrize(
    ("sql", "subjects"),
    [
        ("SELECT id, name FROM people WHERE id IN (1, 2)", ["w-1", "w-2"]),
        ("SELECT id AS x, phone AS y FROM people WHERE id = 3", ["w-3"]),
        ("WITH t(a) AS (SELECT id FROM people WHERE id = 4) SELECT a AS b FROM t", ["w-4"]),
        ("SELECT phone AS p FROM people WHERE id = 5", ["w-5", "dataset:people"]),
        ("SELECT 'w-' || id AS z FROM people WHERE id = 6", ["w-6", "dataset:people"]),
        ("SELECT city, count(*) AS n FROM people GROUP BY city", ["dataset:people"]),
        ("SELECT 1 AS one", []),
    ],
)
def test_statement_is_written_on_those_it_shows(shared_lake, sql, subjects):
    assert shown_by(shared_lake, lambda: shared_lake.sql.query(sql)) == subjects
    assert shown_by(shared_lake, lambda: shared_lake.sql.arrow(sql)) == subjects


def test_row_names_the_columns_of_the_dataset_beside_those_of_the_result(lake):
    lake.sql.query("SELECT id AS x, phone AS y FROM people WHERE id = 3")
    row = lake.subjects.audit("w-3").rows[-1]
    assert (row.action, row.fields) == ("sql", ["id", "phone", "x", "y"])
    lake.sql.arrow("SELECT id FROM people WHERE id = 3")
    assert lake.subjects.audit("w-3").rows[-1].action == "export"


def test_people_named_in_logs_are_shown_by_them(lake):
    lake.observer.event("scenario", "told", summary="w-9 was called, and w-10")
    lake.rooms.observer.flush()
    ask = "SELECT summary FROM ops WHERE kind = 'told'"
    assert shown_by(lake, lambda: lake.sql.query(ask)) == ["w-9", "w-10"]


def test_what_looks_people_up_for_a_manifest_is_no_use_of_their_data(lake):
    assert shown_by(lake, lambda: lake.subjects.get("w-1")) == []
