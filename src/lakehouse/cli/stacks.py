"""Stacks in the background: `ps`, `logs`, `stop`, `restart`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from lakehouse.cli import showing
from lakehouse.cli.session import settings_of
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from lakehouse.serve.stacks import Stacks

_FOLLOW_S = 0.2
_CHUNK = 64 * 1024


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `ps`: a stack, or a service of a divided one."""

    stack: str
    service: str
    state: str
    pid: int | None
    url: str
    since: str | None
    memory_mb: float | None
    data: str


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    ps = commands.command("ps", _ps, "list the stacks of this machine that have a name")
    ps.add_argument("--json", action="store_true", help="print one JSON document")
    logs = commands.command(
        "logs",
        _logs,
        "print the log of a stack in the background",
        more="One JSON object a line. A stack that a service manager runs logs where the manager says.",
    )
    logs.add_argument("stack", metavar="NAME", help="name of the stack")
    logs.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="how many of the last (default: 50)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    logs.add_argument("--service", metavar="PART", help="of one part of a divided stack: gateway, lake, embedd")
    logs.add_argument("--start", action="store_true", help="what the last start printed, instead")
    stop = commands.command(
        "stop",
        _stop,
        "stop a stack; requests under way are finished",
        more="Found by its pid file, never by the name of a process. Its record stays, so that `up --stack`\n"
        "brings it back on the same ports with the same data.",
    )
    stop.add_argument("stack", metavar="NAME", help="name of the stack")
    stop.add_argument("--wait", type=float, metavar="S", help="longest wait (default: the configured grace and 15 s)")
    stop.add_argument("--json", action="store_true", help="print one JSON document")
    stop.add_argument("--force", action="store_true", help="kill it when it has not ended by then")
    restart = commands.command(
        "restart",
        _restart,
        "start the parts of a divided stack again, one by one; no request fails",
        more="Of a stack that was started with --processes.",
    )
    restart.add_argument("stack", metavar="NAME", help="name of the stack")
    restart.add_argument(
        "--service", action="append", metavar="PART", help="gateway, lake or embedd, again for more (default: all)"
    )
    restart.add_argument("--json", action="store_true", help="print one JSON document")
    restart.add_argument("--wait", type=float, default=120.0, metavar="S", help="longest wait for one (default: 120)")
    stop.add_argument("--forget", action="store_true", help="remove its record and logs afterwards; never its data")


def _stacks(arguments: argparse.Namespace) -> Stacks:
    from lakehouse.serve.stacks import Stacks

    return Stacks(settings_of(arguments).stacks.folder)


def _ps(arguments: argparse.Namespace) -> int:
    rows = list(_shown(_stacks(arguments)))
    if arguments.json:
        showing.json_document({"stacks": rows})
        return 0
    columns = [
        showing.Column("stack"),
        showing.Column("service"),
        showing.Column("state"),
        showing.Column("pid", right=True),
        showing.Column("url"),
        showing.Column("since"),
        showing.Column("memory MB", right=True),
        showing.Column("data", below=True),
    ]
    showing.table(columns, [list(msgspec.structs.astuple(row)) for row in rows])
    return 0


def _shown(stacks: Stacks) -> Iterator[Shown]:
    from lakehouse.serve import processes

    for status in stacks.all():
        yield Shown(
            stack=status.name,
            service="all" if not status.services else "keeper",
            state=status.state,
            pid=status.pid,
            url=status.url,
            since=status.ready_at,
            memory_mb=processes.memory_mb(status.pid),
            data=status.data,
        )
        for service, pid in status.services.items():
            yield Shown(
                stack=status.name,
                service=service,
                state="running" if processes.memory_mb(pid) is not None else "stopped",
                pid=pid,
                url="",
                since=None,
                memory_mb=processes.memory_mb(pid),
                data="",
            )


def _logs(arguments: argparse.Namespace) -> int:
    if arguments.lines < 0:
        raise InvalidInput("--lines must not be negative", field="lines")
    stacks = _stacks(arguments)
    stacks.get(arguments.stack)
    file = stacks.start_log(arguments.stack) if arguments.start else stacks.log_file(arguments.stack)
    if arguments.service:
        from lakehouse.serve.divided import log_of

        file = Path(log_of(str(stacks.log_file(arguments.stack)), arguments.service))
    if arguments.service and not file.exists():
        raise NotFound(
            f"stack {arguments.stack!r} has no log of {arguments.service!r}; the parts of one that was started with"
            " --processes are gateway, lake and embedd",
            field="service",
        )
    if not file.exists():
        raise NotFound(f"stack {arguments.stack!r} has no log in {file.parent}; it was not started in the background")
    out = sys.stdout.buffer
    with file.open("rb") as log:
        for line in _last(log, arguments.lines):
            out.write(line)
        out.flush()
        if arguments.follow:
            _follow(file, log, out)
    return 0


def _last(log: BinaryIO, count: int) -> list[bytes]:
    """Return the last lines of a file, and leave it at its end."""
    end = log.seek(0, 2)
    data = b""
    while end and data.count(b"\n") <= count:
        start = max(0, end - _CHUNK)
        log.seek(start)
        data = log.read(end - start) + data
        end = start
    log.seek(0, 2)
    return data.splitlines(keepends=True)[-count:] if count else []


def _follow(file: Path, log: BinaryIO, out: BinaryIO) -> None:
    while True:
        while data := log.read(_CHUNK):
            out.write(data)
        out.flush()
        time.sleep(_FOLLOW_S)
        try:
            if file.stat().st_ino != _inode(log):
                # Put aside because it was full: what was still written to it, then the new one.
                out.write(log.read())
                log = file.open("rb")
        except FileNotFoundError:
            continue


def _inode(log: BinaryIO) -> int:
    import os

    return os.fstat(log.fileno()).st_ino


def _restart(arguments: argparse.Namespace) -> int:
    from lakehouse.serve import background

    again = background.restart(_stacks(arguments), arguments.stack, arguments.service or (), within_s=arguments.wait)
    said = f"stack {arguments.stack}: started again, one after the other: {', '.join(again)}"
    showing.done(arguments.json, said, stack=arguments.stack, restarted=again)
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    from lakehouse.serve import background

    stacks = _stacks(arguments)
    pid = background.stop(stacks, arguments.stack, grace_s=arguments.wait, force=arguments.force)
    # Said before its record goes: what is in the way of that must not hide that the process has ended.
    if not arguments.json:
        print(f"stack {arguments.stack}: {f'process {pid} has ended' if pid else 'was not running'}")
    if arguments.forget:
        stacks.forget(arguments.stack)
    if arguments.json:
        showing.json_document({"stack": arguments.stack, "ended": pid, "forgotten": arguments.forget})
    elif arguments.forget:
        print(f"stack {arguments.stack}: forgotten")
    return 0
