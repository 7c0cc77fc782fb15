"""Stacks in the background: started as a process of their own, waited for, stopped by pid file."""

from __future__ import annotations

import os
import signal
import subprocess  # nosec B404 - starts only this interpreter with this package
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lakehouse.child import environment
from lakehouse.errors import Conflict, NotFound, Unavailable
from lakehouse.serve import processes
from lakehouse.serve.stacks import Record, Running, Stacks
from lakehouse.state import pidfile
from lakehouse.state.folder import disk_error

_PAUSE_S = 0.05
# Beyond the grace that requests under way have.
_END_S = 15.0
_TOLD_BYTES = 2_000


def start(stacks: Stacks, record: Record, *, options: Sequence[str] = (), within_s: float) -> Running:
    """Start a stack in the background and return once it answers.

    The process is told apart from any other by the pid file it holds, so a port on which somebody else answers is
    never taken for it.

    Args:
        stacks: Where it is recorded.
        record: The stack.
        options: Further words for `lakehouse up`.
        within_s: Longest wait; the process is ended when it takes longer.

    Raises:
        Conflict: It runs already.
        Unavailable: It ended before it was ready, or was not in time; the message has what it said.
    """
    name = record.name
    pid = pidfile.holder(stacks.pid_file(name))
    if pid is not None:
        raise Conflict(f"stack {name!r} runs already, as process {pid}", stack=name, pid=pid)
    said = stacks.start_log(name)
    try:
        with said.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  # nosec B603 - fixed program, our own words
                [sys.executable, "-P", "-m", "lakehouse", *_words(record), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # In a session of its own, so that a closed terminal does not end it.
                start_new_session=True,
                cwd=stacks.path(name),
                env=_environment(stacks, name),
            )
    except OSError as error:
        raise disk_error(error, said) from error
    try:
        running = _ready(stacks, name, process, within_s)
    except BaseException:
        # Also when whoever waits is told to end: nobody would know of it.
        process.terminate()
        process.wait()
        raise
    # It lives on without us; nobody is to warn that it was not waited for.
    process.returncode = 0
    return running


def _ready(stacks: Stacks, name: str, process: subprocess.Popen[bytes], within_s: float) -> Running:
    said = stacks.start_log(name)
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        running = stacks.running(name)
        if running and running.pid == process.pid:
            return running
        if process.poll() is not None:
            raise Unavailable(f"stack {name!r} did not start: {_tail(said)}", stack=name)
        time.sleep(_PAUSE_S)
    raise Unavailable(f"stack {name!r} was not ready within {within_s:.0f} s: {_tail(said)}", stack=name)


def stop(stacks: Stacks, name: str, *, grace_s: float | None = None, force: bool = False) -> int | None:
    """Stop a stack: requests under way are finished, then its process ends.

    Args:
        stacks: Where it is recorded.
        name: The stack.
        grace_s: Longest wait; None means its own grace for requests and some seconds.
        force: Whether a process that does not end in time is killed; nothing acknowledged is lost even then.

    Returns:
        The process that was stopped, None when none ran.

    Raises:
        NotFound: There is no such stack.
        Unavailable: It did not end in time.
    """
    record = stacks.get(name)
    path = stacks.pid_file(name)
    pid = pidfile.send(path, signal.SIGTERM)
    if pid is None:
        return None
    if grace_s is None:
        grace_s = stacks.settings_of(record).server.shutdown_grace_ms / 1000 + _END_S
    if not pidfile.wait_released(path, within_s=grace_s):
        if not force:
            raise Unavailable(
                f"stack {name!r} (process {pid}) still runs after {grace_s:.0f} s; stop it with --force", pid=pid
            )
        pidfile.send(path, signal.SIGKILL)
        pidfile.wait_released(path, within_s=_END_S)
    return pid


def restart(stacks: Stacks, name: str, parts: Sequence[str] = (), *, within_s: float) -> list[str]:
    """Start the parts of a divided stack again, one after the other; requests wait meanwhile and none fails.

    Args:
        stacks: Where it is recorded.
        name: The stack.
        parts: Which, all by default.
        within_s: Longest wait for one of them.

    Returns:
        The parts, in the order in which they were started again.

    Raises:
        NotFound: There is no such stack, or it has no such part.
        Conflict: It is not running in several processes.
        Unavailable: A part did not come back in time.
    """
    status = stacks.status(name)
    if not status.services or status.pid is None:
        raise Conflict(f"stack {name!r} does not run in several processes; stop it and start it again", stack=name)
    for part in parts:
        if part not in status.services:
            raise NotFound(f"stack {name!r} has no part {part!r}; there are: {', '.join(status.services)}", part=part)
    chosen = [part for part in status.services if part in parts or not parts]
    for part in chosen:
        pid = status.services[part]
        # The keeper starts what has ended; nobody else's process has it as its parent.
        if processes.parent(pid) == status.pid:
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + within_s
        while (now := stacks.status(name)).services.get(part) in {pid, None}:
            if time.monotonic() > until:
                raise Unavailable(f"{part} of stack {name!r} did not come back within {within_s:.0f} s", part=part)
            time.sleep(_PAUSE_S)
        status = now
    return chosen


def _words(record: Record) -> list[str]:
    config = ["--config", record.config] if record.config else []
    return [*config, "up", "--stack", record.name, "--foreground"]


def _environment(stacks: Stacks, name: str) -> dict[str, str]:
    return {
        **{key: value for key, value in environment().items() if key != "NOTIFY_SOCKET"},
        "LAKEHOUSE_STACKS__FOLDER": str(stacks.folder),
        "LAKEHOUSE_LOGGING__FILE": str(stacks.log_file(name)),
    }


def _tail(file: Path) -> str:
    text = file.read_bytes()[-_TOLD_BYTES:].decode("utf-8", "replace").strip()
    return text.removeprefix("error: ") or f"it said nothing; see {file}"
