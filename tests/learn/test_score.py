from __future__ import annotations

import msgspec
import pytest

from lakehouse.learn import reading
from lakehouse.learn import score as scoring_run
from lakehouse.learn.base import SCORED_COLUMNS, ScoredRow
from lakehouse.learn.materialize import materialize
from lakehouse.learn.score import score, scored_row
from lakehouse.observe import scoring
from learn.made import op, record, session, tree, written


@pytest.fixture
def evidence(logs, tmp_path):
    materialize(tmp_path / "evidence", logs, lake=tmp_path)
    return tmp_path / "evidence"


def test_every_record_gets_one_of_four_verdicts(evidence, tmp_path):
    done = score(evidence, tmp_path / "scored-runs")
    assert done.outcomes == {"accepted": 8, "needs_human": 49, "rejected": 1}
    assert sum(done.by_rule.values()) + done.refused == done.scored == 59
    rows = reading.verdicts(tmp_path / "scored-runs").values()
    assert {row.rules_version for row in rows} == {scoring.VERSION}
    assert all(row.reasons and row.rule for row in rows)
    assert list(SCORED_COLUMNS) == list(ScoredRow.__struct_fields__)


def test_partitions_are_by_day(evidence, tmp_path):
    score(evidence, tmp_path / "scored-runs")
    assert (tmp_path / "scored-runs/2026/11/25/sessions.iterates.jsonl").is_file()


def test_scoring_again_changes_nothing_and_goes_on_where_it_was(evidence, tmp_path, logs):
    score(evidence, tmp_path / "scored-runs")
    before = tree(tmp_path / "scored-runs")
    assert score(evidence, tmp_path / "scored-runs").scored == 0
    assert tree(tmp_path / "scored-runs") == before
    written(logs["sessions"], [session(9)])
    materialize(evidence, logs, lake=tmp_path)
    assert score(evidence, tmp_path / "scored-runs").scored == 2
    score(evidence, tmp_path / "whole")
    assert tree(tmp_path / "scored-runs") == tree(tmp_path / "whole")


def test_other_rules_judge_everything_anew(evidence, tmp_path, monkeypatch):
    score(evidence, tmp_path / "scored-runs")
    monkeypatch.setattr(scoring_run.scoring, "VERSION", "rules.next")
    done = score(evidence, tmp_path / "scored-runs")
    assert (done.rescored, done.scored) == (True, 59)


def test_evidence_made_anew_is_judged_anew(evidence, tmp_path, logs):
    score(evidence, tmp_path / "scored-runs")
    logs["ops"].write_bytes(op(1) + b"\n")
    materialize(evidence, logs, lake=tmp_path)
    assert score(evidence, tmp_path / "scored-runs").rescored


@pytest.mark.parametrize(
    ("more", "outcome", "rule"),
    [
        ({}, "accepted", "ended_well"),
        ({"attempts": 3}, "partially_accepted", "several_tries"),
        ({"rating": 3}, "partially_accepted", "rated_middling"),
        ({"grounded_in_roster": False}, "rejected", "phantom"),
        ({"status": "max_iter_exhausted"}, "rejected", "ended_badly"),
        ({"rating": 1}, "rejected", "rated_poor"),
        ({"status": "infra_error"}, "needs_human", "unsaid"),
        ({"kind": "ops", "status": "ok"}, "needs_human", "unsaid"),
    ],
)
def test_rule_that_decides_is_named(more, outcome, rule):
    row = scored_row(record(**more))
    assert (row.outcome, row.rule) == (outcome, rule)


def test_record_that_says_nothing_is_refused():
    said = {"status": "", "output": "", "attempts": None, "grounded_in_roster": None, "rating": None}
    assert scored_row(record(**said)) is None


def test_rules_end_in_one_that_always_applies():
    names = [rule.name for rule in scoring.RULES]
    assert len(set(names)) == len(names)
    assert scoring.RULES[-1].applies(scoring.Record())
    assert {rule.outcome for rule in scoring.RULES} == set(msgspec.inspect.type_info(scoring.Outcome).values)
