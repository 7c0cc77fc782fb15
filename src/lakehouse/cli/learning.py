"""From logs to training data: `materialize`, `score`, `export-sft`, `replay`, `drift`, `audit-full`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.cli import reading, showing
from lakehouse.cli.progress import bars
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput

if TYPE_CHECKING:
    from lakehouse.learn.audit.base import AuditReport
    from lakehouse.learn.replay import Replayed

_COUNT = showing.Column("count", right=True)


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    materialize = commands.command(
        "materialize", _materialize, "read what is new in the logs into evidence records", more="See docs/learn.md."
    )
    score = commands.command("score", _score, "judge the evidence: accepted, partially, rejected, or for a human")
    export = commands.command(
        "export-sft",
        _export,
        "write training data from accepted evidence",
        more="Chat messages and instructions, JSONL and Parquet, with lineage and a data card.\n"
        "Never exported: held-out demands, evaluation sets, rejected and needs-human records,\n"
        "labels of a judge alone, erased people, personal data.",
    )
    export.add_argument(
        "--evaluation-set", action="append", metavar="FILE", default=[], help="texts never to learn, one a line; repeat"
    )
    export.add_argument("--validation-share", type=float, metavar="S", help="share kept for validation (default: 0.1)")
    _add_replay(commands)
    drift = commands.command(
        "drift", _drift, "compare the evidence since a day with that before; exit code 1 when it drifted by much"
    )
    drift.add_argument("--since", metavar="DAY", default="", help="first newer day (default: the newest there is)")
    drift.add_argument("--plots", metavar="DIR", type=Path, help="write one SVG per measure into this folder")
    _add_audit(commands)
    for command in (materialize, score, export, drift):
        command.add_argument("--json", action="store_true", help="print one JSON document")


def _add_replay(commands: Commands) -> None:
    replay = commands.command(
        "replay",
        _replay,
        "do a task again, against the lake as it was and as it is",
        more="Memory acts on neither side. With a model, it proposes a fill on each, and the validator decides.",
    )
    replay.add_argument("text", nargs="*", metavar="TEXT", help="the demand, @FILE, or - (default: of --session)")
    replay.add_argument("--session", metavar="ID", default="", help="an iterate, whose prompt and snapshot are taken")
    replay.add_argument(
        "--snapshot",
        action="append",
        metavar="NAME=ID",
        default=[],
        help="a corpus or dataset and its snapshot; repeat (default: the oldest there is)",
    )
    replay.add_argument("--corpus", action="append", metavar="NAME", default=[], help="where; repeat (default: all)")
    replay.add_argument("--model", metavar="NAME", default="", help="proposes a fill from what was found")
    replay.add_argument("-k", type=int, default=10, metavar="N", help="most results (default: 10)")
    replay.add_argument("--json", action="store_true", help="print one JSON document")


def _add_audit(commands: Commands) -> None:
    audit = commands.command(
        "audit-full",
        _audit,
        "look through the whole lake in twelve phases; exit code 1 when one fails",
        more="store, catalog, ingest receipts, index findability, embedding parity, evidence, scoring,\n"
        "sft firewall, replay, memory, sessions, ledger.\nCompared with the first and the last baseline.",
    )
    audit.add_argument("--append-baseline", action="store_true", help="add what was found to the baselines")
    audit.add_argument("--phase", type=int, action="append", metavar="N", default=[], help="only these; repeat")
    audit.add_argument("--strict", action="store_true", help="exit code 1 also for warnings and changed metrics")
    form = audit.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document")
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument("--html", action="store_true", help="print an HTML page")


def _materialize(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake, bars("materialize"):
        done = lake.learn.materialize()
    if arguments.json:
        showing.json_document(done)
        return 0
    again = "; everything was made anew" if done.started_over else ""
    print(f"{done.lines:,} new lines: {done.records:,} records, {done.rejected:,} lines rejected{again}")
    if done.by_kind:
        showing.table([showing.Column("kind"), _COUNT], done.by_kind.items())
    return 0


def _score(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake, bars("score"):
        done = lake.learn.score()
    if arguments.json:
        showing.json_document(done)
        return 0
    print(f"{done.scored:,} new records judged by {done.rules_version}, {done.refused:,} of them say nothing")
    showing.table([showing.Column("verdict"), _COUNT], done.outcomes.items())
    return 0


def _export(arguments: argparse.Namespace) -> int:
    texts = [
        line
        for name in arguments.evaluation_set
        for line in reading.whole(name).decode("utf-8", "replace").splitlines()
        if line.strip()
    ]
    with open_lake(arguments) as lake, bars("export-sft"):
        card = lake.learn.export_sft(evaluation_texts=texts, validation_share=arguments.validation_share)
    if arguments.json:
        showing.json_document(card)
        return 0
    print(f"{card.rows:,} rows of {card.considered:,} records in {card.folder}")
    showing.table([showing.Column("dropped because"), _COUNT], card.dropped.items())
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    task = reading.text(arguments.text, "the task") if arguments.text else ""
    with open_lake(arguments) as lake:
        run = lake.learn.replay(
            task,
            arguments.corpus,
            _snapshots(arguments.snapshot),
            session_id=arguments.session,
            k=arguments.k,
            model=arguments.model,
        )
    if arguments.json:
        showing.json_document(run)
    else:
        _side_by_side(run)
    return 0


def _side_by_side(run: Replayed) -> None:
    sides = (run.was, run.now)
    most = max(len(side.results) for side in sides)
    rows = []
    for nth in range(most):
        row: list[object] = [nth + 1]
        for side in sides:
            hit = side.results[nth] if nth < len(side.results) else None
            row += [hit.id, f"{hit.distance:.3f}", hit.rating] if hit else ["", "", ""]
        rows.append(row)
    columns = [showing.Column("", right=True)]
    for title in ("was", "is"):
        columns += [
            showing.Column(title),
            showing.Column("distance", right=True),
            showing.Column("rating", right=True),
        ]
    showing.table(columns, rows)
    print(f"{run.replay_id}: overlap {run.overlap:.3f}, the first is {'the same' if run.same_first else 'another'}")
    for name, side in zip(("was", "is"), sides, strict=True):
        if side.verdict:
            print(f"fill as it {name}: {side.verdict}{': ' if side.reasons else ''}{'; '.join(side.reasons)}")


def _snapshots(words: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        if not name or not number.lstrip("-").isdecimal():
            raise InvalidInput(f"--snapshot {word!r} is not NAME=ID; `lakehouse sql` and the catalog list snapshots")
        found[name] = int(number)
    return found


def _drift(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        report = lake.learn.drift(since=arguments.since)
    if arguments.plots:
        from lakehouse.learn import _plots

        _plots.draw(report.distributions, arguments.plots)
    if arguments.json:
        showing.json_document(report)
    else:
        print(f"{report.verdict}: {report.before:,} records before {report.since}, {report.after:,} since")
        if report.scorer is not None:
            print(f"verdicts: {report.scorer.changed:,} of {report.scorer.total:,} are others now")
        columns = [
            showing.Column("measure", wraps=True),
            *(showing.Column(name, right=True) for name in ("PSI", "by chance", "KS", "p")),
            showing.Column("verdict"),
        ]
        rows = [
            [name, each.psi, each.critical, each.ks, each.ks_p, each.verdict]
            for name, each in report.distributions.items()
        ]
        showing.table(columns, rows)
    return int(report.verdict == "major")


def _audit(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake, bars("audit-full"):
        report = lake.learn.audit_full(append_baseline=arguments.append_baseline, phases=arguments.phase)
    if arguments.json:
        showing.json_document(report)
    elif arguments.markdown or arguments.html:
        from lakehouse.learn.audit import report as pages

        print((pages.markdown if arguments.markdown else pages.page)(report), end="")
    else:
        _phases(report)
    changed = any(change.verdict == "warn" for change in report.changes)
    return int(report.verdict == "fail" or (arguments.strict and (report.verdict == "warn" or changed)))


def _phases(report: AuditReport) -> None:
    columns = [
        showing.Column("", right=True),
        showing.Column("phase"),
        showing.Column("verdict"),
        showing.Column("found", wraps=True, below=True),
        showing.Column("how to mend", wraps=True, below=True),
    ]
    rows = [[each.number, each.name, each.verdict, "; ".join(each.findings), each.mend] for each in report.phases]
    showing.table(columns, rows)
    warned = [change for change in report.changes if change.verdict == "warn"]
    if warned:
        print()
        titles = ("metric", "against", "baseline", "now", "change %")
        changes = [[each.metric, each.against, each.baseline, each.now, each.change] for each in warned]
        showing.table([showing.Column(title) for title in titles], changes)
    print(f"audit of {report.time}: {report.verdict}, {report.baselines} baselines")
