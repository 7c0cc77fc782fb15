"""What worked before: `playbook record|bulk|list|show|delete|handover|shares|withdraw|merge|export|import|lift`."""

from __future__ import annotations

import argparse
import functools

from lakehouse.cli import namespaces, portions, reading, showing
from lakehouse.cli.progress import bars
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput, TooLarge

OUTCOMES = ("worked", "accepted", "showed_up", "completed", "asked_back", "rejected", "no_show")
_AT_ONCE = 10_000


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    playbook = commands.group("playbook", "remember what worked for a demand, and hand it over")
    _add_record(playbook)

    bulk = playbook.command(
        "bulk",
        _bulk,
        "remember many entries at once, at most 10,000, all or none",
        more="Each line is a JSON object with query_text, answer_id, corpus and score, and maybe role,\n"
        "namespace, outcome, by and why.",
    )
    bulk.add_argument("file", metavar="FILE", help="JSONL file, or - for standard input")
    bulk.add_argument("--json", action="store_true", help="print one JSON document")

    listing = playbook.command("list", _list, "list what a namespace remembers, its own and what is shared with it")
    listing.add_argument("--namespace", metavar="NAME", default="default", help="whose memory (default: default)")
    listing.add_argument("--json", action="store_true", help="print one JSON document")

    show = playbook.command("show", _show, "show one entry with all its outcomes and what they say of it")
    show.add_argument("id", metavar="ID", help="id of the entry, see `lakehouse playbook list`")
    show.add_argument("--json", action="store_true", help="print one JSON document")

    delete = playbook.command("delete", _delete, "forget one entry")
    delete.add_argument("id", metavar="ID", help="id of the entry, see `lakehouse playbook list`")
    delete.add_argument("--json", action="store_true", help="print one JSON document")

    handover = playbook.command(
        "handover",
        _handover,
        "let one namespace use what another remembers",
        more="share: the receiver uses the giver's entries, present and future.\n"
        "copy:  both have their own from now on.\nmove:  the giver keeps nothing.\n"
        "With --client, entries of other clients stay as they are; those of one can be copied or moved.",
    )
    handover.add_argument("giver", metavar="FROM", help="namespace that holds the memory")
    handover.add_argument("receiver", metavar="TO", help="namespace that receives it")
    handover.add_argument("--mode", choices=("share", "copy", "move"), required=True, help="share, copy or move")
    handover.add_argument("--client", metavar="NAME", default="", help="only what is remembered of this client")
    handover.add_argument("--json", action="store_true", help="print one JSON document")

    shares = playbook.command("shares", _shares, "list whose memory a namespace uses, and who uses its memory")
    shares.add_argument("--namespace", metavar="NAME", default="default", help="whose memory (default: default)")
    shares.add_argument("--json", action="store_true", help="print one JSON document")

    withdraw = playbook.command("withdraw", _withdraw, "take back what a handover shared; copies stay")
    withdraw.add_argument("giver", metavar="FROM", help="namespace that holds the memory")
    withdraw.add_argument("receiver", metavar="TO", help="namespace that was let use it")
    withdraw.add_argument("--json", action="store_true", help="print one JSON document")
    _add_transfers(playbook)


def _add_transfers(playbook: Commands) -> None:
    merge = playbook.command("merge", _merge, "bring what one namespace remembers into another, with its outcomes")
    merge.add_argument("source", metavar="FROM", help="namespace to take from")
    merge.add_argument("target", metavar="TO", help="namespace to bring into")
    merge.add_argument("--clear", action="store_true", help="leave the source empty")
    merge.add_argument("--json", action="store_true", help="print one JSON document")

    export = playbook.command("export", _export, "write the entries of a namespace as JSONL")
    export.add_argument("--namespace", metavar="NAME", default="default", help="whose memory (default: default)")

    import_ = playbook.command(
        "import",
        _import,
        "take in what `playbook export` wrote, 10,000 entries at a time",
        more="Doing it again changes nothing.",
    )
    import_.add_argument("file", metavar="FILE", help="JSONL file, or - for standard input")
    import_.add_argument("--namespace", metavar="NAME", default="default", help="whose memory (default: default)")
    import_.add_argument(
        "--skip-unknown", action="store_true", help="leave out people who are not on the roster, instead of refusing"
    )
    import_.add_argument("--json", action="store_true", help="print one JSON document")

    lift = playbook.command(
        "lift",
        _lift,
        "compare outcomes with memory and without it",
        more="The setting matrix.holdout keeps a share of demands from memory.",
    )
    lift.add_argument("--namespace", metavar="NAME", default="default", help="whose memory (default: default)")
    lift.add_argument("--json", action="store_true", help="print one JSON document")


