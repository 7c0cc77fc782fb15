"""Chat models: `chat`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lakehouse.cli import reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    chat = commands.command(
        "chat",
        _chat,
        "ask a chat model, or list the providers",
        more="The model's prefix names its provider: ollama/NAME, openrouter/VENDOR/NAME, ...; without one it\n"
        "goes to the default provider. On a terminal the answer appears as it is written.",
    )
    chat.add_argument("text", nargs="*", metavar="TEXT", help="what to say, @FILE, or - for standard input")
    chat.add_argument("--model", metavar="MODEL", help="who is asked")
    chat.add_argument("--system", metavar="TEXT", help="instructions before it, or @FILE")
    chat.add_argument("--max-tokens", type=int, metavar="N", help="length of the answer")
    chat.add_argument("--temperature", type=float, metavar="T", help="0 for the likeliest words")
    chat.add_argument("--format", metavar="JSON", help='"json", or a JSON Schema as JSON or @FILE')
    chat.add_argument("--think", action="store_true", help="let the model think aloud first")
    chat.add_argument("--personal", action="store_true", help="the text holds data of people: allowed providers only")
    chat.add_argument("--timeout", type=int, metavar="MS", help="give up after this many milliseconds")
    chat.add_argument("--providers", action="store_true", help="list the providers instead")
    chat.add_argument("--json", action="store_true", help="print one JSON document")


def _chat(arguments: argparse.Namespace) -> int:
    if arguments.providers:
        return _providers(arguments)
    if not arguments.model:
        raise InvalidInput("name a model with --model; --providers lists who can be asked", field="model")
    messages = [{"role": "user", "content": reading.text(arguments.text, "the text")}]
    if arguments.system:
        messages.insert(0, {"role": "system", "content": reading.text([arguments.system], "--system")})
    asked: dict[str, Any] = {
        "model": arguments.model,
        "messages": messages,
        "max_tokens": arguments.max_tokens,
        "temperature": arguments.temperature,
        "format": _format(arguments.format),
        "think": arguments.think,
        "timeout_ms": arguments.timeout,
        "data_class": "personal" if arguments.personal else "general",
    }
    with open_lake(arguments, make=True) as lake:
        if arguments.json:
            showing.json_document(lake.chat.complete(**asked))
        elif sys.stdout.isatty():
            for event in lake.chat.stream(**asked):
                print(showing.cell_lines(event.content), end="", flush=True)
            print()
        else:
            print(lake.chat.complete(**asked).content)
    return 0


def _format(given: str | None) -> Any:
    if given is None or given == "json":
        return given
    return {"schema": reading.json_value(given, dict, "--format")}


def _providers(arguments: argparse.Namespace) -> int:
    with open_lake(arguments, make=True) as lake:
        listed = lake.chat.providers()
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [
        showing.Column("provider"),
        showing.Column("prefix"),
        showing.Column("url", wraps=True),
        showing.Column("personal data"),
        showing.Column("default"),
    ]
    showing.table(
        columns, [[each.name, each.prefix, each.url, each.personal, each.default] for each in listed.providers]
    )
    for each in listed.missing:
        print(f"{each.name}: {each.reason}", file=sys.stderr)
    return 0
