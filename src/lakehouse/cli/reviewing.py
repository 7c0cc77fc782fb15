"""Second opinions of models: `review`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from lakehouse.cli import reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput, NotInstalled

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse
    from lakehouse.evals.review import Ask, Review

_CHAT = "chat.complete"


def add(commands: Commands) -> None:
    """Add the command of this module."""
    review = commands.command(
        "review",
        _review,
        "ask several models about one text, and count agreement by lineage",
        more="Over 60,000 bytes warn, over 100,000 are refused unless forced. What two lineages name is agreed;\n"
        "models of one family count once. The exit code is 1 when no model answered.",
    )
    review.add_argument("file", metavar="FILE", help="the text, such as a diff, or - for standard input")
    review.add_argument("--question", default="", metavar="TEXT", help="what to look for (default: what is wrong)")
    review.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="NAME",
        help="a chat model, again for more; see the chat settings",
    )
    review.add_argument(
        "--lineage", action="append", metavar="MODEL=NAME", help="whose work a model is, where its name does not say it"
    )
    review.add_argument("--force", action="store_true", help="take a text over the limit")
    review.add_argument("--json", action="store_true", help="print one JSON document")


def _review(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import review

    text = reading.text([f"@{arguments.file}" if arguments.file != reading.STDIN else reading.STDIN], "the text")
    if warning := review.check_size(text, force=arguments.force):
        print(f"warning: {warning}", file=sys.stderr)
    lineages = dict(_pair(word) for word in arguments.lineage or ())
    with open_lake(arguments, make=True) as lake:
        found = review.run(
            chat_of(lake),
            text,
            arguments.model,
            question=arguments.question,
            lineages=lineages,
            force=arguments.force,
        )
    if arguments.json:
        showing.json_document(found)
    else:
        _show(found)
    return 0 if found.answered else 1


def chat_of(lake: Lakehouse) -> Ask:
    """Return how a model is asked through a lake.

    Raises:
        NotInstalled: This version has no chat.
    """
    from lakehouse import operations

    chat = next((each for each in operations.OPERATIONS if each.name == _CHAT), None)
    if chat is None:
        raise NotInstalled("this version of lakehouse has no chat, so no model can be asked; install a newer one")

    def ask(model: str, instructions: str, text: str) -> str:
        messages = [{"role": "system", "content": instructions}, {"role": "user", "content": text}]
        answer = lake.call(chat, {"model": model, "messages": messages, "temperature": 0.0})
        return str(answer.content)

    return ask


def _pair(word: str) -> tuple[str, str]:
    model, equals, lineage = word.partition("=")
    if not (model and equals and lineage):
        raise InvalidInput(f"--lineage {word!r} is not MODEL=NAME", field="lineage")
    return model, lineage


def _show(found: Review) -> None:
    columns = [showing.Column(title) for title in ("model", "lineage", "findings", "answer")]
    rows = [[each.model, each.lineage, len(each.findings), each.failure or "read"] for each in found.verdicts]
    showing.table(columns, rows)
    print(f"{len(found.answered)} lineages answered; {found.nowhere} findings name a place that is not in the text")
    columns = [showing.Column("weight"), showing.Column("where", wraps=True), showing.Column("lineages", wraps=True)]
    for title, places in (("agreed", found.agreed), ("named by one lineage", found.single)):
        print(f"\n{title}: {len(places)}")
        if places:
            showing.table(columns, [[place.weight, place.where, ", ".join(place.lineages)] for place in places])
