"""Running stacks: `up`, `serve`, `version`."""

from __future__ import annotations

import argparse
from typing import Any

from lakehouse import __version__
from lakehouse.cli import showing
from lakehouse.cli.session import folder_of
from lakehouse.cli.tree import Commands, Tree


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    up = commands.command(
        "up",
        _up,
        "serve everything and the console in one process",
        more="Answers on http://127.0.0.1:3110 until Ctrl-C or SIGTERM; nothing acknowledged is lost.",
    )
    _add_address(up)
    serve = commands.command("serve", _serve, "serve one service alone, on its own port")
    serve.add_argument("service", metavar="SERVICE", help="storaged, catalogd, ingestd, queryd, vectord, ...")
    _add_address(serve)
    version = commands.command("version", _version, "print the version")
    version.add_argument("--json", action="store_true", help="print one JSON document")


def _add_address(tree: Tree) -> None:
    tree.add_argument("--host", metavar="HOST", help="address to listen on (default: 127.0.0.1)")
    tree.add_argument("--port", type=int, metavar="PORT", help="port to listen on, 0 for any free one")
    tree.add_argument("--data", metavar="FOLDER", help="folder of the lake, as --lake")


def _up(arguments: argparse.Namespace) -> int:
    _run(arguments, None, None)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from lakehouse.serve import services

    service = services.find(arguments.service)
    _run(arguments, service.port, frozenset({service.name}))
    return 0


def _run(arguments: argparse.Namespace, port: int | None, only: frozenset[str] | None) -> None:
    from lakehouse import settings

    server: dict[str, Any] = {"host": arguments.host, "port": port if arguments.port is None else arguments.port}
    config = settings.load(
        arguments.config,
        overrides={
            "data": folder_of(arguments, arguments.data),
            "server": {name: value for name, value in server.items() if value is not None},
        },
    )
    from lakehouse.serve.run import serve

    serve(config, only=only)


def _version(arguments: argparse.Namespace) -> int:
    if arguments.json:
        showing.json_document({"version": __version__})
    else:
        print(f"lakehouse {__version__}")
    return 0
