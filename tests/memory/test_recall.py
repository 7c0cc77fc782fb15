"""What is kept of memory changes no answer: searches give the bytes that looking everything up anew gives."""

import random

import msgspec
import pytest

import lakehouse
from lakehouse.matrix import search
from lakehouse.memory._index import index_name
from lakehouse.memory.base import NewPlaybook
from lakehouse.vectors import _kept_near

ROLES = ("Forklift Operator", "Lift Truck Driver", "CNC Operator", "Line Cook", "Cook", "good with pallets")
CITIES = ("Cleveland OH", "Detroit MI", "Chicago IL")
CLIENTS = ("", " for Beacon Freight", " for Acme Foods")
ENDS = ("", ", night shift", ", must have OSHA-30", ", starting 2026-03-02")
OUTCOMES = ("worked", "accepted", "completed", "rejected", "no_show")
NAMESPACES = ("alice", "bob")


def demand(draw: random.Random) -> str:
    parts = (draw.choice(ROLES), draw.choice(CITIES), draw.choice(CLIENTS), draw.choice(ENDS))
    return f"Need {draw.randint(1, 3)} {parts[0]} in {parts[1]}{parts[2]}{parts[3]}"


def entry(draw: random.Random, people: list[str], namespace: str) -> dict:
    return {
        "query_text": demand(draw),
        "answer_id": draw.choice(people),
        "corpus": "workers",
        "score": draw.choice((0.2, 1.0)),
        "namespace": namespace,
        "outcome": draw.choice(OUTCOMES),
    }


def write(draw: random.Random, lake: lakehouse.Lakehouse, people: list[str]) -> None:
    """Change the memory of somebody."""
    namespace = draw.choice(NAMESPACES)
    there = lake.playbooks.list(namespace).entries
    kind = draw.randrange(8)
    if kind == 0 and there:
        lake.playbooks.delete(draw.choice(there).id)
    elif kind == 1:
        lake.playbooks.handover("alice", "bob", draw.choice(("share", "copy")))
    elif kind == 2 and there:
        known = draw.choice(there)
        lake.playbooks.record(known.query_text, known.answer_id, "workers", 0.9, known.role, namespace, "rejected")
    elif kind == 3:
        entries = [entry(draw, people, namespace) for _ in range(30)]
        lake.playbooks.bulk(msgspec.convert(entries, list[NewPlaybook]))
    elif kind == 4:
        lake.rooms.vectors.purge(index_name(namespace), [])
    else:
        lake.playbooks.record(**entry(draw, people, namespace))


def bytes_of(lake: lakehouse.Lakehouse, text: str, namespace: str) -> bytes:
    answer = lake.rooms.matrix.search(text, ["workers"], k=5, use_playbook=True, playbook=namespace)
    return msgspec.json.encode(msgspec.structs.replace(answer, trace_id=""), order="deterministic")


