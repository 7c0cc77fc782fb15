"""Every way to a memory is known to the gate, and no way leads around it."""

import re
from pathlib import Path

import msgspec
import pytest

import lakehouse
from lakehouse import caller, operations
from lakehouse.caller import Caller
from lakehouse.errors import LakehouseError, NotFound, PermissionDenied
from lakehouse.ledger import gate
from lakehouse.memory.base import Namespace
from lakehouse.validate.base import BookingList

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift"
WHY = "asked for by Jo Smith"
OWN = frozenset({"ben"})
LEDGER = Path(__file__).parents[2] / "docs" / "ledger.md"


def as_(*roles, namespaces=None, id="x"):
    return caller.calling(Caller(kind="key", id=id, roles=frozenset(roles), namespaces=namespaces))


def of_ben():
    return as_("coordinator", namespaces=OWN, id="ben")


# Fields of texts that name neither a memory nor an index.
NO_MEMORY = frozenset(
    "after answer_id any at body by certs city client contacts content content_type count created_at dataset"
    " do_not_return evaluation_texts evidence_on exclude_ids facts fill_id id id_column id_prefix identity"
    " in_reply_to key kind legal_hold mapping match message message_id metadata_columns mode model name names on out"
    " outcome owner person prefix prompt purposes q query query_role query_text reader reason replaces retain_until"
    " role run_id sender session_id shift since skills snapshot_id sql start state status steps subject summary tag"
    " tags task text text_columns texts trace_id uid updated_at why worker_id worker_ids".split()
)
# A service where a namespace is what a key is for; and one that checks its memories by itself.
NO_MEMORY_OF = {"keys"}
CHECKED_BY_THE_ROOM = {"demands"}
PATTERN = Namespace.__metadata__[0].pattern


def texts(kind, path=()):
    """Yield the paths of all texts in a type, with the pattern they must have."""
    if isinstance(kind, msgspec.inspect.StrType):
        yield path, kind.pattern
    elif isinstance(kind, msgspec.inspect.StructType):
        for field in kind.fields:
            yield from texts(field.type, (*path, field.name))
    elif isinstance(kind, msgspec.inspect.ListType):
        yield from texts(kind.item_type, (*path, None))
    elif isinstance(kind, msgspec.inspect.UnionType):
        for each in kind.types:
            yield from texts(each, path)


def with_text(path, text):
    """Return arguments that have a text at a path and nothing else."""
    value = text
    for step in reversed(path):
        value = [value] if step is None else {step: value}
    return value


def is_known(operation, path):
    """Tell whether the gate refuses another's memory in a text of an operation's arguments."""
    stands = gate.Gate(owner=lambda _: "anna", used_by=lambda namespace: [namespace])
    for text in ("anna", "playbook_anna"):
        with as_(*caller.ROLES, namespaces=OWN):
            try:
                stands(operation, {"use_playbook": True, **with_text(path, text)}, lambda: BookingList([]))
            except (PermissionDenied, NotFound):
                return True
    return False


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
def test_argument_that_names_a_memory_is_known_to_the_gate(operation):
    for path, pattern in texts(msgspec.inspect.type_info(operations.request_type(operation))):
        name = next(step for step in reversed(path) if step is not None)
        is_namespace = pattern == PATTERN or name in {"namespace", "namespaces", "playbook"}
        if is_namespace and operation.service in NO_MEMORY_OF | CHECKED_BY_THE_ROOM:
            continue
        free = name in NO_MEMORY and not is_namespace
        assert is_known(operation, path) or free, f"is {path} of {operation.name} a memory? tell the gate, or this test"


@pytest.mark.parametrize("name", ["playbooks.get", "playbooks.delete"])
def test_id_of_an_entry_is_known_to_the_gate(name):
    assert is_known(operations.BY_NAME[name], ("id",))


@pytest.fixture
def annas(lake):
    """Return the lake with one entry in the memory `anna`, and its id."""
    made = lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0, namespace="anna", by="anna", why=WHY)
    return lake, made.playbook_id


