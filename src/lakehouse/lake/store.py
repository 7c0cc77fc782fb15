"""Objects: named bytes in local files or in any S3."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from lakehouse.errors import InvalidInput

if TYPE_CHECKING:
    from lakehouse.lake._objects import Bucket
    from lakehouse.settings import Storage

MAX_KEY_BYTES = 1024
MAX_SEGMENT_BYTES = 240


class ObjectInfo(msgspec.Struct, frozen=True):
    """One stored object. `modified` is RFC 3339 in UTC; `etag` changes with the content."""

    key: str
    size: int
    etag: str
    modified: str


class ObjectList(msgspec.Struct, frozen=True):
    """Objects in order of their keys."""

    objects: list[ObjectInfo]


class Store:
    """Objects by key. Every put is atomic and, once it returned, survives a power cut.

    Thread-safe. Keys are `/`-separated segments; see `put` for what a key may hold.

    Args:
        storage: The settings section; `backend` chooses local files, `s3` or `memory`.
        folder: The lake folder; local objects live in its `objects`.

    >>> from lakehouse.settings import Storage
    >>> store = Store(Storage(backend="memory"), Path())
    >>> store.put("notes/today.txt", b"hello").size
    5
    >>> store.get("notes/today.txt")
    b'hello'
    """

    def __init__(self, storage: Storage, folder: Path) -> None:
        self._storage = storage
        self._folder = folder
        self._opening = threading.Lock()
        self._opened: Bucket | None = None

    def put(self, key: str, data: bytes | Path | BinaryIO) -> ObjectInfo:
        """Store bytes under a key, replacing what was there.

        Args:
            key: At most 1024 bytes of UTF-8; segments of at most 240 bytes, none of them empty, `.` or
                `..`, no control characters, no segment ending in `#` and digits.
            data: Bytes, or a file or stream to read to its end.

        Raises:
            InvalidInput: The key is malformed, or `data` cannot be read; `detail.field` says which.
            AlreadyExists: Local files only: the key lies below another object's key, or above one.
            PermissionDenied, Unavailable: The place cannot be written, is full or out of reach.
        """
        return self._bucket.put(_checked(key), _readable(data))

    def put_if(self, key: str, data: bytes | Path | BinaryIO, *, etag: str | None) -> ObjectInfo:
        """Store bytes only if the key is as the caller last saw it.

        Args:
            key: As for `put`.
            data: As for `put`.
            etag: The etag that must be there now (compare and swap); null creates only.

        Raises:
            AlreadyExists: `etag` is null and the key is taken.
            Conflict: The object has another etag, or is gone.
            InvalidInput, PermissionDenied, Unavailable: As for `put`.
        """
        return self._bucket.put_if(_checked(key), _readable(data), etag)

    def get(self, key: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            NotFound: There is none under that key.
            InvalidInput, PermissionDenied, Unavailable: As for `put`.
        """
        return self._bucket.get(_checked(key))

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object without its bytes.

        Raises:
            NotFound: There is none under that key.
            InvalidInput, PermissionDenied, Unavailable: As for `put`.
        """
        return self._bucket.head(_checked(key))

    def delete(self, key: str) -> None:
        """Delete an object.

        Raises:
            NotFound: There is none under that key.
            InvalidInput, PermissionDenied, Unavailable: As for `put`.
        """
        self._bucket.delete(_checked(key))

    def list(self, prefix: str = "") -> ObjectList:
        """List the objects whose keys start with `prefix`, in order of their keys (by Unicode code points).

        Args:
            prefix: Any start of a key, also in the middle of a segment; empty lists all.

        Raises:
            InvalidInput: No key can start like that.
            PermissionDenied, Unavailable: As for `put`.
        """
        if prefix:
            _checked(prefix + "x" if prefix.endswith("/") else prefix, field="prefix")
        return ObjectList(self._bucket.below(prefix))

    @property
    def _bucket(self) -> Bucket:
        from lakehouse.lake import _objects

        with self._opening:
            if self._opened is None:
                self._opened = _objects.open_bucket(self._storage, self._folder, os.environ)
            return self._opened


def _readable(data: bytes | Path | BinaryIO) -> bytes | Path | BinaryIO:
    if isinstance(data, Path) and not data.is_file():
        raise InvalidInput(f"{data} is not a file", field="data")
    if isinstance(data, (bytes, bytearray, memoryview, Path)) or (hasattr(data, "read") and data.read(0) == b""):
        return data
    raise InvalidInput("data must be bytes, a Path, or a stream opened in binary mode", field="data")


def _checked(key: str, *, field: str = "key") -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"{field} {ascii(key)[:80]} is not valid Unicode", field=field) from None
    shown = repr(key if len(key) <= 80 else key[:80] + "...")
    if size > MAX_KEY_BYTES:
        raise InvalidInput(f"{field} {shown} has {size} bytes, at most {MAX_KEY_BYTES} are allowed", field=field)
    reason = next((fault for segment in key.split("/") if (fault := _fault(segment))), None)
    if reason:
        raise InvalidInput(f"{field} {shown} {reason}", field=field)
    return key


def _fault(segment: str) -> str | None:
    if not segment:
        return "has an empty segment; write it without a leading, trailing or double '/'"
    if segment in (".", ".."):
        return f"has the segment {segment!r}; write the full key"
    if any(ord(char) < 32 or ord(char) == 127 for char in segment):
        return "has a control character"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"has a segment over {MAX_SEGMENT_BYTES} bytes; divide it with '/'"
    # The local backend keeps names of that form for unfinished writes.
    _, mark, tail = segment.rpartition("#")
    if mark and tail.isascii() and tail.isdigit():
        return f"has the segment {segment!r}, which ends in '#' and digits; drop the '#'"
    return None
