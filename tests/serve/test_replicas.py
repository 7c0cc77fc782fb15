"""Three stacks of one Postgres, each a process with a folder of its own: what one was told, the others know at once."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from conftest import CORPUS, as_csv, roster
from lakehouse import settings
from lakehouse.errors import Conflict, InvalidInput, Unauthenticated, ValidationFailed
from stacks import Replica

ASKS = [
    "Need 1 forklift operator in Cleveland OH",
    "2 line cooks in Detroit, MI",
    "CNC operators for Parma OH, day shift",
    "Need 3 forklift operators in Detroit MI for the night shift",
]
NAMESPACES = ["alice", "bob"]


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory, postgres: Callable[[], str]) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("shared")
    return {
        "state": {"url": postgres()},
        "catalog": {"uri": postgres(), "warehouse": str(place / "warehouse")},
        "ledger": {"keys": str(place / "keys")},
    }


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, sections: dict[str, Any]) -> Iterator[list[Replica]]:
    folder = tmp_path_factory.mktemp("replicas")
    started = [Replica(folder / name, sections) for name in ("one", "two", "three")]
    for replica in started:
        replica.wait()
    first = started[0].lake
    first.ingest.file(as_csv(roster(per_group=6)), "people", "text/csv")
    first.corpora.build(name="workers", **CORPUS)
    for replica in started:
        asked(replica, ASKS[0], "nobody")
    yield started
    for replica in started:
        replica.end()


def asked(replica: Replica, text: str, namespace: str) -> dict[str, Any]:
    """Ask over HTTP, and return the answer without its trace."""
    body = {"query_text": text, "corpora": ["workers"], "k": 8, "use_playbook": True, "playbook": namespace}
    answer = replica.http.post("/v1/matrix/search", json=body)
    while answer.status_code == 503:
        # What another one built takes its time here; it is said, and nothing older is given instead.
        assert answer.json()["error"]["retryable"]
        answer = replica.http.post("/v1/matrix/search", json=body)
    found = answer.raise_for_status().json()
    del found["trace_id"]
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [result["id"] for result in found["results"]]


def fill(person: str, day: int) -> dict[str, Any]:
    demand = {
        "client": "Crown Equipment",
        "city": "Cleveland",
        "state": "OH",
        "role": "Forklift Operator",
        "count": 1,
        "start": f"2027-02-{day:02d}",
    }
    return {"demand": demand, "workers": [{"id": person}]}


@pytest.mark.parametrize("seed", [3, 20])
def test_what_one_replica_writes_is_in_the_next_answer_of_every_other(replicas: list[Replica], seed: int) -> None:
    lots = random.Random(seed)
    recorded: list[str] = []
    extra = 0
    for _ in range(14):
        writer, text, namespace = lots.choice(replicas).lake, lots.choice(ASKS), lots.choice(NAMESPACES)
        before = [asked(replica, text, namespace) for replica in replicas]
        assert before[0] == before[1] == before[2]
        step = lots.choice(["record", "record", "reject", "delete", "share", "move", "people", "pathway"])
        if step in {"record", "reject"}:
            person = lots.choice(ids(before[0]))
            outcome = "worked" if step == "record" else "rejected"
            made = writer.playbooks.record(text, person, "workers", 1.0, namespace=namespace, outcome=outcome)
            recorded.append(made.playbook_id)
        elif step == "delete" and recorded:
            known = lots.choice(replicas).lake.playbooks.list(namespace).entries
            if known:
                writer.playbooks.delete(known[0].id)
        elif step in {"share", "move"}:
            writer.playbooks.handover(*lots.sample(NAMESPACES, 2), mode=step)
        elif step == "people":
            extra += 1
            row = {**roster()[0], "id": 1_000 * seed + extra, "name": f"Extra Person{seed}{extra}"}
            writer.ingest.file(as_csv([row]), "people", "text/csv", key="id")
            writer.corpora.build(name="workers", **CORPUS)
            for replica in replicas:
                asked(replica, text, namespace)
            assert {each.lake.vectors.stats("workers").items for each in replicas} == {
                writer.vectors.stats("workers").items
            }
        elif step == "pathway":
            added = writer.pathways.add(f"Fill a shift {seed} {lots.random()}", ["ask who is free"])
            for replica in replicas:
                assert added.uid in {each.uid for each in replica.lake.pathways.search("Fill a shift", k=100).results}
        after = [asked(replica, text, namespace) for replica in lots.sample(replicas, 3)]
        assert after[0] == after[1] == after[2], step
        # The answers kept by then are as good as those that were worked out.
        assert [asked(replica, text, namespace) for replica in replicas] == after, step


def test_outcome_counts_on_every_replica_however_many_record_it(replicas: list[Replica]) -> None:
    text = "Need 4 forklift operators in Parma OH"
    person = ids(asked(replicas[0], text, "carol"))[2]
    for turn in range(4):
        replicas[turn % 3].lake.playbooks.record(text, person, "workers", 1.0, namespace="carol")
        assert [ids(asked(replica, text, "carol"))[0] for replica in replicas] == [person] * 3
    listed = [replica.lake.playbooks.list("carol").entries for replica in replicas]
    assert listed[0] == listed[1] == listed[2]
    assert listed[0][0].good == 4


def test_booking_on_one_replica_refuses_the_same_person_on_the_others(replicas: list[Replica]) -> None:
    one, two, three = (replica.lake for replica in replicas)
    made = one.validate.accept(fill("w-1", 3))
    for other in (two, three):
        with pytest.raises(ValidationFailed):
            other.validate.accept(fill("w-1", 3))
    two.validate.release(made.fill_id)
    assert three.validate.accept(fill("w-1", 3)).fill_id
    opened = one.demands.open("Need 2 forklift operators in Cleveland OH starting 2027-02-05").created[0]
    assert two.demands.get(opened) == three.demands.get(opened)


def test_erased_person_is_gone_from_every_replica_and_its_folder(replicas: list[Replica]) -> None:
    one, two, three = replicas
    text = "Need 5 line cooks in Cleveland OH"
    person = ids(asked(one, text, "erin"))[0]
    name = one.lake.vectors.get("workers", person).metadata["name"]
    two.lake.playbooks.record(text, person, "workers", 1.0, namespace="erin", why=f"{name} was early every day")
    assert [ids(asked(replica, text, "erin"))[0] for replica in replicas] == [person] * 3
    receipt = one.lake.subjects.erase(person)
    assert [(left.place, left.count) for left in receipt.remains if left.place == "replicas"] == [("replicas", 2)]
    for replica in replicas:
        assert person not in ids(asked(replica, text, "erin"))
        assert replica.lake.playbooks.list("erin").entries == []
        assert not any(holds(replica.folder, name)), "the name is in a file of the folder"
        assert replica.lake.subjects.audit(person).rows[-1].action == "erase"
    # Whoever comes back with an old roster is left out by all.
    again = next(row for row in roster(per_group=6) if f"w-{row['id']}" == person)
    with pytest.raises(InvalidInput, match="somebody who was erased"):
        three.lake.ingest.file(as_csv([again]), "people", "text/csv", key="id")


def holds(folder: Path, text: str) -> Iterator[Path]:
    """Yield the files below a folder that hold a text as it is."""
    for path in folder.rglob("*"):
        if path.is_file() and text.encode() in path.read_bytes():
            yield path


def test_replica_that_was_down_knows_all_when_it_is_back(replicas: list[Replica]) -> None:
    one, two, three = replicas
    text = "Need 2 CNC operators in Detroit MI"
    people = ids(asked(one, text, "dave"))
    two.lake.playbooks.record(text, people[2], "workers", 1.0, namespace="dave")
    assert ids(asked(three, text, "dave"))[0] == people[2]
    three.end(signal.SIGKILL)
    one.lake.playbooks.delete(two.lake.playbooks.list("dave").entries[0].id)
    one.lake.playbooks.record(text, people[1], "workers", 1.0, namespace="dave")
    one.lake.subjects.erase(people[2])
    three.begin()
    three.wait()
    assert asked(three, text, "dave") == asked(one, text, "dave")
    assert ids(asked(three, text, "dave"))[0] == people[1]
    assert people[2] not in ids(asked(three, text, "dave"))


def test_folder_or_settings_that_cannot_be_a_replica_are_refused(
    tmp_path: Path, sections: dict[str, Any], built: Callable[..., Path], replicas: list[Replica]
) -> None:
    assert replicas
    other = settings.load(environ={}, overrides={**sections, "data": str(built(roster()))})
    with pytest.raises(Conflict, match="start this replica with an empty folder"):
        lakehouse.connect(config=other)
    for section, name in (("catalog", "catalog.uri"), ("ledger", "ledger.keys")):
        without = {**sections, "data": str(tmp_path / "lake"), section: {}}
        with pytest.raises(InvalidInput, match=name):
            lakehouse.connect(config=settings.load(environ={}, overrides=without))


def test_key_made_or_revoked_on_one_replica_holds_on_the_others(replicas: list[Replica]) -> None:
    one, two, _ = replicas
    made = one.lake.keys.add("operator", ["operator"])
    with pytest.raises(Unauthenticated):
        two.lake.playbooks.list("alice")
    with lakehouse.connect(two.url, token=made.key) as known:
        assert known.keys.list().keys[0].name == "operator"
        known.keys.revoke(made.id)
    for replica in replicas:
        assert replica.lake.keys.list().keys == []
