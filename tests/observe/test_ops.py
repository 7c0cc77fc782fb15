"""Ops: recorded at no risk, counted, kept over restarts."""

import json
import os
import threading

import msgspec
import pytest

from lakehouse import settings
from lakehouse.errors import NotFound
from lakehouse.observe.base import Op
from lakehouse.observe.ops import Ops
from observe.conftest import now


def written(ops: Ops) -> list[Op]:
    assert ops.flush()
    return [msgspec.json.decode(line, type=Op) for line in ops.path.read_bytes().splitlines()]


class Named:
    def __init__(self, name: str) -> None:
        self.name = name
        self.service = name.partition(".")[0]


def test_event_is_in_ring_and_log(ops):
    op_id = ops.event("mcp", "tool.called", summary="looked\r\nup", elapsed_ms=2.5, detail={"n": 1}).op_id
    assert [op.op_id for op in ops.ops().ops] == [op_id]
    assert written(ops) == ops.ops().ops
    assert written(ops)[0].summary == "looked up"


def test_around_passes_the_answer_on(ops):
    assert ops.around(Named("matrix.search"), {}, lambda: 7) == 7
    assert [(op.source, op.kind, op.status) for op in ops.ops().ops] == [("call", "matrix.search", "ok")]


@pytest.mark.parametrize(("error", "status"), [(NotFound("gone"), "not_found"), (ZeroDivisionError(), "internal")])
def test_around_error_is_recorded_and_passed_on(ops, error, status):
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        ops.around(Named("vectors.get"), {}, fail)
    assert [op.status for op in ops.ops(status="failed").ops] == [status]


def test_around_does_not_watch_itself(ops):
    ops.around(Named("observer.stats"), {}, lambda: None)
    assert ops.stats().total == 0


def test_log_that_cannot_be_written_fails_nobody(tmp_path):
    (tmp_path / "logs").write_text("a file where a folder should be")
    ops = Ops(settings.Observer(write_every_ms=1), tmp_path / "logs" / "ops.jsonl", clock=now, start="t")
    for _ in range(3):
        ops.event("mcp", "x")
    ops.flush()
    assert (ops.stats().total, ops.stats().dropped) == (3, 3)
    ops.close()


def test_full_disk_drops_and_counts_and_recovers(small_disk, tmp_path):
    filler = small_disk / "filler"
    ops = Ops(settings.Observer(write_every_ms=1), small_disk / "ops.jsonl", clock=now, start="t")
    ops.event("mcp", "before")
    assert ops.flush()
    with filler.open("wb", buffering=0) as file:
        free = os.statvfs(small_disk).f_bavail * 4096
        os.posix_fallocate(file.fileno(), 0, free)
    ops.event("mcp", "during", detail={"x": "y" * 7000})
    ops.flush()
    filler.unlink()
    ops.event("mcp", "after")
    kinds = [op.kind for op in written(ops)]
    assert (kinds[0], kinds[-1]) == ("before", "after")
    assert ops.dropped == 3 - len(kinds)
    ops.close()


def test_queue_that_is_full_drops_and_counts(tmp_path):
    ops = Ops(settings.Observer(queue=10, write_every_ms=60_000), tmp_path / "ops.jsonl", clock=now, start="t")
    for _ in range(50):
        ops.event("mcp", "x")
    assert ops.dropped >= 38
    assert ops.stats().total == 50
    ops.close()
    assert len(ops.path.read_bytes().splitlines()) == 50 - ops.dropped


def test_writers_at_once_lose_nothing_and_share_no_id(ops):
    def write() -> None:
        for _ in range(500):
            ops.event("scenario", "load")

    threads = [threading.Thread(target=write) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len({op.op_id for op in written(ops)}) == 4000
    assert ops.dropped == 0


def test_next_process_sees_what_the_last_one_wrote(tmp_path):
    def begun(word: str) -> Ops:
        return Ops(settings.Observer(ring=5), tmp_path / "ops.jsonl", clock=now, start=word)

    first = begun("a")
    for number in range(7):
        first.event("mcp", f"first{number}")
    first.close()
    second = begun("b")
    second.event("mcp", "second")
    assert [op.kind for op in second.ops().ops] == ["first3", "first4", "first5", "first6", "second"]
    second.close()


def test_line_that_is_no_op_is_passed_over(tmp_path):
    (tmp_path / "ops.jsonl").write_text('{"something": "else"}\nno json\n')
    ops = Ops(settings.Observer(), tmp_path / "ops.jsonl", clock=now, start="t")
    assert ops.stats().total == 0
    ops.close()


def test_ops_after_one_gives_those_that_followed(ops):
    ids = [ops.event("mcp", f"k.{number}").op_id for number in range(5)]
    assert [op.op_id for op in ops.ops(after=ids[2]).ops] == ids[3:]
    assert [op.op_id for op in ops.ops(after=ids[0], limit=2).ops] == ids[1:3]
    assert ops.ops(after=ids[4]).ops == []
    assert [op.op_id for op in ops.ops(kind="k", limit=2).ops] == ids[3:]


def test_stats_percentiles_by_kind(ops):
    for took in range(1, 101):
        ops.event("scenario", "timed", elapsed_ms=took)
    stats = ops.stats().by_kind["timed"]
    assert (stats.p50_ms, stats.p95_ms, stats.p99_ms, stats.max_ms, stats.count) == (50, 95, 99, 100, 100)
    assert list(ops.stats().by_hour.values()) == [100]


def test_ops_are_a_table_in_sql(opened):
    lake = opened()
    lake.observer.event("scenario", "asked.for", elapsed_ms=4.0, detail={"n": 7})
    lake.rooms.observer.flush()
    rows = lake.sql.query(
        "SELECT kind, elapsed_ms, detail->>'n', time <= now() FROM ops WHERE source = 'scenario'"
    ).rows
    assert rows == [["asked.for", 4.0, "7", True]]


def test_blns_stay_one_line_each(ops, naughty):
    for text in naughty:
        ops.event("mcp", text[:100] or "x", summary=text, detail={"text": text.encode("utf-8", "replace").decode()})
    assert ops.flush()
    lines = ops.path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(naughty)
    for line in lines:
        row = json.loads(line)
        assert len(row["summary"]) <= 256
        assert row["summary"].splitlines() in ([], [row["summary"]])
