"""`materialize`, `score`, `export-sft`, `replay`, `drift`, `audit-full`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from learn.made import session, written

TASK = "Need 2 Forklift Operators in Cleveland OH"


@pytest.fixture
def worked(folder: Path) -> Path:
    """A closed lake in which a model made two fills."""
    written(folder / "logs" / "sessions.jsonl", [session(1), session(2, status="max_iter_exhausted", artifact=None)])
    return folder


def test_logs_to_training_data(run, worked):
    code, out, _ = run("materialize", "--lake", worked)
    assert code == 0
    assert "iterates" in out
    code, out, _ = run("materialize", "--lake", worked, "--json")
    assert json.loads(out)["records"] == 0
    code, out, _ = run("score", "--lake", worked)
    assert code == 0
    assert "judged by rules.v1" in out
    code, out, _ = run("export-sft", "--lake", worked, "--json")
    card = json.loads(out)
    assert (code, card["rows"], card["dropped"]["rejected"]) == (0, 1, 1)
    assert (worked / card["folder"] / "README.md").is_file()


def test_export_leaves_out_a_named_evaluation_set(run, worked, tmp_path):
    taken = tmp_path / "eval.txt"
    taken.write_text("Need 1 Forklift Operator in Cleveland OH. To choose from: w-1, reach truck\n")
    code, out, _ = run("export-sft", "--lake", worked, "--evaluation-set", taken)
    assert code == 0
    assert out.startswith("0 rows of")
    assert "evaluation_set" in out


def test_replay_shows_both_sides(run, worked):
    code, out, _ = run("replay", TASK, "--lake", worked, "-k", "3")
    assert code == 0
    assert "overlap 1.000, the first is the same" in out
    code, out, _ = run("replay", TASK, "--lake", worked, "--json")
    assert json.loads(out)["schema"] == "replay_run.v1"
    assert run("replay", TASK, "--lake", worked, "--snapshot", "people")[0] == 2
    assert run("replay", "--lake", worked)[0] == 2


def test_drift_prints_measures_and_draws_them(run, worked, tmp_path):
    assert run("drift", "--lake", worked)[0] == 3
    run("materialize", "--lake", worked)
    code, out, _ = run("drift", "--lake", worked, "--plots", tmp_path / "plots")
    assert code == 0
    assert "records before" in out


def test_audit_full_in_every_form_and_its_exit_code(run, worked):
    code, out, _ = run("audit-full", "--lake", worked, "--append-baseline")
    assert code == 0
    assert "embedding parity" in out
    for option, begins in (("--markdown", "# Audit of"), ("--html", "<!doctype html>"), ("--json", "{")):
        code, out, _ = run("audit-full", "--lake", worked, option, "--phase", "2")
        assert (code, out.startswith(begins)) == (0, True)
    written(worked / "logs" / "sessions.jsonl", [session(3, grounded_in_roster=False)])
    code, out, _ = run("audit-full", "--lake", worked, "--phase", "11")
    assert code == 1
    assert "not grounded in the roster" in out
    written(worked / "logs" / "ops.jsonl", [b"garbage"])
    assert run("audit-full", "--lake", worked, "--phase", "6")[0] == 0
    assert run("audit-full", "--lake", worked, "--phase", "6", "--strict")[0] == 1
