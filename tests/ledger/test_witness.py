"""Statements are written on the chains of those whom they show."""

from contextlib import nullcontext
from types import SimpleNamespace

import msgspec
import pytest

from lakehouse import caller, settings
from lakehouse.errors import InvalidInput, ValidationFailed
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


@pytest.mark.parametrize(
    ("sql", "subjects"),
    [
        # The engine quotes the value that it could not convert, parse or use.
        ("SELECT CAST(phone AS INT) FROM people WHERE id = 3", ["w-3", "dataset:people"]),
        ("SELECT strptime(name, '%Y') FROM people WHERE id = 4", ["w-4", "dataset:people"]),
        ("SELECT error(phone) FROM people WHERE id = 6", ["w-6", "dataset:people"]),
        ("SELECT error('call w-7') FROM people", ["w-7", "dataset:people"]),
        ("SELECT error(string_agg(phone || name)) FROM people", ["dataset:people"]),
        # Refused before any row was looked at.
        ("SELECT phon FROM people", []),
        ("SELECT id FROM peopl", []),
        ("SELECT FROM WHERE", []),
    ],
)
def test_statement_that_fails_is_written_on_those_of_whom_the_error_tells(shared_lake, sql, subjects):
    def fail(ask):
        with pytest.raises(InvalidInput):
            ask(sql)

    assert shown_by(shared_lake, lambda: fail(shared_lake.sql.query)) == subjects
    assert shown_by(shared_lake, lambda: fail(shared_lake.sql.arrow)) == subjects


def test_row_of_a_failed_statement_names_the_columns_that_it_read(lake):
    with pytest.raises(InvalidInput):
        lake.sql.query("SELECT CAST(phone AS INT) FROM people WHERE id = 3")
    row = lake.subjects.audit("w-3").rows[-1]
    assert (row.action, row.fields) == ("sql", ["error", "id", "phone"])


def test_refused_fill_and_entry_are_written_on_those_of_whom_the_refusal_tells(lake):
    demand = {"role": "Line Cook", "count": 4}
    workers = [{"id": id} for id in ("w-1", "w-1", "w-999", "w-36")]
    for ask in (
        lambda: lake.validate.check("fill", {"demand": demand, "workers": workers}),
        lambda: lake.validate.accept({"demand": demand, "workers": workers}),
    ):

        def fail(ask=ask):
            with pytest.raises(ValidationFailed, match="w-"):
                ask()

        # Nobody is told of w-36 that she is not what is asked for, and w-999 is nobody.
        assert shown_by(lake, fail) == ["w-1"]
    row = lake.subjects.audit("w-1").rows[-1]
    assert (row.action, row.result, row.fields) == ("view", "shown", ["wrong_role"])
    assert rows_of(lake, "w-999") == 0
    entry = {"query_text": "Need 1 Line Cook in Parma OH", "answer_id": "w-2", "corpus": "workers", "score": 1.0}

    def entered():
        with pytest.raises(ValidationFailed):
            lake.validate.check("playbook", entry)

    assert shown_by(lake, entered) == ["w-2"]
    with pytest.raises(ValidationFailed):
        lake.validate.check("fill", {"demand": demand, "workers": [{"id": 1}]})


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


FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift"


def test_remembered_people_of_whom_a_search_tells_why_not_are_shown(lake):
    for id in ("w-1", "w-36", "w-35"):
        lake.playbooks.record(FORKLIFT, id, "workers", 1.0)
    found = []
    ask = {"query_text": FORKLIFT, "corpora": ["workers"], "k": 3, "use_playbook": True}
    seen = shown_by(lake, lambda: found.append(lake.matrix.search(**ask)))
    results = {match.id for match in found[0].results}
    assert {each.answer_id for each in found[0].dropped} == {"w-35", "w-36"}
    assert set(seen) == results | {"w-35", "w-36"}
    row = lake.subjects.audit("w-36").rows[-1]
    assert (row.action, row.result, row.fields) == ("search", "shown", ["gate", "reason"])
    rows = rows_of(lake, "w-1")
    lake.matrix.search(**ask, exclude_ids=["w-36"])
    # A row each, also of somebody of whom both are told.
    assert rows_of(lake, "w-1") == rows + 1


