"""Second places for checkpoints: a folder elsewhere, a git repository, an S3 bucket.

A checkpoint is put there under the size of its tree and never replaced, so that a ledger which is set back to an older
state, or goes on from it in another way, meets what it said before.
"""

from __future__ import annotations

import os
import subprocess  # nosec B404 - starts git with fixed arguments, never through a shell
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lakehouse.errors import AlreadyExists, Conflict, InvalidInput, NotInstalled, Unavailable
from lakehouse.state.folder import disk_error, fsync_dir

SUFFIX = ".checkpoint"
PUBLIC = "public.vkey"
_GIT = "git:"
_S3 = "s3://"
_GIT_TIMEOUT_S = 30

Put = Callable[[str, bytes], object]


class Bucket(Protocol):
    """Objects below a prefix of a bucket."""

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> object:
        """Create an object where `etag` is None; raises AlreadyExists when there is one."""

    def get(self, key: str) -> bytes:
        """Return the bytes of an object."""


def anchor(place: str, vkey: str, bucket: Callable[[str, str], Bucket]) -> Callable[[int, str], None] | None:
    """Return what puts a checkpoint in a second place.

    Args:
        place: A folder, `git:FOLDER`, `s3://BUCKET/PREFIX`, or empty for none.
        vkey: Public key of the log, put there as well: an auditor takes it from there.
        bucket: Opens a bucket below a prefix.

    Raises:
        InvalidInput: The place cannot be read as any of these.
    """
    if not place:
        return None
    if place.startswith(_S3):
        name, _, prefix = place.removeprefix(_S3).partition("/")
        if not name:
            raise InvalidInput(f"ledger.anchor {place!r} names no bucket; write it s3://BUCKET/PREFIX", field="anchor")
        return _into(_into_bucket(bucket(name, prefix.strip("/"))), vkey)
    if place.startswith(_GIT):
        return _into_git(Path(place.removeprefix(_GIT)), vkey)
    return _into(_into_folder(Path(place)), vkey)


def no_bucket(name: str, _prefix: str) -> Bucket:
    """Open no bucket, for those who have none.

    Raises:
        Unavailable: Always.
    """
    raise Unavailable(f"this ledger cannot reach the bucket {name!r}")


def _into(put: Put, vkey: str) -> Callable[[int, str], None]:
    def write(size: int, note: str) -> None:
        for name, data in ((PUBLIC, f"{vkey}\n".encode()), (f"{size:020d}{SUFFIX}", note.encode())):
            try:
                put(name, data)
            except AlreadyExists:
                # The key is there from the first time, and this checkpoint from an attempt that was not told so.
                continue

    return write


def _into_folder(folder: Path) -> Put:
    def put(name: str, data: bytes) -> None:
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fsync_dir(folder)
        except FileExistsError:
            if path.read_bytes() != data:
                raise Conflict(f"{path} holds another checkpoint: the ledger was forked or set back") from None
            raise AlreadyExists(f"{path} is there already", path=str(path)) from None
        except OSError as error:
            raise disk_error(error, path) from error

    return put


def _into_bucket(bucket: Bucket) -> Put:
    def put(name: str, data: bytes) -> None:
        try:
            bucket.put_if(name, data, etag=None)
        except AlreadyExists:
            if bucket.get(name) != data:
                raise Conflict(
                    f"{name} in the bucket holds another checkpoint: the ledger was forked or set back"
                ) from None
            raise

    return put


def _into_git(folder: Path, vkey: str) -> Callable[[int, str], None]:
    write = _into(_into_folder(folder), vkey)

    def commit(size: int, note: str) -> None:
        write(size, note)
        name = f"{size:020d}{SUFFIX}"
        _git(folder, "add", "--", name, PUBLIC)
        if _git(folder, "status", "--porcelain", "--", name, PUBLIC):
            _git(folder, "commit", "--quiet", "--message", f"Checkpoint of {size} leaves", "--", name, PUBLIC)

    return commit


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # nosec B603 B607 - fixed program and words
            ["git", "-C", str(folder), *words],  # noqa: S607
            capture_output=True,
            check=False,
            text=True,
            timeout=_GIT_TIMEOUT_S,
        )
    except FileNotFoundError:
        raise NotInstalled("git is missing; install it, or anchor checkpoints in a folder") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"git in {folder} did not answer within {_GIT_TIMEOUT_S} s") from None
    if done.returncode:
        raise Unavailable(f"git in {folder} failed: {done.stderr.strip()[:300]}", path=str(folder))
    return done.stdout
