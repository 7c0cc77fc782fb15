"""What a JSONL file holds, sent some at a time; an error names the line of the file, not the place in the call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NoReturn, TypeVar

from lakehouse.cli import reading
from lakehouse.errors import LakehouseError
from lakehouse.progress import report

T = TypeVar("T")
R = TypeVar("R")


def sent(
    source: str,
    read: Iterable[tuple[int, T]],
    call: Callable[[list[T]], R],
    *,
    most: int,
    field: str,
    earlier: str,
) -> Iterator[R]:
    """Yield the answers to calls with what a file holds, in order.

    Args:
        source: The file, as `reading.json_lines` takes it.
        read: Its objects, each with the number of its line.
        call: Sends some of them.
        most: How many at a time.
        field: What they are called in errors, such as `entries`.
        earlier: What became of the first ones when later ones fail, and what to do: "were added; ...".

    Raises:
        LakehouseError: As `call` and `read`, with the line in the message and in the detail, and what was sent before.
    """
    before, rest = 0, iter(read)
    total = len(read) if isinstance(read, Sequence) else 0
    while True:
        try:
            portion = list(islice(rest, most))
            answers = [_answer(source, portion, call, field)] if portion else []
        except LakehouseError as error:
            if not before:
                raise
            said = f"{error.message}; the first {before:,} {field} {earlier}"
            raise type(error)(said, **error.detail) from error
        if not answers:
            return
        before += len(portion)
        report(field, before, total)
        yield from answers


def _answer(source: str, portion: Sequence[tuple[int, T]], call: Callable[[list[T]], R], field: str) -> R:
    try:
        return call([value for _, value in portion])
    except LakehouseError as error:
        _raise_placed(error, source, [number for number, _ in portion], field)


def _raise_placed(error: LakehouseError, source: str, numbers: Sequence[int], field: str) -> NoReturn:
    """Raise an error again that names positions in a call, with the lines of the file instead."""
    position = re.compile(rf"(?:\$\.)?\b{field}\[(\d+)\](?:\.(\w+))?")

    def line(found: re.Match[str]) -> str:
        at, part = int(found[1]), found[2]
        if at >= len(numbers):
            return found[0]
        return f"{part} of line {numbers[at]}" if part else f"line {numbers[at]}"

    found = position.search(error.message)
    if found is None or int(found[1]) >= len(numbers):
        raise error
    placed = {name: position.sub(line, value) if isinstance(value, str) else value for name, value in _facts(error)}
    said = f"{reading.called(source)}, {position.sub(line, error.message)}"
    raise type(error)(said, **{**placed, "line": numbers[int(found[1])]}) from error


def _facts(error: LakehouseError) -> Iterator[tuple[str, Any]]:
    # `entry` is the position in the call, which says nothing to whoever wrote the file.
    return ((name, value) for name, value in error.detail.items() if name != "entry")
