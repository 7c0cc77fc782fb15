from __future__ import annotations

import random

import msgspec
import pytest

from lakehouse.errors import NotFound
from lakehouse.evals import drift_alarms
from lakehouse.learn import _plots
from lakehouse.learn.drift import MOST_VALUES, _Sample, report
from lakehouse.learn.outputs import Outputs
from lakehouse.learn.score import score
from learn.made import record


def lake(folder, shift: float):
    drawn = random.Random(3)
    evidence = Outputs(folder / "evidence", "v")
    for nth in range(800):
        day = "2026/11/01" if nth < 400 else "2026/11/02"
        latency = drawn.gauss(100 + (shift if nth >= 400 else 0), 20)
        row = record(nth, time=f"{day.replace('/', '-')}T00:00:00Z", latency_ms=latency)
        evidence.add(f"{day}/sessions.iterates.jsonl", msgspec.json.encode(row))
    evidence.commit()
    score(folder / "evidence", folder / "scored")
    return folder / "evidence", folder / "scored"


def test_numbers_that_moved_are_named(tmp_path):
    found = report(*lake(tmp_path, 20.0))
    assert (found.since, found.before, found.after, found.verdict) == ("2026-11-02", 400, 400, "major")
    assert found.distributions["iterate.fill latency_ms"].verdict == "major"
    assert found.distributions["iterate.fill attempts"].verdict == "stable"
    assert (found.scorer.total, found.scorer.changed) == (800, 0)


def test_numbers_that_stayed_are_stable(tmp_path):
    assert report(*lake(tmp_path, 0.0)).verdict == "stable"


def test_one_side_alone_is_too_little_to_call_it_stable(tmp_path):
    folders = lake(tmp_path, 0.0)
    for since, sides in (("2026-11-01", (0, 800)), ("2026-11-03", (800, 0))):
        found = report(*folders, since=since)
        assert (found.before, found.after, found.verdict) == (*sides, "insufficient_data")
        assert found.scorer.verdict == "stable"


def test_verdicts_of_older_rules_are_told(tmp_path):
    evidence, scored = lake(tmp_path, 0.0)
    file = scored / "2026/11/01/sessions.iterates.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"outcome":"accepted"', b'"outcome":"rejected"', 200))
    found = report(evidence, scored)
    assert found.scorer.moves == {"rejected -> accepted": 200}
    assert found.verdict == "major"


def test_no_evidence_is_said_so(tmp_path):
    with pytest.raises(NotFound, match="materialize"):
        report(tmp_path / "evidence", tmp_path / "scored")


def test_sample_keeps_its_size_and_is_the_same_again():
    one, two = _Sample(), _Sample()
    for value in range(MOST_VALUES + 1_000):
        one.add(value)
        two.add(value)
    assert len(one.values) == MOST_VALUES
    assert one.values == two.values


def test_plots_are_the_same_bytes_again(tmp_path):
    found = report(*lake(tmp_path / "lake", 20.0))
    one, two = _plots.draw(found.distributions, tmp_path / "a"), _plots.draw(found.distributions, tmp_path / "b")
    assert [path.name for path in one] == ["iterate.fill-attempts.svg", "iterate.fill-completion_tokens.svg",
                                           "iterate.fill-latency_ms.svg"]  # fmt: skip
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_verdict_raises_few_false_alarms_and_finds_shifts():
    found = drift_alarms.measure(trials=60, seed=5, sizes=(100, 500))
    assert all(row.verdict_alarms <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5 for row in found.same)
    assert max(row.tier_alarms for row in found.same if row.n == 100) > 0.5
    assert found.found_at_500 >= 0.95
