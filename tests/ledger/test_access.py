"""Keys, roles, memories, rates."""

from datetime import UTC, datetime

import pytest

from lakehouse import caller, operations
from lakehouse.caller import Caller
from lakehouse.errors import AlreadyExists, LimitExceeded, NotFound, PermissionDenied, Unauthenticated
from lakehouse.ledger import gate
from lakehouse.ledger.access import Access
from lakehouse.state.database import Database

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift"


class Time:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def ticking():
    return Time()


@pytest.fixture
def access(tmp_path, ticking):
    database = Database.open(tmp_path / "state.db")
    yield Access(database, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), monotonic=ticking)
    database.close()


def test_key_is_known_again_and_kept_as_a_hash_only(access, tmp_path):
    made = access.add("anna", ["coordinator"], ["anna"])
    who = access.check(made.key)
    assert (who.kind, who.id, who.roles, who.namespaces) == ("key", "anna", {"coordinator"}, {"anna"})
    assert access.quick(made.key) == who
    # A secret may hold "_" itself.
    secret = made.key.split("_", 2)[2].encode()
    assert not any(secret in path.read_bytes() for path in tmp_path.iterdir())
    assert [key.name for key in access.list().keys] == ["anna"]


@pytest.mark.parametrize("wrong", ["", "lh", "lh_x_y", "Bearer", "lh__"])
def test_unknown_key_is_refused(access, wrong):
    access.add("anna", ["coordinator"])
    assert access.quick(wrong) is None
    with pytest.raises(Unauthenticated):
        access.check(wrong)


def test_guessing_at_a_key_is_slowed_down(access):
    made = access.add("anna", ["coordinator"])
    wrong = made.key[:-1] + ("A" if made.key[-1] != "A" else "B")
    for _ in range(4):
        with pytest.raises(Unauthenticated):
            access.check(wrong)
    with pytest.raises(LimitExceeded):
        access.check(wrong)


def test_revoked_key_is_worthless_at_once(access):
    made = access.add("anna", ["coordinator"])
    access.check(made.key)
    with pytest.raises(AlreadyExists):
        access.add("anna", ["operator"])
    access.revoke("anna")
    assert access.quick(made.key) is None
    with pytest.raises(Unauthenticated):
        access.check(made.key)
    assert not access.any
    with pytest.raises(NotFound):
        access.revoke("anna")


def test_rate_of_a_key_fills_with_time(access, ticking):
    made = access.add("anna", ["coordinator"], rate_per_s=2)
    access.check(made.key)
    for _ in range(3):
        assert access.quick(made.key)
    with pytest.raises(LimitExceeded, match="2 calls a second"):
        access.quick(made.key)
    ticking.now += 0.6
    assert access.quick(made.key)


def as_(*roles, namespaces=None, id="x"):
    return caller.calling(Caller(kind="key", id=id, roles=frozenset(roles), namespaces=namespaces))


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_is_open_to_operators(operation):
    assert "operator" in gate.allowed(operation)


def test_scopes_name_what_there_is():
    known = {operation.name for operation in operations.OPERATIONS} | {
        operation.service for operation in operations.OPERATIONS
    }
    planned = {"validate", "iterate", "chat", "pathways", "observer"}
    assert set(gate.SCOPES) - known <= planned


def test_roles_decide_what_is_done(lake):
    with as_("coordinator"):
        assert lake.matrix.search(FORKLIFT, ["workers"]).results
        for refused in (
            lambda: lake.sql.query("SELECT 1"),
            lambda: lake.subjects.audit("w-1"),
            lake.keys.list,
            lambda: lake.catalog.drop("people"),
        ):
            with pytest.raises(PermissionDenied):
                refused()
    with as_("auditor"):
        assert lake.subjects.get("w-1").id == "w-1"
        with pytest.raises(PermissionDenied, match="operator"):
            lake.subjects.erase("w-1")
        with pytest.raises(PermissionDenied):
            lake.ingest.file(b"a\n1\n", "x")
    with as_("operator"):
        assert lake.sql.query("SELECT 1").rows == [[1]]


def test_contact_data_is_for_those_who_may_see_it(lake):
    with as_("coordinator"):
        shown = lake.matrix.search(FORKLIFT, ["workers"]).results[0]
        assert {"name", "phone"} <= shown.metadata.keys()
    with as_("auditor"):
        hidden = lake.matrix.search(FORKLIFT, ["workers"]).results[0]
        assert hidden.id == shown.id
        assert not {"name", "phone"} & hidden.metadata.keys()
        assert "role" in hidden.metadata
        assert "name" not in lake.vectors.get("workers", "w-1").metadata
    rows = lake.subjects.audit(shown.id).rows
    assert "phone" in rows[0].fields
    assert "phone" not in rows[1].fields


def test_memory_is_for_those_it_belongs_to(lake):
    with as_("coordinator", namespaces=frozenset({"anna"})):
        lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0, namespace="anna")
        assert lake.matrix.search(FORKLIFT, ["workers"], use_playbook=True, playbook="anna").results
        for foreign in (
            lambda: lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0, namespace="ben"),
            lambda: lake.playbooks.list("ben"),
            lambda: lake.playbooks.handover("ben", "anna", "copy"),
            lambda: lake.matrix.search(FORKLIFT, ["workers"], use_playbook=True, playbook="ben"),
        ):
            with pytest.raises(PermissionDenied, match="ben"):
                foreign()


def test_ledger_names_the_caller_and_the_purpose(lake):
    who = Caller(kind="key", id="anna", roles=frozenset({"coordinator"}), purpose="fill order 17")
    with caller.calling(who):
        lake.vectors.get("workers", "w-1")
    row = lake.subjects.audit("w-1").rows[-1]
    assert (row.accessor["kind"], row.accessor["id"], row.purpose) == ("key", "anna", "fill order 17")


def test_words_of_a_memory_are_for_those_who_may_see_names(lake):
    lake.playbooks.record(f"{FORKLIFT}, like Anna Smith", "w-1", "workers", 1.0)
    with as_("auditor"):
        (entry,) = lake.playbooks.list().entries
        assert (entry.query_text, entry.why, entry.answer_id) == ("", "", "w-1")
    with as_("coordinator"):
        assert "Anna Smith" in lake.playbooks.list().entries[0].query_text


def test_who_was_checked_before_is_admitted_by_name_at_the_keys_rate(access):
    access.add("anna", ["auditor"], rate_per_s=1)
    assert access.again("anna").roles == {"auditor"}
    access.again("anna")
    with pytest.raises(LimitExceeded):
        access.again("anna")
    access.revoke("anna")
    assert access.again("anna") is None
