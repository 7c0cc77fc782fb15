"""How a CSV file is written: delimiter, header, and where its records start.

The delimiter is found from the header: of those characters that divide it, the one by which most of the first
records have as many cells. DuckDB's own sniffer wants every row to fit and therefore reads a file with ragged
rows as one wide column; Python's wants letter frequencies and fails on short files.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.lake import _infer
from lakehouse.lake._reading import check_width
from lakehouse.lake.columns import check_names

DELIMITERS = "\t|;,"
HEAD_BYTES = 256 * 1024
HEAD_RECORDS = 200
MAX_LINE_BYTES = 8 * 1024 * 1024


class Dialect(msgspec.Struct, frozen=True):
    """How a file is written: what divides its cells, its column names, and the lines before them."""

    delimiter: str
    names: list[str]
    skip: int


def detect(path: Path, end: str, delimiters: str = DELIMITERS) -> Dialect:
    """Find the delimiter and the header of a CSV file.

    Lines before the header that are blank or start with `#` are skipped; a `#` line with as many cells as the
    line after the comments is the header itself.

    Raises:
        InvalidInput: No header, no rows, or column names that are empty or stand twice.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("utf-8", "replace")
    lines = head.split(end)
    whole = len(head) < HEAD_BYTES - 4
    if not whole:
        lines.pop()
    skip = sum(1 for _ in itertools.takewhile(lambda line: not line.strip() or line.startswith("#"), lines))
    if skip == len(lines):
        raise InvalidInput("the file has no header and no rows, only blank lines and comments", field="source")
    hashed = skip - 1
    delimiter, names = _divided(lines[skip:], end, delimiters)
    if skip and lines[hashed].startswith("#"):
        above, titles = _divided(lines[hashed:], end, delimiters)
        if len(titles) > 1 and len(titles) == len(next(cells_of(lines[skip:], end, above), [])):
            delimiter, names, skip = above, titles, hashed
    _check_header(names, skip + 1)
    if whole and sum(1 for line in lines[skip:] if line.strip()) < 2:
        raise InvalidInput("the file has a header and no rows", field="source", line=skip + 1)
    return Dialect(delimiter, names, skip)


def _check_header(names: list[str], line: int) -> None:
    check_width(len(names))
    if names and all(names) and _infer.looks_like_data(names):
        raise InvalidInput(
            f"line {line} is no header but data ({', '.join(names[:5])}); put the column names on the first line",
            field="source",
            line=line,
        )
    check_names(names)


def _divided(lines: Sequence[str], end: str, delimiters: str) -> tuple[str, list[str]]:
    """Return the delimiter that fits best, and the header it gives."""
    best: tuple[float, int, int] = (-1.0, 0, 0)
    chosen: tuple[str, list[str]] = (",", [])
    for rank, delimiter in enumerate(delimiters):
        found = cells_of(lines, end, delimiter)
        header = next(found, [])
        same = [len(cells) == len(header) for cells in itertools.islice(found, HEAD_RECORDS)]
        share = sum(same) / len(same) if same else 0.0
        if len(header) > 1 and (share, len(header), -rank) > best:
            best, chosen = (share, len(header), -rank), (delimiter, header)
    return chosen if chosen[1] else (",", next(cells_of(lines, end, ","), []))


def cells_of(lines: Sequence[str], end: str, delimiter: str) -> Iterator[list[str]]:
    """Parse some lines, leaving out blank ones; stops where the text stops making sense."""
    reader = csv.reader(io.StringIO(end.join(lines), newline=""), delimiter=delimiter)
    try:
        yield from (cells for cells in reader if cells)
    except csv.Error:
        return


def line_numbers(path: Path, end: str, starts: Sequence[int]) -> list[int]:
    """Return the line, from 1, on which each byte offset lies; offsets ascend."""
    mark = end[-1:].encode()
    numbers: list[int] = []
    offset, line = 0, 1
    with path.open("rb") as file:
        while len(numbers) < len(starts) and (chunk := file.read(1 << 20)):
            at = 0
            while len(numbers) < len(starts) and starts[len(numbers)] < offset + len(chunk):
                here = starts[len(numbers)] - offset
                line += chunk.count(mark, at, here)
                at = here
                numbers.append(line)
            line += chunk.count(mark, at)
            offset += len(chunk)
    return numbers


def records(path: Path, dialect: Dialect, end: str) -> Iterator[tuple[int, int, bytes]]:
    """Walk the records of a file from the header on: byte offset, first line (from 1) and bytes of each."""
    delimiter = dialect.delimiter.encode()
    offset = number = 0
    held, began, first, inside = b"", 0, 1, False
    for line in _split(path, end[-1:].encode()):
        number += 1
        if number <= dialect.skip:
            offset += len(line)
            continue
        if not held:
            began, first = offset, number
        held += line
        offset += len(line)
        inside = _ends_inside(line, delimiter, inside)
        if not inside or len(held) > MAX_LINE_BYTES:
            yield began, first, held
            held, inside = b"", False
    if held:
        yield began, first, held


def _split(path: Path, end: bytes) -> Iterator[bytes]:
    with path.open("rb") as file:
        if end == b"\n":
            yield from file
            return
        rest = b""
        while chunk := file.read(1 << 20):
            *whole, rest = (rest + chunk).split(end)
            yield from (line + end for line in whole)
        if rest:
            yield rest


def _ends_inside(line: bytes, delimiter: bytes, inside: bool) -> bool:
    """Tell whether a quoted cell is still open at the end of a line."""
    if b'"' not in line:
        return inside
    at = 0
    while True:
        if inside:
            at = line.find(b'"', at)
            if at < 0:
                return True
            doubled = line[at + 1 : at + 2] == b'"'
            at += 2 if doubled else 1
            inside = doubled
        elif line[at:].lstrip(b" ").startswith(b'"'):
            at = line.index(b'"', at) + 1
            inside = True
        else:
            at = line.find(delimiter, at) + 1
            if at == 0:
                return False
