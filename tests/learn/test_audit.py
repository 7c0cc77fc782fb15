"""Each phase of the full audit sees the lake broken in the way that it watches for."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

import lakehouse
from lakehouse.learn.audit import report as pages
from lakehouse.learn.audit.run import PHASES
from lakehouse.vectors.base import Item
from learn.made import session, tree, written

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift"


def folder_of(lake: lakehouse.Lakehouse) -> Path:
    return Path(lake.rooms.settings.data)


def phase(lake: lakehouse.Lakehouse, number: int):
    (found,) = lake.learn.audit_full(phases=[number]).phases
    assert found.number == number
    return found


def broken(lake: lakehouse.Lakehouse, number: int, says: str, verdict: str = "fail"):
    found = phase(lake, number)
    assert found.verdict == verdict, found
    assert any(says in finding for finding in found.findings), found.findings
    assert found.mend == PHASES[number - 1][2]
    return found


def changed(path: Path, before: bytes, after: bytes, count: int = 1) -> None:
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, after, count))


def test_whole_lake_passes_all_twelve(lake):
    lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0)
    written(folder_of(lake) / "logs/sessions.jsonl", [session(nth, fill_id="") for nth in range(3)])
    lake.learn.export_sft()
    lake.learn.replay(FORKLIFT)
    found = lake.learn.audit_full()
    assert [each.number for each in found.phases] == list(range(1, 13))
    assert {each.name: each.verdict for each in found.phases} == {name: "ok" for name, _, _ in PHASES}
    assert found.verdict == "ok"


def test_store_damaged_database(lake, reopen):
    folder = folder_of(lake)
    broken_db = folder / "spare.db"
    with sqlite3.connect(broken_db) as database:
        database.execute("CREATE TABLE t (x)")
        database.executemany("INSERT INTO t VALUES (?)", [("y" * 500,) for _ in range(100)])
    database.close()
    data = bytearray(broken_db.read_bytes())
    data[8192:16384] = b"\xff" * 8192
    broken_db.write_bytes(data)
    broken(lake, 1, "spare.db")


def test_store_object_that_is_not_what_is_listed(lake):
    lake.storage.put("a/b", b"12345")
    assert phase(lake, 1).metrics["p1_objects_read"] == 1


def test_catalog_lost_file(lake):
    (file,) = (folder_of(lake) / "warehouse").rglob("*.parquet")
    file.unlink()
    assert broken(lake, 2, "people").metrics["p2_unreadable"] == 1


def test_receipts_file_unsaid(lake, reopen):
    fingerprint = lake.catalog.dataset("people").fingerprint.encode()
    folder = folder_of(lake)
    lake.close()
    for path in (folder / "warehouse").rglob("*.metadata.json"):
        path.write_bytes(path.read_bytes().replace(fingerprint, b"somewhere"))
    broken(reopen(lake), 3, "does not say which file")


def test_index_lost_people(lake):
    lake.vectors.delete_item("workers", "w-5")
    broken(lake, 4, "such as w-5")


def test_index_without_an_erased_person_passes(lake):
    lake.subjects.erase("w-5")
    assert not any("w-5" in finding for finding in phase(lake, 4).findings)
    assert phase(lake, 4).verdict != "fail"


def test_embedding_other_vector(lake):
    id = "w-1"
    item = lake.vectors.get("workers", id)
    lake.vectors.add("workers", [Item(id=id, vector=[1.0, *[0.0] * (len(item.vector) - 1)], metadata=item.metadata)])
    broken(lake, 5, id)


def test_evidence_that_is_not_of_its_line(lake):
    lake.matrix.search(FORKLIFT, ["workers"])
    lake.learn.materialize()
    (file, *_) = sorted((folder_of(lake) / "learn/evidence").rglob("*/ledger.audits.jsonl"))
    changed(file, b"audit.search", b"audit.export")
    broken(lake, 6, "is not what line 0 of ledger/rows.jsonl says")


def test_evidence_lines_that_cannot_be_read(lake):
    written(folder_of(lake) / "logs/sessions.jsonl", [b"garbage"])
    assert broken(lake, 6, "1 lines", verdict="warn").metrics["p6_rejected"] == 1


def test_scoring_other_verdict(lake):
    written(folder_of(lake) / "logs/sessions.jsonl", [session(1)])
    lake.learn.materialize()
    lake.learn.score()
    (file,) = (folder_of(lake) / "learn/scored-runs").rglob("sessions.iterates.jsonl")
    changed(file, b'"outcome":"accepted"', b'"outcome":"rejected"')
    broken(lake, 7, "is written down as rejected")


@pytest.mark.parametrize("leak", ["person", "row", "erased"])
def test_firewall_leak(lake, leak):
    folder = folder_of(lake)
    written(folder / "logs/sessions.jsonl", [session(1)])
    card = lake.learn.export_sft(validation_share=0)
    assert card.rows == 1
    file = folder / card.folder / "train.instruction.jsonl"
    if leak == "person":
        changed(file, b"reach truck", b"Person Number1")
        broken(lake, 8, "must never be exported: personal_data")
    elif leak == "row":
        file.write_bytes(file.read_bytes() * 2)
        broken(lake, 8, "train has 2 rows, the lineage names 1")
    else:
        with lake.rooms.state.write() as connection:
            lake.rooms.subjects._manifests._stored.erase(connection, "w-2", "2026-11-27T00:00:00Z")
        broken(lake, 8, "must never be exported: erased_subject")


def test_erasing_somebody_removes_their_rows_from_training_data(lake):
    folder = folder_of(lake)
    written(folder / "logs/sessions.jsonl", [session(1)])
    card = lake.learn.export_sft()
    assert card.rows == 1
    receipt = lake.subjects.erase("w-2")
    assert not (folder / card.folder).exists()
    assert "training data (rows)" in {purged.place for purged in receipt.purged}
    again = lake.learn.export_sft()
    assert again.rows == 0
    assert again.dropped["erased_subject"] >= 1


def test_replay_unreadable_row(lake):
    lake.learn.replay(FORKLIFT)
    written(folder_of(lake) / "logs/replay_runs.jsonl", [b'{"schema":"replay_run.v9"}'])
    assert broken(lake, 9, "is no replay_run.v1").metrics["p9_unreadable"] == 1


def test_memory_that_helps_nobody(lake):
    lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0)
    assert phase(lake, 10).metrics["p10_recovered"] == 1
    lake.vectors.delete_item("workers", "w-1")
    broken(lake, 10, "1 of 1 remembered answers do not come back", verdict="warn")


def test_memory_is_asked_for_those_who_must_come_back_first(lake):
    # 200 for whom their own demand is not: they need not come back, and more of them than are looked at.
    for number in range(200):
        lake.playbooks.record(f"Need {number + 1} Registered Nurses in Boston MA", "w-1", "workers", 1.0)
    lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0)
    found = phase(lake, 10)
    assert (found.metrics["p10_entries"], found.metrics["p10_asked"]) == (50, 1)


def test_memory_that_bleeds_into_another_role(lake, reopen):
    lake.playbooks.record("Need 2 Forklift Operators in Detroit MI", "w-9", "workers", 1.0)
    # A row that has come to say that its demand's role is of another occupation: the gate believes it.
    lake.playbooks.record(FORKLIFT.replace("Forklift Operators", "Warehouse Workers"), "w-1", "workers", 1.0)
    assert phase(lake, 10).metrics["p10_bleed"] == 0
    with lake.rooms.state.write() as connection:
        connection.exec_driver_sql("UPDATE playbooks SET role_code = '53-7051.00' WHERE answer_id = 'w-1'")
    lake.vectors.delete("playbook_default")
    lake = reopen(lake)
    assert broken(lake, 10, "memory of another role acted").metrics["p10_bleed"] > 0


def test_sessions_alarm(lake):
    written(folder_of(lake) / "logs/sessions.jsonl", [session(1), session(2, grounded_in_roster=False)])
    assert broken(lake, 11, "1 accepted fills are not grounded").metrics["p11_alarm"] == 1


def test_ledger_changed_row(lake):
    lake.matrix.search(FORKLIFT, ["workers"])
    changed(folder_of(lake) / "ledger/rows.jsonl", b'"action":"search"', b'"action":"export"')
    broken(lake, 12, "integrity")


def test_phase_that_cannot_look_fails_and_the_others_go_on(lake):
    # A file where the folder of objects would be.
    (folder_of(lake) / "objects").write_bytes(b"")
    found = lake.learn.audit_full(phases=[1, 2])
    assert [each.verdict for each in found.phases] == ["fail", "ok"]
    assert "cannot use" in found.phases[0].findings[0]


def test_baseline_is_appended_and_compared(lake):
    assert lake.learn.audit_full(append_baseline=True, phases=[2]).changes == []
    found = lake.learn.audit_full(append_baseline=True, phases=[2])
    assert found.baselines == 2
    assert {change.verdict for change in found.changes} == {"ok"}
    assert lake.sql.query("SELECT verdict, metrics->>'p2_datasets' FROM audit_baselines").rows == [["ok", "1"]] * 2


def test_pages_hold_every_phase_and_no_markup_of_strangers(lake):
    written(folder_of(lake) / "logs/replay_runs.jsonl", [b'{"schema":"<script>|"}'])
    found = lake.learn.audit_full()
    page, text = pages.page(found), pages.markdown(found)
    for name, _, _ in PHASES:
        assert f"<td>{name}</td>" in page
        assert f"| {name} |" in text
    assert "<script>" not in page


def test_audit_changes_nothing_but_what_is_derived(lake):
    folder = folder_of(lake)
    lake.learn.audit_full()
    lake.rooms.observer.flush()
    before = {name: data for name, data in tree(folder).items() if name.startswith(("warehouse", "vectors", "ledger"))}
    lake.learn.audit_full()
    after = {name: data for name, data in tree(folder).items() if name.startswith(("warehouse", "vectors", "ledger"))}
    assert after == before


def test_report_survives_the_wire(lake):
    found = lake.learn.audit_full()
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
