"""Three stacks of one Postgres, each a process with a folder of its own: what one was told, the others know at once."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

import lakehouse
from conftest import CORPUS, as_csv, roster
from lakehouse import settings
from lakehouse.demands import _rows as demands
from lakehouse.errors import (
    Conflict,
    IntegrityError,
    InvalidInput,
    NotFound,
    Unauthenticated,
    ValidationFailed,
    WrongState,
)
from lakehouse.state.database import Database, Migration
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


def spare(prefix: str) -> dict[str, Any]:
    return {**CORPUS, "id_prefix": prefix}


def among(replica: Replica, corpus: str) -> list[str]:
    return [match.id for match in replica.lake.matrix.search(ASKS[0], [corpus], k=5).results]


def test_corpus_deleted_on_one_replica_is_gone_from_the_others_and_their_folders(replicas: list[Replica]) -> None:
    one, two, three = replicas
    one.lake.corpora.build(name="spare", **spare("s-"))
    found = [among(replica, "spare") for replica in replicas]
    assert found[0] == found[1] == found[2]
    assert found[0]
    # The index alone would be gone from one of them, and the others would answer on.
    with pytest.raises(WrongState, match="`lakehouse corpus delete spare`"):
        two.lake.vectors.delete("spare")
    assert among(two, "spare") == found[0]
    three.end(signal.SIGKILL)
    one.lake.corpora.delete("spare")
    with pytest.raises(NotFound, match="corpus 'spare' does not exist"):
        among(two, "spare")
    with pytest.raises(NotFound, match="corpus 'spare' does not exist"):
        two.lake.corpora.delete("spare")
    three.begin()
    three.wait()
    for replica in replicas:
        with pytest.raises(NotFound):
            among(replica, "spare")
        assert "spare" not in {each.name for each in replica.lake.corpora.list().corpora}
        assert not [path for path in replica.folder.rglob("*") if "spare" in path.name]
    two.lake.corpora.build(name="spare", **spare("s-"))
    assert [among(replica, "spare") for replica in replicas] == found
    three.lake.corpora.delete("spare")


def test_corpus_that_cannot_be_built_on_a_replica_is_refused_there_and_holds_up_nothing(
    replicas: list[Replica],
) -> None:
    one, two, three = replicas
    two.lake.vectors.create("clash", 8)
    two.lake.vectors.add("clash", [{"id": "own", "vector": [1.0] * 8}])
    one.lake.corpora.build(name="clash", **spare("c-"))
    for _ in range(2):
        assert asked(two, ASKS[0], "nobody") == asked(one, ASKS[0], "nobody")
        with pytest.raises(WrongState, match=r"holds vectors of 8 numbers.*`lakehouse vectors delete clash`"):
            among(two, "clash")
        assert two.lake.vectors.ids("clash").ids == ["own"]
        two.end()
        two.begin()
        two.wait()
    # What is done elsewhere takes nothing from an index that is not the corpus'.
    one.lake.corpora.delete("clash")
    assert two.lake.vectors.ids("clash").ids == ["own"]
    one.lake.corpora.build(name="clash", **spare("c-"))
    two.lake.vectors.delete("clash")
    with pytest.raises(WrongState, match="`lakehouse corpus build clash`"):
        among(two, "clash")
    two.lake.corpora.build(name="clash", **spare("c-"))
    assert among(one, "clash") == among(two, "clash") == among(three, "clash")
    three.lake.corpora.delete("clash")


def test_replica_with_a_damaged_index_comes_up_and_says_what_to_do(replicas: list[Replica]) -> None:
    one, two, _ = replicas
    one.lake.corpora.build(name="hurt", **spare("h-"))
    found = [among(replica, "hurt") for replica in replicas]
    two.end()
    (two.folder / "vectors" / "hurt" / "index.json").write_bytes(b"{")
    two.begin()
    two.wait()
    with pytest.raises(IntegrityError, match=r"vectors/hurt cannot be read.* delete it and build it anew"):
        among(two, "hurt")
    with pytest.raises(IntegrityError, match="`lakehouse vectors delete hurt`"):
        two.lake.corpora.build(name="hurt", **spare("h-"))
    two.lake.vectors.delete("hurt")
    two.lake.corpora.build(name="hurt", **spare("h-"))
    assert [among(replica, "hurt") for replica in replicas] == found
    two.lake.corpora.delete("hurt")


def test_corpus_whose_dataset_went_before_a_replica_built_it_is_refused_there(replicas: list[Replica]) -> None:
    one, two, three = replicas
    one.lake.ingest.file(as_csv(roster(per_group=1)), "short", "text/csv", key="id")
    one.lake.corpora.build(name="brief", **{**spare("b-"), "dataset": "short"})
    before = among(two, "brief")
    two.end(signal.SIGKILL)
    three.end(signal.SIGKILL)
    row = {**roster()[0], "id": 700, "role": "Forklift Operator", "city": "Cleveland"}
    one.lake.ingest.file(as_csv([row]), "short", "text/csv", key="id")
    one.lake.corpora.build(name="brief", **{**spare("b-"), "dataset": "short"})
    one.lake.catalog.drop("short")
    assert among(one, "brief") != before
    # Neither from what it was, as `two` has it, nor as if there were none, which is so on `three`.
    for replica in (two, three):
        replica.begin()
        replica.wait()
        with pytest.raises(WrongState, match=r"its dataset 'short' is gone.*`lakehouse corpus delete brief`"):
            among(replica, "brief")
    # Whoever is of another corpus is booked all the same.
    assert two.lake.validate.accept(fill("w-2", 9)).fill_id
    two.lake.corpora.delete("brief")
    assert "brief" not in {stats.name for each in replicas for stats in each.lake.vectors.list().indexes}


def test_corpus_deleted_while_a_replica_builds_it_is_as_after_one_of_both(replicas: list[Replica]) -> None:
    one, two, three = replicas
    for _ in range(3):
        one.lake.corpora.build(name="race", **spare("r-"))
        with futures.ThreadPoolExecutor(2) as both:
            building = both.submit(two.lake.corpora.build, name="race", **spare("r-"))
            deleting = both.submit(three.lake.corpora.delete, "race")
            building.result()
            deleting.result()
        listed = {"race" in {each.name for each in replica.lake.corpora.list().corpora} for replica in replicas}
        assert len(listed) == 1
        for replica in replicas:
            if listed == {True}:
                assert len(among(replica, "race")) == 5
            else:
                with pytest.raises(NotFound):
                    among(replica, "race")
        if listed == {True}:
            one.lake.corpora.delete("race")


def test_folder_or_settings_that_cannot_be_a_replica_are_refused(
    tmp_path: Path,
    sections: dict[str, Any],
    built: Callable[..., Path],
    replicas: list[Replica],
    postgres: Callable[[], str],
) -> None:
    assert replicas
    other = settings.load(environ={}, overrides={**sections, "data": str(built(roster()))})
    with pytest.raises(Conflict, match="start this replica with an empty folder"):
        lakehouse.connect(config=other)
    others = {"catalog": {**sections["catalog"], "uri": postgres()}, "ledger": {"keys": str(tmp_path / "keys")}}
    for section, name in (("catalog", "catalog.uri"), ("ledger", "ledger.keys")):
        config = settings.load(
            environ={}, overrides={**sections, "data": str(tmp_path / "lake"), section: others[section]}
        )
        with pytest.raises(InvalidInput, match=f"{name} names .* on replica .* Set it to the same on all"):
            lakehouse.connect(config=config)
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


def test_replica_of_an_older_edition_answers_nothing_once_a_newer_one_has_changed_the_tables(
    replicas: list[Replica], sections: dict[str, Any]
) -> None:
    two = replicas[1]
    newest = len(demands.MIGRATIONS) + 1
    newer = Database.open(sections["state"]["url"])
    try:
        newer.prepare(demands.ROOM, demands.TABLES, [*demands.MIGRATIONS, Migration(newest + 1, lambda _: None)])
        body = {"text": "Need 2 forklift operators in Cleveland OH"}
        for answer in (two.http.get("/v1/demands"), two.http.post("/v1/demands", json=body)):
            assert answer.status_code == 503
            assert "a newer lakehouse has changed tables of demands" in answer.json()["error"]["message"]
        assert two.http.get("/health").status_code == 200
        two.end()
        two.begin()
        assert two.process.wait() == 2
    finally:
        with newer.write() as connection:
            connection.execute(text("UPDATE schema_version SET version = version - 1 WHERE room = 'demands'"))
        newer.close()
    two.begin()
    two.wait()
    assert two.lake.demands.list() == replicas[0].lake.demands.list()


def test_database_that_was_put_back_is_followed_back_and_on(
    replicas: list[Replica], sections: dict[str, Any], postgres: Callable[[], str]
) -> None:
    one, two, _ = replicas
    question = "Need 2 line cooks in Parma OH"
    people = ids(asked(one, question, "frank"))
    one.lake.playbooks.record(question, people[1], "workers", 1.0, namespace="frank")
    kept = [asked(replica, question, "frank") for replica in replicas]
    url = make_url(sections["state"]["url"])
    administrator = create_engine(postgres(), isolation_level="AUTOCOMMIT")
    live, saved = url.database, f"{url.database}_saved"
    with administrator.connect() as connection:
        hang_up = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(hang_up, {"name": live})
        connection.exec_driver_sql(f"CREATE DATABASE {saved} TEMPLATE {live}")
        for turn in range(3):
            two.lake.playbooks.record(question, people[2 + turn], "workers", 1.0, namespace="frank")
        lost = asked(one, question, "frank")
        assert lost != kept[0]
        connection.exec_driver_sql(f"DROP DATABASE {live} WITH (FORCE)")
        connection.exec_driver_sql(f"ALTER DATABASE {saved} RENAME TO {live}")
    administrator.dispose()
    assert [asked(replica, question, "frank") for replica in replicas] == kept
    # As many as were lost, so that each number that was seen comes again.
    for turn in range(3):
        two.lake.playbooks.record(question, people[5 + turn], "workers", 1.0, namespace="frank")
        answers = [asked(replica, question, "frank") for replica in replicas]
        assert answers[0] == answers[1] == answers[2]
        told = {result["id"] for result in answers[0]["results"] if result.get("memory")}
        assert people[5 + turn] in told
        assert not told & {people[2 + turn] for turn in range(3)}


def test_replica_whose_row_was_removed_answers_nothing_rather_than_miss_an_erasure(
    replicas: list[Replica], sections: dict[str, Any], tmp_path: Path
) -> None:
    gone = Replica(tmp_path / "gone", sections)
    gone.wait()
    id = (gone.folder / "replica.id").read_text()
    state = Database.open(sections["state"]["url"])
    with state.write() as connection:
        connection.execute(text("DELETE FROM replicas WHERE id = :id"), {"id": id})
    state.close()
    answer = gone.http.get("/v1/demands")
    assert answer.status_code == 409
    assert f"replica {id} is none of those in the database of state.url" in answer.json()["error"]["message"]
    assert replicas[0].http.get("/v1/demands").status_code == 200
    gone.end()
