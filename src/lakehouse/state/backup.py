"""Copies of a lake folder, taken while it serves, and put back whole or not at all.

What is taken is the lake at one moment: changes wait at the gate (`state.quiet`) while databases are copied by their
own online copy and every other file gets a second name in a folder beside it. Files of a lake never change in place:
they are replaced whole, or only grow, so a second name and a length are enough. The bytes are copied after that, while
the lake serves on. A backup is a folder with `files/` and, written last, `BACKUP.json`, which has the SHA-256 of each.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from lakehouse.decoding import ready
from lakehouse.errors import Conflict, IntegrityError, InvalidInput, LakehouseError, NotFound, Unavailable
from lakehouse.state import folder as lake_folder
from lakehouse.state import quiet
from lakehouse.state._engine import is_full
from lakehouse.state.folder import atomic_write, disk_error, fsync_dir

MANIFEST = "BACKUP.json"
FILES = "files"
FORMAT: Literal[1] = 1
# Made again from the texts when it is gone; often the largest file of a lake.
CACHE = "embeddings.db"

_STAGING = ".backup-"
_LOCK = ".backup.lock"
# A copy is no replica: it would not hear of those who are erased meanwhile.
# Nor does it go on at the logs that its model has in a bucket.
_LOCKS = frozenset(
    {
        lake_folder.LOCK_FILE,
        lake_folder.REPLICA_FILE,
        lake_folder.LOGS_FILE,
        quiet.GATE_FILE,
        quiet.CHANGES_FILE,
        _LOCK,
    }
)
# Below these lies only what an interrupted call left, the cache of a part that embeds for a divided stack, and what
# namespaces have used of their chat budgets in this hour, which is counted in place.
_SCRATCH = frozenset({"incoming", "scratch", "embedd", "budgets"})
_SQLITE = b"SQLite format 3\0"
_SQLITE_SIDE_FILES = ("-wal", "-shm", "-journal")
_TRIES = 20
_CHUNK = 1024 * 1024

Progress = Callable[[int, int], None]


class File(msgspec.Struct, frozen=True):
    """One file of a backup; `path` is relative to the lake."""

    path: str
    bytes: int
    sha256: str


@ready
class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds.

    Attributes:
        quiet: No change was under way at its moment. Otherwise one was (a call that takes long), and what it wrote in
            that moment may be there in one place and not in another, as after a crash.
        frozen_ms: For how long changes waited.
        elsewhere: What belongs to the lake and lies outside of its folder, and so is not in the backup.
    """

    format: Literal[1] = FORMAT
    made_at: str
    made_by: str
    lake: str
    lake_format: int
    quiet: bool
    frozen_ms: float
    elsewhere: list[str]
    files: list[File]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)


