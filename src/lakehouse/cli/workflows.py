"""Runs of several steps: `workflow run|modes|list|show|picture|cancel|resume`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lakehouse.cli import reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands

if TYPE_CHECKING:
    from lakehouse.observe.runs import Run


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    workflow = commands.group("workflow", "run several steps, each once, also when the process dies in between")
    run = workflow.command(
        "run",
        _run,
        "run a graph of nodes",
        more='The file holds {"name": ..., "nodes": [...]}, a node being\n'
        '{"id": "a", "mode": "fixture.upper", "inputs": {"text": "hi"}}.\n'
        'An input {"$from": "a"} or {"$from": "a.results.0.id"} is the output of another.',
    )
    run.add_argument("file", metavar="FILE", help="JSON file, or - for standard input")
    run.add_argument("--no-wait", action="store_true", help="begin it and return")
    run.add_argument("--json", action="store_true", help="print one JSON document")

    modes = workflow.command("modes", _modes, "list what a node can do, and its inputs")
    modes.add_argument("--json", action="store_true", help="print one JSON document")

    listing = workflow.command("list", _list, "list runs, newest first")
    listing.add_argument("--status", choices=("running", "succeeded", "failed", "cancelled"), help="only those")
    listing.add_argument("-n", "--limit", type=int, default=50, metavar="N", help="at most N (default: 50)")
    listing.add_argument("--json", action="store_true", help="print one JSON document")

    for name, does, summary in (
        ("show", _show, "show how every node of a run went"),
        ("picture", _picture, "draw a run as a Mermaid flowchart"),
        ("cancel", _cancel, "let no further node of a run begin"),
    ):
        command = workflow.command(name, does, summary)
        command.add_argument("id", metavar="ID", help="id of the run, see `lakehouse workflow list`")
        command.add_argument("--json", action="store_true", help="print one JSON document")

    resume = workflow.command(
        "resume", _resume, "take up runs that an earlier process left unfinished, and wait for them"
    )
    resume.add_argument("--json", action="store_true", help="print one JSON document")


def _run(arguments: argparse.Namespace) -> int:
    import msgspec

    from lakehouse.errors import InvalidInput

    try:
        asked = msgspec.json.decode(reading.whole(arguments.file), type=dict)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{reading.called(arguments.file)} is not a JSON object: {error}") from None
    if arguments.no_wait:
        asked["wait_ms"] = None
    with open_lake(arguments, make=True) as lake:
        run = lake.workflow.run(**asked)
    return _print(run, as_json=arguments.json)


def _modes(arguments: argparse.Namespace) -> int:
    with open_lake(arguments, make=True) as lake:
        listed = lake.workflow.modes()
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [showing.Column("mode"), showing.Column("does", wraps=True), showing.Column("inputs", wraps=True)]
    showing.table(
        columns,
        [
            [
                mode.name,
                mode.summary,
                ", ".join(each.name if each.required else f"[{each.name}]" for each in mode.inputs),
            ]
            for mode in listed.modes
        ],
    )
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.workflow.list(status=arguments.status, limit=arguments.limit)
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [
        showing.Column("id"),
        showing.Column("created"),
        showing.Column("status"),
        showing.Column("done", right=True),
        showing.Column("nodes", right=True),
        showing.Column("name", wraps=True),
    ]
    rows = [[run.run_id, run.created_at[:19], run.status, run.done, run.nodes, run.name] for run in listed.runs]
    showing.table(columns, rows)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        run = lake.workflow.get(arguments.id)
    _print(run, as_json=arguments.json)
    return 0


def _picture(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        picture = lake.workflow.picture(arguments.id)
    if arguments.json:
        showing.json_document(picture)
    else:
        print(picture.mermaid, end="")
    return 0


def _cancel(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        run = lake.workflow.cancel(arguments.id)
    _print(run, as_json=arguments.json)
    return 0


def _resume(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        run_ids = lake.workflow.resume().run_ids
        if not arguments.json and not run_ids:
            print("no run is unfinished")
        runs = [lake.workflow.get(run_id) for run_id in run_ids]
        while any(run.status == "running" for run in runs):
            import time

            time.sleep(0.2)
            runs = [lake.workflow.get(run_id) for run_id in run_ids]
    if arguments.json:
        showing.json_document(runs)
        return 0
    return max((_print(run, as_json=False) for run in runs), default=0)


def _print(run: Run, *, as_json: bool) -> int:
    """Print a run; the exit code tells whether it failed."""
    if as_json:
        showing.json_document(run)
    else:
        columns = [
            showing.Column("node"),
            showing.Column("mode"),
            showing.Column("status"),
            showing.Column("ms", right=True),
            showing.Column("tries", right=True),
            showing.Column("inputs from", wraps=True),
            showing.Column("error", wraps=True),
        ]
        showing.table(
            columns,
            [
                [
                    id,
                    node.mode,
                    node.status,
                    "" if node.elapsed_ms is None else f"{node.elapsed_ms:,.1f}",
                    node.attempts,
                    ", ".join(f"{name} < {source}" for name, source in node.inputs_from.items()),
                    node.error or "",
                ]
                for id, node in run.nodes.items()
            ],
        )
        print(f"{run.run_id} {run.name}".rstrip() + f": {run.status}")
    return 1 if run.status == "failed" else 0