def test_memories_of_others_are_named_in_no_list_of_indexes_and_in_no_hint(annas):
    lake, _ = annas
    lake.playbooks.record(FORKLIFT, "w-1", "workers", 1.0, namespace="ben")
    assert {"playbook_anna", "playbook_ben"} < {each.name for each in lake.vectors.list().indexes}
    with of_ben():
        assert [each.name for each in lake.vectors.list().indexes] == ["playbook_ben", "workers"]
        for name in ("playbook", "playbook-anna", "nothing like it"):
            with pytest.raises(NotFound, match="there is playbook_ben") as caught:
                lake.vectors.stats(name)
            assert "playbook_anna" not in caught.value.message
    with pytest.raises(NotFound, match="playbook_anna"):
        lake.vectors.stats("playbook-anna")


def test_memory_of_another_cannot_be_taken_or_emptied_by_merging(annas):
    lake, id = annas
    with of_ben():
        for src, dest in (("anna", "ben"), ("ben", "anna")):
            with pytest.raises(PermissionDenied, match="anna"):
                lake.playbooks.merge(src, dest, clear_source=True)
    assert [entry.id for entry in lake.playbooks.list("anna").entries] == [id]
    assert lake.playbooks.list("ben").entries == []


def test_entry_of_another_memory_is_to_a_bound_key_as_one_that_does_not_exist(annas):
    lake, id = annas
    unknown = "pb-" + "0" * len(id.removeprefix("pb-"))
    for ask in (lake.playbooks.get, lake.playbooks.delete):
        said = []
        with of_ben():
            for each in (id, unknown):
                with pytest.raises(NotFound) as refused:
                    ask(each)
                said.append((refused.value.message.replace(each, "ID"), set(refused.value.detail)))
        assert said[0] == said[1]
    assert lake.playbooks.get(id).entry.why == WHY


def test_bound_key_reads_and_deletes_its_own_entries_and_reads_those_shared_with_it(annas):
    lake, id = annas
    lake.playbooks.handover("anna", "ben", "share")
    with of_ben():
        mine = lake.playbooks.record(FORKLIFT, "w-2", "workers", 1.0, namespace="ben").playbook_id
        assert {entry.id for entry in lake.playbooks.list("ben").entries} == {mine, id}
        assert lake.playbooks.get(id).entry.namespace == "anna"
        with pytest.raises(NotFound):
            lake.playbooks.delete(id)
        lake.playbooks.delete(mine)
        assert [entry.id for entry in lake.playbooks.list("ben").entries] == [id]


def test_index_of_another_memory_is_that_memory(annas):
    lake, id = annas
    lake.playbooks.record(FORKLIFT, "w-2", "workers", 1.0, namespace="ben")
    opened = lake.demands.open(FORKLIFT, namespace="ben").created[0]
    index = "playbook_anna"
    entry = {"query_text": FORKLIFT, "answer_id": id, "corpus": index, "score": 1.0}
    with of_ben():
        assert lake.vectors.search("playbook_ben", text=FORKLIFT).results
        for foreign in (
            lambda: lake.vectors.search(index, text=FORKLIFT),
            lambda: lake.vectors.get(index, id),
            lambda: lake.vectors.stats(index),
            lambda: lake.matrix.search(FORKLIFT, ["workers", index]),
            lambda: lake.matrix.search(FORKLIFT, [index], use_playbook=True, playbook="ben"),
            lambda: lake.demands.candidates(opened, corpora=[index], use_playbook=False),
            lambda: lake.demands.relax(opened, corpora=[index]),
            lambda: lake.demands.place(opened, [{"corpus": index, "id": id}], "proposed"),
            lambda: lake.corpora.people([{"corpus": index, "id": id}]),
            lambda: lake.playbooks.record(**entry, namespace="ben"),
            lambda: lake.playbooks.bulk([{**entry, "namespace": "ben"}]),
            lambda: lake.validate.check("playbook", entry),
            lambda: lake.validate.check("fill", {"workers": [{"id": id}]}, {"roster": index}),
        ):
            with pytest.raises(PermissionDenied, match="'anna'"):
                foreign()


def test_bound_key_searches_without_memory_whatever_memory_is_named_by_default(annas):
    lake, _ = annas
    with of_ben():
        assert lake.matrix.search(FORKLIFT, ["workers"]).results
        assert lake.vectors.get("workers", "w-1").id == "w-1"


