"""Three coordinators, three contracts, 48 hours: does memory help, does it stay where it belongs, is the answer honest.

    lakehouse eval stress                                 # on a lake of its own, 15,000 people
    lakehouse eval stress --lake http://127.0.0.1:4110     # on a running stack that has both corpora

A run leaves a folder: `run.jsonl` (settings, every event, every phase, the summary), `report.json`, `report.md`,
`stress.png` and `.svg`. On a lake that is there already, what the run added is removed at its end.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse import progress, tracing
from lakehouse.errors import InvalidInput, NotFound
from lakehouse.evals import _stress_plots, _stress_tables
from lakehouse.evals._stress_run import Event, Phase, Recorder, Scenario
from lakehouse.evals._stress_scenario import fresh_workers, open_branches
from lakehouse.evals.search_quality import CORPORA, lake_of
from lakehouse.staffing import roster

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse
    from lakehouse.matrix.base import Corpus

BRANCH = 40
# The specialties are drawn in three cities each.
MOST_FRESH = 75


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a run.

    Attributes:
        workers, others: People in the first and in the second corpus, where they are made for the run.
        fresh: Specialists who come in at hour 6.
        branch: People of each shared role who live in each contract's city, where corpora are made for the run.
    """

    workers: int = 5_000
    others: int = 10_000
    fresh: int = 50
    branch: int = BRANCH
    seed: int = 1


class Result(msgspec.Struct, frozen=True):
    """What a run found and where its files are."""

    summary: _stress_tables.Summary
    folder: str
    trace_id: str


class _Head(msgspec.Struct, frozen=True, kw_only=True, tag="run", tag_field="kind"):
    trace_id: str
    began_at: str
    where: str
    options: Options


@contextmanager
def served(lake: Lakehouse) -> Iterator[Lakehouse]:
    """Give the same lake over HTTP, from a free loopback port of this process."""
    from lakehouse.app import connect
    from lakehouse.serve import ports
    from lakehouse.serve.run import Stack

    stack = Stack(lake, lake.rooms.settings, ports.bind("127.0.0.1", 0))
    ready = threading.Event()
    running = threading.Thread(target=stack.run, kwargs={"ready": ready.set})
    running.start()
    try:
        ready.wait()
        with connect(stack.url) as remote:
            yield remote
    finally:
        stack.stop()
        running.join()
        stack.drain()


@contextmanager
def own_lake(options: Options, folder: Path) -> Iterator[Lakehouse]:
    """Make a lake with both corpora in an empty folder and open it."""
    files = {}
    for at, (name, size) in enumerate(zip(CORPORA, (options.workers, options.others), strict=True)):
        files[name] = folder / f"{name}.csv"
        roster.write(
            files[name],
            size,
            options.seed + at,
            reference=datetime.now(UTC).date(),
            progress=progress.stage(f"{name}: inventing"),
        )
    open_branches(files, options.branch, options.seed)
    with lake_of(files, folder / "lake") as lake:
        yield lake


def run(lake: Lakehouse, options: Options, target: Path, *, where: str = "") -> Result:
    """Run the 48 hours on a lake that has both corpora, write the files, and take back what was added.

    Args:
        lake: Embedded, or a running stack.
        options: Settings of the run.
        target: Folder for the files; does not exist or is empty.
        where: What the lake is, for the run file.

    Raises:
        InvalidInput: `target` is not empty, or more fresh workers are wanted than there are.
        NotFound: A corpus is missing.
    """
    if options.fresh > MOST_FRESH:
        raise InvalidInput(f"fresh is {options.fresh}, at most {MOST_FRESH}", field="fresh")
    corpora = _corpora(lake)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise InvalidInput(f"{target} is not empty; choose another folder", path=str(target))
    first = next(iter(CORPORA))
    with tracing.trace(tracing.new_id()) as trace_id, (target / "run.jsonl").open("wb") as file:
        encode = msgspec.json.Encoder().encode

        def write(row: Event | Phase | _Head | _stress_tables.Summary) -> None:
            file.write(encode(row) + b"\n")
            file.flush()

        began_at = datetime.now(UTC).isoformat(timespec="seconds")
        write(_Head(trace_id=trace_id, began_at=began_at, where=where, options=options))
        recorder = Recorder(lake, list(CORPORA), write)
        fresh = fresh_workers(options.fresh, options.seed, CORPORA[first], corpora[first].text_columns)
        scenario = Scenario(recorder, f"stress-{secrets.token_hex(4)}", fresh, first)
        try:
            scenario.run()
        finally:
            scenario.clean()
        summary = _stress_tables.summarize(
            recorder.events, recorder.phases, {name: corpora[name].items for name in CORPORA}
        )
        write(summary)
    _report(target, summary, recorder.events, recorder.phases, options)
    return Result(summary, str(target), trace_id)


def _corpora(lake: Lakehouse) -> dict[str, Corpus]:
    there = {corpus.name: corpus for corpus in lake.corpora.list().corpora}
    for name in CORPORA:
        if name not in there:
            raise NotFound(
                f"corpus {name!r} is missing; build it, or leave out --lake for a lake of the run's own", corpus=name
            )
    return there


def _report(
    target: Path, summary: _stress_tables.Summary, events: Sequence[Event], phases: Sequence[Phase], options: Options
) -> None:
    document = {"options": options, "summary": summary, "unmet": summary.unmet(), "phases": phases}
    (target / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(document)))
    settings = msgspec.to_builtins(options)
    (target / "report.md").write_text(_stress_tables.markdown(summary, events, phases, settings), encoding="utf-8")
    _stress_plots.write(events, phases, target)
