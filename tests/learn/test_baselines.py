from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.learn.audit import baselines
from lakehouse.learn.audit.base import AuditReport, Phase

OLD = (
    b'{"ts":"2026-04-27T00:00:00Z", "sha":"ca7375ea","metrics":{"p2_evidence_rows":12,"x":{"deep":[1,2.50]}},"n":null}'
    b"\n"
    b'{"metrics":{"p3_accepted":0,"p4_rows":7},"unknown \\u00e9":"\xc3\xa9"}\n'
)


def report(**metrics: float) -> AuditReport:
    phase = Phase(number=2, name="catalog", verdict="ok", metrics=metrics, findings=[], mend="", elapsed_ms=1.0)
    return AuditReport(time="2026-11-27T00:00:00Z", verdict="ok", phases=[phase], changes=[], baselines=0, elapsed_ms=1)


def test_old_rows_survive_byte_for_byte(tmp_path):
    path = tmp_path / "audit_baselines.jsonl"
    path.write_bytes(OLD)
    assert baselines.read(path)[0]["metrics"]["x"] == {"deep": [1, 2.5]}
    baselines.append(path, report(p2_rows=1.0), "1.0")
    assert path.read_bytes().startswith(OLD)
    assert len(baselines.read(path)) == 3


def test_last_row_without_its_end_is_kept(tmp_path):
    path = tmp_path / "audit_baselines.jsonl"
    path.write_bytes(OLD[:-1])
    baselines.append(path, report(), "1.0")
    assert path.read_bytes().startswith(OLD)
    assert len(baselines.read(path)) == 3


VALUES = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=4)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=4))
def test_rows_with_any_keys_survive(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("b") / "audit_baselines.jsonl"
    old = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    path.write_bytes(old)
    assert baselines.read(path) == rows
    baselines.append(path, report(p2_rows=1.0), "1.0")
    baselines.append(path, report(p2_rows=2.0), "1.0")
    assert path.read_bytes()[: len(old)] == old
    assert baselines.read(path)[: len(rows)] == rows


@pytest.mark.parametrize(
    ("before", "now", "change", "verdict"),
    [
        (12, 82, 583.333333, "warn"),
        (0, 3, None, "warn"),
        (0, 0, None, "ok"),
        (100, 120, 20.0, "ok"),
        (100, 121, 21.0, "warn"),
        (100, 79, -21.0, "warn"),
        (-10, -10, 0.0, "ok"),
        (None, 3, None, "new"),
        (3, None, None, "gone"),
    ],
)
def test_change_against_a_baseline(before, now, change, verdict):
    row = {"metrics": {} if before is None else {"m": before}}
    (first, last) = baselines.changes([row, row], {} if now is None else {"m": now})
    assert (first.against, last.against) == ("first", "last")
    assert (last.change, last.verdict) == (change, verdict)


def test_metrics_of_an_unknown_form_are_no_numbers():
    rows = [{"metrics": "none"}, {"metrics": {"m": True, "n": "3", "p2_rows": 4}}, {}]
    assert {each.verdict for each in baselines.changes(rows, {"p2_rows": 4.0})} == {"new"}
    assert baselines.changes([], {"m": 1}) == []
