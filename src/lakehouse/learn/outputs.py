"""Files that grow together with a note of how far the work has come: after a crash both are there, or neither.

Rows are appended to files below a folder, then the note is exchanged. What a crash left beyond the note is cut off by
the next run, which does the same work again and so writes the same bytes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.state.folder import atomic_write, disk_error, fsync_dir

STATE = "state.json"
SUFFIX = ".jsonl"
# Bytes that wait in memory at most.
MOST_WAITING = 16 * 1024 * 1024


class State(msgspec.Struct, kw_only=True):
    """The note.

    Attributes:
        version: Of whoever writes; another one makes everything anew.
        cursor: How far each source has been read, in the writer's own terms.
        counts: Totals of the writer's own.
        sizes: Bytes of each output, by its path below the folder.
    """

    version: str
    cursor: dict[str, Any] = {}
    counts: dict[str, int] = {}
    sizes: dict[str, int] = {}


class Outputs:
    """Outputs below one folder, opened for one run by one writer.

    Args:
        folder: Made when absent; everything in it belongs to these outputs.
        version: See `State.version`.

    Raises:
        PermissionDenied, Unavailable: The folder cannot be written.

    >>> import tempfile
    >>> outputs = Outputs(Path(tempfile.mkdtemp()) / "evidence", "v1")
    >>> outputs.add("2026/11/27/ops.jsonl", b'{"n":1}')
    >>> outputs.commit()
    >>> outputs.state.sizes
    {'2026/11/27/ops.jsonl': 8}
    """

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        self._version = version
        self._waiting: dict[str, list[bytes]] = {}
        self._bytes = 0
        self.started_over = False
        self.state = State(version=version)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise disk_error(error, folder) from error

    @property
    def full(self) -> bool:
        """Whether enough waits for a `commit`."""
        return self._bytes >= MOST_WAITING

    def add(self, name: str, line: bytes) -> None:
        """Let a line, without its end, wait for the next `commit`."""
        self._waiting.setdefault(name, []).append(line)
        self._bytes += len(line) + 1

    def count(self, name: str, by: int = 1) -> None:
        """Add to a total of the state."""
        self.state.counts[name] = self.state.counts.get(name, 0) + by

    def commit(self) -> None:
        """Write what waits and then the state; both survive a power cut when this returns.

        Raises:
            PermissionDenied, Unavailable: The disk refused; the next run goes on from the last commit.
        """
        try:
            for name, lines in self._waiting.items():
                self._append(name, b"".join(line + b"\n" for line in lines))
            atomic_write(self.folder / STATE, msgspec.json.encode(self.state, order="sorted") + b"\n")
        except OSError as error:
            raise disk_error(error, self.folder) from error
        self._waiting, self._bytes = {}, 0

    def start_over(self) -> None:
        """Throw all outputs away; the state is a new one."""
        for each in self.folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        self.state, self._waiting, self._bytes = State(version=self._version), {}, 0
        self.started_over = True

    def _open(self) -> None:
        for left in self.folder.glob(f".{STATE}.*"):
            # Of an exchange that a crash broke off.
            left.unlink()
        state = read_state(self.folder)
        if state is not None and state.version == self._version and self._cut(state):
            self.state = state
        elif any(self.folder.iterdir()):
            self.start_over()

    def _cut(self, state: State) -> bool:
        """Bring outputs back to the state; false when something of them is gone."""
        for path in self.folder.rglob(f"*{SUFFIX}"):
            kept = state.sizes.get(str(path.relative_to(self.folder)))
            if kept is None:
                path.unlink()
            elif path.stat().st_size > kept:
                os.truncate(path, kept)
        return all(_size(self.folder / name) == size for name, size in state.sizes.items())

    def _append(self, name: str, data: bytes) -> None:
        path = self.folder / name
        is_new = name not in self.state.sizes
        if is_new:
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        if is_new:
            fsync_dir(path.parent)
        self.state.sizes[name] = self.state.sizes.get(name, 0) + len(data)


def read_state(folder: Path) -> State | None:
    """Return the note of outputs, null when there is none that can be read."""
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def partitions(folder: Path) -> list[Path]:
    """Return the files of the day partitions below a folder, by day, then by name."""
    return sorted(folder.glob(f"[0-9]*/[0-9]*/[0-9]*/*{SUFFIX}"))


def day_of(time: str) -> str:
    """Return the day of an RFC 3339 time as a path, `2026/01/31`.

    Raises:
        ValueError: It has none.
    """
    day = time[:10]
    if len(day) != 10 or day[4] != "-" or day[7] != "-" or not (day[:4] + day[5:7] + day[8:]).isdecimal():
        raise ValueError("the line has no time")
    return day.replace("-", "/")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
