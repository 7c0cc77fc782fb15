"""Who saw and used a person's data: `subject`, `audit`, and the API keys that say who somebody is: `key`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lakehouse.cli import showing
from lakehouse.cli.session import open_folder, open_lake
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput

_OPERATOR = "operator"


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    subject = commands.group("subject", "show, hold or erase a person's data, and who saw it")
    _add_subject(subject)
    audit = commands.group("audit", "check the ledger, sign it, hand it to an auditor")
    _add_audit(audit)
    key = commands.group("key", "make API keys, list and revoke them")
    _add_key(key)


def _add_subject(subject: Commands) -> None:
    show = subject.command("show", _show, "show the manifest of a person")
    due = subject.command("due", _due, "list people whose data was to be kept until a day that is past")
    due.add_argument("--on", metavar="DAY", help="the day to ask for, YYYY-MM-DD (default: today)")
    due.add_argument("--json", action="store_true", help="print one JSON document")
    put = subject.command("put", _put, "say what holds of a person; what is not named stays as it was")
    put.add_argument("--identity", metavar="TEXT", help="reference to a system of record")
    put.add_argument("--purpose", action="append", metavar="WORD", help="what the data is used for; repeat")
    put.add_argument("--consent", choices=("unknown", "given", "withdrawn"), help="what they said")
    put.add_argument("--retain-until", metavar="DAY", help="last day the data is kept, YYYY-MM-DD; '' for none")
    put.add_argument("--hold", metavar="REASON", help="why nothing may be erased; '' lifts it")
    audit = subject.command("audit", _audit, "list who saw or used a person's data, oldest first")
    audit.add_argument("--after", type=int, metavar="N", default=0, help="leave out rows up to N")
    audit.add_argument("--limit", type=int, metavar="N", default=1_000, help="most rows (default: 1000)")
    audit.add_argument("--lines", action="store_true", help="print the chain byte for byte")
    verify = subject.command("verify", _verify, "check a person's chain; exit code 1 when it is not good")
    erase = subject.command(
        "erase",
        _erase,
        "erase a person from datasets, indexes, caches, memory and logs",
        more="What was erased does not come back. The chain of who saw the data stays, as proof.",
    )
    erase.add_argument("--reason", metavar="TEXT", default="asked for by the person", help="for the receipt")
    erase.add_argument("--yes", action="store_true", help="do it")
    for tree in (show, put, audit, verify, erase):
        tree.add_argument("id", metavar="ID", help="id of the person, such as w-17")
        tree.add_argument("--json", action="store_true", help="print one JSON document")


def _add_audit(audit: Commands) -> None:
    verify = audit.command(
        "verify",
        _verify_all,
        "check a whole ledger, or the bundle of one person; exit code 1 when something is wrong",
        more="integrity: every row and every checkpoint is what it must be\n"
        "completeness: nothing that was signed is missing\n"
        "freshness: it goes on from what was anchored elsewhere (--anchor)",
    )
    verify.add_argument("folder", metavar="DIR", type=Path, help="a lake, a ledger or a bundle")
    verify.add_argument("--keys", metavar="DIR", type=Path, help="folder of the HMAC keys (default: in the ledger)")
    verify.add_argument(
        "--anchor", metavar="DIR", type=Path, action="append", default=[], help="where checkpoints were put; repeat"
    )
    verify.add_argument("--public", metavar="VKEY", help="public key from a place you trust")
    verify.add_argument("--json", action="store_true", help="print one JSON document")
    checkpoint = audit.command("checkpoint", _checkpoint, "sign where all chains stand now, and anchor it")
    rotate = audit.command("rotate-key", _rotate, "write rows with a new key from now on; older keys only verify")
    bundle = audit.command("bundle", _bundle, "write what an auditor needs of one person into a new folder")
    bundle.add_argument("id", metavar="ID", help="id of the person, such as w-17")
    bundle.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder to make")
    for tree in (checkpoint, rotate, bundle):
        tree.add_argument("--json", action="store_true", help="print one JSON document")


def _add_key(key: Commands) -> None:
    new = key.command(
        "add",
        _add_new,
        "make an API key; it is printed once",
        more="coordinator: searches and sees contact data.\nauditor:     sees who saw what, never contact data.\n"
        "operator:    everything.\n"
        "From the first key on a stack asks everybody for one, so let the first be an operator's.",
    )
    new.add_argument("name", metavar="NAME", help="whose it is")
    new.add_argument(
        "--role", action="append", choices=("coordinator", "auditor", _OPERATOR), required=True, help="repeat for more"
    )
    new.add_argument("--namespace", action="append", metavar="NAME", help="memory it may use (default: every one)")
    new.add_argument("--rate", type=float, metavar="N", default=50.0, help="calls a second (default: 50)")
    new.add_argument("--json", action="store_true", help="print one JSON document")
    listing = key.command("list", _list, "list the keys")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    revoke = key.command("revoke", _revoke, "make a key worthless, at once")
    revoke.add_argument("id", metavar="ID", help="id or name of the key")
    revoke.add_argument("--json", action="store_true", help="print one JSON document")


def _show(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        _manifest(lake.subjects.get(arguments.id), arguments.json)
    return 0


def _due(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        found = lake.subjects.due(on=arguments.on)
    if arguments.json:
        showing.json_document(found)
        return 0
    names = ("id", "kept until", "days over", "legal hold")
    showing.table(
        [showing.Column(name, right=name == "days over") for name in names],
        [[each.id, each.retain_until, each.days_over, each.legal_hold] for each in found.due],
    )
    return 0


def _put(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        subject = lake.subjects.put(
            arguments.id,
            identity=arguments.identity,
            purposes=arguments.purpose,
            consent=arguments.consent,
            retain_until=arguments.retain_until,
            legal_hold=arguments.hold,
        )
    _manifest(subject, arguments.json)
    return 0


def _manifest(subject: object, json: bool) -> None:
    import msgspec

    if json:
        showing.json_document(subject)
        return
    facts = msgspec.to_builtins(subject)
    facts["datasets"] = [
        f"{each['rows']} of {each['dataset']} ({each['column']} {each['value']})" for each in facts["datasets"]
    ]
    rows = [[name, ", ".join(value) if isinstance(value, list) else value] for name, value in facts.items()]
    showing.table([showing.Column("field"), showing.Column("value", wraps=True)], rows)


def _audit(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        if arguments.lines:
            sys.stdout.flush()
            sys.stdout.buffer.write(lake.subjects.audit_log(arguments.id))
            return 0
        audit = lake.subjects.audit(arguments.id, after=arguments.after, limit=arguments.limit)
    if arguments.json:
        showing.json_document(audit)
        return 0
    names = ("row", "time", "who", "what", "for", "fields", "result")
    showing.table(
        [showing.Column(name, right=name == "row", wraps=name == "fields") for name in names],
        [
            [
                row.seq,
                row.time[:23].replace("T", " "),
                f"{row.accessor['kind']} {row.accessor['id']}",
                row.action,
                row.purpose,
                ", ".join(row.fields),
                row.result,
            ]
            for row in audit.rows
        ],
    )
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        found = lake.subjects.verify(arguments.id)
    if arguments.json:
        showing.json_document(found)
    else:
        print(f"{found.rows:,} rows, {'good' if found.verified else 'BAD: ' + found.error}")
    return 0 if found.verified else 1


def _erase(arguments: argparse.Namespace) -> int:
    if not arguments.yes:
        raise InvalidInput(f"this erases {arguments.id} for good; say --yes to do it")
    with open_lake(arguments) as lake:
        receipt = lake.subjects.erase(arguments.id, reason=arguments.reason)
    if arguments.json:
        showing.json_document(receipt)
    else:
        for purged in receipt.purged:
            print(f"removed   {purged.count:>6,}  {purged.place}")
        for left in receipt.remains:
            print(f"remains   {left.count:>6,}  {left.place}: {left.reason}")
        print(f"looked for {receipt.probed:,} pieces in every file: {', '.join(receipt.found) or 'none found'}")
        print(receipt.signature)
    return 1 if receipt.found else 0


def _verify_all(arguments: argparse.Namespace) -> int:
    from lakehouse.ledger import verifier

    words = [str(arguments.folder)]
    for name, value in (("--keys", arguments.keys), ("--public", arguments.public)):
        words += [name, str(value)] if value else []
    for anchor in arguments.anchor:
        words += ["--anchor", str(anchor)]
    return verifier.main([*words, *(["--json"] if arguments.json else [])])


def _checkpoint(arguments: argparse.Namespace) -> int:
    with open_folder(arguments) as lake:
        made = lake.rooms.ledger.checkpoint()
    if arguments.json:
        showing.json_document({"size": made.size, "note": made.note} if made else None)
    else:
        print(made.note if made else "nothing has changed since the last checkpoint")
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    with open_folder(arguments) as lake:
        active = lake.rooms.ledger.rotate()
    if arguments.json:
        showing.json_document({"key_id": active})
    else:
        print(f"rows are written with {active} from now on")
    return 0


def _bundle(arguments: argparse.Namespace) -> int:
    from lakehouse.ledger import bundle

    with open_folder(arguments) as lake:
        made = bundle.write(lake.rooms.ledger, arguments.id, arguments.output)
    if arguments.json:
        showing.json_document(made)
    else:
        print(f"{made.folder}: {made.rows:,} rows; check it with `lakehouse audit verify {made.folder}`")
    return 0


def _add_new(arguments: argparse.Namespace) -> int:
    with open_lake(arguments, make=True) as lake:
        if _OPERATOR not in arguments.role and not lake.keys.list().keys:
            # Asked before: afterwards the stack would refuse to say.
            print(
                "warning: this is the first key, so the stack asks everybody for one from now on, and no operator has"
                " any; make one on the lake's folder: stop the stack, then `lakehouse key add NAME --role operator"
                " --lake FOLDER`",
                file=sys.stderr,
            )
        made = lake.keys.add(arguments.name, arguments.role, namespaces=arguments.namespace, rate_per_s=arguments.rate)
    if arguments.json:
        showing.json_document(made)
    else:
        print(f"{made.key}\nThis is the only time it is shown. Send it as 'Authorization: Bearer <key>'.")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.keys.list()
    if arguments.json:
        showing.json_document(listed)
        return 0
    showing.table(
        [showing.Column(name) for name in ("id", "name", "roles", "memories", "calls a second", "made")],
        [
            [
                key.id,
                key.name,
                ", ".join(key.roles),
                "every one" if key.namespaces is None else ", ".join(key.namespaces),
                key.rate_per_s,
                key.created_at,
            ]
            for key in listed.keys
        ],
    )
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        lake.keys.revoke(arguments.id)
    showing.done(arguments.json, f"{arguments.id}: worthless from now on", revoked=arguments.id)
    return 0
