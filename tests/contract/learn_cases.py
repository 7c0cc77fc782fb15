"""Learning: what a client can do with it. What the logs of a lake hold by then differs from face to face."""

from __future__ import annotations

from contract import cases
from contract.cases import Case
from lakehouse.errors import InvalidInput, NotFound

CASES = [
    Case(
        "materialize",
        [("observer.event", {"source": "scenario", "kind": "contract.learn"}), ("learn.materialize", {})],
        lambda done: done.by_kind["ops"] > 0 and done.rejected == 0,
        varies=True,
    ),
    Case(
        "materialize-as-table",
        [("learn.materialize", {}), ("sql.query", {"sql": "SELECT count(*) > 0 FROM evidence WHERE kind = 'ops'"})],
        lambda result: result.rows == [[True]],
    ),
    Case("materialize-unknown-field", [("learn.materialize", {"since": "x"})], raises=InvalidInput, says="since"),
    Case(
        "score",
        [("learn.materialize", {}), ("learn.score", {})],
        lambda done: done.rules_version == "rules.v1" and done.outcomes["needs_human"] > 0,
        varies=True,
    ),
    Case(
        "export-sft",
        [("learn.export_sft", {"evaluation_texts": [cases.FORKLIFT]})],
        lambda card: len(card.never) == 7 and card.considered == card.rows + sum(card.dropped.values()),
        varies=True,
    ),
    Case("export-sft-share", [("learn.export_sft", {"validation_share": 0.9})], raises=InvalidInput,
         says="validation_share"),
    Case(
        "replay",
        [("learn.replay", {"task": cases.FORKLIFT, "corpora": ["workers"], "k": 3})],
        lambda run: run.schema == "replay_run.v1" and len(run.now.results) == 3,
        varies=True,
    ),
    Case("replay-nothing", [("learn.replay", {})], raises=InvalidInput, says="task"),
    Case("replay-absent-session", [("learn.replay", {"session_id": "none"})], raises=NotFound, says="none"),
    Case("replay-absent-snapshot", [("learn.replay", {"task": "x", "snapshots": {"elsewhere": 1}})], raises=NotFound,
         says="'elsewhere', which is neither"),
    Case("replay-absent-corpus", [("learn.replay", {"task": "x", "corpora": ["nobody"]})], raises=NotFound,
         says="nobody"),
    Case(
        "drift",
        [("learn.materialize", {}), ("learn.score", {}), ("learn.drift", {"since": "2000-01-01"})],
        lambda report: (report.since, report.before, report.distributions) == ("2000-01-01", 0, {}),
        varies=True,
    ),
    Case("drift-day", [("learn.drift", {"since": "yesterday"})], raises=InvalidInput, says="since"),
    Case(
        "audit-full",
        [("learn.audit_full", {"phases": [2, 12], "append_baseline": True})],
        lambda report: [phase.number for phase in report.phases] == [2, 12] and report.baselines == 1,
        varies=True,
    ),
    Case("audit-full-phase", [("learn.audit_full", {"phases": [13]})], raises=InvalidInput, says="phases"),
]  # fmt: skip
