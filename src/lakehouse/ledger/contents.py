"""What can be read in a file: its bytes, and those that lie in it compressed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_CHUNK = 8 * 1024 * 1024
_BATCH_ROWS = 65_536
_PARQUET = b"PAR1"
_GZIP = b"\x1f\x8b"
_AVRO = b"Obj\x01"
_SYNC_BYTES = 16


def blocks(path: Path, overlap: int) -> Iterator[bytes]:
    """Yield a file in blocks that can be searched, each beginning with the last `overlap` bytes of the one before.

    First the bytes as they lie there. Then what Parquet, gzip and Avro files (the lists of files of a table) hold
    compressed; a file of these kinds that cannot be read as one is searched as it lies there only.

    Raises:
        FileNotFoundError: It is gone.
    """
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        yield from _overlapping(_chunks(file), overlap)
    try:
        if head == _PARQUET:
            yield from _columns(path)
        elif head[:2] == _GZIP:
            with gzip.open(path, "rb") as expanded:
                yield from _overlapping(_chunks(expanded), overlap)
        elif head == _AVRO:
            yield from _avro(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, IndexError, zlib.error):
        return


def _chunks(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _overlapping(chunks: Iterator[bytes], overlap: int) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        block = rest + chunk
        yield block
        rest = block[-overlap:] if overlap else b""


def _columns(path: Path) -> Iterator[bytes]:
    """Yield the texts and whole numbers of a Parquet file, a column of a batch at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            for column in batch.columns:
                yield from _texts(pa, column)


def _texts(pa: Any, column: Any) -> Iterator[bytes]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _texts(pa, column.dictionary)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _texts(pa, column.flatten())
    elif pa.types.is_struct(kind):
        for part in column.flatten():
            yield from _texts(pa, part)
    elif pa.types.is_integer(kind):
        yield from _texts(pa, column.cast(pa.string()))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        import pyarrow.compute as pc

        # Parted, or the digits of two values would make a number that nobody has.
        lines = pc.binary_join_element_wise(column, "", "\n", null_handling="skip")
        if lines.buffers()[2] is not None:
            yield lines.buffers()[2].to_pybytes()


def _avro(data: bytes) -> Iterator[bytes]:
    """Yield the blocks of an Avro object container, expanded."""
    at = len(_AVRO)
    codec = b"null"
    count, at = _number(data, at)
    while count:
        if count < 0:
            count = -count
            _, at = _number(data, at)
        for _ in range(count):
            name, at = _bytes(data, at)
            value, at = _bytes(data, at)
            if name == b"avro.codec":
                codec = value
        count, at = _number(data, at)
    at += _SYNC_BYTES
    while at < len(data):
        _, at = _number(data, at)
        block, at = _bytes(data, at)
        yield zlib.decompress(block, -zlib.MAX_WBITS) if codec == b"deflate" else block
        at += _SYNC_BYTES


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a zigzag number; return it and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _number(data, at)
    return data[at : at + size], at + size
