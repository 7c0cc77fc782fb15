import pytest

from lakehouse.errors import NotFound, ValidationFailed
from lakehouse.evals import phantoms

DEMAND = {
    "role": "Forklift Operator",
    "count": 1,
    "client": "Beacon Freight",
    "location": {"city": "Cleveland", "state": "OH"},
    "start": "2026-03-05",
}


def fill(*ids, **demand):
    return {"demand": {**DEMAND, "count": len(ids), **demand}, "workers": [{"id": id} for id in ids]}


def codes(lake, payload, context=None, artifact="fill"):
    """Return the codes of all errors, none when the artifact passes."""
    try:
        lake.validate.check(artifact, payload, context or {})
    except ValidationFailed as error:
        return [finding["code"] for finding in error.detail["findings"]]
    return []


@pytest.mark.parametrize(
    ("payload", "context", "found"),
    [
        (fill("w-1", "w-2"), {}, []),
        (fill("w-1", "w-99"), {}, ["phantom_worker"]),
        (fill("w-1", "w-1"), {}, ["duplicate_worker"]),
        (fill("w-1", count=2), {}, ["count_short"]),
        (fill("w-1", count=2), {"allow_partial": True}, []),
        (fill(count=2), {"allow_partial": True}, ["count_short"]),
        (fill("w-1", "w-2", count=1), {}, ["count_over"]),
        (fill("w-6"), {}, ["wrong_role"]),
        (fill("w-1", role="Lift Truck Driver"), {}, []),
        (fill("w-1", certs=["osha 10"]), {}, []),
        (fill("w-3", certs=["OSHA-30"]), {}, ["certification_missing"]),
        (fill("w-11", certs=["OSHA-30"]), {}, ["certification_missing"]),
        (fill("w-4", certs=["OSHA-30"], start="2026-03-04"), {}, []),
        (fill("w-4", certs=["OSHA-30"], start="2026-03-04", end="2026-03-05"), {}, ["certification_expired"]),
        (fill("w-4", certs=["OSHA-30"], start="2026-03-04", shift="night"), {}, ["certification_expired"]),
        (fill("w-7"), {}, ["not_available"]),
        (fill("w-7", start="2026-05-01"), {}, []),
        (fill("w-8"), {}, ["not_active"]),
        (fill("w-10", shift="day"), {}, ["wrong_shift"]),
        (fill("w-5"), {}, ["too_far"]),
        (fill("w-5"), {"near_km": 200}, []),
        (fill("w-9"), {}, ["do_not_return"]),
        (fill("w-9", client="BEACON-FREIGHT."), {}, ["do_not_return"]),
        (fill("w-9", client="Somebody Else"), {}, []),
        (fill("w-1"), {"do_not_return": ["w-1"]}, ["do_not_return"]),
        (fill("w-1"), {"exclude_ids": ["w-1"]}, ["excluded"]),
        ({**fill("w-1"), "workers": [{"id": "w-1", "name": "maria  LOPEZ"}]}, {}, []),
        ({**fill("w-1"), "workers": [{"id": "w-1", "name": "Maria Gomez"}]}, {}, ["wrong_name"]),
        (fill("w-1", count=1), {"demand": {"count": 2}}, ["changed_demand"]),
        (fill("w-1"), {"demand": {"count": 1, "location": {"city": "Cleveland", "state": "OH"}}}, []),
        (fill("w-1", location=None), {"demand": {"location": {"city": "Cleveland"}}}, ["changed_demand"]),
        ({"demand": DEMAND}, {}, ["wrong_shape"]),
        ({"demand": DEMAND, "workers": [{"id": 1}]}, {}, ["wrong_shape"]),
        ({"demand": {**DEMAND, "count": 0}, "workers": []}, {}, ["wrong_shape"]),
        ({**fill("w-1"), "approved": True}, {}, ["wrong_shape"]),
        (fill("w-1", role="r" * 201), {}, ["wrong_shape"]),
    ],
)
def test_fill_payload_gives_findings(roster_lake, payload, context, found):
    assert codes(roster_lake, payload, context) == found


