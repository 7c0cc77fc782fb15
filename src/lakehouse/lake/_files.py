"""Files of a warehouse, by the locations that Iceberg records: a local folder, or a bucket of an S3."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.lake import _bucketio, _fileio
from lakehouse.state.folder import atomic_write, fsync_dir

if TYPE_CHECKING:
    from lakehouse.settings import Storage

S3 = "s3://"


class Files(Protocol):
    """Files by recorded location.

    Attributes:
        root: Location of the warehouse as recorded.
        s3: How to reach the bucket, null for local files.
        properties: What pyiceberg needs to read and write the same files.
    """

    root: str
    s3: Storage | None
    properties: dict[str, str]

    def path(self, location: str) -> str:
        """Return what DuckDB opens."""

    def place(self, source: Path, location: str) -> None:
        """Give a finished file its place; on return it survives a power cut. The source may be gone then."""

    def below(self, location: str) -> dict[str, float]:
        """Return every file in a folder, with the time it was written in seconds since the epoch."""

    def remove(self, location: str) -> None:
        """Remove a file, if it is there."""

    def clear(self, location: str) -> None:
        """Remove a folder with all that is in it."""


class LocalFiles:
    """A folder.

    Args:
        place: The folder, made when absent.
    """

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.root = _recorded_root(place)
        self.s3: Storage | None = None
        self._place = place
        self.properties = {
            "py-io-impl": _fileio.IMPLEMENTATION,
            _fileio.ROOT: self.root,
            _fileio.PLACE: str(place),
        }

    def path(self, location: str) -> str:
        """Return the path a recorded location has now."""
        return _fileio.path_of(location, self.properties)

    def place(self, source: Path, location: str) -> None:
        """Rename a file; copied first where the warehouse is on another disk than the lake."""
        target = Path(self.path(location))
        _fileio.make_folders(target.parent)
        _fsync(source)
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            near = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
            shutil.copyfile(source, near)
            _fsync(near)
            near.replace(target)
        fsync_dir(target.parent)

    def below(self, location: str) -> dict[str, float]:
        """Return every file in a folder, with the time it was written."""
        folder = self.path(location)
        found: dict[str, float] = {}
        for parent, _, names in os.walk(folder):
            within = location + parent[len(folder) :]
            for name in names:
                try:
                    found[f"{within}/{name}"] = Path(parent, name).stat().st_mtime
                except FileNotFoundError:
                    continue
        return found

    def remove(self, location: str) -> None:
        """Remove a file, if it is there."""
        Path(self.path(location)).unlink(missing_ok=True)

    def clear(self, location: str) -> None:
        """Remove a folder with all that is in it."""
        shutil.rmtree(self.path(location), ignore_errors=True)


class BucketFiles:
    """A bucket of an S3, and what lies there below a prefix.

    Args:
        root: `s3://bucket/prefix`.
        storage: Endpoint, region and keys; its bucket and prefix are not looked at.
    """

    def __init__(self, root: str, storage: Storage) -> None:
        self.root = root.rstrip("/")
        self._bucket_name = self.root.removeprefix(S3).partition("/")[0]
        if not self._bucket_name:
            raise InvalidInput("catalog.warehouse names no bucket; write s3://bucket/prefix", field="warehouse")
        self.s3: Storage | None = msgspec.structs.replace(storage, backend="s3", bucket=self._bucket_name, prefix="")
        self.properties = {
            "py-io-impl": _bucketio.IMPLEMENTATION,
            _bucketio.STORAGE: msgspec.json.encode(self.s3).decode(),
        }
        self._bucket = _bucketio.bucket(self.properties)

    def path(self, location: str) -> str:
        """Return the location itself."""
        return location

    def place(self, source: Path, location: str) -> None:
        """Upload a file; S3 shows it whole or not at all."""
        self._bucket.put(self._key(location), source)

    def below(self, location: str) -> dict[str, float]:
        """Return every object below a prefix, with the time it was written."""
        found = self._bucket.below(self._key(location) + "/")
        return {f"{S3}{self._bucket_name}/{each.key}": _seconds(each.modified) for each in found}

    def remove(self, location: str) -> None:
        """Remove an object, if it is there."""
        try:
            self._bucket.delete(self._key(location))
        except NotFound:
            return

    def clear(self, location: str) -> None:
        """Remove everything below a prefix."""
        for each in self.below(location):
            self.remove(each)

    def _key(self, location: str) -> str:
        return location.removeprefix(f"{S3}{self._bucket_name}/")


def _recorded_root(place: Path) -> str:
    """Return the location that this warehouse's metadata records, noting it when the warehouse is new."""
    noted = place / ".root"
    if not noted.exists():
        atomic_write(noted, f"file://{place}".encode())
    return noted.read_text(encoding="utf-8")


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _seconds(modified: str) -> float:
    return datetime.fromisoformat(modified).timestamp()
