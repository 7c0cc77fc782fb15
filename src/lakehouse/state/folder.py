"""The lake folder: its format file, its lock, and writes that survive a power cut.

A lake is one folder. `LAKE.json` says which format it has; `.lock` is held by the one process that has
the lake open. The lock belongs to the process, not to the file: it is gone the moment the process is,
however that ended.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from lakehouse.errors import (
    Conflict,
    IntegrityError,
    InvalidInput,
    LakehouseError,
    PermissionDenied,
    Unavailable,
)

FORMAT = 1
FORMAT_FILE = "LAKE.json"
LOCK_FILE = ".lock"
# Which of the stacks that share a state database the folder belongs to.
REPLICA_FILE = "replica.id"
# As whose the logs stand in a bucket.
LOGS_FILE = "logs.id"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class LakeFormat(msgspec.Struct, frozen=True):
    """What `LAKE.json` holds: the number of the folder's layout and the version that made it."""

    format: int
    created_by: str


class LakeFolder:
    """An open lake folder; the process lock is held until `close`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as scratch, open_folder(Path(scratch) / "lake") as folder:
    ...     folder.format.format
    1
    """

    def __init__(self, path: Path, format: LakeFormat, lock: int) -> None:
        self.path = path
        self.format = format
        self._lock: int | None = lock

    def close(self) -> None:
        """Release the lock. Closing twice is harmless."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_folder(path: str | os.PathLike[str]) -> LakeFolder:
    """Open the lake at `path`, creating it when it is not there, and lock it for this process.

    Creation is atomic: a crash leaves a folder that the next call completes.

    Raises:
        InvalidInput: `path` is a file, or the lake has a newer format than this version reads.
        IntegrityError: `LAKE.json` is unreadable.
        PermissionDenied: The folder cannot be created or written.
        Conflict: Another process (or another open of this one) holds the lake; `detail.pid` names it.
        Unavailable: The disk is full.
    """
    folder = Path(path).absolute()
    _make(folder)
    try:
        lock = _locked(folder)
    except OSError as error:
        raise disk_error(error, folder) from error
    try:
        return LakeFolder(folder, _format(folder), lock)
    except BaseException:
        os.close(lock)
        raise


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all; on return it survives a power cut.

    Raises:
        PermissionDenied, Unavailable: See `disk_error`; an earlier file of that name is untouched.
    """
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with scratch.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)
        fsync_dir(target.parent)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise disk_error(error, target) from error


def fsync_dir(path: str | os.PathLike[str]) -> None:
    """Make the names in a folder (files created, renamed or removed) survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_error(error: OSError, path: str | os.PathLike[str]) -> LakehouseError:
    """Name an operating system error in the product's words.

    Returns:
        `PermissionDenied` for a read-only place, `Unavailable` for a full disk, a quota or any other
        failure of the disk; the message names `path`.
    """
    place = os.fspath(path)
    if error.errno in _DENIED:
        return PermissionDenied(
            f"cannot write {place}: {error.strerror}; choose a folder this user may write", path=place
        )
    if error.errno in _FULL:
        return Unavailable(f"no room left to write {place}: {error.strerror}; free some space", path=place)
    return Unavailable(f"cannot use {place}: {error.strerror or error}", path=place)


def _make(folder: Path) -> None:
    new = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for made in new:
            fsync_dir(made.parent)
    except (FileExistsError, NotADirectoryError):
        raise InvalidInput(f"{folder} is not a folder; choose a folder for the lake", path=str(folder)) from None
    except OSError as error:
        raise disk_error(error, folder) from error


def _locked(folder: Path) -> int:
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise Conflict(
            f"lake {folder} is open in process {holder or 'unknown'}; stop it, or connect to it by its URL",
            path=str(folder),
            pid=int(holder) if holder.isdigit() else None,
        ) from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _format(folder: Path) -> LakeFormat:
    file = folder / FORMAT_FILE
    if not file.exists():
        atomic_write(file, msgspec.json.encode(LakeFormat(FORMAT, _version())) + b"\n")
    try:
        found = msgspec.json.decode(file.read_bytes(), type=LakeFormat)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{file} is damaged ({error}); restore it from a backup", path=str(file)) from None
    except OSError as error:
        raise disk_error(error, file) from error
    if found.format > FORMAT:
        raise InvalidInput(
            f"lake {folder} has format {found.format}, made by lakehouse {found.created_by}; this lakehouse"
            f" {_version()} reads up to format {FORMAT}: install a newer lakehouse or open another folder",
            path=str(folder),
            format=found.format,
            supported=FORMAT,
        )
    return found


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("lakehouse")
    except metadata.PackageNotFoundError:
        return "0"
