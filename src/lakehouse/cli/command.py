"""The `lakehouse` command: the tree of commands, and how it ends.

exit code   meaning
0           done
1           anything not below: a service out of reach, a full disk, a failed check
2           the command or its input is wrong as written
3           what was named does not exist
4           the name is taken, or somebody else holds it
5           not allowed
130         stopped with Ctrl-C
141         the reader of the output went away (`| head`); says nothing
143         stopped with SIGTERM; what it started is stopped as well
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lakehouse import __version__
from lakehouse.cli import (
    backups,
    chatting,
    datasets,
    demanding,
    demo,
    doctor,
    evaluations,
    inbox,
    learning,
    ops,
    pathways,
    playbooks,
    reviewing,
    rosters,
    searching,
    serving,
    stacks,
    subjects,
    validating,
    vectors,
    workflows,
)
from lakehouse.cli.session import settings_of
from lakehouse.cli.tree import Commands, Tree
from lakehouse.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    LakehouseError,
    NotFound,
    PermissionDenied,
    TooLarge,
    Unauthenticated,
)

_CODES: tuple[tuple[type[LakehouseError], int], ...] = (
    (InvalidInput, 2),
    (TooLarge, 2),
    (NotFound, 3),
    (AlreadyExists, 4),
    (Conflict, 4),
    (Unauthenticated, 5),
    (PermissionDenied, 5),
)
_INTERRUPTED = 130
_PIPE_CLOSED = 141
_TERMINATED = 143

_GROUPS = (
    ("start here", (demo, serving, stacks, backups, doctor)),
    ("data in, questions out", (datasets, rosters)),
    ("people for a demand", (searching, playbooks, inbox, demanding, validating)),
    ("what is done, and was", (ops, workflows, pathways)),
    ("whose data, and who saw it", (subjects,)),
    ("what the logs teach", (learning,)),
    ("parts and proof", (chatting, vectors, evaluations, reviewing)),
)


def build() -> Tree:
    """Build the whole tree of commands."""
    tree = Tree(
        prog="lakehouse",
        description="Staffing search with memory: a demand line in, real people from the roster out.",
    )
    tree.add_argument("--version", action="version", version=f"lakehouse {__version__}")
    tree.set_defaults(lake=None, config=None, debug=False)
    commands = Commands(tree)
    for title, modules in _GROUPS:
        commands.section(title)
        for module in modules:
            module.add(commands)
    return tree


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see the module's table.

    Args:
        argv: Words after the program's name; `sys.argv[1:]` when None.
    """
    words = [*(sys.argv[1:] if argv is None else argv)]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal's encoding lacks must not end the command.
            stream.reconfigure(errors="replace")
    try:
        with _ending_in_order():
            code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered must not be written again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that no stack, process or folder of its making is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> None:
    raise SystemExit(_TERMINATED)


def exit_code(error: Exception) -> int:
    """Return the exit code of the module's table for an error."""
    if isinstance(error, LakehouseError):
        return next((code for kind, code in _CODES if isinstance(error, kind)), 1)
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return 5
    return 3 if number == errno.ENOENT else 1


def _run(words: Sequence[str]) -> int:
    try:
        arguments = build().parse_args(words)
        return int(arguments.run(arguments) or 0)
    except SystemExit as end:
        # --help and --version end this way, and so does a stack that is told to stop.
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback unasked
        sys.stdout.flush()
        if "--debug" in words:
            traceback.print_exc()
        print("error:", " ".join(_words(error, words).split()), file=sys.stderr)
        return exit_code(error)


def _token_variable(words: Sequence[str]) -> str:
    return settings_of(build().parse_args(words)).server.token_env


def _words(error: Exception, words: Sequence[str]) -> str:
    if isinstance(error, Unauthenticated):
        return f"{error.message}; a command sends what ${_token_variable(words)} holds"
    if isinstance(error, LakehouseError):
        return error.message
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return f"this is a defect of lakehouse ({type(error).__name__}: {error}); --debug shows where"
