"""Where a build puts what it does not keep, or keeps only once it is whole.

Half of what a build writes is thrown away again, and what the graph's engine keeps it writes all at once. On the disk
where the ledger lies, that makes every answer wait whose rows are to be synced meanwhile. In memory it is in nobody's
way, and what stays is carried over in small pieces.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lakehouse.errors import InvalidInput

MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108 - a folder of chance with mode 0700 is made in it
# No build takes more than such a share of the memory that is free; one that would goes to the disk.
_SHARE = 8
# Bytes that are brought to disk together: the sync of somebody else's answer waits for no more.
PIECE = 2 << 20
_GRAVE = "~"
_MEMORY_INFO = Path("/proc/meminfo")
_CGROUP = Path("/proc/self/cgroup")


class _Version(NamedTuple):
    """Where a version of control groups has their limits."""

    root: Path
    limit: str
    used: str
    droppable: str


# By what stands for it in the list of a process' groups.
_VERSIONS = {
    "": _Version(Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file "),
    "memory": _Version(
        Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "
    ),
}


@contextlib.contextmanager
def scratch(index: Path, size: int, chosen: str) -> Iterator[Path | None]:
    """Make a folder for a build, which is removed at the end.

    Args:
        index: The folder of the index that is built.
        size: About how many bytes are put there at most.
        chosen: `vectors.scratch`; empty takes memory, if there is plenty.

    Yields:
        The folder, or None when the build has to do in its target.

    Raises:
        InvalidInput: Nothing can be put into the folder that was chosen.
    """
    clear(index, chosen)
    within = Path(chosen) if chosen else MEMORY
    if not chosen and size * _SHARE > free_memory():
        yield None
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(index), dir=within))
    except OSError as error:
        if chosen:
            raise InvalidInput(
                f"the setting vectors.scratch names {chosen!r}, where no folder can be made ({error.strerror}):"
                " make it, name another, or leave it empty",
                field="vectors.scratch",
            ) from None
        yield None
        return
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear(index: Path, chosen: str) -> None:
    """Remove what builds of an index left behind when their process was killed.

    Its child may live on for a moment and still write; under another name its files are beyond it.
    """
    for left in Path(chosen or MEMORY).glob(f"*{_prefix(index)}*"):
        with contextlib.suppress(OSError):
            grave = left if left.name.startswith(_GRAVE) else left.rename(left.with_name(f"{_GRAVE}{left.name}"))
            shutil.rmtree(grave, ignore_errors=True)


def carry(source: Path, target: Path) -> None:
    """Move a folder to another file system; what is in it survives a power cut then. `target` is made."""
    for name, _, files in os.walk(source):
        into = target / Path(name).relative_to(source)
        into.mkdir()
        for file in files:
            with (Path(name) / file).open("rb") as reading, (into / file).open("wb", buffering=0) as writing:
                while piece := reading.read(PIECE):
                    writing.write(piece)
                    os.fdatasync(writing.fileno())
    shutil.rmtree(source)


def free_memory() -> int:
    """Return how many bytes the memory's file system may take: of the machine's, and of this process' control group.

    0 where there is no such file system or the machine does not tell.
    """
    try:
        of_files = os.statvfs(MEMORY)
        told = _MEMORY_INFO.read_text()
        available = next(int(line.split()[1]) * 1024 for line in told.splitlines() if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 0
    return min(of_files.f_bavail * of_files.f_frsize, available, *_left_to_groups())


def _left_to_groups() -> Iterator[int]:
    """Yield what each control group around this process leaves of its limit; files it can drop count as free."""
    try:
        told = _CGROUP.read_text()
    except OSError:
        return
    for line in told.splitlines():
        _, controllers, own = line.split(":", 2)
        version = _VERSIONS.get(controllers)
        if version is not None:
            group = version.root / own.lstrip("/")
            for each in (group, *group.parents):
                with contextlib.suppress(OSError, ValueError, StopIteration):
                    limit = int((each / version.limit).read_text())
                    used = int((each / version.used).read_text())
                    listed = (each / "memory.stat").read_text().splitlines()
                    droppable = next(int(line.split()[1]) for line in listed if line.startswith(version.droppable))
                    yield max(limit - used + droppable, 0)
                if each == version.root:
                    break


def _prefix(index: Path) -> str:
    return f"lakehouse-{hashlib.blake2b(str(index.resolve()).encode(), digest_size=12).hexdigest()}-"