def _add_record(playbook: Commands) -> None:
    record = playbook.command("record", _record, "remember that somebody worked out for a demand, or did not")
    record.add_argument("text", nargs="+", metavar="TEXT", help="the demand as it was asked, @FILE, or -")
    record.add_argument("--answer", required=True, metavar="ID", help="who it was, such as w-17")
    record.add_argument("--corpus", required=True, metavar="NAME", help="corpus the person is in")
    record.add_argument("--score", type=float, default=1.0, metavar="S", help="how well, 0 to 1 (default: 1)")
    record.add_argument("--role", metavar="ROLE", help="role of the demand (default: the one in the text)")
    record.add_argument("--namespace", metavar="NAME", default="default", help="whose memory (default: default)")
    record.add_argument("--by", metavar="NAME", default="", help="who records it")
    record.add_argument("--why", metavar="TEXT", default="", help="the reason")
    came = record.add_mutually_exclusive_group()
    came.add_argument("--rejected", action="store_true", help="the person was turned down")
    came.add_argument("--outcome", choices=OUTCOMES, default="worked", help="what came of it (default: worked)")
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
            outcome="rejected" if arguments.rejected else arguments.outcome,
            by=arguments.by,
            why=arguments.why,
        )
    if arguments.json:
        showing.json_document(recorded)
    else:
        print(f"{recorded.playbook_id}: {'remembered' if recorded.created else 'known before, brought up to date'}")
    return 0


def _bulk(arguments: argparse.Namespace) -> int:
    from lakehouse.memory.base import NewPlaybook

    entries = list(reading.json_lines(arguments.file, NewPlaybook))
    name = reading.called(arguments.file)
    if not entries:
        raise InvalidInput(f"{name} has no entries; write one JSON object a line")
    if len(entries) > _AT_ONCE:
        # Not in portions as `import`: whoever sends all again after a failure would count the first ones twice.
        raise TooLarge(
            f"{name} has {len(entries):,} entries, and at most {_AT_ONCE:,} are remembered at once, all or none; split"
            f" it (`split -l {_AT_ONCE} FILE`) and give the parts one after the other"
        )
    with open_lake(arguments) as lake, bars():
        send = lake.playbooks.bulk
        (report,) = portions.sent(arguments.file, entries, send, most=_AT_ONCE, field="entries", earlier="")
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
        showing.Column("trust", right=True),
        showing.Column("by"),
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
                entry.trust,
                entry.by,
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
    showing.done(arguments.json, f"{arguments.id}: forgotten", deleted=arguments.id)
    return 0


