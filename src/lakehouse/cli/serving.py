"""Running stacks: `up`, `serve`, `version`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import __version__
from lakehouse.cli import showing
from lakehouse.cli.session import folder_of, settings_of
from lakehouse.cli.tree import Commands, Tree
from lakehouse.errors import InvalidInput

if TYPE_CHECKING:
    from lakehouse.serve.stacks import Record, Stacks
    from lakehouse.settings import Settings


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    up = commands.command(
        "up",
        _up,
        "serve everything and the console in one process",
        more="Answers on http://127.0.0.1:3110 until Ctrl-C or SIGTERM; nothing acknowledged is lost.\n"
        "With --stack it runs in the background, on ports and data of its own that the name brings back;\n"
        "see ps, logs and stop. The stack `persistent` answers on port 4110.",
    )
    _add_address(up)
    up.add_argument("--stack", metavar="NAME", help="run as the stack of that name, in the background")
    up.add_argument("--bucket", metavar="NAME", help="bucket of the stack (default: the configured one, then its name)")
    up.add_argument(
        "--processes", action="store_true", help="in processes of their own: gateway, lake, embedd; each kept running"
    )
    up.add_argument("--foreground", action="store_true", help="stay here, for a service manager (with --stack)")
    up.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="S",
        help="longest wait for it to answer (default: 60)",
    )
    up.add_argument("--json", action="store_true", help="print one JSON document (with --stack)")
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
    if arguments.stack is None:
        if arguments.processes:
            _divided(arguments)
        else:
            _run(arguments, None, None)
        return 0
    from lakehouse.serve import background

    stacks, record, config = _stack(arguments)
    if arguments.foreground:
        _hold(stacks, record, config, divided=arguments.processes)
        return 0
    options = ["--processes"] if arguments.processes else []
    running = background.start(stacks, record, options=options, within_s=arguments.wait)
    log = str(stacks.log_file(record.name))
    said = f"stack {record.name}: {running.url}, process {running.pid}, data in {record.data}\nlog: {log}"
    facts = {"stack": record.name, "url": running.url, "pid": running.pid, "data": record.data, "log": log}
    showing.done(arguments.json, said, **facts)
    return 0


def _stack(arguments: argparse.Namespace) -> tuple[Stacks, Record, Settings]:
    from lakehouse.serve.stacks import Stacks

    config = settings_of(arguments)
    stacks = Stacks(config.stacks.folder)
    if arguments.port == 0:
        raise InvalidInput("a stack is found again by its port; choose one with --port, or none", field="port")
    file = arguments.config or os.environ.get("LAKEHOUSE_CONFIG") or ""
    if not file and Path("lakehouse.toml").is_file():
        file = "lakehouse.toml"
    record, own = stacks.prepare(
        arguments.stack,
        config,
        config_file=file,
        host=arguments.host,
        port=arguments.port,
        data=arguments.data or arguments.lake,
        bucket=arguments.bucket,
    )
    return stacks, record, own


def _hold(stacks: Stacks, record: Record, config: Settings, *, divided: bool) -> None:
    with stacks.held(record.name):
        if divided:
            from lakehouse.serve.divided import serve as serve_divided

            serve_divided(
                config,
                offset=record.offset,
                ready=lambda url, parts: stacks.say_ready(record.name, url, dict(parts)),
            )
        else:
            from lakehouse.serve.run import serve

            serve(config, ready=lambda url: stacks.say_ready(record.name, url))


def _divided(arguments: argparse.Namespace) -> None:
    from lakehouse.serve.divided import serve

    config = _configured(arguments, None)
    told: list[str] = []

    def ready(url: str, _parts: Mapping[str, int]) -> None:
        if not told:
            told.append(url)
            sys.stderr.write(f"lakehouse {__version__} ready on {url} (data in {config.data})\n")
            sys.stderr.flush()

    serve(config, offset=config.server.port - type(config.server)().port, ready=ready)


def _serve(arguments: argparse.Namespace) -> int:
    from lakehouse.serve import services

    service = services.find(arguments.service)
    _run(arguments, service.port, frozenset({service.name}))
    return 0


def _run(arguments: argparse.Namespace, port: int | None, only: frozenset[str] | None) -> None:
    config = _configured(arguments, port)
    from lakehouse.serve.run import serve

    serve(config, only=only)


def _configured(arguments: argparse.Namespace, port: int | None) -> Settings:
    from lakehouse import settings

    server: dict[str, Any] = {"host": arguments.host, "port": port if arguments.port is None else arguments.port}
    return settings.load(
        arguments.config,
        overrides={
            "data": folder_of(arguments, arguments.data),
            "server": {name: value for name, value in server.items() if value is not None},
        },
    )


def _version(arguments: argparse.Namespace) -> int:
    if arguments.json:
        showing.json_document({"version": __version__})
    else:
        print(f"lakehouse {__version__}")
    return 0
