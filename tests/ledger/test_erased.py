"""Who was erased does not come back with an old roster."""

from pathlib import Path

import pytest

from lakehouse.errors import IntegrityError, InvalidInput, PermissionDenied

HEAD = "id,name,phone,email,role,resume\n"


def csv(*people):
    return (HEAD + "\n".join(people) + "\n").encode()


ANN = "1,Ann Lowell,216-555-0101,ann@example.net,cook,grill"
BO = "2,Bo Marsh,216-555-0102,bo@example.net,welder,MIG"
CY = "3,Cy Novak,216-555-0103,cy@example.net,welder,TIG"
SHAPE = {"id_column": "id", "id_prefix": "p-", "text_columns": ["role", "resume"], "metadata_columns": ["name", "role"]}


@pytest.fixture
def roster(make_lake, people):
    lake = make_lake(people)
    lake.ingest.file(csv(ANN, BO, CY), "staff", "text/csv")
    lake.corpora.build(name="staff", dataset="staff", **SHAPE)
    return lake


def ids(lake, dataset="staff"):
    return [row[0] for row in lake.sql.query(f"SELECT id FROM {dataset} ORDER BY id").rows]


def test_old_roster_brings_nobody_back(roster):
    receipt = roster.subjects.erase("p-1", "asked for")
    assert {each.place: each.count for each in receipt.remains} == {"digests": 3, "ledger": receipt.audit_rows}
    report = roster.ingest.file(csv(ANN, BO, CY), "staff", "text/csv")
    assert (report.rows, report.erased, report.rejected) == (2, 1, [])
    assert ids(roster) == [2, 3]
    again = roster.ingest.file(csv(ANN, BO, CY), "staff", "text/csv")
    assert (again.rows, again.erased) == (2, 1)


@pytest.mark.parametrize(
    "row",
    [
        "77,A. Lowell,440-555-0000,ANN@example.net,cook,grill",
        "77,Lowell Ann,(216) 555.0101,other@example.net,cook,grill",
        "1,Somebody Else,440-555-0000,,cook,grill",
    ],
)
def test_known_by_address_or_by_name_with_number_or_by_id(roster, row):
    roster.subjects.erase("p-1", "asked for")
    assert roster.ingest.file(csv(row, BO), "staff", key="id").erased == 1
    assert ids(roster) == [2, 3]


def test_another_dataset_knows_no_ids_but_who_it_was(roster):
    roster.subjects.erase("p-1", "asked for")
    assert roster.ingest.file(csv(ANN, BO), "staff_2027").erased == 1
    assert roster.ingest.file(b"id,city\n1,Cleveland\n", "places").erased == 0


def test_number_or_name_alone_bars_nobody(roster):
    roster.subjects.erase("p-1", "asked for")
    others = ["8,Ann Lowell,440-555-0000,al@example.net,cook,grill", "9,Di Olsen,216-555-0101,di@example.net,cook,prep"]
    assert roster.ingest.file(csv(*others, BO), "staff").erased == 0


def test_file_of_erased_people_alone_is_refused(roster):
    roster.subjects.erase("p-1", "asked for")
    with pytest.raises(InvalidInput, match="erased"):
        roster.ingest.file(csv(ANN), "staff", key="id")
    assert ids(roster) == [2, 3]


def test_lines_put_aside_do_not_hold_them_either(roster):
    roster.subjects.erase("p-1", "asked for")
    broken = ANN + ',"one, cell too many'
    report = roster.ingest.file(csv(BO, CY, broken), "staff", "text/csv", quarantine=True)
    assert len(report.rejected) == 1
    assert roster.sql.query("SELECT raw FROM staff_quarantine").rows == [[""]]


def test_who_gives_consent_anew_may_come_back(roster):
    roster.subjects.erase("p-1", "asked for")
    roster.subjects.put("p-1", legal_hold="none yet")
    assert roster.subjects.get("p-1").erased_at
    assert roster.ingest.file(csv(ANN, BO), "staff").erased == 1
    roster.subjects.put("p-1", consent="given")
    assert roster.subjects.get("p-1").erased_at is None
    report = roster.ingest.file(csv(ANN, BO), "staff")
    assert (report.rows, report.erased) == (2, 0)


def test_digests_say_nothing_without_their_key(roster, reopen):
    roster.subjects.erase("p-1", "asked for")
    again = reopen(roster)
    key = Path(again.rooms.settings.data) / "ledger" / "keys" / "erased.key"
    assert key.stat().st_mode & 0o777 == 0o600
    hidden = key.rename(key.with_name("elsewhere"))
    with pytest.raises(IntegrityError, match="put it back"):
        again.ingest.file(csv(BO, CY), "staff")
    hidden.rename(key).chmod(0o644)
    with pytest.raises(PermissionDenied, match="chmod 600"):
        again.ingest.file(csv(BO, CY), "staff")
    key.chmod(0o600)
    assert again.ingest.file(csv(ANN, CY), "staff").erased == 1


def test_before_anybody_is_erased_no_file_is_read_for_it(roster, tmp_path):
    assert roster.rooms.ingest._barred.rows("staff", tmp_path / "absent.parquet") == []
