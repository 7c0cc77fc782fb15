"""Send messages to an inbox from several writers at once, and count what is there in the end.

    python benchmarks/inbox.py                          # 10,000 messages, 8 writers, every message by two of them
    python benchmarks/inbox.py --messages 1000

None may be lost and none may be there twice, in the inbox and among the ops. Beside it the cost that ops add to a call:
processor time of an empty operation with and without the witness around it, medians of many.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

import lakehouse
from lakehouse import settings

WRITERS = 8
ROLES = ("welders", "cooks", "forklift operators", "nurses", "pickers")

console = Console(width=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    messages = parser.parse_args().messages
    with tempfile.TemporaryDirectory() as folder:
        config = settings.load(
            environ={}, overrides={"data": str(Path(folder) / "lake"), "observer": {"ring": 100_000}}
        )
        with lakehouse.connect(config=config) as lake:
            send(lake, messages)
            witness(lake)


def send(lake: lakehouse.Lakehouse, messages: int) -> None:
    """Send every message twice, by two writers, and count."""
    lake.demand.parse("Need 3 welders in Toledo OH")
    created: list[str] = []

    def write(writer: int) -> None:
        for number in range(writer // 2, messages, WRITERS // 2):
            body = f"Need {2 + number % 9} {ROLES[number % len(ROLES)]} in Toledo OH"
            receipt = lake.inbox.receive("sms", body, sender=f"s{number % 97}@example.com", message_id=f"<{number}>")
            if receipt.created:
                created.append(receipt.id)

    began = time.perf_counter()
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    lake.rooms.observer.flush()
    rows = lake.sql.query("SELECT count(*), count(DISTINCT detail->>'message') FROM ops WHERE source = 'inbox'").rows[0]
    kept = distinct(lake)
    table = Table(title=f"{messages:,} messages, each sent by two of {WRITERS} writers")
    for title in ("acknowledged as new", "distinct ids kept", "ops in the log", "distinct in the log", "lost", "twice"):
        table.add_column(title, justify="right")
    lost, twice = messages - kept, len(created) - len(set(created)) + rows[0] - rows[1]
    table.add_row(*(f"{figure:,}" for figure in (len(created), kept, rows[0], rows[1], lost, twice)))
    console.print(table, f"{2 * messages / took:,.0f} receipts a second")


def distinct(lake: lakehouse.Lakehouse) -> int:
    from sqlalchemy import distinct, func, select

    from lakehouse.observe._inbox_rows import MESSAGES

    with lake.rooms.state.read() as connection:
        return int(connection.scalar(select(func.count(distinct(MESSAGES.c.message_id)))) or 0)


class Empty:
    """An operation that does nothing."""

    service = "bench"
    name = "bench.empty"


def witness(lake: lakehouse.Lakehouse) -> None:
    """Print what a call costs with and without ops around it."""
    around = lake.rooms.observer.around
    operation = Empty()

    def nothing() -> None:
        return None

    def timed(call: Callable[[], object], times: int = 2_000) -> float:
        began = time.thread_time()
        for _ in range(times):
            call()
        return (time.thread_time() - began) / times * 1e6

    bare = [timed(nothing) for _ in range(50)]
    watched = [timed(lambda: around(operation, {}, nothing)) for _ in range(50)]
    cost = statistics.median(watched) - statistics.median(bare)
    console.print(f"ops around a call: {cost:.2f} microseconds of processor time")


if __name__ == "__main__":
    main()
