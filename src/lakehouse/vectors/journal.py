"""The durable record of what was written to an index since its last build.

A journal is a sequence of files `journal-000001.log`, `journal-000002.log`, ...; a build seals one and starts the
next, and when its result is in place the sealed ones are removed. A file is a sequence of frames: length and CRC-32 of
the body (4 bytes each, little-endian), then the body in MessagePack. One call is one frame, so it is read back whole or
not at all. A write is acknowledged after fsync; writers that wait at the same time share one.
"""

from __future__ import annotations

import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lakehouse.errors import IntegrityError, Unavailable
from lakehouse.state.folder import disk_error, fsync_dir

_FRAME = struct.Struct("<II")
_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class Put(msgspec.Struct, frozen=True, tag="p", array_like=True):
    """Items stored under their ids: metadata as JSON, vectors as float32 laid end to end."""

    ids: list[str]
    metadata: list[bytes]
    vectors: bytes


class Drop(msgspec.Struct, frozen=True, tag="d", array_like=True):
    """Ids removed."""

    ids: list[str]


Entry = Put | Drop

_decode = msgspec.msgpack.Decoder(Entry).decode


class Journal:
    """The last file of an index' journal, open for appending.

    `append` and `rotate` are called under the index' write lock; `commit` from any thread.

    Args:
        folder: The index.
        number: Which file; made when absent, and cut back to its last whole frame when its end is torn.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self.number = number
        self._written = 0
        self._synced = 0
        self._broken = ""
        self._commit_lock = threading.Lock()
        self._handle = self._open(number)

    def append(self, entry: Entry) -> int:
        """Write an entry, not yet safe.

        Returns:
            The position to `commit`.

        Raises:
            PermissionDenied, Unavailable: The disk refused; nothing of the entry is left.
        """
        if self._broken:
            raise Unavailable(f"the journal of {self._folder.name} failed and takes no writes: {self._broken}")
        body = _encode(entry)
        frame = _FRAME.pack(len(body), zlib.crc32(body)) + body
        size = os.fstat(self._handle).st_size
        try:
            _write_all(self._handle, frame)
        except OSError as error:
            os.ftruncate(self._handle, size)
            raise disk_error(error, self.path(self.number)) from error
        self._written += len(frame)
        return self._written

    def commit(self, position: int) -> None:
        """Return when everything up to `position` survives a power cut.

        Raises:
            Unavailable: It may not; the journal takes no more writes until it is opened anew.
        """
        with self._commit_lock:
            if self._synced >= position:
                return
            written = self._written
            try:
                os.fdatasync(self._handle)
            except OSError as error:
                # What the kernel dropped after a failed sync cannot be known; only a new start can tell.
                self._broken = str(error)
                raise disk_error(error, self.path(self.number)) from error
            self._synced = written

    def rotate(self) -> int:
        """Seal this file and go on in the next.

        Returns:
            The number of the new file.
        """
        with self._commit_lock:
            os.fsync(self._handle)
            self._synced = self._written
            handle = self._open(self.number + 1)
            os.close(self._handle)
            self._handle = handle
            self.number += 1
        return self.number

    def close(self) -> None:
        """Close the file; what was appended is safe. Idempotent."""
        with self._commit_lock:
            if self._handle >= 0:
                os.fsync(self._handle)
                self._synced = self._written
                os.close(self._handle)
                self._handle = -1
                self._broken = "it was closed"

    def path(self, number: int) -> Path:
        """Return the file of that number."""
        return path_of(self._folder, number)

    def _open(self, number: int) -> int:
        path = self.path(number)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            good = sum(_FRAME.size + size for size, _ in _frames(path))
            torn = os.fstat(handle).st_size - good
            if torn:
                _log.warning(
                    "%s ended in %d bytes of a write that was never acknowledged; they are cut off", path, torn
                )
                os.ftruncate(handle, good)
            os.fsync(handle)
            fsync_dir(self._folder)
        except OSError as error:
            raise disk_error(error, path) from error
        return handle


def path_of(folder: Path, number: int) -> Path:
    """Return the journal file of that number."""
    return folder / f"journal-{number:06d}.log"


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the journal files in a folder, rising."""
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob("journal-*.log"))


def entries(path: Path, *, sealed: bool) -> Iterator[Entry]:
    """Read the frames of a file.

    Args:
        path: A journal file.
        sealed: Whether it must be whole; an open one may end in a torn frame, which was never acknowledged.

    Raises:
        IntegrityError: A sealed file is damaged.
    """
    good = 0
    for size, body in _frames(path):
        good += _FRAME.size + size
        yield _decode(body)
    if sealed and good != path.stat().st_size:
        raise IntegrityError(
            f"{path} is damaged after {good} bytes; delete the index and build it anew", path=str(path)
        )


def _frames(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            size, checksum = _FRAME.unpack(head)
            body = file.read(size)
            if len(body) < size or zlib.crc32(body) != checksum:
                return
            yield size, body


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
