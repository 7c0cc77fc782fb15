"""What commands print: tables that fit a terminal, the same tables as plain text in a pipe, JSON, CSV."""

from __future__ import annotations

import csv
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import msgspec


class Column(msgspec.Struct, frozen=True):
    """A column of a table. `right` aligns numbers; only `wraps` columns give up width on a narrow terminal."""

    title: str
    right: bool = False
    wraps: bool = False


def json_document(value: Any) -> None:
    """Print one JSON document: the shape on the wire."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, out: TextIO | None = None) -> None:
    """Print a table: drawn on a terminal; aligned, uncut and without colour in a pipe."""
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
    titles = [column.title for column in columns]
    widths = [max(map(_width, each)) for each in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        padded = (_pad(value, width, column.right) for value, width, column in zip(row, widths, columns, strict=True))
        print("  ".join(padded).rstrip(), file=out)


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
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for at, column in enumerate(columns):
        needed = max([_width(column.title), *(_width(row[at]) for row in rows)])
        drawn.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            # Ids, numbers and distances are never cut: a narrow terminal takes its width from the words.
            min_width=min(needed, 12) if column.wraps else needed,
            overflow="fold",
        )
    for row in rows:
        drawn.add_row(*(Text(value) for value in row))
    Console(file=out, highlight=False).print(drawn)
