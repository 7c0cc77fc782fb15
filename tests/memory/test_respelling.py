"""Lakes whose entries were compared by other spellings, and had other codes, brought up to those of today."""

import hashlib
import unicodedata

import pytest
from sqlalchemy import text

import lakehouse
from conftest import CORPUS, as_csv
from lakehouse import settings
from lakehouse.staffing.roles import Roles

ASK = "Need 2 Forklift Operators in Cleveland OH"
COMPOSED, APART = (unicodedata.normalize(form, f"{ASK} for Caf\u00e9 R\u00edo") for form in ("NFC", "NFD"))
ROLE = "Forklift Operator"


@pytest.fixture(params=["sqlite", "postgres"])
def opening(request, tmp_path, people):
    """Open one lake again and again, its state in a file or on a server."""
    overrides = {"data": str(tmp_path / "lake")}
    if request.param == "postgres":
        database = request.getfixturevalue("postgres")
        overrides["state"] = {"url": database()}
        overrides["catalog"] = {"uri": database(), "warehouse": str(tmp_path / "warehouse")}
        overrides["ledger"] = {"keys": str(tmp_path / "keys")}
    lakes = []

    def again() -> lakehouse.Lakehouse:
        for lake in lakes:
            lake.close()
        lakes[:] = [lakehouse.connect(config=settings.load(environ={}, overrides=overrides))]
        return lakes[0]

    first = again()
    first.ingest.file(as_csv(people), "people", "text/csv")
    first.corpora.build(name="workers", **CORPUS)
    yield again
    for lake in lakes:
        lake.close()


def record(lake, query_text, answer, **more) -> str:
    return lake.playbooks.record(query_text, answer, "workers", 1.0, **more).playbook_id


def id_then(query_text: str, answer: str) -> str:
    """Return the id that an entry had in layout 5."""
    parts = ("default", " ".join(query_text.casefold().split()), ROLE.casefold(), "workers", answer)
    return "pb-" + hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:24]


def change(lake, *statements: str, **values: str) -> None:
    with lake.rooms.state.write() as connection:
        for statement in statements:
            connection.execute(text(statement), values)


def rename(lake, now: str, then: str, namespace: str = "default") -> None:
    """Let an entry have the id that it had in layout 5."""
    change(
        lake,
        "UPDATE playbooks SET id = :id, namespace = :namespace WHERE id = :now",
        "UPDATE playbook_outcomes SET playbook_id = :id, namespace = :namespace WHERE playbook_id = :now",
        "UPDATE demand_people SET entry = :id WHERE entry = :now",
        id=then,
        now=now,
        namespace=namespace,
    )


def test_layout_5_two_normal_forms_of_a_text_become_one_entry_with_the_outcomes_of_both(opening):
    lake = opening()
    both = record(lake, COMPOSED, "w-1", outcome="accepted")
    rename(lake, record(lake, APART, "w-1", namespace="then"), id_then(APART, "w-1"))
    alone = lake.demands.open(APART).created[0]
    lake.demands.place(alone, [{"corpus": "workers", "id": "w-2"}], "proposed")
    rename(lake, lake.demands.outcome(alone, "w-2", "worked").entry, id_then(APART, "w-2"))
    change(lake, "DROP TABLE playbook_notes", "UPDATE schema_version SET version = 5 WHERE room = 'memory'")
    lake = opening()
    found = {entry.id: entry for entry in lake.playbooks.list().entries}
    assert set(found) == {both, record(lake, COMPOSED, "w-2")}
    assert set(lake.vectors.ids("playbook_default").ids) == set(found)
    history = lake.playbooks.get(both)
    assert (sorted(each.outcome for each in history.outcomes), history.entry.good) == (["accepted", "worked"], 1.5)
    # What the demand said of its entry is undone still.
    lake.demands.undo(alone, "w-2")
    assert [entry.answer_id for entry in lake.playbooks.list().entries] == ["w-1"]
    assert opening().playbooks.get(both).entry == history.entry


def test_layout_5_clients_are_known_by_today_s_spelling(opening):
    lake = opening()
    for spelt, answer in (("O'Brien Ltd.", "w-1"), ("O\u2019Brien Ltd", "w-2")):
        record(lake, f"{ASK} for {spelt}", answer)
    barring = lake.demands.open(f"{ASK} for O'Brien Ltd.").created[0]
    lake.demands.place(barring, [{"corpus": "workers", "id": "w-3"}], "do_not_return")
    change(
        lake,
        "UPDATE playbooks SET client = 'o''brien ltd' WHERE answer_id = 'w-1'",
        "UPDATE playbooks SET client = 'o\u2019brien ltd' WHERE answer_id = 'w-2'",
        "UPDATE demands SET client = 'o''brien ltd.'",
        "DROP TABLE playbook_notes",
        "UPDATE schema_version SET version = 5 WHERE room = 'memory'",
        "UPDATE schema_version SET version = 1 WHERE room = 'demands'",
    )
    # As the rows have it, so has the index.
    for entry in lake.rooms.playbooks.own("default"):
        lake.rooms.playbooks._index.put("default", [entry])
    lake = opening()
    assert {entry.client for entry in lake.playbooks.list().entries} == {"obrien ltd"}
    asked = lake.demands.open(f"{ASK} for OBrien Ltd").created[0]
    assert lake.demands.get(asked).barred == ["w-3"]
    filed = [item.metadata["entry"]["client"] for item in lake.rooms.vectors.scan("playbook_default")]
    assert filed == ["obrien ltd"] * 2
    assert lake.playbooks.handover("default", "mia", "copy", "O\u2019BRIEN, Ltd").entries == 2


def test_another_edition_of_roles_gives_stored_titles_their_codes_of_today(opening, monkeypatch):
    lake = opening()
    record(lake, ASK, "w-2", role="Certified Lift Truck Driver")
    change(lake, "UPDATE playbooks SET role_code = ''")
    lake.rooms.playbooks._index.put("default", lake.rooms.playbooks.own("default"))

    def seen() -> tuple[str, int]:
        (entry,) = lake.playbooks.list().entries
        answer = lake.matrix.search("Need a forklift operator in Cleveland OH", ["workers"], use_playbook=True)
        return entry.role_code, answer.boosted + answer.injected

    lake = opening()
    assert seen() == ("", 0)
    monkeypatch.setattr(Roles, "edition", Roles.edition + 1)
    lake = opening()
    assert seen() == ("53-7051.00", 1)
    # Looked at once an edition.
    change(lake, "UPDATE playbooks SET role_code = 'x'")
    lake = opening()
    assert lake.playbooks.list().entries[0].role_code == "x"
