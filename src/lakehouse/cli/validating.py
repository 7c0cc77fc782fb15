"""What a model proposes: `validate`, `iterate`, `fill accept|list|release`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.cli import reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands, Tree
from lakehouse.errors import LakehouseError, ValidationFailed

if TYPE_CHECKING:
    from lakehouse.validate.base import Context

_KINDS = ("fill", "email", "sms", "playbook")
_FINDINGS = (
    showing.Column("finding"),
    showing.Column("kind"),
    showing.Column("field"),
    showing.Column("reason", wraps=True),
    showing.Column("again"),
)


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    validate = commands.command(
        "validate",
        _validate,
        "check a fill, an email, a text message or a playbook entry against the roster",
        more="Exit code 1 when it does not pass.",
    )
    validate.add_argument("artifact", choices=_KINDS, metavar="KIND", help="fill, email, sms or playbook")
    _add_payload(validate)

    iterate = commands.command(
        "iterate",
        _iterate,
        "let a chat model write one until it passes",
        more="Prints what passed, and nothing else. Exit code 1 when no try passed.",
    )
    iterate.add_argument("artifact", choices=_KINDS, metavar="KIND", help="fill, email, sms or playbook")
    iterate.add_argument("prompt", nargs="+", metavar="TEXT", help="what is wanted, @FILE, or - for standard input")
    iterate.add_argument("--model", required=True, metavar="MODEL", help="who writes it, see `lakehouse chat`")
    iterate.add_argument("--context", metavar="JSON", help="what is known beside it, as JSON or @FILE")
    iterate.add_argument(
        "--document", action="append", default=[], metavar="FILE", help="text given as data, again for more"
    )
    iterate.add_argument("--tries", type=int, metavar="N", help="most tries")
    iterate.add_argument("--max-tokens", type=int, metavar="N", help="tokens of all tries together")
    iterate.add_argument("--deadline", type=int, metavar="MS", help="time of all tries together")
    iterate.add_argument("--not-personal", action="store_true", help="nothing in it is data of people: any provider")
    iterate.add_argument("--json", action="store_true", help="print one JSON document with every try")

    fill = commands.group("fill", "keep accepted fills, so that nobody is booked twice")
    accept = fill.command("accept", _accept, "check a fill and record it as accepted")
    _add_payload(accept)
    listing = fill.command("list", _list, "list the bookings of accepted fills, newest first")
    listing.add_argument("--worker", metavar="ID", default="", help="of this person only")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    release = fill.command("release", _release, "forget an accepted fill: its people are free again")
    release.add_argument("id", metavar="ID", help="id of the fill, see `lakehouse fill list`")
    release.add_argument("--json", action="store_true", help="print one JSON document")


def _add_payload(tree: Tree) -> None:
    tree.add_argument("payload", metavar="JSON", help="it, as JSON, @FILE, or - for standard input")
    tree.add_argument("--context", metavar="JSON", help="what is known beside it, as JSON or @FILE")
    tree.add_argument("--json", action="store_true", help="print one JSON document")


def _given(arguments: argparse.Namespace) -> Context:
    from lakehouse.validate.base import Context

    return reading.json_value(arguments.context, Context, "--context") if arguments.context else Context()


def _validate(arguments: argparse.Namespace) -> int:
    payload = reading.json_value(arguments.payload, dict, "the payload")
    with open_lake(arguments, make=True) as lake:
        try:
            verdict = lake.validate.check(arguments.artifact, payload, _given(arguments))
        except ValidationFailed as error:
            return _refused(error, arguments.json)
    if arguments.json:
        showing.json_document(verdict)
        return 0
    where = f", roster {verdict.roster}, snapshot {verdict.snapshot_id}" if verdict.roster else ""
    print(f"passes{where}")
    if verdict.findings:
        showing.table(_FINDINGS, [_row(msgspec.to_builtins(finding)) for finding in verdict.findings])
    return 0


def _refused(error: ValidationFailed, json: bool) -> int:
    if json:
        showing.json_document(error.to_wire())
    else:
        print("refused")
        showing.table(_FINDINGS, [_row(finding) for finding in error.detail.get("findings", ())])
    return 1


def _row(finding: dict[str, Any]) -> list[Any]:
    return [finding["code"], finding["variant"], finding["field"], finding["reason"], finding["retryable"]]


def _iterate(arguments: argparse.Namespace) -> int:
    from lakehouse.validate.prompts import Document

    documents = [Document(Path(name).name, reading.text([f"@{name}"], "the document")) for name in arguments.document]
    with open_lake(arguments, make=True) as lake:
        try:
            done = lake.iterate.run(
                arguments.artifact,
                reading.text(arguments.prompt, "the prompt"),
                arguments.model,
                max_iterations=arguments.tries,
                context=_given(arguments),
                max_tokens=arguments.max_tokens,
                deadline_ms=arguments.deadline,
                documents=documents,
                data_class="general" if arguments.not_personal else "personal",
            )
        except LakehouseError as error:
            if arguments.json and "attempts" in error.detail:
                showing.json_document(error.to_wire())
                return 1
            raise
    showing.json_document(done if arguments.json else done.artifact)
    if not arguments.json:
        for finding in done.findings:
            print(f"not checked: {finding.reason}", file=sys.stderr)
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    payload = reading.json_value(arguments.payload, dict, "the payload")
    with open_lake(arguments) as lake:
        try:
            accepted = lake.validate.accept(payload, _given(arguments))
        except ValidationFailed as error:
            return _refused(error, arguments.json)
    if arguments.json:
        showing.json_document(accepted)
    else:
        print(f"{accepted.fill_id}: accepted, roster {accepted.roster}, snapshot {accepted.snapshot_id}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.validate.fills(arguments.worker)
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [
        showing.Column("fill"),
        showing.Column("worker"),
        showing.Column("from"),
        showing.Column("to"),
        showing.Column("role", wraps=True),
        showing.Column("client", wraps=True),
    ]
    showing.table(
        columns,
        [[each.fill_id, each.worker_id, each.starts, each.ends, each.role, each.client] for each in listed.bookings],
    )
    return 0


def _release(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        lake.validate.release(arguments.id)
    showing.done(arguments.json, f"{arguments.id}: released", released=arguments.id)
    return 0
