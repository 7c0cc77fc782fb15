from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import msgspec
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import InvalidInput, NotFound
from lakehouse.evals.fake_provider import FakeProvider
from learn.made import session, written

TASK = "Need 3 Forklift Operators in Cleveland OH"


@pytest.fixture
def changed_lake(lake, people):
    """A lake whose best match for the task left since."""
    best = lake.matrix.search(TASK, ["workers"]).results[0].id
    before = lake.catalog.dataset("people").snapshot_id
    text = io.StringIO()
    writer = csv.DictWriter(text, list(people[0]))
    writer.writeheader()
    writer.writerows(row for row in people if f"w-{row['id']}" != best)
    lake.ingest.file(text.getvalue().encode(), "people", "text/csv")
    (corpus,) = lake.corpora.list().corpora
    shape = ("name", "dataset", "id_column", "id_prefix", "text_columns", "metadata_columns")
    lake.corpora.build(**{name: getattr(corpus, name) for name in shape})
    return lake, best, before


def rows_of(lake):
    path = Path(lake.rooms.settings.data) / "logs/replay_runs.jsonl"
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_old_and_new_answer_stand_side_by_side(changed_lake):
    lake, best, before = changed_lake
    run = lake.learn.replay(TASK, ["workers"], {"people": before})
    was, now = ([hit.id for hit in side.results] for side in (run.was, run.now))
    assert was[0] == best
    assert best not in now
    assert (run.same_first, run.overlap < 1) == (False, True)
    assert (run.was.snapshots, run.now.snapshots["workers"] != before) == ({"workers": before}, True)
    (row,) = rows_of(lake)
    assert row == msgspec.to_builtins(run)
    assert row["schema"] == "replay_run.v1"
    assert lake.sql.query("SELECT replay_id, overlap FROM replay_runs").rows == [[run.replay_id, run.overlap]]


def test_past_answer_is_what_was_answered_then(changed_lake, make_lake, people):
    lake, _, before = changed_lake
    then = make_lake(people).matrix.search(TASK, ["workers"], k=5).results
    run = lake.learn.replay(TASK, ["workers"], {"workers": before}, k=5)
    assert [(hit.id, hit.rating) for hit in run.was.results] == [(hit.id, hit.rating) for hit in then]
    assert [hit.distance for hit in run.was.results] == pytest.approx([hit.distance for hit in then], abs=1e-5)


def test_same_snapshot_gives_the_same_answer_twice(lake):
    run = lake.learn.replay(TASK)
    assert (run.overlap, run.same_first) == (1, True)
    assert run.was == run.now


def test_session_is_done_again_at_its_snapshot(changed_lake):
    lake, best, before = changed_lake
    row = session(1, prompt=TASK, roster="workers", snapshot_id=str(before))
    written(Path(lake.rooms.settings.data) / "logs/sessions.jsonl", [row])
    run = lake.learn.replay(session_id="s1")
    assert run.task == TASK
    assert run.was.results[0].id == best


def test_who_was_shown_stands_in_the_ledger(changed_lake):
    lake, best, _ = changed_lake
    lake.learn.replay(TASK)
    assert "replay" in {row.action for row in lake.subjects.audit(best).rows}


def test_model_proposes_and_the_validator_decides(built, people, tmp_path):
    folder = shutil.copytree(built(people), tmp_path / "lake")
    fill = {"demand": {"role": "Forklift Operator", "count": 1}, "workers": [{"id": "w-1"}]}
    with FakeProvider(lambda request: msgspec.json.encode(fill).decode()) as provider:
        config = settings.load(environ={}, overrides={"data": str(folder), "chat": {"ollama_url": provider.url}})
        with lakehouse.connect(config=config) as lake:
            run = lake.learn.replay("Need 1 Forklift Operator in Cleveland OH", model="small")
            asked = "".join(turn["content"] for turn in provider.requests[0][2]["messages"])
            assert (run.was.verdict, run.now.verdict) == ("accepted", "accepted")
            assert run.now.answer == fill
            assert run.completion_tokens > 0
            # No name and no telephone number goes to a model.
            assert "Person Number" not in asked
            assert "555-01" not in asked
            fill["workers"] = [{"id": "w-9999"}]
            run = lake.learn.replay("Need 1 Forklift Operator in Cleveland OH", model="small")
            assert (run.now.verdict, "w-9999" in " ".join(run.now.reasons)) == ("rejected", True)
            run = lake.learn.replay("Need 1 Forklift Operator in Cleveland OH", model="kimi/none")
            assert run.now.verdict == "infra_error"


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({}, InvalidInput, "task"),
        ({"task": TASK, "corpora": ["nobody"]}, NotFound, "nobody"),
        ({"task": TASK, "snapshots": {"people": 7}}, NotFound, "7"),
        ({"task": TASK, "snapshots": {"elsewhere": 7}}, NotFound, "'elsewhere', which is neither .* people, workers"),
        ({"session_id": "none"}, NotFound, "none"),
    ],
)
def test_replay_refuses_what_cannot_be_done(lake, given, error, says):
    with pytest.raises(error, match=says):
        lake.learn.replay(**given)
