"""What was done: `ops list|tail|stats|record`, and `trace show`."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from lakehouse.cli import reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands, Tree

if TYPE_CHECKING:
    from lakehouse.observe.base import Op

_COLUMNS = (
    showing.Column("time"),
    showing.Column("source"),
    showing.Column("kind"),
    showing.Column("status"),
    showing.Column("ms", right=True),
    showing.Column("trace"),
    showing.Column("summary", wraps=True),
)


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    ops = commands.group("ops", "see what was done, how often and how fast")
    _filters(ops.command("list", _list, "list the newest operations"))

    tail = ops.command(
        "tail", _tail, "print operations as they are done", more="One line each, as JSON with --json. Ends with Ctrl-C."
    )
    _filters(tail)
    tail.add_argument("--follow", "-f", action="store_true", help="go on with those that come")
    tail.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between two looks (default: 1)")

    stats = ops.command("stats", _stats, "count operations by kind, with percentiles of their time")
    stats.add_argument("--json", action="store_true", help="print one JSON document")

    record = ops.command("record", _record, "record an operation of your own")
    record.add_argument("kind", metavar="KIND", help="what was done, such as stress.baseline")
    record.add_argument(
        "--source", choices=("mcp", "scenario", "workflow", "inbox"), default="scenario", help="by what way"
    )
    record.add_argument("--status", default="ok", metavar="WORD", help="ok, or how it failed (default: ok)")
    record.add_argument("--summary", default="", metavar="TEXT", help="one line for whoever reads it")
    record.add_argument("--elapsed-ms", type=float, metavar="MS", help="how long it took")
    record.add_argument("--detail", metavar="JSON", default="{}", help="further facts: JSON, @FILE or -")
    record.add_argument("--json", action="store_true", help="print one JSON document")

    trace = commands.group("trace", "see what one call did inside")
    show = trace.command(
        "show",
        _trace,
        "print a trace as a tree, from the local log",
        more="Spans are kept while the setting traces.log is true; without them the\n"
        "operations of the trace are shown.",
    )
    show.add_argument("id", metavar="ID", help="trace id, as in an answer, an error or an operation")
    show.add_argument("--json", action="store_true", help="print one JSON document")


def _filters(command: Tree) -> None:
    command.add_argument(
        "--source", choices=("mcp", "scenario", "workflow", "inbox", "call"), help="only of this source"
    )
    command.add_argument("--kind", default="", metavar="WORD", help="only kinds that begin so (matrix, matrix.search)")
    command.add_argument("--failed", action="store_true", help="only those that failed")
    command.add_argument("-n", "--limit", type=int, default=50, metavar="N", help="at most N (default: 50)")
    command.add_argument("--json", action="store_true", help="print JSON")


def _filter(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "source": arguments.source,
        "kind": arguments.kind,
        "status": "failed" if arguments.failed else None,
        "limit": arguments.limit,
    }


def _list(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.observer.ops(**_filter(arguments))
    if arguments.json:
        showing.json_document(listed)
    else:
        showing.table(_COLUMNS, [_row(op) for op in listed.ops])
    return 0


def _tail(arguments: argparse.Namespace) -> int:
    import msgspec

    wanted = _filter(arguments)
    with open_lake(arguments) as lake:
        found = lake.observer.ops(**wanted).ops
        last = ""
        while True:
            for op in found:
                print(msgspec.json.encode(op).decode() if arguments.json else _line(op), flush=True)
                last = op.op_id
            if not arguments.follow:
                return 0
            time.sleep(arguments.every)
            found = lake.observer.ops(**{**wanted, "after": last, "limit": 10_000}).ops


def _stats(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        stats = lake.observer.stats()
    if arguments.json:
        showing.json_document(stats)
        return 0
    columns = [
        showing.Column("kind"),
        *(showing.Column(title, right=True) for title in ("count", "errors", "p50 ms", "p95 ms", "p99 ms", "max ms")),
    ]
    showing.table(
        columns,
        [
            [kind, each.count, each.errors, *map(_ms, (each.p50_ms, each.p95_ms, each.p99_ms, each.max_ms))]
            for kind, each in stats.by_kind.items()
        ],
    )
    print(f"{stats.total:,} operations, {stats.errors:,} failed, from {stats.oldest or '-'} to {stats.newest or '-'}")
    print(f"by source: {', '.join(f'{source} {count:,}' for source, count in stats.by_source.items()) or '-'}")
    print(f"by hour: {', '.join(f'{hour} {count:,}' for hour, count in stats.by_hour.items()) or '-'}")
    print(f"dropped: {stats.dropped:,} operations, {stats.spans_dropped:,} spans")
    return 0


def _record(arguments: argparse.Namespace) -> int:
    detail = reading.json_value(arguments.detail, dict[str, Any], "--detail")
    with open_lake(arguments) as lake:
        recorded = lake.observer.event(
            arguments.source,
            arguments.kind,
            status=arguments.status,
            summary=arguments.summary,
            elapsed_ms=arguments.elapsed_ms,
            detail=detail,
        )
    if arguments.json:
        showing.json_document(recorded)
    else:
        print(recorded.op_id)
    return 0


def _trace(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        trace = lake.traces.show(arguments.id)
    if arguments.json:
        showing.json_document(trace)
        return 0
    columns = [
        showing.Column("what"),
        showing.Column("ms", right=True),
        showing.Column("status"),
        showing.Column("service"),
        showing.Column("started"),
        showing.Column("facts", wraps=True),
    ]
    showing.table(
        columns,
        [
            [
                # A no-break space is kept where a plain one would be stripped.
                "\u00a0\u00a0" * line.depth + line.name,
                _ms(line.elapsed_ms),
                line.status,
                line.service,
                line.started,
                ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in line.attributes.items()),
            ]
            for line in trace.spans
        ],
    )
    return 0


def _row(op: Op) -> list[Any]:
    return [op.time, op.source, op.kind, op.status, _ms(op.elapsed_ms), op.trace_id, op.summary]


def _line(op: Op) -> str:
    took = "" if op.elapsed_ms is None else f" {_ms(op.elapsed_ms)} ms"
    return f"{op.time} {op.source} {op.kind} {op.status}{took} {op.summary}".rstrip()


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}"