def plainly(lake: lakehouse.Lakehouse, text: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Search with nothing kept: each look-up scores what holds its words."""
    matrix = lake.rooms.matrix
    with monkeypatch.context() as patch:
        patch.setattr(matrix, "_known", {})
        patch.setattr("lakehouse.vectors._shelves.Shelves.nearest", lambda *_: None)
        return bytes_of(lake, text, namespace)


@pytest.mark.parametrize("seed", range(2))
def test_random_memory_answers_as_if_nothing_was_kept(lake, reopen, monkeypatch, seed):
    draw = random.Random(seed)
    people = lake.vectors.ids("workers").ids
    for namespace in NAMESPACES:
        entries = [entry(draw, people, namespace) for _ in range(120)]
        lake.playbooks.bulk(msgspec.convert(entries, list[NewPlaybook]))
    asked = [(demand(draw), draw.choice(NAMESPACES)) for _ in range(8)]
    for _ in range(10):
        write(draw, lake, people)
        for text, namespace in asked:
            assert bytes_of(lake, text, namespace) == plainly(lake, text, namespace, monkeypatch)
    before = [bytes_of(lake, *each) for each in asked]
    again = reopen(lake)
    assert [bytes_of(again, *each) for each in asked] == before
    for namespace in NAMESPACES:
        again.vectors.delete(index_name(namespace))
    rebuilt = reopen(again)
    assert [bytes_of(rebuilt, *each) for each in asked] == before


@pytest.mark.parametrize("seed", range(2))
def test_crowded_memory_answers_as_if_nothing_was_kept(lake, monkeypatch, seed):
    for name, most in (("RECALLED", 8), ("_FIRST", 2), ("_OF_PEOPLE", 12)):
        monkeypatch.setattr(f"lakehouse.memory._index.{name}", most)
    draw = random.Random(seed)
    text = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight"
    people = [hit.id for hit in lake.rooms.matrix.search(text, ["workers"], k=30).results]
    texts = [text, text.replace("2", "3"), text.replace(" for Beacon Freight", ""), "Lift Truck Driver in Cleveland OH"]
    for each in texts:
        entries = [entry(draw, people, "alice") | {"query_text": each, "answer_id": person} for person in people[:12]]
        lake.playbooks.bulk(msgspec.convert(entries, list[NewPlaybook]))
    followed = 0
    for _ in range(15):
        # Some of the very entries again, some of others, some in words that mean the same and lie elsewhere.
        for _ in range(draw.choice((1, 1, 2, 6))):
            about = draw.choice(texts) if draw.random() < 0.8 else draw.choice(texts).upper()
            lake.playbooks.record(**entry(draw, people, "alice") | {"query_text": about})
        if draw.random() < 0.1:
            lake.playbooks.delete(draw.choice(lake.playbooks.list("alice").entries).id)
        for each in texts[:2]:
            assert bytes_of(lake, each, "alice") == plainly(lake, each, "alice", monkeypatch)
        for recollection, _ in lake.rooms.matrix._known.values():
            followed += recollection.change is not None
            # As many demands as are kept find their look-ups kept as well, each of which is several.
            steps = sum(len(found._steps) for found in recollection.found.values())
            assert 4 <= steps <= _kept_near._MOST_KEPT / search._RECALLED_KEPT
    assert followed > 3


def test_write_about_a_demand_changes_what_it_is_about_alone(lake):
    text = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight"
    for person in ("w-1", "w-2", "w-3"):
        lake.playbooks.record(text, person, "workers", 1.0)

    def known():
        lake.rooms.matrix.search(text, ["workers"], use_playbook=True)
        (entry,) = lake.rooms.matrix._known.values()
        return entry

    before, said = known()
    lake.playbooks.record(text, "w-2", "workers", 1.0, outcome="no_show")
    after, says = known()
    assert [recall.playbook.answer_id for recall in after.change.gone] == ["w-2"]
    assert [recall.playbook.bad > 0 for recall in after.change.came] == [True]
    assert len(after.recalls) == len(before.recalls) == 3
    kept = [answer for answer in says.said if says.said[answer] is said.said.get(answer)]
    assert sorted(kept) == [("workers", "w-1"), ("workers", "w-3")]


def test_write_elsewhere_leaves_what_is_known_of_a_demand(lake):
    text = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight"
    lake.playbooks.record(text, "w-1", "workers", 1.0)
    known = lake.rooms.matrix._known

    def recalled():
        lake.rooms.matrix.search(text, ["workers"], use_playbook=True)
        (entry,) = known.values()
        return entry[1]

    first = recalled()
    people = {id: lake.vectors.get("workers", id).metadata["city"] for id in lake.vectors.ids("workers").ids}
    elsewhere = next(id for id, city in people.items() if city == "Detroit")
    lake.playbooks.record("Need a Line Cook in Detroit MI", elsewhere, "workers", 1.0)
    assert recalled() is first
    lake.playbooks.record("Need 2 Forklift Operators in Cleveland OH", "w-2", "workers", 1.0)
    assert recalled() is not first


def test_first_entry_of_an_unknown_role_is_found_by_its_person(lake, monkeypatch):
    text = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight"
    first = lake.rooms.matrix.search(text, ["workers"], k=5).results[0].id
    lake.playbooks.record(text, first, "workers", 1.0, namespace="alice")
    before = bytes_of(lake, text, "alice")
    assert before == plainly(lake, text, "alice", monkeypatch)
    lake.playbooks.record("good with pallets", first, "workers", 1.0, namespace="alice", outcome="no_show")
    after = bytes_of(lake, text, "alice")
    assert after == plainly(lake, text, "alice", monkeypatch)
    # The words are looked up again when anything of an unknown role is there.
    (known,) = [found for each in lake.rooms.matrix._known.values() for found in each[0].found.values()]
    assert ("key", f"#{first}") in {word for step in known._steps for word in step.words}
