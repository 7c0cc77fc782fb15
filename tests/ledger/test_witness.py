"""Statements are written on the chains of those whom they show."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from lakehouse import caller, settings
from lakehouse.ledger.ledger import Ledger
from lakehouse.ledger.witness import Witness


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


SEARCH = SimpleNamespace(name="matrix.search")


def answer_of(*ids, fields=("city", "name")):
    """Return an answer of a search, as far as a witness looks at it."""
    metadata = dict.fromkeys(fields, "")
    return SimpleNamespace(results=[SimpleNamespace(id=id, metadata=metadata) for id in ids])


@pytest.fixture
def witnessed(tmp_path):
    """Return a ledger and a witness that keeps the rows of two answers prepared."""
    ledger = Ledger(settings.Ledger(), tmp_path)
    watched, holders = nullcontext, lambda *_: None
    yield ledger, Witness(ledger, list, watched=watched, holders=holders, answers=2)
    ledger.close()


def test_answer_given_again_is_written_again_for_whoever_gets_it(witnessed):
    ledger, witness = witnessed
    answers = [answer_of("w-1", "w-2"), answer_of("w-2", "w-3"), answer_of("w-4")]
    other = caller.Caller(kind="key", id="anna", roles=frozenset({"auditor"}), purpose="audit")
    for _ in range(2):
        for answer in answers:
            witness(SEARCH, {}, lambda answer=answer: answer)
        with caller.calling(other):
            witness(SEARCH, {}, lambda: answers[0])
    assert [ledger.head(f"w-{number}").count for number in (1, 2, 3, 4)] == [4, 6, 2, 2]
    written = [line.decode() for line in ledger.lines("w-1")]
    assert ['"id":"anna"' in line and '"purpose":"audit"' in line for line in written] == [False, True, False, True]


def test_nothing_is_kept_of_answers_after_it_is_to_be_forgotten(witnessed):
    ledger, witness = witnessed
    answer = answer_of("w-1")
    witness(SEARCH, {}, lambda: answer)
    witness.forget()
    answer.results[0].id = "w-9"
    witness(SEARCH, {}, lambda: answer)
    assert (ledger.head("w-1").count, ledger.head("w-9").count) == (1, 1)
