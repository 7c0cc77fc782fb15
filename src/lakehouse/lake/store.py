"""Objects: named bytes in local files or in any S3."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
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


class ObjectList(msgspec.Struct, frozen=True, omit_defaults=True):
    """Objects in order of their keys; `next` is what to list `after` for the rest, null when there is none."""

    objects: list[ObjectInfo]
    next: str | None = None


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

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of an object, or a range of them.

        Args:
            key: As for `put`.
            start: First byte, from 0; at or beyond the end gives nothing.
            length: Bytes at most; all that follow when null.

        Raises:
            NotFound: There is none under that key.
            InvalidInput: The key is malformed, or the range negative.
            PermissionDenied, Unavailable: As for `put`.
        """
        for field, value in (("start", start), ("length", length)):
            if value is not None and value < 0:
                raise InvalidInput(f"{field} is {value}, at least 0 is needed", field=field)
        if not start and length is None:
            return self._bucket.get(_checked(key))
        return self._bucket.range(_checked(key), start, length)

    def chunks(self, key: str, *, chunk_bytes: int = 8 * 1024 * 1024) -> Iterator[bytes]:
        """Stream the bytes of an object in pieces of `chunk_bytes`, the last one shorter.

        Raises:
            NotFound: There is none under that key.
            Conflict: It was replaced while it was read; what was given is of the old one.
            InvalidInput, PermissionDenied, Unavailable: As for `put`.
        """
        seen = self.head(key)
        for start in range(0, seen.size, chunk_bytes):
            yield self._bucket.range(key, start, chunk_bytes, etag=seen.etag)

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

    def list(self, prefix: str = "", after: str = "", limit: int | None = None) -> ObjectList:
        """List the objects whose keys start with `prefix`, in order of their keys (by Unicode code points).

        Args:
            prefix: Any start of a key, also in the middle of a segment; empty lists all.
            after: Only keys that come after this one.
            limit: Objects at most; `next` of the answer is the `after` of the next page.

        Raises:
            InvalidInput: No key can start like `prefix` or `after`, or the limit is below 1.
            PermissionDenied, Unavailable: As for `put`.
        """
        for field, start in (("prefix", prefix), ("after", after)):
            if start:
                _checked(start + "x" if start.endswith("/") else start, field=field)
        if limit is not None and limit < 1:
            raise InvalidInput(f"limit is {limit}, at least 1 is needed", field="limit")
        found = [info for info in self._bucket.below(prefix, after=after) if info.key > after]
        if limit is None or len(found) <= limit:
            return ObjectList(found)
        return ObjectList(found[:limit], found[limit - 1].key)

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


def bucket(storage: Storage, name: str, prefix: str) -> Store:
    """Open a bucket of the configured S3 service below a prefix."""
    return Store(msgspec.structs.replace(storage, backend="s3", bucket=name, prefix=prefix), Path())
