"""Open demands: `demand open|file|list|show|candidates|put|fill|note|close`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lakehouse.cli import demands, reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands

if TYPE_CHECKING:
    from lakehouse.demands.base import OpenDemand, Opened

_URGENCIES = ("urgent", "high", "medium", "low")
_STAGES = ("shortlisted", "proposed", "excluded", "do_not_return", "none")
_ALL = "all"


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    group = commands.group("demand", "keep demands until they are filled: who is thought of, proposed, booked")
    _add_taking_in(group)
    _add_work(group)


def _add_taking_in(group: Commands) -> None:
    opening = group.command("open", _open, "open the demands of a text, or of a message of the inbox")
    opening.add_argument("text", nargs="*", metavar="TEXT", help="the demand as it came, @FILE, or -")
    opening.add_argument("--message", default="", metavar="ID", help="a message of the inbox instead of a text")
    opening.add_argument("--urgency", choices=_URGENCIES, help="default: that of the message, or medium")
    _add_whose(opening)

    file = group.command(
        "file",
        _file,
        "open the demands of a CSV file, one a line; the same file again opens nothing more",
        more="Columns: demand (in words), or role, count, city, state, certs, skills, shift, start, client;\n"
        "further urgency, owner, note and ref (the client's own number).",
    )
    file.add_argument("file", metavar="FILE", help="the file, or - for standard input")
    _add_whose(file)

    listing = group.command("list", _list, "list open demands: more urgent first, then by start")
    listing.add_argument("--status", choices=("open", "closed", _ALL), default="open", help="default: open")
    listing.add_argument("--owner", default="", metavar="NAME", help="only this coordinator's")
    listing.add_argument("-n", "--limit", type=int, default=200, metavar="N", help="at most N (default: 200)")
    listing.add_argument("--json", action="store_true", help="print one JSON document")

    show = group.command("show", _show, "show one demand with its people and notes")
    _add_id(show)


def _add_work(group: Commands) -> None:
    candidates = group.command("candidates", _candidates, "find people for a demand, best first")
    _add_id(candidates)
    candidates.add_argument("-k", type=int, default=10, metavar="N", help="at most N (default: 10)")

    put = group.command("put", _put, "put people of a corpus at a stage of a demand, or take them off (none)")
    put.add_argument("id", metavar="ID", help="id of the demand")
    put.add_argument("stage", choices=_STAGES, help="where to")
    put.add_argument("people", nargs="+", metavar="PERSON", help="ids; @FILE and - hold one a line")
    put.add_argument("--corpus", required=True, metavar="NAME", help="the corpus they are in")
    put.add_argument("--why", default="", metavar="TEXT", help="the reason")
    _add_by(put)

    fill = group.command("fill", _fill, "book people who are proposed, after the validators have looked at them")
    fill.add_argument("id", metavar="ID", help="id of the demand")
    fill.add_argument("people", nargs="*", metavar="PERSON", help="ids (default: all who are proposed)")
    _add_by(fill)

    note = group.command("note", _note, "write something down on a demand")
    note.add_argument("id", metavar="ID", help="id of the demand")
    note.add_argument("text", nargs="+", metavar="TEXT", help="the note, @FILE, or -")
    _add_by(note)

    close = group.command("close", _close, "close a demand; its fills stay")
    _add_id(close)


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the demand, see `lakehouse demand list`")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _add_by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", default="", metavar="NAME", help="who says so")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _add_whose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--owner", default="", metavar="NAME", help="the coordinator whose work it is")
    parser.add_argument("--playbook", default="default", metavar="NAME", help="whose memory is used (default: default)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _open(arguments: argparse.Namespace) -> int:
    text = reading.text(arguments.text, "the demand") if arguments.text else ""
    with open_lake(arguments, make=True) as lake:
        done = lake.demands.open(
            text,
            message=arguments.message,
            owner=arguments.owner,
            namespace=arguments.playbook,
            urgency=arguments.urgency,
        )
    return _opened(arguments, done)


def _file(arguments: argparse.Namespace) -> int:
    data = reading.whole(arguments.file)
    with open_lake(arguments, make=True) as lake:
        done = lake.demands.file(data, owner=arguments.owner, namespace=arguments.playbook)
    return _opened(arguments, done)


def _opened(arguments: argparse.Namespace, done: Opened) -> int:
    code = 1 if done.refused else 0
    if arguments.json:
        showing.json_document(done)
        return code
    print(f"{len(done.created):,} opened, {len(done.known):,} known before, {len(done.refused):,} refused")
    for id in done.created:
        print(f"  {id}")
    for refused in done.refused:
        print(f"  line {refused.line}: {showing.cell(refused.reason)}")
    return code


def _list(arguments: argparse.Namespace) -> int:
    status = None if arguments.status == _ALL else arguments.status
    with open_lake(arguments) as lake:
        listed = lake.demands.list(status=status, owner=arguments.owner, limit=arguments.limit)
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [
        showing.Column("id"),
        showing.Column("urgency"),
        showing.Column("starts"),
        showing.Column("filled", right=True),
        showing.Column("owner", wraps=True),
        showing.Column("opened"),
        showing.Column("role", wraps=True),
        showing.Column("place", wraps=True),
        showing.Column("client", wraps=True),
    ]
    showing.table(columns, [_row(one) for one in listed.demands])
    return 0


def _row(one: OpenDemand) -> list[str]:
    return [
        one.id,
        one.urgency,
        one.starts or one.demand.start or "",
        f"{one.filled} of {one.demand.count}",
        one.owner,
        one.opened_at[:10],
        one.demand.role or "",
        demands.place(one.demand),
        one.demand.client or "",
    ]


def _show(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        one = lake.demands.get(arguments.id)
    return _shown(arguments, one)


def _shown(arguments: argparse.Namespace, one: OpenDemand) -> int:
    if arguments.json:
        showing.json_document(one)
        return 0
    showing.facts(
        [
            ("demand", one.id),
            ("status", f"{one.status}, {one.urgency}, {one.filled} of {one.demand.count} filled"),
            ("starts", one.starts),
            ("owner", one.owner),
            ("memory", one.namespace),
            ("message", one.message),
        ]
    )
    print()
    demands.table(one.demand, one.line)
    if one.people:
        print()
        columns = [showing.Column(name) for name in ("person", "corpus", "stage", "outcome", "by", "at")]
        columns.append(showing.Column("why", wraps=True))
        showing.table(
            columns,
            [[who.id, who.corpus, who.stage, who.outcome, who.by, who.at[:19], who.why] for who in one.people],
        )
    for note in one.notes:
        print(f"\n{note.at[:19]} {note.by}: {showing.cell(note.text)}")
    return 0


def _candidates(arguments: argparse.Namespace) -> int:
    from lakehouse.cli import matches

    with open_lake(arguments) as lake:
        answer = lake.demands.candidates(arguments.id, k=arguments.k)
    if arguments.json:
        showing.json_document(answer)
    else:
        matches.whole(answer)
    return 0


def _put(arguments: argparse.Namespace) -> int:
    people = [{"corpus": arguments.corpus, "id": id} for id in reading.ids(arguments.people)]
    with open_lake(arguments) as lake:
        one = lake.demands.place(
            arguments.id,
            people,  # type: ignore[arg-type]
            arguments.stage,
            by=arguments.by,
            why=arguments.why,
        )
    return _shown(arguments, one)


def _fill(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        done = lake.demands.fill(arguments.id, reading.ids(arguments.people), by=arguments.by)
    code = 1 if done.refused else 0
    if arguments.json:
        showing.json_document(done)
        return code
    print(f"{len(done.filled):,} booked, {len(done.refused):,} refused")
    print(f"{done.demand.filled:,} of {done.demand.demand.count:,} are filled")
    for refused in done.refused:
        for reason in refused.reasons:
            print(f"  {refused.id}: {showing.cell(reason)}")
    for warning in done.warnings:
        print(f"  not checked: {showing.cell(warning)}")
    return code


def _note(arguments: argparse.Namespace) -> int:
    text = reading.text(arguments.text, "the note")
    with open_lake(arguments) as lake:
        one = lake.demands.note(arguments.id, text, by=arguments.by)
    return _shown(arguments, one)


def _close(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        one = lake.demands.edit(arguments.id, status="closed")
    return _shown(arguments, one)