def test_bound_key_spends_its_own_budget_or_that_of_everybody_and_no_other(lake):
    said = {"model": "none/none", "messages": [{"role": "user", "content": "hello"}]}
    asked = {"prompt": "write one", "model": "none/none", "artifact": "sms"}
    with of_ben():
        for foreign in ("anna", "anything-new"):
            for ask, values in ((lake.chat.complete, said), (lake.iterate.run, asked)):
                with pytest.raises(PermissionDenied, match=f"'{foreign}'"):
                    ask(**values, namespace=foreign)
        for own in ({}, {"namespace": "default"}, {"namespace": "ben"}):
            for ask, values in ((lake.chat.complete, said), (lake.iterate.run, asked)):
                with pytest.raises(LakehouseError) as failed:
                    ask(**values, **own)
                assert not isinstance(failed.value, PermissionDenied), failed.value


def test_auditor_changes_nothing():
    changing = [each.name for each in operations.OPERATIONS if each.changes and caller.AUDITOR in gate.allowed(each)]
    assert changing == []


def test_auditor_sees_a_hold_and_cannot_lift_it_nor_bring_back_who_was_erased(lake):
    lake.subjects.put("w-1", legal_hold="case 17")
    with as_("auditor"):
        assert lake.subjects.get("w-1").legal_hold == "case 17"
        for said in ({"legal_hold": ""}, {"consent": "given", "legal_hold": "case 17"}):
            with pytest.raises(PermissionDenied, match="operator"):
                lake.subjects.put("w-1", **said)
    with as_("operator"):
        assert lake.subjects.put("w-1", legal_hold="").legal_hold == ""


def test_who_may_use_one_memory_takes_back_what_it_shared_and_nothing_of_another(lake):
    lake.playbooks.handover("ben", "anna", "share")
    lake.playbooks.handover("anna", "ben", "share")
    with of_ben():
        assert lake.playbooks.shares("ben").used_by == ["anna"]
        lake.playbooks.withdraw("ben", "anna")
        with pytest.raises(PermissionDenied, match="anna"):
            lake.playbooks.withdraw("anna", "ben")
        with pytest.raises(PermissionDenied, match="anna"):
            lake.playbooks.shares("anna")
    assert lake.playbooks.shares("anna").used_by == ["ben"]


def test_words_of_memory_are_in_no_search_of_an_auditor(annas):
    lake, id = annas
    # One that acts, and one that a gate stops.
    lake.playbooks.record(FORKLIFT, "w-36", "workers", 1.0, namespace="anna", why=WHY)
    for role in ("auditor", "coordinator"):
        with as_(role):
            found = lake.matrix.search(FORKLIFT, ["workers"], k=3, use_playbook=True, playbook="anna")
            item = lake.vectors.get("playbook_anna", id)
        assert "w-1" in {match.id for match in found.results if match.memory}
        assert [each.answer_id for each in found.dropped] == ["w-36"]
        for answer in (found, item):
            assert (WHY in msgspec.json.encode(answer).decode()) == (role == "coordinator")
        assert item.metadata["entry"]["answer_id"] == "w-1"


def test_names_and_contact_data_are_left_out_on_every_level():
    kept = {"role": "Welder", "kin": {"city": "Akron", "lines": [{"shift": "day"}]}}
    known = {**kept, "name": "Jo", "kin": {**kept["kin"], "phone": "1", "lines": [{"shift": "day", "email": "a@b"}]}}
    hit = lakehouse.vectors.base.Hit("w-1", 0.0, known)
    assert gate.without_contact([hit])[0].metadata == kept


@pytest.mark.parametrize("role", [caller.COORDINATOR, caller.AUDITOR])
def test_documented_roles_are_those_of_the_gate(role):
    row = re.search(rf"^\| {role} \|.*\| (.*) \|$", LEDGER.read_text(encoding="utf-8"), re.MULTILINE)[1]
    may, _, may_not = (re.findall(r"`([\w.]+)`", part) for part in row.partition("not "))

    def named(names):
        return {each.name for each in operations.OPERATIONS if {each.name, each.service} & set(names)}

    allowed = {each.name for each in operations.OPERATIONS if role in gate.allowed(each)}
    assert named(may) - named(may_not) == allowed
