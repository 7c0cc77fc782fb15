"""A file to ingest: hashed as given, gunzipped, its format named.

A stream and what is packed are brought to the lake's own disk. A file of this machine is read where it lies, as a copy
of it costs more than all that is looked for in its bytes; before anything is committed it is made sure that it is
still the file that was hashed.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.lake._text import Look, Seen
from lakehouse.state.folder import disk_error

Format = Literal["csv", "jsonl", "parquet"]
Progress = Callable[[int, int], None]

CHUNK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
# Of a file written this shortly before, its times need not tell whether it was written again: their steps are coarse.
FRESH_S = 2.0
_MEDIA: dict[str, Format] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/x-ndjson": "jsonl",
    "application/ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
}
# What clients send when nobody chose a type.
_UNSAID = frozenset(
    {"", "application/octet-stream", "application/x-www-form-urlencoded", "application/gzip", "text/plain"}
    | {"application/x-gzip", "binary/octet-stream"}
)
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)


class Origin(msgspec.Struct, frozen=True):
    """A file that is read where it lies, as it was when it was opened to be hashed.

    Attributes:
        path: Where it is.
        marks: Device, inode, size and time of the last write in nanoseconds.
        changed_ns: When anything about it was last changed, as its file system says.
        fresh: True when that was only just.
    """

    path: Path
    marks: tuple[int, int, int, int]
    changed_ns: int
    fresh: bool


class Source(msgspec.Struct, frozen=True):
    """The file as it lies in scratch, or as scratch refers to it.

    Attributes:
        path: Its bytes, gunzipped.
        fingerprint: SHA-256 of the bytes as they were given.
        format: What they are.
        charset: Encoding named by the caller, empty when none.
        tabs: True when the caller said that tabs separate the columns.
        size: Bytes given.
        seen: What was seen of its text on the way; null for Parquet.
        origin: The file itself, where `path` refers to one that anybody may write to.
    """

    path: Path
    fingerprint: str
    format: Format
    charset: str
    tabs: bool
    size: int
    seen: Seen | None = None
    origin: Origin | None = None

    def check(self) -> None:
        """Make sure that what was read is what was hashed.

        Raises:
            InvalidInput: The file was changed, replaced or removed since.
        """
        if self.origin is not None and not _unchanged(self.origin, self.fingerprint):
            raise InvalidInput(
                f"{self.origin.path} changed while it was read; ingest it again when nothing writes to it any more",
                field="source",
            )


def bring(
    source: bytes | Path | BinaryIO, content_type: str, scratch: Path, progress: Progress | None = None
) -> Source:
    """Hash a source and have it in scratch, in bounded memory: a copy, or a link to a file that is not packed.

    Args:
        source: Bytes, a path, or a binary stream read to its end.
        content_type: As in HTTP, with an optional `charset`; empty leaves it to suffix and content.
        scratch: Folder for the copy.
        progress: Called with bytes read and bytes in all (0 when unknown).

    Raises:
        InvalidInput: The path is no file, the content is empty, not complete gzip, or of a type that is not
            ingested; the message says what to do.
        Unavailable: The disk is full.
    """
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    if media not in _MEDIA and media not in _UNSAID:
        raise InvalidInput(
            f"content type {media!r} is not ingested; send text/csv, application/x-ndjson or"
            " application/vnd.apache.parquet",
            field="content_type",
        )
    target = scratch / "source"
    digest = hashlib.sha256()
    look = Look()
    size = 0
    # What is read is hashed while it is looked through or written, and the next is read.
    with ThreadPoolExecutor(1) as hashing, _opened(source) as (stream, total):

        def chunks() -> Iterator[bytes]:
            nonlocal size
            hashed: Future[None] | None = None
            while chunk := stream.read(CHUNK_BYTES):
                if hashed is not None:
                    hashed.result()
                hashed = hashing.submit(digest.update, chunk)
                size += len(chunk)
                if progress:
                    progress(size, max(total, size) if total else 0)
                yield chunk

        origin = _origin(source, stream) if isinstance(source, Path) else None
        if origin is not None:
            # By a name of our own: the engine takes some letters of a path, and its ending, for more than a name.
            _link(target, origin.path)
            for chunk in chunks():
                look.feed(chunk)
        else:
            with _written(target) as file:
                for chunk in _gunzipped(chunks()):
                    look.feed(chunk)
                    file.write(chunk)
    head = look.head
    if not head.strip():
        raise InvalidInput("the file is empty; it needs a header and rows", field="source")
    charset = _CHARSET.search(parameters)
    seen = look.seen()
    name = source.name.lower().removesuffix(".gz") if isinstance(source, Path) else ""
    kind = _format(_MEDIA.get(media) or _SUFFIXES.get(Path(name).suffix), head)
    return Source(
        path=target,
        fingerprint=digest.hexdigest(),
        format=kind,
        charset=charset[1].lower() if charset else "",
        tabs=media == "text/tab-separated-values" or name.endswith(".tsv"),
        size=size,
        seen=seen if kind != "parquet" else None,
        origin=origin,
    )


def _format(said: Format | None, head: bytes) -> Format:
    parquet = head.startswith(b"PAR1")
    if head.startswith(b"PK\x03\x04"):
        raise InvalidInput("this is a ZIP or Excel file; save the sheet as CSV", field="source")
    if said and (said == "parquet") != parquet:
        what = "is Parquet" if parquet else "is not Parquet"
        raise InvalidInput(f"the file was announced as {said} but {what}; announce what it is", field="content_type")
    if parquet:
        return "parquet"
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"[" and said != "csv":
        raise InvalidInput("this is one JSON array; write one object per line instead", field="source", line=1)
    return said or ("jsonl" if first == b"{" else "csv")


@contextmanager
def _opened(source: bytes | Path | BinaryIO) -> Iterator[tuple[BinaryIO, int]]:
    if isinstance(source, Path):
        if not source.is_file():
            raise InvalidInput(f"{source} is not a file", field="source")
        try:
            with source.open("rb") as file:
                yield file, source.stat().st_size
        except PermissionError:
            raise InvalidInput(f"{source} cannot be read; check its permissions", field="source") from None
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield BytesIO(source), len(source)
    elif hasattr(source, "read") and isinstance(source.read(0), bytes):
        yield source, 0
    else:
        raise InvalidInput("source must be bytes, a Path, or a stream opened in binary mode", field="source")


def _origin(source: Path, stream: BinaryIO) -> Origin | None:
    """Return what an open file is now; null when it is packed, as its bytes are then not what is read."""
    # Before the first byte is read.
    state = os.fstat(stream.fileno())
    packed = stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    stream.seek(0)
    if packed:
        return None
    fresh = time.time() - state.st_ctime < FRESH_S
    return Origin(source.resolve(), _marks(state), state.st_ctime_ns, fresh)


def _marks(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _unchanged(origin: Origin, fingerprint: str) -> bool:
    try:
        state = origin.path.stat()
        if _marks(state) != origin.marks:
            return False
        if not origin.fresh and state.st_ctime_ns == origin.changed_ns:
            return True
        # Its times do not tell, or no more than that its name or permissions changed; its bytes do.
        with origin.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == fingerprint
    except OSError:
        return False


def _link(target: Path, path: Path) -> None:
    try:
        target.symlink_to(path)
    except OSError as error:
        raise disk_error(error, target.parent) from error


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise disk_error(error, path.parent) from error


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass chunks on, expanded when they start as gzip (of one or several members)."""
    decoder = None
    started = False
    for chunk in chunks:
        if not started:
            started = True
            decoder = zlib.decompressobj(wbits=31) if chunk.startswith(GZIP_MAGIC) else None
        if decoder is None:
            yield chunk
            continue
        rest = chunk
        # Zeros after a member are padding, not the start of another.
        while rest.strip(b"\0") if decoder.eof else rest:
            if decoder.eof:
                decoder = zlib.decompressobj(wbits=31)
            expanded, rest = _expanded(decoder, rest)
            yield expanded
    if decoder is not None:
        yield decoder.flush()
        if not decoder.eof:
            raise InvalidInput("the gzip data ends too early; send the whole file", field="source")


def _expanded(decoder: zlib._Decompress, data: bytes) -> tuple[bytes, bytes]:
    try:
        expanded = decoder.decompress(data, CHUNK_BYTES)
    except zlib.error as error:
        raise InvalidInput(f"the gzip data is damaged: {error}; send it again", field="source") from None
    return expanded, decoder.unused_data if decoder.eof else decoder.unconsumed_tail
