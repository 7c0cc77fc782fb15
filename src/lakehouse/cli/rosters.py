"""Synthetic rosters: `roster generate`."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.cli import reading
from lakehouse.cli.progress import bars, told
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput

if TYPE_CHECKING:
    from typing import BinaryIO


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    roster = commands.group("roster", "invent a roster to try things with")
    generate = roster.command(
        "generate",
        _generate,
        "write a synthetic roster; the same seed gives the same bytes",
        more="Real titles, tools, tasks and places at their real frequencies; the people are invented.",
    )
    generate.add_argument("--workers", type=int, required=True, metavar="N", help="how many people")
    generate.add_argument("--seed", type=int, required=True, metavar="S", help="another seed gives other people")
    generate.add_argument(
        "--format",
        choices=("csv", "parquet"),
        metavar="FORMAT",
        help="csv or parquet (default: by the file's name, else csv)",
    )
    generate.add_argument(
        "--output", default=reading.STDOUT, metavar="FILE", help="where to (default: -, standard output)"
    )
    generate.add_argument(
        "--reference", type=date.fromisoformat, metavar="DATE", help='"today" of the roster, such as 2026-01-01'
    )


def _generate(arguments: argparse.Namespace) -> int:
    from lakehouse.staffing import roster

    output: str = arguments.output
    format = arguments.format or ("parquet" if output.endswith((".parquet", ".pq")) else "csv")
    with bars():
        roster.write(
            _target(output, format),
            arguments.workers,
            arguments.seed,
            format,
            progress=told("inventing people"),
            reference=arguments.reference or roster.REFERENCE,
        )
    return 0


def _target(output: str, format: str) -> Path | BinaryIO:
    if output != reading.STDOUT:
        return Path(output)
    if format == "parquet" and sys.stdout.isatty():
        raise InvalidInput("parquet is not for a terminal; name a file with --output", field="output")
    return sys.stdout.buffer