def test_people_in_entries_of_memory_are_shown_by_them_once_each(lake):
    other = "Need 1 Line Cook in Parma OH"
    first = lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0, why="on time").playbook_id
    for text, id in ((FORKLIFT, "w-2"), (other, "w-1")):
        lake.playbooks.record(text, id, "workers", 1.0)
    before = rows_of(lake, "w-1")
    assert shown_by(lake, lake.playbooks.list) == ["w-1", "w-2"]
    assert rows_of(lake, "w-1") == before + 1
    row = lake.subjects.audit("w-1").rows[-1]
    assert (row.action, {"query_text", "why", "outcome"} <= set(row.fields)) == ("view", True)
    assert shown_by(lake, lambda: lake.playbooks.get(first)) == ["w-1"]
    assert shown_by(lake, lambda: lake.playbooks.list(limit=1)) == ["w-1"]
    carried = []
    assert shown_by(lake, lambda: carried.extend(lake.playbooks.export().entries)) == ["w-1", "w-2"]
    assert lake.subjects.audit("w-2").rows[-1].action == "export"
    gone = [{**msgspec.structs.asdict(carried[0]), "answer_id": "w-999"}]
    entries = [*map(msgspec.structs.asdict, carried), *gone]
    assert shown_by(lake, lambda: lake.playbooks.import_(entries, "mia", skip_unknown=True)) == ["w-1", "w-2"]
    assert lake.subjects.audit("w-2").rows[-1].action == "remember"
    assert rows_of(lake, "w-999") == 0


def test_people_in_an_index_that_is_no_corpus_are_shown_by_it_and_other_items_are_not(lake):
    dimension = lake.vectors.stats("workers").dimension
    lake.vectors.create("fresh", dimension)
    vector = [1.0] * dimension
    lake.vectors.add(
        "fresh",
        [
            {"id": "w-5", "vector": vector, "metadata": {"role": "Welder"}},
            {"id": "f-1", "vector": vector, "metadata": {"name": "Jo", "role": "Welder"}},
            {"id": "akron", "vector": vector, "metadata": {"state": "OH"}},
        ],
    )
    for ask in (lambda: lake.vectors.search("fresh", vector=vector), lambda: lake.vectors.get("fresh", "w-5")):
        assert shown_by(lake, ask) == ["w-5"]
    lake.vectors.get("fresh", "f-1")
    lake.vectors.get("fresh", "akron")
    assert [row.action for row in lake.subjects.audit("f-1").rows] == ["search", "view"]
    assert lake.subjects.audit("f-1").rows[-1].fields == ["name", "role"]
    assert rows_of(lake, "akron") == 0


def test_people_whom_entries_in_the_index_of_a_memory_are_about_are_shown_by_it(lake):
    id = lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0).playbook_id
    index = "playbook_default"
    for ask in (lambda: lake.vectors.search(index, text=FORKLIFT), lambda: lake.vectors.get(index, id)):
        assert shown_by(lake, ask) == ["w-1"]


def test_people_on_an_open_demand_are_shown_by_whatever_tells_of_it(lake):
    text = f"{FORKLIFT} for Beacon Freight"
    first, second = (lake.demands.open(line).created[0] for line in (text, f"{text}, urgent"))
    people = [{"corpus": "workers", "id": f"w-{number}"} for number in (1, 3)]
    assert shown_by(lake, lambda: lake.demands.place(first, people, "proposed", why="near")) == ["w-1", "w-3"]
    # One who is told of as the client's "do not return", and is not on this demand.
    lake.demands.place(second, [{"corpus": "workers", "id": "w-5"}], "do_not_return")
    for ask in (
        lambda: lake.demands.get(first),
        lambda: lake.demands.note(first, "called"),
        lambda: lake.demands.edit(first, urgency="low"),
    ):
        assert shown_by(lake, ask) == ["w-1", "w-3", "w-5"]
    seen = lake.subjects.audit("w-1").rows[-1]
    assert (seen.action, seen.result, seen.fields) == ("view", "shown", ["stage", "why"])
    assert lake.subjects.audit("w-5").rows[-1].fields == ["barred"]
    rows = rows_of(lake, "w-1")
    assert shown_by(lake, lambda: lake.demands.place(first, people[:1], "shortlisted")) == ["w-1", "w-3", "w-5"]
    assert rows_of(lake, "w-1") == rows + 1
    assert lake.subjects.audit("w-1").rows[-1].result == "shortlisted"
    assert lake.subjects.audit("w-3").rows[-1].action == "view"


def test_people_whom_accepted_fills_book_are_shown_by_the_list_of_them(lake):
    id = lake.demands.open(f"{FORKLIFT} for Beacon Freight", urgency="high").created[0]
    lake.demands.place(id, [{"corpus": "workers", "id": "w-1"}], "proposed")
    assert lake.demands.fill(id).filled == ["w-1"]
    rows = rows_of(lake, "w-1")
    assert shown_by(lake, lake.validate.fills) == ["w-1"]
    assert shown_by(lake, lambda: lake.validate.fills("w-1")) == ["w-1"]
    assert shown_by(lake, lambda: lake.validate.fills("w-3")) == []
    assert rows_of(lake, "w-1") == rows + 2
    row = lake.subjects.audit("w-1").rows[-1]
    assert (row.action, {"client", "role"} <= set(row.fields)) == ("view", True)


SEARCH = SimpleNamespace(name="matrix.search")


def answer_of(*ids, fields=("city", "name")):
    """Return an answer of a search, as far as a witness looks at it."""
    metadata = dict.fromkeys(fields, "")
    return SimpleNamespace(results=[SimpleNamespace(id=id, metadata=metadata) for id in ids], dropped=[])


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
