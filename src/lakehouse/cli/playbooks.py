"""What worked before: `playbook record|bulk|list|delete|handover`."""

from __future__ import annotations

import argparse

from lakehouse.cli import reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    playbook = commands.group("playbook", "remember what worked for a demand, and hand it over")
    _add_record(playbook)

    bulk = playbook.command(
        "bulk",
        _bulk,
        "remember many entries at once, all or none",
        more="Each line is a JSON object with query_text, answer_id, corpus and score, and maybe role,\n"
        "namespace and outcome.",
    )
    bulk.add_argument("file", metavar="FILE", help="JSONL file, or - for standard input")
    bulk.add_argument("--json", action="store_true", help="print one JSON document")

    listing = playbook.command("list", _list, "list what a namespace remembers, its own and what is shared with it")
    listing.add_argument("--namespace", metavar="NAME", default="default", help="whose memory (default: default)")
    listing.add_argument("--json", action="store_true", help="print one JSON document")

    delete = playbook.command("delete", _delete, "forget one entry")
    delete.add_argument("id", metavar="ID", help="id of the entry, see `lakehouse playbook list`")

    handover = playbook.command(
        "handover",
        _handover,
        "let one namespace use what another remembers",
        more="share: the receiver uses the giver's entries, present and future.\n"
        "copy:  both have their own from now on.\nmove:  the giver keeps nothing.",
    )
    handover.add_argument("giver", metavar="FROM", help="namespace that holds the memory")
    handover.add_argument("receiver", metavar="TO", help="namespace that receives it")
    handover.add_argument("--mode", choices=("share", "copy", "move"), required=True, help="share, copy or move")
    handover.add_argument("--json", action="store_true", help="print one JSON document")


def _add_record(playbook: Commands) -> None:
    record = playbook.command("record", _record, "remember that somebody worked out for a demand, or did not")
    record.add_argument("text", nargs="+", metavar="TEXT", help="the demand as it was asked, @FILE, or -")
    record.add_argument("--answer", required=True, metavar="ID", help="who it was, such as w-17")
    record.add_argument("--corpus", required=True, metavar="NAME", help="corpus the person is in")
    record.add_argument("--score", type=float, default=1.0, metavar="S", help="how well, 0 to 1 (default: 1)")
    record.add_argument("--role", metavar="ROLE", help="role of the demand (default: the one in the text)")
    record.add_argument("--namespace", metavar="NAME", default="default", help="whose memory (default: default)")
    record.add_argument("--rejected", action="store_true", help="the person was turned down")
    record.add_argument("--json", action="store_true", help="print one JSON document")


def _record(arguments: argparse.Namespace) -> int:
    query = reading.text(arguments.text, "the demand")
    with open_lake(arguments) as lake:
        recorded = lake.playbooks.record(
            query,
            arguments.answer,
            arguments.corpus,
            arguments.score,
            role=arguments.role,
            namespace=arguments.namespace,
            outcome="rejected" if arguments.rejected else "worked",
        )
    if arguments.json:
        showing.json_document(recorded)
    else:
        print(f"{recorded.playbook_id}: {'remembered' if recorded.created else 'known before, brought up to date'}")
    return 0


def _bulk(arguments: argparse.Namespace) -> int:
    from lakehouse.memory.base import NewPlaybook

    entries = list(reading.json_lines(arguments.file, NewPlaybook))
    with open_lake(arguments) as lake:
        report = lake.playbooks.bulk(entries)
    if arguments.json:
        showing.json_document(report)
    else:
        print(f"{report.recorded:,} remembered, {report.updated:,} known before and brought up to date")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.playbooks.list(arguments.namespace)
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [
        showing.Column("id"),
        showing.Column("answer"),
        showing.Column("corpus"),
        showing.Column("score", right=True),
        showing.Column("outcome"),
        showing.Column("role", wraps=True),
        showing.Column("demand", wraps=True),
        showing.Column("namespace"),
        showing.Column("changed"),
    ]
    showing.table(
        columns,
        [
            [
                entry.id,
                entry.answer_id,
                entry.corpus,
                entry.score,
                entry.outcome,
                entry.role,
                entry.query_text,
                entry.namespace,
                entry.updated_at,
            ]
            for entry in listed.entries
        ],
    )
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        lake.playbooks.delete(arguments.id)
    print(f"{arguments.id}: forgotten")
    return 0


def _handover(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        done = lake.playbooks.handover(arguments.giver, arguments.receiver, arguments.mode)
    if arguments.json:
        showing.json_document(done)
    else:
        print(f"{arguments.receiver} can use {done.entries:,} more entries")
    return 0
