"""Erasing people: every place, every byte, and what the receipt says."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from lakehouse.errors import IntegrityError, NotFound, PermissionDenied, Unavailable
from lakehouse.ledger import verifier
from lakehouse.ledger.manifests import DataKeys
from lakehouse.observe.runs import Node

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift, must have OSHA-30"


def distinct(people):
    """Give everybody a name, a phone and a sentence of their own."""
    return [
        {
            **row,
            "name": f"Ophelia Quartermain{row['id']:04d}",
            "phone": f"216-555-{row['id']:04d}",
            "email": f"o{row['id']}@example.net",
            "resume": f"{row['resume']}. Once carried crate number {row['id']:06d} across the yard.",
        }
        for row in people
    ]


def traces(row):
    return [row["name"], row["phone"], f"crate number {row['id']:06d}"]


def holding(folder, texts):
    """Files of a lake that hold one of these texts."""
    return [
        (str(path.relative_to(folder)), text)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for text in texts
        if text.encode() in path.read_bytes()
    ]


@pytest.fixture
def rows(people):
    return distinct(people)


@pytest.fixture
def lake(make_lake, rows):
    return make_lake(rows)


def test_erased_person_is_in_no_file_and_no_answer(lake, rows):
    folder = Path(lake.rooms.settings.data)
    assert holding(folder, traces(rows[0]))
    lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0)
    lake.playbooks.record(f"{FORKLIFT}, ask for {rows[0]['name']}", "w-2", "workers", 1.0)
    (folder / "inbox.jsonl").write_text(f'{{"body":"Please send {rows[0]["name"]}"}}\n{{"body":"next"}}\n')
    receipt = lake.subjects.erase("w-1", "asked for")
    assert receipt.found == []
    assert receipt.probed >= 3
    places = {purged.place.partition(" ")[0]: purged.count for purged in receipt.purged}
    assert places == {"datasets": 1, "indexes": 1, "embedding": 1, "playbooks": 2, "logs": 1, "data": 1}
    assert [each.place for each in receipt.remains] == ["ledger", "digests"]
    assert holding(folder, traces(rows[0])) == []
    assert holding(folder, traces(rows[1]))
    assert (folder / "inbox.jsonl").read_bytes().count(b"\n") == 2
    with pytest.raises(NotFound):
        lake.vectors.get("workers", "w-1")
    assert lake.sql.query("SELECT count(*) FROM people WHERE id = 1").rows == [[0]]
    assert "w-1" not in [match.id for match in lake.matrix.search(rows[0]["resume"], ["workers"], k=36).results]
    assert lake.playbooks.list().entries == []
    assert lake.subjects.get("w-1").erased_at == receipt.erased_at
    assert lake.subjects.verify("w-1").verified
    assert lake.subjects.audit("w-1").rows[-1].action == "erase"
    lake.close()
    assert holding(folder, traces(rows[0])) == []
    assert verifier.verify(folder).good


def test_receipt_is_signed(lake):
    receipt = lake.subjects.erase("w-3")
    text, _, _ = receipt.signature.partition("\n\n")
    vkey = lake.rooms.ledger.ring.vkey
    origin = lake.rooms.ledger.ring.origin
    assert text.startswith(f'{origin}/erasure\n{{"audit_rows":')
    assert verifier.is_signed(receipt.signature, vkey)
    assert not verifier.is_signed(receipt.signature.replace("w-3", "w-4"), vkey)


def test_many_at_once_are_erased_together_or_not_at_all(lake, rows):
    folder = Path(lake.rooms.settings.data)
    lake.subjects.put("w-7", legal_hold="case 17")
    with pytest.raises(PermissionDenied, match="case 17"):
        lake.rooms.subjects.erase_all(["w-5", "w-7"], "asked for")
    assert lake.vectors.get("workers", "w-5").metadata["name"] == rows[4]["name"]
    receipts = lake.rooms.subjects.erase_all(["w-5", "w-6", "w-8"], "asked for")
    assert [receipt.found for receipt in receipts] == [[], [], []]
    assert holding(folder, [text for at in (4, 5, 7) for text in traces(rows[at])]) == []
    lake.subjects.put("w-7", legal_hold="")
    assert lake.subjects.erase("w-7").found == []


def test_what_is_not_named_of_a_person_stays_as_it_was(lake):
    lake.subjects.put("w-7", legal_hold="case 17", purposes=["staffing"], consent="given", retain_until="2030-01-31")
    said = lake.subjects.put("w-7", identity="4711")
    known = ("case 17", ["staffing"], "given", "2030-01-31", "4711")
    assert (said.legal_hold, said.purposes, said.consent, said.retain_until, said.identity) == known
    assert lake.subjects.audit("w-7").rows[-1].fields == ["identity"]
    said = lake.subjects.put("w-7", legal_hold="", purposes=[], consent="unknown", retain_until="", identity="")
    assert (said.legal_hold, said.purposes, said.consent, said.retain_until, said.identity) == (
        "",
        [],
        "unknown",
        None,
        "",
    )


def test_who_was_erased_is_back_only_by_a_word_of_theirs(lake):
    lake.subjects.put("w-7", consent="given", purposes=["staffing"])
    lake.subjects.erase("w-7")
    # What was said before the erasure is gone with it, their consent too.
    assert lake.subjects.put("w-7", identity="4711").consent == "unknown"
    assert lake.subjects.get("w-7").erased_at
    assert not lake.subjects.put("w-7", consent="given").erased_at


def test_everybody_can_be_erased(lake, rows):
    folder = Path(lake.rooms.settings.data)
    lake.rooms.subjects.erase_all([f"w-{row['id']}" for row in rows], "the agency closes")
    assert holding(folder, [text for row in rows for text in traces(row)]) == []
    assert lake.vectors.stats("workers").items == 0


def ways(row):
    digits = row["phone"].replace("-", "")
    return f"+1 ({digits[:3]}) {digits[3:6]}.{digits[6:]}", row["name"].upper(), row["name"].split()[-1] + ", Ophelia"


def test_messages_runs_logs_and_objects_lose_the_name_and_keep_the_rest(lake, rows):
    folder = Path(lake.rooms.settings.data)
    phone, name, turned = ways(rows[0])
    body = f"Need 2 Forklift Operators in Cleveland OH. Send {name} or call {phone}; {turned}. Not {rows[1]['name']}."
    message = lake.inbox.receive("email", body, sender=f"{rows[0]['name']} <x@example.net>", subject=phone)
    before = lake.inbox.get(message.id)
    asked = {"query_text": FORKLIFT, "corpora": ["workers"], "k": 36}
    run = lake.workflow.run([msgspec.convert({"id": "found", "mode": "matrix.search", "inputs": asked}, Node)])
    pathway = lake.pathways.add(task=f"call {rows[0]['name']}", steps=[{"tool": "phone", "input": phone}])
    lake.observer.event(
        "scenario", "told", summary=f"told {name}", detail={"phone": int(rows[0]["phone"].replace("-", ""))}
    )
    lake.storage.put("up/people.txt", f"{rows[0]['name']}\n{rows[1]['name']}\n".encode())
    receipt = lake.subjects.erase("w-1", "asked for")
    assert receipt.found == []
    after = lake.inbox.get(message.id)
    assert len(after.body) == len(body)
    assert after.demands == before.demands
    assert rows[1]["name"] in after.body
    assert after.body.count("x" * 12) >= 2
    assert "999" in after.subject
    output = json.dumps(lake.workflow.get(run.run_id).nodes["found"].output)
    assert rows[0]["name"] not in output
    assert rows[1]["name"] in output
    assert rows[0]["name"] not in lake.pathways.get(pathway.uid).task
    told = lake.observer.ops(kind="told").ops[-1]
    assert (told.summary, told.detail) == ("told " + "x" * len(name), {"phone": 9999999999})
    assert lake.storage.get("up/people.txt") == b"x" * len(rows[0]["name"]) + f"\n{rows[1]['name']}\n".encode()
    assert holding(folder, [*traces(rows[0]), *ways(rows[0])]) == []
    lake.close()
    assert holding(folder, [*traces(rows[0]), *ways(rows[0])]) == []


def test_two_who_share_a_number_are_erased_together_and_one_after_the_other(lake, rows):
    folder = Path(lake.rooms.settings.data)
    changed = [{**rows[1], "phone": "+1 (216) 555 0001"}, {**rows[3], "phone": "1-216-555-0003"}]
    shared = [{name: value or None for name, value in row.items()} for row in changed]
    lake.ingest.file("\n".join(map(json.dumps, shared)).encode(), "people", "application/x-ndjson", key="id")
    told = [f"call {rows[at]['name']}, 216.555.{number}" for at, number in ((0, "0001"), (1, "0001"), (2, "0003"))]
    for body in [*told, "or (216) 555-0003"]:
        lake.inbox.receive("sms", body)
    assert [receipt.found for receipt in lake.rooms.subjects.erase_all(["w-1", "w-2"], "asked for")] == [[], []]
    assert holding(folder, ["216.555.0001"]) == []
    # The other number is that of somebody who stays as well: it goes where its text names who goes.
    assert lake.subjects.erase("w-3").found == []
    assert holding(folder, ["216.555.0003"]) == []
    assert holding(folder, ["(216) 555-0003"])
    assert lake.subjects.erase("w-4").found == []
    assert holding(folder, ["(216) 555-0003"]) == []


def test_copies_of_a_roster_are_found_by_what_is_theirs_alone(lake):
    lake.ingest.file(b"name,mail\nO. Quartermain,O1@example.net\nBo,bo@example.net\n", "copies", "text/csv")
    lake.ingest.file(b"who,site\nw-1,w-2\nw-2,w-1\n", "placements", "text/csv")
    lake.ingest.file(b"a,b\n1,2\no1@example.net,2,3\n", "torn", "text/csv", quarantine=True)
    found = {place.dataset: (place.column, place.value) for place in lake.subjects.get("w-1").datasets}
    assert found == {
        "people": ("id", "1"), "copies": ("mail", ""), "placements": ("who", "w-1"), "torn_quarantine": ("raw", ""),
    }  # fmt: skip
    receipt = lake.subjects.erase("w-1")
    assert receipt.found == []
    assert receipt.purged[0].count == 4
    assert lake.sql.query("SELECT mail FROM copies").rows == [["bo@example.net"]]
    # What looks like an id in a column of something else is none.
    assert lake.sql.query("SELECT who, site FROM placements").rows == [["w-2", "w-1"]]


def test_erasure_that_was_broken_off_is_gone_on_with(lake, rows, monkeypatch):
    folder = Path(lake.rooms.settings.data)
    lake.inbox.receive("sms", f"call {rows[0]['name']}")

    def refuse(*_args, **_named):
        raise Unavailable("no room left")

    with monkeypatch.context() as patched:
        patched.setattr(type(lake.rooms.state), "rewrite", refuse)
        with pytest.raises(Unavailable):
            lake.subjects.erase("w-1")
    assert lake.sql.query("SELECT count(*) FROM people WHERE id = 1").rows == [[0]]
    receipt = lake.subjects.erase("w-1")
    assert receipt.found == []
    assert receipt.probed >= 3
    assert holding(folder, traces(rows[0])) == []


def test_manifest_is_sealed_and_its_key_shredded(lake):
    folder = Path(lake.rooms.settings.data)
    lake.subjects.put("w-1", identity="personnel number 4711", purposes=["placing temps"])
    lake.rooms.state.scrub()
    keys = folder / "ledger" / "keys" / "subjects"
    assert holding(folder, ["personnel number 4711", "placing temps"]) == []
    (key,) = keys.iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
    assert lake.subjects.get("w-1").identity == "personnel number 4711"
    with closing(sqlite3.connect(folder / "state.db")) as copy:
        sealed = copy.execute("SELECT said FROM subjects WHERE id = 'w-1'").fetchone()[0]
    lake.subjects.erase("w-1")
    assert list(keys.iterdir()) == []
    with pytest.raises(IntegrityError, match="missing"):
        DataKeys(keys.parent).unseal("w-1", sealed)
    assert lake.subjects.get("w-1").identity == ""


def test_sealed_text_belongs_to_one_person(tmp_path):
    keys = DataKeys(tmp_path)
    sealed = keys.seal("w-1", b"words")
    assert keys.unseal("w-1", sealed) == b"words"
    assert keys.unseal("w-1", "{}") == b"{}"
    keys.seal("w-2", b"others")
    with pytest.raises(IntegrityError, match="w-2"):
        keys.unseal("w-2", sealed)
    assert [keys.shred("w-1"), keys.shred("w-1")] == [1, 0]


def test_those_whose_retention_is_over_are_listed_until_they_are_erased(lake):
    lake.subjects.put("w-1", retain_until="2026-01-31")
    lake.subjects.put("w-2", retain_until="2025-12-31", legal_hold="case 17")
    lake.subjects.put("w-3", retain_until="2026-02-01")
    over = lake.subjects.due("2026-02-01").due
    assert [(each.id, each.days_over, each.legal_hold) for each in over] == [("w-2", 32, "case 17"), ("w-1", 1, "")]
    lake.subjects.erase("w-1")
    assert [each.id for each in lake.subjects.due("2026-02-01").due] == ["w-2"]
    assert {each.id for each in lake.subjects.due().due} >= {"w-2", "w-3"}
