"""Files in, and SQL over them: `ingest`, `datasets`, `sql`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lakehouse.cli import reading, showing
from lakehouse.cli.progress import bars
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands

_TYPES = {
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
_SHOWN_REJECTED = 20


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    ingest = commands.command(
        "ingest",
        _ingest,
        "put a CSV, JSONL or Parquet file into a dataset",
        more="The whole file lands or none of it, unless --quarantine is given. The same\n"
        "content again changes nothing.",
    )
    ingest.add_argument("file", metavar="FILE", help="the file, or - for standard input")
    ingest.add_argument("--name", required=True, help="name of the dataset, made when it does not exist")
    ingest.add_argument("--key", metavar="COLUMN", help="rows with a known value here replace the earlier ones")
    ingest.add_argument("--quarantine", action="store_true", help="leave bad rows out and report them")
    ingest.add_argument(
        "--type", choices=_TYPES, metavar="TYPE", help="csv, jsonl or parquet (default: by name and content)"
    )
    ingest.add_argument("--json", action="store_true", help="print one JSON document")

    datasets = commands.command("datasets", _datasets, "list the datasets, or show one with its columns")
    datasets.add_argument("name", nargs="?", metavar="NAME", help="show this one")
    datasets.add_argument("--json", action="store_true", help="print one JSON document")

    sql = commands.command(
        "sql",
        _sql,
        "ask the datasets a question in SQL",
        more="Each dataset is a table of the same name. Reading only.",
    )
    sql.add_argument("sql", nargs="+", metavar="SQL", help="the statement, @FILE, or - for standard input")
    sql.add_argument("--limit", type=int, metavar="N", help="most rows (default: the setting query.max_rows)")
    sql.add_argument("--timeout", type=int, metavar="MS", help="give up after this many milliseconds")
    form = sql.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV with a header line")
    form.add_argument("--json", action="store_true", help="print one JSON document")


def _ingest(arguments: argparse.Namespace) -> int:
    source: Any = sys.stdin.buffer if arguments.file == reading.STDIN else reading.path(arguments.file)
    with open_lake(arguments, make=True) as lake, bars():
        report = lake.ingest.file(
            source,
            arguments.name,
            content_type=_TYPES.get(arguments.type, ""),
            key=arguments.key,
            quarantine=arguments.quarantine,
        )
    if arguments.json:
        showing.json_document(report)
        return 0
    kept = "nothing new, unchanged" if report.unchanged else f"snapshot {report.snapshot_id}"
    print(f"{report.dataset}: {report.rows:,} rows, {kept}")
    if report.rejected:
        print(f"{len(report.rejected):,} rows left out:", file=sys.stderr)
        for row in report.rejected[:_SHOWN_REJECTED]:
            column = f", {row.column}" if row.column else ""
            print(showing.cell(f"  line {row.line}{column}: {row.reason}"), file=sys.stderr)
        if len(report.rejected) > _SHOWN_REJECTED:
            print("  ... (--json lists them)", file=sys.stderr)
    return 0


def _datasets(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        if arguments.name:
            return _dataset(lake.catalog.dataset(arguments.name), arguments.json)
        listed = lake.catalog.datasets()
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [
        showing.Column("dataset"),
        showing.Column("rows", right=True),
        showing.Column("columns", right=True),
        showing.Column("changed"),
        showing.Column("snapshot"),
    ]
    showing.table(
        columns,
        [
            [each.name, f"{each.rows:,}", len(each.schema), each.updated_at, each.snapshot_id]
            for each in listed.datasets
        ],
    )
    return 0


def _dataset(manifest: Any, json: bool) -> int:
    if json:
        showing.json_document(manifest)
        return 0
    showing.facts(
        [
            ("dataset", manifest.name),
            ("rows", f"{manifest.rows:,}"),
            ("made", manifest.created_at),
            ("changed", manifest.updated_at),
            ("snapshot", manifest.snapshot_id),
            ("fingerprint", manifest.fingerprint),
        ]
    )
    print()
    showing.table(
        [showing.Column("column"), showing.Column("type")], [[each.name, each.type] for each in manifest.schema]
    )
    return 0


def _sql(arguments: argparse.Namespace) -> int:
    statement = reading.text(arguments.sql, "the SQL")
    with open_lake(arguments) as lake:
        result = lake.sql.query(statement, limit=arguments.limit, timeout_ms=arguments.timeout)
    if arguments.json:
        showing.json_document(result)
        return 0
    titles = [column.name for column in result.columns]
    if arguments.csv:
        showing.csv_rows(titles, result.rows)
    else:
        numbers = [all(_is_number(row[at]) for row in result.rows) for at in range(len(titles))]
        columns = [
            showing.Column(title, right=number, wraps=not number) for title, number in zip(titles, numbers, strict=True)
        ]
        showing.table(columns, result.rows)
    if result.truncated:
        print(f"only the first {result.row_count:,} rows; --limit gives more", file=sys.stderr)
    return 0


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
