"""What commands print: tables that fit a terminal, the same tables as plain text in a pipe, JSON, CSV."""

from __future__ import annotations

import csv
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, TextIO

import msgspec

_GAP = 2
_LEAST = 10
# Where what stands below a row begins.
_INDENT = 4


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        title: Its heading.
        right: Aligned to the right, for numbers.
        wraps: Gives up width on a narrow terminal. Ids, numbers and distances never do.
        below: Stands under its row where a terminal is too narrow for the whole table.
    """

    title: str
    right: bool = False
    wraps: bool = False
    below: bool = False


def json_document(value: Any) -> None:
    """Print one JSON document: the shape on the wire."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def done(json: bool, said: str, **facts: Any) -> None:
    """Print what was done where there is nothing to show of it: a sentence, or the facts of it as a JSON document."""
    if json:
        json_document(facts)
    else:
        print(said)


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, out: TextIO | None = None) -> None:
    """Print a table: fitted to a terminal; aligned, uncut and without colour in a pipe."""
    out = out or sys.stdout
    cells = [[cell(value) for value in row] for row in rows]
    if out.isatty():
        _drawn(columns, cells, out)
    else:
        _plain(columns, cells, out)


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair a line."""
    listed = [(name, cell(value)) for name, value in pairs]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        print(f"{name:<{width}}  {value}".rstrip())


def csv_rows(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print CSV with a header line; null is an empty field, a list or object is JSON."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows([_field(value) for value in row] for row in rows)


def cell(value: Any) -> str:
    """Return a value as one line of text that cannot steer a terminal."""
    shown = "" if value is None else _text(value)
    return "".join(" " if unicodedata.category(letter) in {"Cc", "Zl", "Zp"} else letter for letter in shown)


def cell_lines(text: str) -> str:
    """Return a text of several lines that cannot steer a terminal."""
    return "\n".join(cell(line) for line in text.split("\n"))


def shortened(value: str, width: int) -> str:
    """Cut a text to `width` characters at the end of a word, with a mark where something is left out."""
    if len(value) <= width:
        return value
    kept = value[: width - 1]
    return (kept.rpartition(" ")[0] or kept).rstrip(" ,;") + "…"


def _field(value: Any) -> Any:
    if isinstance(value, (bool, list, dict)):
        return msgspec.json.encode(value).decode()
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return msgspec.json.encode(value).decode() if isinstance(value, (list, dict)) else str(value)


def _plain(columns: Sequence[Column], rows: Sequence[Sequence[str]], out: TextIO) -> None:
    widths = _widths(columns, rows)
    for row in ([column.title for column in columns], *rows):
        padded = (_pad(value, width, column.right) for value, width, column in zip(row, widths, columns, strict=True))
        print((" " * _GAP).join(padded).rstrip(), file=out)


def _pad(value: str, width: int, right: bool) -> str:
    space = " " * (width - _width(value))
    return space + value if right else value + space


def _width(value: str) -> int:
    if value.isascii():
        return len(value)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in value
    )


def _drawn(columns: Sequence[Column], rows: Sequence[Sequence[str]], out: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False)
    room = console.width
    natural = _widths(columns, rows)
    kept = list(range(len(columns)))
    if sum(natural) + _GAP * (len(columns) - 1) > room:
        kept = [at for at in kept if not columns[at].below]
    below = [at for at in range(len(columns)) if at not in kept]
    widths = _fitted([columns[at] for at in kept], [natural[at] for at in kept], room - _GAP * (len(kept) - 1))
    shown = [columns[at] for at in kept]
    titles = _lines([column.title for column in shown], shown, widths)
    console.print(*(Text(line, "bold") for line in titles), sep="\n")
    for row in rows:
        lines = _lines([row[at] for at in kept], shown, widths)
        console.print(*(Text(line) for line in lines), sep="\n", soft_wrap=True)
        for at in below:
            for line in _wrapped(row[at], room - _INDENT) if row[at] else ():
                console.print(Text(" " * _INDENT + line, "dim"), soft_wrap=True)


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    titles = [column.title for column in columns]
    return [max(map(_width, each)) for each in zip(titles, *rows, strict=True)]


def _fitted(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """Take width from the widest of the columns that wrap, until all fit or none has more than the least."""
    fitted = list(widths)
    while sum(fitted) > room:
        wide = [at for at, column in enumerate(columns) if column.wraps and fitted[at] > _LEAST]
        if not wide:
            break
        fitted[max(wide, key=lambda at: fitted[at])] -= 1
    return fitted


def _lines(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    """Lay one row out over as many lines as its longest cell takes."""
    wrapped = [
        _wrapped(cell, width) if column.wraps else [cell]
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]
    found = []
    for line in zip_longest(*wrapped, fillvalue=""):
        padded = (_pad(part, width, column.right) for part, width, column in zip(line, widths, columns, strict=True))
        found.append((" " * _GAP).join(padded).rstrip())
    return found


def _wrapped(value: str, width: int) -> list[str]:
    return textwrap.wrap(value, max(width, _LEAST)) or [""]