def make(
    lake: Path,
    target: Path,
    *,
    with_cache: bool = False,
    elsewhere: Sequence[str] = (),
    patience_s: float = 2.0,
    progress: Progress | None = None,
) -> Manifest:
    """Copy a lake that may be serving; everything acknowledged before the call is in the copy.

    Args:
        lake: Its folder.
        target: A folder that does not exist or is empty.
        with_cache: Whether to take the cache of embeddings along.
        elsewhere: Noted in the manifest.
        patience_s: How long changes may wait for one that is under way.
        progress: Called with bytes copied and bytes in all.

    Raises:
        NotFound: There is no lake.
        InvalidInput: `target` is not empty, or lies in the lake.
        Conflict: Another backup of this lake is being made.
        IntegrityError: A database of the lake is damaged.
        PermissionDenied, Unavailable: A disk refused; what was copied is removed.
    """
    lake, target = lake.absolute(), target.absolute()
    form = _format_of(lake)
    if target.is_relative_to(lake):
        raise InvalidInput(f"{target} lies in the lake; choose a folder outside of it", path=str(target))
    _refuse_full(target)
    with _only_one(lake), _staging(lake) as staging:
        began = time.monotonic()
        with quiet.quiet(lake, within_s=patience_s) as nobody_under_way:
            taken = _take(lake, staging, with_cache=with_cache)
        frozen_ms = (time.monotonic() - began) * 1000
        try:
            files = list(_copied(staging, taken, target / FILES, progress))
            manifest = Manifest(
                made_at=datetime.now(UTC).isoformat(timespec="seconds"),
                made_by=form.created_by,
                lake=str(lake),
                lake_format=form.format,
                quiet=nobody_under_way,
                frozen_ms=round(frozen_ms, 1),
                elsewhere=list(elsewhere),
                files=files,
            )
            atomic_write(target / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        except OSError as error:
            shutil.rmtree(target, ignore_errors=True)
            raise disk_error(error, target) from error
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
    return manifest


def read(source: Path) -> Manifest:
    """Read what a backup holds.

    Raises:
        NotFound: `source` is no whole backup.
        InvalidInput: It was made by a newer version.
        IntegrityError: Its manifest is damaged.
    """
    file = source / MANIFEST
    try:
        data = file.read_bytes()
    except OSError:
        raise NotFound(f"{source} is no whole backup: it has no {MANIFEST}", path=str(source)) from None
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{file} cannot be read by this version: {error}", path=str(file)) from None
    except msgspec.DecodeError as error:
        raise IntegrityError(f"{file} is damaged: {error}", path=str(file)) from None


def restore(source: Path, lake: Path, *, progress: Progress | None = None) -> Manifest:
    """Put a backup into a folder, whole or not at all; each file's hash is checked on the way.

    Args:
        source: A backup; it is not changed.
        lake: A folder that does not exist or is empty.
        progress: Called with bytes copied and bytes in all.

    Raises:
        NotFound, InvalidInput: `source` is no backup of this version; `lake` is not empty.
        IntegrityError: A file is missing or is not what it was; the message names it.
        PermissionDenied, Unavailable: The disk refused.
    """
    source, lake = source.absolute(), lake.absolute()
    manifest = read(source)
    _refuse_full(lake)
    scratch = lake.with_name(f".{lake.name}.restoring-{secrets.token_hex(4)}")
    try:
        taken = [(file.path, file.bytes) for file in manifest.files]
        found = _copied(source / FILES, taken, scratch, progress)
        for wanted, copied in zip(manifest.files, found, strict=True):
            if wanted != copied:
                raise IntegrityError(f"{wanted.path} in {source} is not what was backed up", path=wanted.path)
        if lake.exists():
            lake.rmdir()
        scratch.rename(lake)
        fsync_dir(lake.parent)
    except FileNotFoundError as error:
        raise IntegrityError(f"{error.filename} is missing from the backup", path=str(error.filename)) from None
    except OSError as error:
        raise disk_error(error, lake) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def check_databases(lake: Path) -> list[str]:
    """Return the databases of a closed lake that are whole, by name.

    Raises:
        IntegrityError: One is not; the message names it and what SQLite says.
    """
    whole = []
    for path in sorted(lake.rglob("*.db")):
        if path.is_file() and _is_sqlite(path):
            try:
                with closing(sqlite3.connect(path)) as database:
                    said = [str(row[0]) for row in database.execute("PRAGMA integrity_check")]
            except sqlite3.DatabaseError as error:
                said = [str(error)]
            if said != ["ok"]:
                raise IntegrityError(f"{path} is damaged: {'; '.join(said[:3])}", path=str(path))
            whole.append(str(path.relative_to(lake)))
    return whole


def _take(lake: Path, staging: Path, *, with_cache: bool) -> list[tuple[str, int]]:
    """Give every file of the lake a second name below `staging`; return path and length of each.

    A rebuilt index may be swapped in meanwhile, which no gate holds up. Its manifest is then another file than before,
    and everything is taken anew.
    """
    for attempt in range(_TRIES):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        before = _manifests(lake)
        try:
            taken = [_second_name(lake, path, staging) for path in _paths(lake, with_cache=with_cache)]
        except FileNotFoundError:
            time.sleep(0.01 * attempt)
            continue
        if _manifests(lake) == before:
            return taken
    raise Unavailable(f"{lake} changes too quickly to be backed up; try again in a moment", path=str(lake))


def _paths(lake: Path, *, with_cache: bool) -> list[Path]:
    """Return the files to take, databases first: they name other files, which must not be older than they are."""
    found = []
    for place, folders, names in os.walk(lake):
        here = Path(place)
        at_top = here == lake
        folders[:] = [name for name in folders if not (at_top and (name in _SCRATCH or name.startswith(_STAGING)))]
        found += [here / name for name in names if not (at_top and name in _LOCKS)]
    taken = [
        path
        for path in found
        if not path.name.endswith((".tmp", *_SQLITE_SIDE_FILES)) and (with_cache or path != lake / CACHE)
    ]
    return sorted(taken, key=lambda path: (path.suffix != ".db", path))


def _manifests(lake: Path) -> dict[Path, int]:
    return {path: path.stat().st_ino for path in lake.glob("vectors/*/index.json")}


def _second_name(lake: Path, path: Path, staging: Path) -> tuple[str, int]:
    relative = path.relative_to(lake)
    target = staging / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".db" and _is_sqlite(path):
        _copy_database(path, target)
    else:
        try:
            target.hardlink_to(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP}:
                raise disk_error(error, target) from error
            # A file system without second names: the copy is made while changes wait.
            shutil.copyfile(path, target)
    return str(relative), target.stat().st_size


def _copy_database(path: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=10)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            # The copy carries no write-ahead log; the next one who opens it makes a new one.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        full = next((each for each in (target, path) if is_full(each.parent)), None)
        if full is not None or error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            place = str(full or target)
            raise Unavailable(f"no room left to write {place}; free some space", path=place) from error
        raise IntegrityError(f"database {path} cannot be copied: {error}", path=str(path)) from error


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(len(_SQLITE))
    # A database that was just made is an empty file.
    return head in {_SQLITE, b""}


def _copied(source: Path, taken: Sequence[tuple[str, int]], target: Path, progress: Progress | None) -> Iterator[File]:
    """Copy files up to the given lengths, safe from a power cut, and yield each with its hash."""
    total, done = sum(size for _, size in taken), 0
    folders = {target}
    target.mkdir(parents=True)
    for name, size in taken:
        into = target / name
        into.parent.mkdir(parents=True, exist_ok=True)
        folders.update(parent for parent in into.parents if parent.is_relative_to(target))
        yield _copy(source / name, into, name, size)
        done += size
        if progress is not None:
            progress(done, total)
    for folder in folders:
        fsync_dir(folder)


def _copy(source: Path, target: Path, name: str, size: int) -> File:
    digest, left = hashlib.sha256(), size
    with source.open("rb") as file, target.open("xb") as copy:
        # Keys are for this user alone, in a backup and after a restore as well.
        os.fchmod(copy.fileno(), os.fstat(file.fileno()).st_mode & 0o777)
        while left and (data := file.read(min(_CHUNK, left))):
            digest.update(data)
            copy.write(data)
            left -= len(data)
        copy.flush()
        os.fsync(copy.fileno())
    return File(name, size - left, digest.hexdigest())


def _format_of(lake: Path) -> lake_folder.LakeFormat:
    try:
        return msgspec.json.decode((lake / lake_folder.FORMAT_FILE).read_bytes(), type=lake_folder.LakeFormat)
    except OSError:
        raise NotFound(f"there is no lake at {lake}", path=str(lake)) from None
    except msgspec.DecodeError as error:
        raise IntegrityError(f"{lake / lake_folder.FORMAT_FILE} is damaged: {error}", path=str(lake)) from None


def _refuse_full(folder: Path) -> None:
    try:
        full = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise disk_error(error, folder) from error
    if full:
        raise InvalidInput(f"{folder} is not empty; choose a folder that does not exist", path=str(folder))


@contextmanager
def _only_one(lake: Path) -> Iterator[None]:
    try:
        handle = os.open(lake / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(error, lake) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Conflict(f"another backup of {lake} is being made; try again when it is done", path=str(lake)) from None
    finally:
        os.close(handle)


@contextmanager
def _staging(lake: Path) -> Iterator[Path]:
    for left in lake.glob(f"{_STAGING}*/"):
        shutil.rmtree(left, ignore_errors=True)
    staging = lake / f"{_STAGING}{secrets.token_hex(6)}"
    try:
        staging.mkdir()
        yield staging
    except LakehouseError:
        raise
    except OSError as error:
        raise disk_error(error, staging) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
