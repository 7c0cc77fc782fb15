"""Whether the rest of a CSV file looks like its beginning: a few pieces of it, from all over the file.

Only a hint. It saves the work of writing rows by types that do not hold to the end; a file that passes may still have a
value that does not fit, and one that does not pass may hold none, where a piece begins inside of a quoted cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lakehouse.lake import _infer
from lakehouse.lake._dialect import Dialect, cells_of

PIECES = 16
PIECE_BYTES = 16 * 1024


def holds(path: Path, dialect: Dialect, end: str, types: Mapping[str, str]) -> bool:
    """Tell whether the cells of some pieces are written as their columns' types.

    Args:
        path: The file, UTF-8.
        dialect: How it is written.
        end: Its line end.
        types: By name of a column, a type of `_infer.CANDIDATES`, or `null` where every cell is empty.
    """
    tested = [(place, types[name]) for place, name in enumerate(dialect.names) if name in types]
    if not tested:
        return True
    return all(
        _fits(kind, cells[place])
        for lines in _pieces(path, end)
        for cells in cells_of(lines, end, dialect.delimiter)
        if len(cells) == len(dialect.names)
        for place, kind in tested
    )


def _fits(kind: str, value: str) -> bool:
    return not value or (kind != "null" and _infer.is_written_as(kind, value))


def _pieces(path: Path, end: str) -> Iterator[list[str]]:
    """Read the whole lines of each piece; none of a file so small that a wrong guess costs nothing."""
    size = path.stat().st_size
    if size < 2 * PIECES * PIECE_BYTES:
        return
    with path.open("rb") as file:
        for number in range(1, PIECES + 1):
            file.seek((size - PIECE_BYTES) * number // PIECES)
            # The first and the last line may be cut.
            yield file.read(PIECE_BYTES).decode("utf-8", "replace").split(end)[1:-1]
