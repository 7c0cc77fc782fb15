"""The product under coordinators and under load: `eval stress|load|soak`."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.cli import showing
from lakehouse.cli.progress import bars
from lakehouse.cli.session import open_lake, settings_of, where
from lakehouse.cli.tree import Commands, Tree
from lakehouse.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse
    from lakehouse.evals.chaos import Report as ChaosReport
    from lakehouse.evals.load import Report
    from lakehouse.evals.stress import Options, Result

# Growth of memory an hour, as a share, beyond which a soak has failed.
_STEEP = 0.01


def add(evaluations: Commands) -> None:
    """Add the commands of this module to the group `eval`."""
    stress = evaluations.command(
        "stress",
        _stress,
        "three coordinators and their contracts, hours 0 to 48",
        more="Baseline, fresh workers, an inbox, a surge, a swap of 200, merge, handover in the same and in\n"
        "other words, a divided contract, and everything again. Without --lake on a lake of its own, which\n"
        "takes some minutes to make; with it on corpora `workers` and `ethereal_workers` that are there,\n"
        "from which everything added is removed again. The exit code is 1 when a claim does not hold.",
    )
    _number(stress, "--workers", 5_000, "people in the first corpus")
    _number(stress, "--others", 10_000, "people in the second corpus")
    _number(stress, "--fresh", 50, "fresh workers, at most 75")
    _number(stress, "--branch", 40, "people of each shared role in each contract's city")
    _number(stress, "--seed", 1, "of rosters, placements and fresh workers")
    stress.add_argument("--http", action="store_true", help="serve the lake of its own and go through HTTP")
    stress.add_argument("--output", metavar="FOLDER", help="where run.jsonl, report.md and report.json go")
    stress.add_argument("--json", action="store_true", help="print one JSON document")

    load = evaluations.command(
        "load",
        _load,
        "load a running stack and measure latencies and what it uses",
        more="rotating:  six demands in turn, with memory.\n"
        "unique:    demands not seen before.\n"
        "multitier: six weighted scenarios of several calls: search and email 35 %, fill 15 %,\n"
        "           swap 15 %, repeat 15 %, sms 10 %, record and replay 10 %.\n"
        "Without a URL a lake of 15,000 people is made and served, or the one of --data. Entries that\n"
        "scenarios record stay in the namespaces load, load-0 to load-49. The exit code is 1 when anything\n"
        "failed.",
    )
    _load_options(load)
    load.add_argument("--seconds", type=float, default=30.0, metavar="S", help="how long (default: 30)")
    load.add_argument(
        "--rate",
        type=float,
        default=0.0,
        metavar="R",
        help="arrivals a second, whatever the stack does (default: none)",
    )
    _warm_up(load, 3.0, "seconds")
    soak = evaluations.command(
        "soak",
        _soak,
        "load a stack at half of its peak for long, and see whether memory stays flat",
        more="The peak is measured first, for ten seconds. The exit code is 1 when anything failed, or when\n"
        "memory grows by more than 1 % an hour; a line through few minutes says little about an hour.",
    )
    _load_options(soak)
    soak.add_argument("--minutes", type=float, default=30.0, metavar="M", help="how long (default: 30)")
    _warm_up(soak, 10.0, "minutes")

    chaos = evaluations.command(
        "chaos",
        _chaos,
        "kill one process of a divided stack after the other, under load",
        more="Needs the folder of a lake with both corpora (--data), which is served in several processes\n"
        "for the run and changed by it. The exit code is 1 when an acknowledged write is lost, when the\n"
        "client library raised an error in spite of its retries, or when the stack answered anything but\n"
        "success or 502 and 503 with `retryable: true`.",
    )
    chaos.add_argument("--data", required=True, metavar="FOLDER", help="folder of the lake")
    chaos.add_argument("--seconds", type=float, default=300.0, metavar="S", help="how long (default: 300)")
    chaos.add_argument("--every", type=float, default=10.0, metavar="S", help="seconds between kills (default: 10)")
    _number(chaos, "--coordinators", 4, "who work meanwhile")
    _number(chaos, "--seed", 1, "of what is killed when")
    chaos.add_argument("--json", action="store_true", help="print one JSON document")


def _load_options(tree: Tree) -> None:
    tree.add_argument(
        "--mix",
        choices=("rotating", "unique", "multitier"),
        default="rotating",
        metavar="MIX",
        help="rotating, unique or multitier (default: rotating)",
    )
    _number(tree, "--connections", 10, "how many at once")
    _number(tree, "--seed", 1, "of what is sent when")
    _number(tree, "--workers", 5_000, "people in the first corpus of a lake of its own")
    _number(tree, "--others", 10_000, "people in the second")
    tree.add_argument("--data", metavar="FOLDER", help="folder of a lake to serve for the run")
    tree.add_argument("--json", action="store_true", help="print one JSON document")


def _number(tree: Tree, option: str, default: int, what: str) -> None:
    tree.add_argument(option, type=int, default=default, metavar="N", help=f"{what} (default: {default})")


def _warm_up(tree: Tree, default: float, unit: str) -> None:
    tree.add_argument(
        "--warm-up",
        type=float,
        default=default,
        metavar=unit[0].upper(),
        help=f"{unit} of the same before that, not measured (default: {default:g})",
    )


def _stress(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import stress

    names = ("workers", "others", "fresh", "branch", "seed")
    for name in names:
        if getattr(arguments, name) < (name != "branch"):
            raise InvalidInput(f"--{name} must be at least 1", field=name)
    options = stress.Options(**{name: getattr(arguments, name) for name in names})
    target = Path(arguments.output or f"stress-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    with bars("stress"), _lake(arguments, options) as lake:
        result = stress.run(lake, options, target, where=where(arguments) or "a lake of its own")
    return _shown(arguments, result)


@contextlib.contextmanager
def _lake(arguments: argparse.Namespace, options: Options) -> Iterator[Lakehouse]:
    from tempfile import TemporaryDirectory

    from lakehouse.evals import stress

    if where(arguments):
        with open_lake(arguments) as lake:
            yield lake
        return
    with TemporaryDirectory(prefix="lakehouse-stress-") as folder, contextlib.ExitStack() as opened:
        lake = opened.enter_context(stress.own_lake(options, Path(folder)))
        yield opened.enter_context(stress.served(lake)) if arguments.http else lake


def _shown(arguments: argparse.Namespace, result: Result) -> int:
    unmet = result.summary.unmet()
    if arguments.json:
        showing.json_document(
            {"folder": result.folder, "trace_id": result.trace_id, "unmet": unmet, "summary": result.summary}
        )
    else:
        print((Path(result.folder) / "report.md").read_text(encoding="utf-8"))
        print(f"Every event: {Path(result.folder) / 'run.jsonl'} (trace {result.trace_id})")
    return 1 if unmet else 0


def _load(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import load

    options = load.Options(
        mix=arguments.mix,
        connections=arguments.connections,
        seconds=arguments.seconds,
        warm_up=arguments.warm_up,
        rate=arguments.rate,
        seed=arguments.seed,
    )
    with bars("load"), _stack(arguments) as url:
        report = load.run(url, options, token=_token(arguments))
    if arguments.json:
        showing.json_document(report)
    else:
        _show_load(report)
    return 1 if report.overall.failed or report.late else 0


def _soak(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import load

    with bars("soak"), _stack(arguments) as url:
        token = _token(arguments)
        peak = load.run(
            url, load.Options(mix=arguments.mix, connections=arguments.connections, seconds=10), token=token
        )
        options = load.Options(
            mix=arguments.mix,
            connections=arguments.connections,
            seconds=arguments.minutes * 60,
            warm_up=arguments.warm_up * 60,
            rate=max(1.0, peak.overall.per_s / 2),
            seed=arguments.seed,
        )
        report = load.run(url, options, token=token)
    flat = load.flatness(report.samples)
    if arguments.json:
        showing.json_document({"peak_per_s": peak.overall.per_s, "flatness": flat, "report": report})
    else:
        _show_load(report)
        print(
            f"peak {peak.overall.per_s:,.0f} per s; memory {flat.start_mb:,.0f} MB,"
            f" {flat.slope_mb_per_h:+,.1f} MB an hour ({flat.slope_share_per_h:+.1%})"
        )
    return 1 if report.overall.failed or report.late or flat.slope_share_per_h > _STEEP else 0


def _token(arguments: argparse.Namespace) -> str:
    return os.environ.get(settings_of(arguments).server.token_env, "")


def _made(data: str) -> Path:
    """Return the folder of a lake that is there: a run on a name with a slip in it would make an empty one."""
    folder = Path(data).absolute()
    if not folder.is_dir():
        raise NotFound(f"there is no lake at {data}; make one with `lakehouse demo --data {data}`", path=data)
    return folder


@contextlib.contextmanager
def _stack(arguments: argparse.Namespace) -> Iterator[str]:
    from tempfile import TemporaryDirectory

    from lakehouse.evals import load, stress

    named = where(arguments) or ""
    if named.startswith("http"):
        yield named
    elif arguments.data or named:
        with load.stack_of(_made(arguments.data or named)) as url:
            yield url
    else:
        sizes = stress.Options(workers=arguments.workers, others=arguments.others, branch=0)
        with TemporaryDirectory(prefix="lakehouse-load-") as folder:
            with stress.own_lake(sizes, Path(folder)):
                pass
            with load.stack_of(Path(folder) / "lake") as url:
                yield url


def _show_load(report: Report) -> None:
    titles = ("kind", "count", "failed", "per s", "p50 ms", "p90", "p95", "p99", "p99.9", "longest")
    rows = [list(msgspec.structs.astuple(kind))[:-1] for kind in report.kinds]
    showing.table([showing.Column(title, right=at > 0) for at, title in enumerate(titles)], rows)
    for kind in report.kinds[:-1]:
        for reason, count in kind.failures.items():
            print(f"  {kind.kind}: {count:,} times {reason}")
    print("status counts: " + ", ".join(f"{status}: {count:,}" for status, count in report.statuses.items()))
    if report.late:
        print(f"{report.late:,} had not begun when the run ended")
    if report.processes:
        print(
            f"the stack: {report.processes} processes, at most {report.peak_mb:,.0f} MB"
            f" ({report.peak_private_mb:,.0f} MB less pages of files), {report.cpus} processors busy"
        )


def _chaos(arguments: argparse.Namespace) -> int:
    from tempfile import TemporaryDirectory

    from lakehouse.evals import chaos
    from lakehouse.serve import background, ports
    from lakehouse.serve.stacks import Stacks

    options = chaos.Options(
        seconds=arguments.seconds, every=arguments.every, coordinators=arguments.coordinators, seed=arguments.seed
    )
    with ports.bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory(prefix="lakehouse-chaos-") as folder:
        stacks = Stacks(folder)
        try:
            name = chaos.started(stacks, _made(arguments.data), port)
            with bars("chaos"):
                report = chaos.run(stacks, name, options, token=_token(arguments) or None)
        finally:
            if stacks.all():
                background.stop(stacks, "chaos", force=True)
    if arguments.json:
        showing.json_document(report)
    else:
        _show_chaos(report)
    return 1 if report.lost or report.client_errors or report.wrong else 0


def _show_chaos(report: ChaosReport) -> None:
    from statistics import median

    by_part: dict[str, list[float]] = {}
    for kill in report.kills:
        by_part.setdefault(kill.part, []).append(kill.recovered_s)
    columns = [
        showing.Column(title, right=at > 0) for at, title in enumerate(("killed", "times", "median s", "longest s"))
    ]
    showing.table(columns, [[part, len(times), median(times), max(times)] for part, times in sorted(by_part.items())])
    written = ", ".join(f"{count:,} {kind}" for kind, count in report.acknowledged.items())
    print(f"acknowledged: {written}; lost: {len(report.lost)}; searches: {report.searches:,}")
    print(f"errors raised by the client library: {report.client_errors or 'none'}")
    print("without retries: " + ", ".join(f"{status}: {count:,}" for status, count in report.statuses.items()))
    for wrong in report.wrong:
        print(f"  wrong: {wrong}")
