"""Erasing people: every place, every byte, and what the receipt says."""

from pathlib import Path

import pytest

from lakehouse.errors import NotFound, PermissionDenied
from lakehouse.ledger import verifier

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift, must have OSHA-30"


def distinct(people):
    """Give everybody a name, a phone and a sentence of their own."""
    return [
        {
            **row,
            "name": f"Ophelia Quartermain{row['id']:04d}",
            "phone": f"216-555-{row['id']:04d}",
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
    assert places == {"datasets": 1, "indexes": 1, "embedding": 1, "playbooks": 2, "logs": 1}
    assert [each.place for each in receipt.remains] == ["ledger"]
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


def test_everybody_can_be_erased(lake, rows):
    folder = Path(lake.rooms.settings.data)
    lake.rooms.subjects.erase_all([f"w-{row['id']}" for row in rows], "the agency closes")
    assert holding(folder, [text for row in rows for text in traces(row)]) == []
    assert lake.vectors.stats("workers").items == 0
