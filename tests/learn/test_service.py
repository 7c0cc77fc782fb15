"""The room as a whole, in a lake."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.demands.base import Candidate
from lakehouse.errors import Conflict, NotFound, Upstream, ValidationFailed
from lakehouse.evals.fake_provider import FakeProvider
from lakehouse.learn import reading
from lakehouse.learn.base import EvidenceRecord
from lakehouse.learn.outputs import partitions
from learn.made import FILL, PROMPT, session, tree, written

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift"


@pytest.fixture
def opened(built, people, tmp_path):
    """Open a lake under settings; each is closed at the end."""
    lakes = []

    def open_lake(**sections: Any) -> lakehouse.Lakehouse:
        folder = tmp_path / f"lake{len(lakes)}"
        shutil.copytree(built(people), folder)
        lakes.append(lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(folder), **sections})))
        return lakes[-1]

    yield open_lake
    for lake in lakes:
        lake.close()


def folder_of(lake: lakehouse.Lakehouse) -> Path:
    return Path(lake.rooms.settings.data)


def test_work_of_a_lake_becomes_evidence_and_tables(opened):
    lake = opened(traces={"log": True, "content": True})
    lake.demand.parse(FORKLIFT)
    best = lake.matrix.search(FORKLIFT, ["workers"]).results[0].id
    lake.playbooks.record(FORKLIFT, best, "workers", 1.0, outcome="showed_up")
    lake.matrix.search(FORKLIFT, ["workers"], use_playbook=True)
    fill = {"demand": {"role": "Forklift Operator", "count": 1}, "workers": [{"id": best}]}
    lake.validate.check("fill", fill)
    lake.validate.accept(fill)
    lake.inbox.receive("email", FORKLIFT, sender="ann@example.com")
    lake.learn.replay(FORKLIFT)
    # Spans wait in a queue of their own; closing writes them.
    folder = folder_of(lake)
    lake.close()
    with lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(folder)})) as again:
        done = again.learn.materialize()
        again.learn.score()
        assert {"audits", "fills", "inbox", "ops", "parses", "playbooks", "ratings", "replays", "searches",
                "validations"} <= set(done.by_kind)  # fmt: skip
        assert done.rejected == 0
        rows = again.sql.query(
            "SELECT task, input, output->>'outcome', labels FROM evidence WHERE task = 'playbook.record'"
        ).rows
        assert rows == [["playbook.record", FORKLIFT, "showed_up", ["human"]]]
        joined = again.sql.query(
            "SELECT e.task, s.outcome FROM evidence e JOIN scored_runs s USING (evidence_id)"
            " WHERE e.kind = 'fills' ORDER BY ALL"
        ).rows
        assert joined == [["fill.outcome", "accepted"]]
        assert again.sql.query("SELECT count(*) FROM evidence WHERE input LIKE '%example.com%'").rows == [[0]]


def learnt(lake: lakehouse.Lakehouse, kind: str) -> list[EvidenceRecord]:
    """The evidence of a kind, after all that was done until now."""
    assert lake.rooms.traces.flush()
    lake.learn.materialize()
    lake.learn.score()
    return list(reading.evidence(folder_of(lake) / "learn/evidence", [kind]))


def verdict(lake: lakehouse.Lakehouse, record: EvidenceRecord) -> str:
    row = reading.verdicts(folder_of(lake) / "learn/scored-runs").get(record.evidence_id)
    return row.outcome if row else ""


def test_chats_have_words_and_namespace(opened):
    with FakeProvider() as model:
        lake = opened(traces={"log": True, "content": True}, chat={"ollama_url": model.url, "retries": 0})
        said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two welders?"}]
        lake.chat.complete("m", said, namespace="acme")
        model.manners.append("500")
        with pytest.raises(Upstream):
            lake.chat.complete("m", said[1:])
        lake.chat.complete("m", [{"role": "user", "content": "long " * 1_000}])
    answered, failed, cut = learnt(lake, "chats")
    assert (msgspec.json.decode(answered.input), answered.output) == (said, "Two welders?")
    assert (answered.model, answered.provider, answered.namespace) == ("m", "ollama", "acme")
    assert (msgspec.json.decode(failed.input), failed.output, failed.status) == (said[1:], "", "Upstream")
    assert (failed.model, failed.provider, failed.namespace) == ("m", "ollama", "default")
    # What was cut counts as not there.
    assert (cut.input, cut.output, cut.completion_tokens) == ("", "", 1_000)


def test_chats_without_content_have_counts_and_namespace(opened):
    with FakeProvider() as model:
        lake = opened(traces={"log": True}, chat={"ollama_url": model.url})
        lake.chat.complete("m", [{"role": "user", "content": "Two welders?"}], namespace="acme")
    (made,) = learnt(lake, "chats")
    assert (made.input, made.output, made.namespace, made.prompt_tokens) == ("", "", "acme", 2)


@pytest.mark.parametrize("content", [True, False])
def test_artifact_that_was_refused_is_rejected_evidence(opened, content):
    lake = opened(traces={"log": True, "content": content})
    email = {"to": "Ann", "subject": "Shift", "body": "Your key is AKIAIOSFODNN7EXAMPLE"}
    with pytest.raises(ValidationFailed):
        lake.validate.check("email", email)
    with pytest.raises(NotFound):
        lake.validate.check("fill", FILL, {"roster": "nobody"})
    refused, unchecked = learnt(lake, "validations")
    assert (refused.status, refused.labels, refused.metadata) == ("failed", ("validator",), {"artifact": "email"})
    assert verdict(lake, refused) == "rejected"
    assert refused.output == (msgspec.json.encode(email).decode() if content else "")
    assert (unchecked.status, unchecked.labels) == ("", ())


def test_work_on_open_demands_becomes_evidence(opened):
    lake = opened(traces={"log": True, "content": True})
    ask = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight starting 2031-05-05"
    id = lake.demands.open(ask, namespace="acme").created[0]
    lake.demands.place(id, [Candidate("workers", each) for each in ("w-1", "w-2", "w-5")], "proposed")
    booked = lake.demands.fill(id, ["w-1", "w-2"], by="Mia Coordinator").demand.people
    with pytest.raises(Conflict):
        lake.demands.fill(id, ["w-1"])
    lake.demands.outcome(id, "w-1", "no_show", by="Mia Coordinator", why="Person Number1 overslept")
    lake.demands.undo(id, "w-1")
    lake.demands.outcome(id, "w-2", "showed_up")
    fills = learnt(lake, "fills")
    assert [(each.task, each.subjects, each.status, each.labels, verdict(lake, each)) for each in fills] == [
        ("fill.accept", ("w-1",), "", (), ""),
        ("fill.accept", ("w-2",), "", (), ""),
        ("fill.outcome", ("w-1",), "rejected", ("outcome",), "rejected"),
        ("fill.undo", ("w-1",), "", (), ""),
        ("fill.outcome", ("w-2",), "worked", ("outcome",), "accepted"),
    ]
    assert {(each.namespace, each.metadata["demand"]) for each in fills} == {("acme", id)}
    assert [each.metadata["fill_id"] for each in fills[:2]] == [each.fill_id for each in booked[:2]]
    first, undone, last = playbooks = learnt(lake, "playbooks")
    assert (first.task, first.input, first.labels, first.subjects) == ("playbook.record", ask, ("human",), ("w-1",))
    assert (undone.task, undone.subjects, verdict(lake, undone)) == ("playbook.undo", ("w-1",), "")
    assert msgspec.json.decode(last.output) == {"answer_id": "w-2", "outcome": "showed_up"}
    assert last.metadata == {"corpus": "workers", "demand": id}
    # Who said so and why are words about people.
    assert all("Mia" not in str(each) and "Person" not in str(each) for each in [*fills, *playbooks])


def test_evidence_of_open_demands_is_the_same_bytes_again(opened):
    lake = opened(traces={"log": True, "content": True})
    id = lake.demands.open(FORKLIFT).created[0]
    lake.demands.place(id, [Candidate("workers", "w-1")], "proposed")
    lake.demands.fill(id)
    lake.demands.outcome(id, "w-1", "completed")
    assert len(learnt(lake, "fills")) == 2
    folder = folder_of(lake) / "learn/evidence"
    kept = [path for path in partitions(folder) if path.name.startswith("spans.")]
    before = [path.read_bytes() for path in kept]
    assert "fills" not in lake.learn.materialize().by_kind
    assert [path.read_bytes() for path in kept] == before
    shutil.rmtree(folder)
    lake.learn.materialize()
    assert [path.read_bytes() for path in kept] == before


def test_open_demands_without_content_give_no_evidence_of_people(opened):
    lake = opened(traces={"log": True})
    id = lake.demands.open(FORKLIFT).created[0]
    lake.demands.place(id, [Candidate("workers", "w-1")], "proposed")
    lake.demands.fill(id)
    lake.demands.outcome(id, "w-1", "completed")
    lake.demands.undo(id, "w-1")
    assert learnt(lake, "fills") == learnt(lake, "playbooks") == []


def test_erased_person_of_an_open_demand_is_never_exported(opened):
    lake = opened(traces={"log": True, "content": True})
    id = lake.demands.open(FORKLIFT).created[0]
    lake.demands.place(id, [Candidate("workers", "w-1")], "proposed")
    lake.demands.fill(id)
    lake.demands.outcome(id, "w-1", "completed")
    lake.subjects.erase("w-1")
    records = [*learnt(lake, "fills"), *learnt(lake, "playbooks")]
    wall = lake.rooms.learn.firewall()
    assert [wall.category(each, None, ()) for each in records] == ["erased_subject"] * 3


def test_materializing_twice_changes_no_byte_of_evidence(lake):
    written(folder_of(lake) / "logs/sessions.jsonl", [session(1)])
    lake.learn.materialize()
    files = partitions(folder_of(lake) / "learn/evidence")
    before = [path.read_bytes() for path in files]
    again = lake.learn.materialize()
    # The first run is an op itself, which gives no record.
    assert again.records == 0
    assert [path.read_bytes() for path in partitions(folder_of(lake) / "learn/evidence")] == before


def test_each_run_that_read_anything_leaves_a_receipt(lake):
    written(folder_of(lake) / "logs/sessions.jsonl", [session(1), b"garbage"])
    done = lake.learn.materialize()
    (line, *_) = (folder_of(lake) / "learn/receipts.jsonl").read_bytes().splitlines()
    receipt = msgspec.json.decode(line)
    assert receipt["schema"] == "evidence_receipt.v1"
    assert (receipt["records"], receipt["rejected"]) == (done.records, 1)


def test_many_callers_at_once_give_the_bytes_of_one(lake, tmp_path):
    path = folder_of(lake) / "logs/sessions.jsonl"
    with ThreadPoolExecutor(4) as pool:
        for nth in range(8):
            written(path, [session(nth * 10 + each) for each in range(10)])
            list(pool.map(lambda _: lake.learn.materialize(), range(4)))
    found = folder_of(lake) / "learn/evidence/2026/11/25/sessions.iterates.jsonl"
    before = found.read_bytes()
    shutil.rmtree(folder_of(lake) / "learn/evidence")
    lake.learn.materialize()
    assert found.read_bytes() == before
    assert before.count(b"\n") == 80


def test_held_out_demands_are_never_exported(opened):
    lake = opened(matrix={"holdout": 1.0})
    written(folder_of(lake) / "logs/sessions.jsonl", [session(1, prompt=f"For the client:\n{PROMPT}")])
    assert lake.learn.export_sft().dropped["held_out"] == 1


def test_evaluation_sets_of_the_settings_are_never_exported(opened):
    lake = opened(learn={"evaluation_sets": ["eval.jsonl"]})
    with pytest.raises(NotFound, match="evaluation_sets"):
        lake.learn.export_sft()
    row = {"name": "x", "input": {"text": PROMPT}, "expect": {"count": 1}}
    (folder_of(lake) / "eval.jsonl").write_bytes(msgspec.json.encode(row) + b"\n")
    written(folder_of(lake) / "logs/sessions.jsonl", [session(1)])
    assert lake.learn.export_sft().dropped["evaluation_set"] == 1


def test_exporting_again_writes_nothing_new(lake):
    written(folder_of(lake) / "logs/sessions.jsonl", [session(1)])
    card = lake.learn.export_sft()
    before = tree(folder_of(lake) / "learn/sft")
    assert lake.learn.export_sft() == card
    assert tree(folder_of(lake) / "learn/sft") == before
    lake.matrix.search(FORKLIFT, ["workers"])
    again = lake.learn.export_sft()
    assert (again.export_id, again.rows) == (card.export_id, 1)
    assert again.considered > card.considered
