"""Messages of clients: `inbox send|list|show|match|file`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lakehouse.cli import demands, reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands

if TYPE_CHECKING:
    from lakehouse.observe.messages import Message


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    inbox = commands.group("inbox", "record messages of clients, and read the demands in them")
    _add_send(inbox)

    listing = inbox.command("list", _list, "list messages, newest first")
    listing.add_argument("--kind", choices=("demand", "amend", "cancel", "other"), help="only of this kind")
    listing.add_argument(
        "--from", dest="sender", default="", metavar="ADDRESS", help="only from this address or number"
    )
    listing.add_argument("--tag", default="", metavar="TAG", help="only with this tag")
    listing.add_argument("-n", "--limit", type=int, default=50, metavar="N", help="at most N (default: 50)")
    listing.add_argument("--json", action="store_true", help="print one JSON document")

    show = inbox.command("show", _show, "show one message, its demands and what became of them")
    show.add_argument("id", metavar="ID", help="id of the message, see `lakehouse inbox list`")
    show.add_argument("--json", action="store_true", help="print one JSON document")

    match = inbox.command(
        "match",
        _match,
        "find the best match for each demand of a message, rated against its own words",
        more="A small distance with a low rating is a near match that is a wrong one.",
    )
    match.add_argument("id", metavar="ID", help="id of the message")
    match.add_argument(
        "--corpus", action="append", required=True, metavar="NAME", help="where to look; may be repeated"
    )
    match.add_argument("--json", action="store_true", help="print one JSON document")

    file = inbox.command("file", _file, "take in an .eml or mbox file; what came before is not taken in again")
    file.add_argument("file", metavar="FILE", help="the file, or - for standard input")
    file.add_argument("--json", action="store_true", help="print one JSON document")


def _add_send(inbox: Commands) -> None:
    send = inbox.command("send", _send, "record one message")
    send.add_argument("text", nargs="+", metavar="TEXT", help="the body as it came, @FILE, or -")
    send.add_argument("--type", choices=("email", "sms"), default="email", help="how it came (default: email)")
    send.add_argument("--from", dest="sender", default="", metavar="ADDRESS", help="address or number of the sender")
    send.add_argument("--subject", default="", metavar="TEXT", help="subject of an e-mail")
    send.add_argument(
        "--priority", choices=("urgent", "high", "medium", "low"), default="medium", help="default: medium"
    )
    send.add_argument("--tag", default="", metavar="TAG", help="a word of your own")
    send.add_argument(
        "--message-id", default="", metavar="ID", help="the sender's id; the same one twice changes nothing"
    )
    send.add_argument("--in-reply-to", default="", metavar="ID", help="id of the message that this one answers")
    send.add_argument("--json", action="store_true", help="print one JSON document")


def _send(arguments: argparse.Namespace) -> int:
    body = reading.text(arguments.text, "the message")
    with open_lake(arguments, make=True) as lake:
        receipt = lake.inbox.receive(
            arguments.type,
            body,
            sender=arguments.sender,
            subject=arguments.subject,
            priority=arguments.priority,
            tag=arguments.tag,
            message_id=arguments.message_id,
            in_reply_to=arguments.in_reply_to,
        )
    if arguments.json:
        showing.json_document(receipt)
    else:
        print(f"{receipt.id}: {'recorded' if receipt.created else 'known before, nothing changed'}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.inbox.list(kind=arguments.kind, sender=arguments.sender, tag=arguments.tag, limit=arguments.limit)
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [
        showing.Column("id"),
        showing.Column("received"),
        showing.Column("type"),
        showing.Column("priority"),
        showing.Column("kind"),
        showing.Column("status"),
        showing.Column("from", wraps=True),
        showing.Column("asks for", wraps=True),
        showing.Column("subject", wraps=True),
    ]
    showing.table(
        columns,
        [
            [
                message.id,
                message.received_at[:19],
                message.type,
                message.priority,
                message.kind,
                message.status,
                message.sender,
                "; ".join(message.asks),
                message.subject or message.body,
            ]
            for message in listed.messages
        ],
    )
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        message = lake.inbox.get(arguments.id)
    if arguments.json:
        showing.json_document(message)
        return 0
    _show_head(message)
    for number, demand in enumerate(message.demands, 1):
        print(f"\ndemand {number} of {len(message.demands)}")
        demands.table(demand, message.body)
    for later in message.follow_ups:
        what = "all of it" if later.demand is None else f"demand {later.demand + 1}"
        count = f", {later.change.count} people" if later.change else ""
        print(f"\n{later.received_at[:19]} {later.message}: {later.kind} of {what}{count}")
    return 0


def _show_head(message: Message) -> None:
    facts = [
        ("from", message.sender),
        ("received", f"{message.received_at[:19]} by {message.type}, {message.priority}"),
        ("subject", message.subject),
        ("kind", message.kind if message.kind in {"amend", "cancel"} else f"{message.kind}, {message.status}"),
        ("means", _tie(message)),
        ("trace", message.trace_id),
    ]
    showing.table(
        (showing.Column("message"), showing.Column(message.id, wraps=True)), [fact for fact in facts if fact[1]]
    )
    print()
    for line in message.body.splitlines():
        print(f"  {showing.cell(line)}")


def _tie(message: Message) -> str:
    tie = message.tie
    if tie is None:
        return ""
    if tie.message is None:
        return f"one of {', '.join(tie.candidates)}" if tie.candidates else "no earlier message"
    which = "" if tie.demand is None else f", demand {tie.demand + 1}"
    return f"{tie.message}{which} (by {tie.by})"


def _match(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        matched = lake.inbox.match(arguments.id, arguments.corpus)
    if arguments.json:
        showing.json_document(matched)
        return 0
    columns = [
        showing.Column("demand", right=True),
        showing.Column("best"),
        showing.Column("corpus"),
        showing.Column("distance", right=True),
        showing.Column("rating", right=True),
        showing.Column("reasons", wraps=True),
        showing.Column("asked for", wraps=True),
    ]
    showing.table(
        columns,
        [
            [
                best.demand + 1,
                best.id or "nobody",
                best.corpus or "",
                "" if best.distance is None else f"{best.distance:.4f}",
                "-" if best.rating is None else best.rating,
                "; ".join(best.reasons),
                best.query_text,
            ]
            for best in matched.matches
        ],
    )
    if any(best.no_good_match for best in matched.matches):
        print("not every demand has a good match")
    return 0


def _file(arguments: argparse.Namespace) -> int:
    data = reading.whole(arguments.file)
    with open_lake(arguments, make=True) as lake:
        done = lake.inbox.file(data)
    code = 1 if done.refused else 0
    if arguments.json:
        showing.json_document(done)
        return code
    print(f"{len(done.created):,} taken in, {done.known:,} known before, {len(done.refused):,} refused")
    for refused in done.refused:
        print(f"  message {refused.position} {refused.message_id}: {refused.reason}")
    return code
