"""Who was erased does not come back with an old roster."""

from types import SimpleNamespace

import pytest

from lakehouse import settings
from lakehouse.errors import IntegrityError, InvalidInput, PermissionDenied
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest
from lakehouse.ledger.base import Appearance
from lakehouse.ledger.erased import Erased
from lakehouse.ledger.erasure import Gone
from lakehouse.ledger.manifests import DataKeys, Manifests
from lakehouse.ledger.people import Found
from lakehouse.state.database import Database

HEAD = "id,name,phone,email,role\n"
ANN = "1,Ann Lowell,216-555-0101,ann@example.net,cook"
BO = "2,Bo Marsh,216-555-0102,bo@example.net,welder"
CY = "3,Cy Novak,216-555-0103,cy@example.net,welder"


def csv(*people):
    return (HEAD + "\n".join(people) + "\n").encode()


def gone(line, id="p-1", dataset="staff"):
    row = dict(zip(HEAD.strip().split(","), line.split(","), strict=True))
    place = Appearance(dataset=dataset, column="id", value=row["id"], rows=1)
    return Gone(subject=id, found=[Found(place, [row])], pieces=[row["name"], row["phone"], row["email"]])


@pytest.fixture
def lake(tmp_path):
    state = Database.open(tmp_path / "state.db")
    Manifests(state, DataKeys(tmp_path / "keys"))
    catalog = Catalog(settings.Catalog(), tmp_path)
    erased = Erased(state, tmp_path / "keys")
    yield SimpleNamespace(
        state=state,
        catalog=catalog,
        erased=erased,
        ingest=Ingest(settings.Ingest(), catalog, barred=erased),
        key=tmp_path / "keys" / "erased.key",
    )
    catalog.close()
    state.close()


@pytest.fixture
def without_ann(lake):
    assert lake.erased.bar(gone(ANN)) == 3
    return lake


def ids(lake, dataset="staff"):
    return lake.catalog.scan(dataset, columns=["id"]).read_all().column("id").to_pylist()


def test_old_roster_brings_nobody_back(without_ann):
    for _ in range(2):
        report = without_ann.ingest.file(csv(ANN, BO, CY), "staff", "text/csv")
        assert (report.rows, report.erased, report.rejected, report.unchanged) == (2, 1, [], False)
    assert ids(without_ann) == [2, 3]


@pytest.mark.parametrize(
    "row",
    [
        "77,A. Lowell,440-555-0000,ANN@example.net,cook",
        '77,"Lowell, Ann",(216) 555.0101,other@example.net,cook',
        "1,Somebody Else,440-555-0000,,cook",
    ],
)
def test_known_by_address_or_by_name_with_number_or_by_id(without_ann, row):
    without_ann.ingest.file(csv(BO), "staff", key="id")
    assert without_ann.ingest.file(csv(row, CY), "staff", key="id").erased == 1
    assert sorted(ids(without_ann)) == [2, 3]


def test_name_in_two_columns_is_the_same_name(without_ann):
    data = b"id,first_name,last_name,phone\n8,Ann,Lowell,2165550101\n9,Bo,Marsh,2165550102\n"
    assert without_ann.ingest.file(data, "others").erased == 1
    assert ids(without_ann, "others") == [9]


def test_another_dataset_knows_no_ids_but_who_it_was(without_ann):
    assert without_ann.ingest.file(csv(ANN, BO), "staff_2027").erased == 1
    assert without_ann.ingest.file(b"id,city\n1,Cleveland\n", "places").erased == 0


def test_number_or_name_alone_bars_nobody(without_ann):
    others = ["8,Ann Lowell,440-555-0000,al@example.net,cook", "9,Di Olsen,216-555-0101,di@example.net,cook"]
    assert without_ann.ingest.file(csv(*others, BO), "staff").erased == 0


def test_what_others_have_too_bars_nobody(lake):
    person = gone(ANN)
    lake.erased.bar(Gone(subject="p-1", found=person.found, pieces=["216-555-0101"], common=["ann@example.net"]))
    other = "8,Nan Lowell,440-555-0000,ann@example.net,cook"
    assert lake.ingest.file(csv(other, BO), "staff").erased == 0


def test_file_of_erased_people_alone_is_refused(without_ann):
    without_ann.ingest.file(csv(BO), "staff", key="id")
    with pytest.raises(InvalidInput, match="erased"):
        without_ann.ingest.file(csv(ANN), "staff", key="id")
    assert ids(without_ann) == [2]


def test_lines_put_aside_do_not_hold_them_either(without_ann):
    report = without_ann.ingest.file(csv(BO, CY, ANN + ',"one, cell too many'), "staff", quarantine=True)
    assert len(report.rejected) == 1
    assert without_ann.catalog.scan("staff_quarantine", columns=["raw"]).read_all().to_pylist() == [{"raw": ""}]


def test_faulty_keys_and_erased_people_leave_together(without_ann):
    report = without_ann.ingest.file(csv(BO, BO, ANN, CY), "staff", key="id", quarantine=True)
    assert (report.rows, report.erased, len(report.rejected)) == (2, 1, 1)
    assert sorted(ids(without_ann)) == [2, 3]


def test_who_is_back_is_let_in(without_ann):
    without_ann.ingest.file(csv(ANN, BO), "staff")
    without_ann.erased.lift("p-1")
    report = without_ann.ingest.file(csv(ANN, BO), "staff")
    assert (report.rows, report.erased) == (2, 0)
    assert without_ann.ingest.file(csv(ANN, BO), "staff").unchanged


def test_digests_say_nothing_without_their_key(without_ann):
    key = without_ann.key
    assert key.stat().st_mode & 0o777 == 0o600
    again = Erased(without_ann.state, key.parent)
    hidden = key.rename(key.with_name("elsewhere"))
    ingest = Ingest(settings.Ingest(), without_ann.catalog, barred=again)
    with pytest.raises(IntegrityError, match="put it back"):
        ingest.file(csv(BO, CY), "staff")
    hidden.rename(key).chmod(0o644)
    with pytest.raises(PermissionDenied, match="chmod 600"):
        ingest.file(csv(BO, CY), "staff")
    key.chmod(0o600)
    assert ingest.file(csv(ANN, CY), "staff").erased == 1


def test_before_anybody_is_erased_there_is_no_key_and_no_file_is_read(lake, tmp_path):
    assert lake.erased.rows("staff", tmp_path / "absent.parquet") == []
    assert not lake.erased.names("ann@example.net")
    assert not lake.key.exists()