def _handover(arguments: argparse.Namespace) -> int:
    giver, receiver, shares = arguments.giver, arguments.receiver, arguments.mode == "share"
    with open_lake(arguments) as lake:
        # Asked before: a move leaves nothing, and what is shared already is answered like what is empty.
        held = namespaces.holds(lake, giver)
        known = shares and receiver in lake.playbooks.shares(giver).used_by
        done = lake.playbooks.handover(giver, receiver, arguments.mode, arguments.client)
        if not held:
            namespaces.warn_empty(lake, giver)
        elif arguments.client and not done.held:
            namespaces.warn_of_client(giver, arguments.client, done.clients_like)
        if arguments.json:
            showing.json_document(done)
        elif shares:
            since = "used before and uses still" if known else "uses from now on"
            print(f"{receiver} {since} what {giver} remembers: {done.held:,} entries now, and all that come")
        else:
            there = done.held - done.entries
            print(f"{receiver} can use {done.entries:,} more entries{f'; {there:,} were there' if there else ''}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        found = lake.playbooks.get(arguments.id)
    if arguments.json:
        showing.json_document(found)
        return 0
    entry = found.entry
    print(f"{entry.answer_id} ({entry.corpus}) for: {entry.query_text}")
    print(f"works again: {entry.posterior.mean:.2f}, Beta({entry.posterior.alpha:.2f}, {entry.posterior.beta:.2f})")
    print(f"trust {entry.trust:.2f}; confirmed {entry.helped} times, turned down {entry.overridden} times")
    columns = [showing.Column(name) for name in ("at", "outcome", "by")] + [showing.Column("why", wraps=True)]
    showing.table(columns, [[past.at, past.outcome, past.by, past.why] for past in found.outcomes])
    return 0


def _shares(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        found = lake.playbooks.shares(arguments.namespace)
    if arguments.json:
        showing.json_document(found)
        return 0
    rows = [["uses", each] for each in found.uses] + [["is used by", each] for each in found.used_by]
    showing.table([showing.Column(arguments.namespace), showing.Column("namespace")], rows)
    return 0


def _withdraw(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        lake.playbooks.withdraw(arguments.giver, arguments.receiver)
    said = f"{arguments.receiver} uses nothing of {arguments.giver} any more; copies stay"
    showing.done(arguments.json, said, withdrawn={"from": arguments.giver, "to": arguments.receiver})
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        done = lake.playbooks.merge(arguments.source, arguments.target, arguments.clear)
        if not done.merged + done.joined:
            namespaces.warn_empty(lake, arguments.source)
    if arguments.json:
        showing.json_document(done)
    else:
        print(f"{done.merged:,} entries new in {arguments.target}, {done.joined:,} joined with what was there")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    import msgspec

    with open_lake(arguments) as lake:
        found = lake.playbooks.export(arguments.namespace)
        if not found.entries:
            namespaces.warn_empty(lake, arguments.namespace)
    for entry in found.entries:
        print(msgspec.json.encode(entry).decode())
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from lakehouse.memory.base import Imported, PlaybookCopy

    # All of it is read before any of it is sent, so that a line that is no entry changes nothing.
    entries = list(reading.json_lines(arguments.file, PlaybookCopy))
    total = Imported(0, 0, [])
    left_out = ", but for people who are not on the roster" if arguments.skip_unknown else ""
    earlier = f"were imported{left_out}; mend this and import the whole file again, which changes nothing of them"
    with open_lake(arguments) as lake, bars():
        send = functools.partial(
            lake.playbooks.import_, namespace=arguments.namespace, skip_unknown=arguments.skip_unknown
        )
        for done in portions.sent(arguments.file, entries, send, most=_AT_ONCE, field="entries", earlier=earlier):
            total = Imported(
                total.imported + done.imported, total.replaced + done.replaced, [*total.unknown, *done.unknown]
            )
    if arguments.json:
        showing.json_document(total)
    else:
        print(f"{total.imported:,} imported, {total.replaced:,} replaced, {len(total.unknown):,} not on the roster")
    return 0


def _lift(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        found = lake.playbooks.lift(arguments.namespace)
        if not lake.playbooks.list(arguments.namespace, limit=1).entries:
            namespaces.warn_empty(lake, arguments.namespace)
    if arguments.json:
        showing.json_document(found)
        return 0
    for name, arm in (("with memory", found.served), ("held out", found.held_out)):
        print(f"{name:12} {arm.good:,} of {arm.outcomes:,} good, mean {arm.posterior.mean:.3f}")
    print(f"difference {found.difference:+.3f}; with memory is better with probability {found.better:.2f}")
    return 0
