"""Files in, and SQL over them: `ingest`, `datasets`, `sql`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lakehouse.cli import explaining, reading, showing
from lakehouse.cli.progress import bars
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput

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
    ingest.add_argument("--map", metavar="MAP", help="TOML that says which columns become which; see docs/ingest.md")
    told = ingest.add_mutually_exclusive_group()
    told.add_argument("--explain", action="store_true", help="say what would be made of the file; write nothing")
    told.add_argument("--suggest-map", action="store_true", help="print a mapping for this file; write nothing")
    ingest.add_argument("--json", action="store_true", help="print one JSON document")

    datasets = commands.command("datasets", _datasets, "list the datasets, or show one with its columns")
    datasets.add_argument("name", nargs="?", metavar="NAME", help="show this one")
    datasets.add_argument("--history", action="store_true", help="list its snapshots, newest first")
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
    sql.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="NAME=SNAPSHOT",
        help="read a dataset as it was (may be repeated; see datasets NAME --history)",
    )
    form = sql.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV with a header line")
    form.add_argument("--json", action="store_true", help="print one JSON document")


def _ingest(arguments: argparse.Namespace) -> int:
    source: Any = sys.stdin.buffer if arguments.file == reading.STDIN else reading.path(arguments.file)
    mapping = reading.text([f"@{arguments.map}"], "the mapping") if arguments.map else ""
    kind = _TYPES.get(arguments.type, "")
    with open_lake(arguments, make=True) as lake, bars():
        if arguments.explain or arguments.suggest_map:
            found = lake.ingest.explain(source, arguments.name, content_type=kind, key=arguments.key, mapping=mapping)
        else:
            report = lake.ingest.file(
                source,
                arguments.name,
                content_type=kind,
                key=arguments.key,
                quarantine=arguments.quarantine,
                mapping=mapping,
            )
    if arguments.explain:
        explaining.explanation(found, json=arguments.json)
        return 0
    if arguments.suggest_map:
        if arguments.json:
            showing.json_document({"mapping": found.mapping})
        else:
            sys.stdout.write(found.mapping)
        return 0
    if arguments.json:
        showing.json_document(report)
        return 0
    kept = "nothing new, unchanged" if report.unchanged else f"snapshot {report.snapshot_id}"
    print(f"{report.dataset}: {report.rows:,} rows, {kept}")
    if report.erased:
        print(f"{report.erased:,} rows left out: of people who were erased", file=sys.stderr)
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
        if arguments.history:
            return _history(lake.catalog.snapshots(_named(arguments.name)), arguments.json)
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


def _named(name: str | None) -> str:
    if name is None:
        raise InvalidInput("--history needs the name of a dataset")
    return name


def _history(listed: Any, json: bool) -> int:
    if json:
        showing.json_document(listed)
        return 0
    columns = [showing.Column("snapshot"), showing.Column("at"), showing.Column("rows", right=True)]
    columns.append(showing.Column("fingerprint"))
    rows = [[each.snapshot_id, each.at, f"{each.rows:,}", each.fingerprint[:12]] for each in listed.snapshots]
    showing.table(columns, rows)
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
        result = lake.sql.query(
            statement, limit=arguments.limit, timeout_ms=arguments.timeout, snapshots=_snapshots(arguments.at)
        )
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


def _snapshots(named: list[str]) -> dict[str, int] | None:
    found: dict[str, int] = {}
    for each in named:
        name, _, snapshot = each.partition("=")
        if not snapshot.isdigit():
            raise InvalidInput(f"--at {each!r} is not NAME=SNAPSHOT; datasets NAME --history lists the snapshots")
        found[name] = int(snapshot)
    return found or None


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
