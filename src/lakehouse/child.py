"""Heavy work in a child process of low priority whose life is tied to its parent's.

The parent writes one JSON request to the child's standard input and leaves that pipe open; the child
ends itself when the pipe closes, so a parent that is killed leaves nothing running. The child answers on
standard output, one JSON object a line: `{"progress": [done, total]}` any number of times, then
`{"result": ...}` or `{"error": ..., "status": ...}` in the wire shape of `lakehouse.errors`.
"""

from __future__ import annotations

import io
import os
import subprocess  # nosec B404 - starts only this interpreter with a module of this package
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec

from lakehouse import errors

NICENESS = 10

Progress = Callable[[int, int], None]
Work = Callable[[dict[str, Any], Progress], Any]


class Children:
    """The child processes of one service.

    Thread-safe. `close` ends those that run and refuses new ones.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(self, module: str, request: dict[str, Any], *, progress: Progress | None = None) -> Any:
        """Run `module` in a child process and wait for its result.

        Args:
            module: Dotted name of a module that calls `serve` when run as `__main__`.
            request: JSON-able; handed to the child's work function.
            progress: Called in this thread with (done, total). What it raises ends the child.

        Returns:
            The JSON value the child's work function returned.

        Raises:
            LakehouseError: The child raised it; same class, same message.
            Unavailable: `close` was called.
            InternalError: The child ended without an answer; the message has the end of its stderr.
        """
        with tempfile.TemporaryFile() as complaints:
            process = self._start(module, complaints)
            grace_s = 0.0
            try:
                _send(process, request)
                answer = _listen(process, progress)
                # Without an answer its status tells what happened; it may take a while to fall.
                grace_s = 1.0 if answer else 30.0
            finally:
                self._end(process, grace_s)
            if answer is None:
                raise self._no_answer(module, process.returncode, complaints)
        if "error" in answer:
            raise errors.from_wire(answer["status"], answer)
        return answer["result"]

    def close(self) -> None:
        """End every running child; their `run` raises `Unavailable`."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            process.kill()

    def _start(self, module: str, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise errors.Unavailable("shutting down; no new work is started")
            process = subprocess.Popen(  # noqa: S603  # nosec B603 - fixed program, module named by our own code
                [sys.executable, "-P", "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=environment(),
            )
            self._running.add(process)
        return process

    def _end(self, process: subprocess.Popen[bytes], grace_s: float) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        try:
            process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with self._lock:
            self._running.discard(process)

    def _no_answer(self, module: str, returncode: int, complaints: IO[bytes]) -> errors.LakehouseError:
        if self._closed:
            return errors.Unavailable("shutting down; the work was given up")
        size = complaints.seek(0, os.SEEK_END)
        complaints.seek(max(0, size - 2_000))
        tail = complaints.read().decode("utf-8", "replace").strip()
        return errors.InternalError(
            f"the child process {module} ended with status {returncode} and no answer: {tail or 'nothing on stderr'}",
            returncode=returncode,
        )


def serve(work: Work) -> None:
    """Be the child: lower the priority, do `work` on the request, answer, and end with the parent."""
    os.nice(NICENESS)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    # Whatever a library prints must not end up between the answers, nor be lost with a process that is ended.
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    request = msgspec.json.decode(sys.stdin.buffer.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()

    def progress(done: int, total: int) -> None:
        answers.write(msgspec.json.encode({"progress": [done, total]}) + b"\n")

    try:
        answer: dict[str, Any] = {"result": work(request, progress)}
    except errors.LakehouseError as error:
        answer = {**error.to_wire(), "status": error.status}
    except OSError as error:
        lack = errors.Unavailable(str(error))
        answer = {**lack.to_wire(), "status": lack.status}
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.close()


def end_with_parent() -> None:
    """End this process when its standard input closes, which happens when its parent has ended, however it did."""
    # Not through sys.stdin: a thread that waits inside of it makes the interpreter abort at its end.
    while os.read(0, 4096):
        pass
    os._exit(1)


def environment() -> dict[str, str]:
    """Return the environment of a process that must find this package as this one does."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _send(process: subprocess.Popen[bytes], request: dict[str, Any]) -> None:
    if process.stdin is None:
        raise errors.InternalError("the child process has no standard input")
    try:
        process.stdin.write(msgspec.json.encode(request) + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        # It ended at once; the lack of an answer says so with its stderr.
        return


def _listen(process: subprocess.Popen[bytes], progress: Progress | None) -> dict[str, Any] | None:
    for line in process.stdout or ():
        message: dict[str, Any] = msgspec.json.decode(line)
        if "progress" not in message:
            return message
        if progress is not None:
            done, total = message["progress"]
            progress(done, total)
    return None
