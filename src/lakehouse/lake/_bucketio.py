"""Iceberg's metadata in a bucket: pyiceberg reads and writes it through the product's one S3 engine."""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream

from lakehouse.errors import AlreadyExists, NotFound
from lakehouse.lake import _objects
from lakehouse.settings import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakehouse.lake._objects import Bucket

STORAGE = "lakehouse.storage"
IMPLEMENTATION = f"{__name__}.BucketFileIO"


def bucket(properties: Mapping[str, Any]) -> Bucket:
    """Return the bucket that a catalog's properties name; the keys are read from the environment."""
    storage = msgspec.json.decode(str(properties[STORAGE]), type=Storage)
    keys = {name: os.environ.get(name, "") for name in (storage.access_key_env, storage.secret_key_env)}
    return _opened(storage, tuple(keys.items()))


@functools.lru_cache(maxsize=8)
def _opened(storage: Storage, keys: tuple[tuple[str, str], ...]) -> Bucket:
    # pyiceberg makes a new FileIO for every table it loads; connections are worth keeping.
    return _objects.open_bucket(storage, Path(), dict(keys))


class BucketFileIO(FileIO):
    """Objects by `s3://` location. Metadata files are small, so each is read and written whole."""

    def new_input(self, location: str) -> InputFile:
        """Return an object to read."""
        return _Object(location, bucket(self.properties))

    def new_output(self, location: str) -> OutputFile:
        """Return an object to write."""
        return _Object(location, bucket(self.properties))

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete an object.

        Raises:
            FileNotFoundError: There is none.
        """
        place = location if isinstance(location, str) else location.location
        try:
            bucket(self.properties).delete(_key(place))
        except NotFound:
            raise FileNotFoundError(place) from None


class _Object(InputFile, OutputFile):
    def __init__(self, location: str, bucket: Bucket) -> None:
        InputFile.__init__(self, location)
        self._bucket = bucket

    def __len__(self) -> int:
        return self._bucket.head(_key(self.location)).size

    def exists(self) -> bool:
        """Tell whether it is there."""
        try:
            self._bucket.head(_key(self.location))
        except NotFound:
            return False
        return True

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002 - the shape of pyiceberg
        """Read it whole.

        Raises:
            FileNotFoundError: There is none.
        """
        try:
            return cast(InputStream, io.BytesIO(self._bucket.get(_key(self.location))))
        except NotFound:
            raise FileNotFoundError(self.location) from None

    def create(self, overwrite: bool = False) -> OutputStream:
        """Open it for writing; it is there, whole, once the stream is closed."""
        return cast(OutputStream, _Upload(self, overwrite))

    def to_input_file(self) -> InputFile:
        """Return the same object to read."""
        return self

    def store(self, data: bytes, overwrite: bool) -> None:
        """Write it whole.

        Raises:
            FileExistsError: It is there and `overwrite` is false.
        """
        if overwrite:
            self._bucket.put(_key(self.location), data)
            return
        try:
            self._bucket.put_if(_key(self.location), data, None)
        except AlreadyExists:
            raise FileExistsError(self.location) from None


class _Upload(io.BytesIO):
    def __init__(self, target: _Object, overwrite: bool) -> None:
        super().__init__()
        self._target = target
        self._overwrite = overwrite

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            self._target.store(data, self._overwrite)


def _key(location: str) -> str:
    return location.removeprefix("s3://").partition("/")[2]
