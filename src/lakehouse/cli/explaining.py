"""What an ingest would make of a file, in words."""

from __future__ import annotations

import sys
from typing import Any

from lakehouse.cli import showing

_SHOWN_REJECTED = 20
_DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}


def explanation(found: Any, *, json: bool) -> None:
    """Print an explanation, as one JSON document when asked."""
    if json:
        showing.json_document(found)
        return
    pairs: list[tuple[str, Any]] = [("format", found.format)]
    if found.header_line:
        pairs += [
            ("encoding", found.encoding),
            ("delimiter", _DELIMITERS.get(found.delimiter, found.delimiter)),
            ("quote", found.quote),
            ("line ends", found.line_ends),
            ("header", f"line {found.header_line}"),
        ]
    showing.facts([*pairs, ("good rows", f"{found.rows:,}"), ("bad rows", f"{found.bad_rows:,}")])
    print()
    columns = [
        showing.Column("column"),
        showing.Column("type"),
        showing.Column("empty", right=True),
        showing.Column("example", wraps=True),
        showing.Column("why", wraps=True),
    ]
    showing.table(
        columns, [[each.name, each.type, f"{each.empty:,}", each.example, each.why] for each in found.columns]
    )
    if found.changes:
        print()
        titles = [showing.Column("changed column"), showing.Column("dataset"), showing.Column("file")]
        showing.table(titles, [[each.column, each.dataset or "-", each.file or "-"] for each in found.changes])
    for row in found.rejected[:_SHOWN_REJECTED]:
        column = f", {row.column}" if row.column else ""
        print(showing.cell(f"bad: line {row.line}{column}: {row.reason}"), file=sys.stderr)
    if found.refusal:
        print(showing.cell(f"refused: {found.refusal}"), file=sys.stderr)