def test_fill_verdict_names_roster_and_snapshot(roster_lake):
    snapshot = str(roster_lake.catalog.dataset("people").snapshot_id)
    verdict = roster_lake.validate.check("fill", fill("w-1"))
    assert (verdict.ok, verdict.findings) == (True, [])
    assert (verdict.roster, verdict.snapshot_id) == ("workers", snapshot)


def test_fill_unknown_facts_are_warnings(roster_lake):
    verdict = roster_lake.validate.check("fill", fill("w-12", certs=["OSHA-30"], start="06:00"))
    assert [finding.code for finding in verdict.findings] == ["certification_undated", "period_unknown"]


def test_fill_dataset_as_roster_takes_its_own_ids(roster_lake):
    assert codes(roster_lake, fill("1"), {"roster": "people"}) == []
    assert codes(roster_lake, fill("w-1"), {"roster": "people"}) == ["phantom_worker"]


def test_fill_memory_is_no_roster(open_copy):
    lake = open_copy()
    entry = lake.playbooks.record("Need a forklift operator in Cleveland OH", "w-1", "workers", 1.0).playbook_id
    with pytest.raises(NotFound, match="playbook_default"):
        lake.validate.check("fill", fill(entry), {"roster": "playbook_default"})


def test_fill_unknown_roster_is_not_found(roster_lake):
    with pytest.raises(NotFound, match="nobody"):
        roster_lake.validate.check("fill", fill("w-1"), {"roster": "nobody"})


def test_fill_earlier_snapshot_is_looked_at_when_named(own_lake):
    before = str(own_lake.catalog.dataset("people").snapshot_id)
    own_lake.ingest.file(b"id,name,role\n2,Dwayne Carter,Forklift Operator\n", "people", "text/csv")
    assert codes(own_lake, fill("w-1")) == ["phantom_worker"]
    verdict = own_lake.validate.check("fill", fill("w-1"), {"snapshot_id": before})
    assert verdict.snapshot_id == before
    with pytest.raises(NotFound):
        own_lake.validate.check("fill", fill("w-1"), {"snapshot_id": "7"})


def test_fill_worker_who_left_the_dataset_is_a_phantom_though_the_index_has_them(own_lake):
    own_lake.ingest.file(b"id,name,role\n2,Dwayne Carter,Forklift Operator\n", "people", "text/csv")
    assert "w-1" in own_lake.vectors.ids("workers").ids
    assert codes(own_lake, fill("w-1")) == ["phantom_worker"]
    assert codes(own_lake, fill("w-2")) == []


def test_fill_worker_added_to_the_index_directly_is_real(own_lake):
    fresh = {"role": "Forklift Operator", "city": "Cleveland", "state": "OH"}
    own_lake.vectors.add("workers", [{"id": "w-500", "text": "reach truck", "metadata": fresh}])
    assert codes(own_lake, fill("w-500")) == []


def test_fill_accepted_people_are_booked_until_released(own_lake):
    accepted = own_lake.validate.accept(fill("w-1", "w-2", shift="night"))
    assert codes(own_lake, fill("w-2", "w-3", start="2026-03-06")) == ["double_booked"]
    assert codes(own_lake, fill("w-2", start="2026-03-07")) == []
    assert codes(own_lake, fill("w-2"), {"replaces": accepted.fill_id}) == []
    with pytest.raises(ValidationFailed, match="booked"):
        own_lake.validate.accept(fill("w-1"))
    moved = own_lake.validate.accept(fill("w-1"), {"replaces": accepted.fill_id})
    assert [booking.fill_id for booking in own_lake.validate.fills().bookings] == [moved.fill_id]
    own_lake.validate.release(moved.fill_id)
    assert own_lake.validate.fills("w-1").bookings == []
    with pytest.raises(NotFound):
        own_lake.validate.release(moved.fill_id)


def test_fill_bookings_survive_a_restart(own_lake, reopen):
    own_lake.validate.accept(fill("w-1"))
    assert codes(reopen(own_lake), fill("w-1")) == ["double_booked"]


def test_fill_passes_if_and_only_if_everybody_is_in_the_roster(tmp_path):
    lake, real = phantoms.build(tmp_path / "lake", workers=300, employees=100)
    with lake:
        tally = phantoms.measure(lake.rooms.validate, phantoms.fills(real, count=600, seed=5))
    assert tally.wrong == []
    assert tally.phantoms > 200
    assert tally.passed > 100
