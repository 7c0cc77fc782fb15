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
from lakehouse.errors import NotFound
from lakehouse.learn.outputs import partitions
from learn.made import PROMPT, session, tree, written

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
