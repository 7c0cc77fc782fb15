"""Load on a running stack: closed loop or constant arrivals, latencies from when work was due, what the stack uses.

    lakehouse eval load --lake stack:persistent --mix multitier --connections 50 --seconds 300
    lakehouse eval load --lake stack:persistent --rate 50 --seconds 60

Closed loop: each connection sends its next request when the last is answered, so the rate is what the stack gives. Open
loop (`rate`): requests are due at a constant rate whatever the stack does, and one that has to wait for a connection
counts from when it was due, so that a stall is seen by all who would have come meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from lakehouse import progress, settings
from lakehouse.errors import InvalidInput, Unavailable
from lakehouse.evals._load_client import Address, Connection, Kind, Tally
from lakehouse.evals._load_work import MIXES, VALIDATES, Client, Failure, Work
from lakehouse.serve import background, ports, processes
from lakehouse.serve.processes import Usage
from lakehouse.serve.stacks import Stacks

_SAMPLE_S = 1.0


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a run.

    Attributes:
        mix: What is sent.
        connections: How many at once.
        seconds: How long it is measured.
        warm_up: How long before that it is not.
        rate: Pieces of work a second for constant arrivals, 0 for the closed loop.
    """

    mix: Literal["rotating", "unique", "multitier"] = "rotating"
    connections: int = 10
    seconds: float = 30
    warm_up: float = 3
    rate: float = 0
    seed: int = 1


class Sample(msgspec.Struct, frozen=True):
    """What the stack used at a moment, in seconds after the measuring began, and what was done by then."""

    at_s: float
    done: int
    usage: Usage


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found.

    Attributes:
        statuses: How often each HTTP status came; 0 is a connection that broke.
        processes: Of the stack, at its end; none when it is on another machine or belongs to somebody else.
        peak_mb: Most resident memory of the whole stack; `peak_private_mb` less pages of files.
        cpus: Processors it kept busy on average.
        late: Pieces of work of an open loop that had not begun when the run ended.
        validators: Whether this version has validators; without them the scenarios leave that call out.
    """

    options: Options
    kinds: list[Kind]
    statuses: dict[int, int]
    processes: int
    peak_mb: float
    peak_private_mb: float
    cpus: float
    late: int
    validators: bool
    samples: list[Sample]

    @property
    def overall(self) -> Kind:
        """All kinds together."""
        return self.kinds[-1]


@contextmanager
def stack_of(lake: Path) -> Iterator[str]:
    """Serve a lake folder as a process of its own on a free loopback port, and give its URL."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-load-") as folder:
        stacks = Stacks(folder)
        with ports.bind("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        record, _ = stacks.prepare("load", settings.load(), port=port, data=str(lake))
        try:
            yield background.start(stacks, record, within_s=120).url
        finally:
            background.stop(stacks, "load", force=True)


def run(url: str, options: Options, *, token: str = "", pids: Sequence[int] = ()) -> Report:
    """Load a stack and measure.

    Args:
        url: Where it answers.
        options: Settings of the run.
        token: Bearer token, empty for none.
        pids: Its processes; found by the port when none are given and it is of this machine.

    Raises:
        InvalidInput: An option is out of range.
        Unavailable: Nothing answers.
    """
    if options.connections < 1 or options.seconds <= 0 or options.rate < 0 or options.warm_up < 0:
        raise InvalidInput(
            "connections and seconds must be more than nothing, rate and warm-up not less", field="seconds"
        )
    address = Address(url, token)
    if not pids and (holder := ports.holder(address.port)):
        pids = [holder.pid]
    return asyncio.run(_Run(address, options, pids).measured())


class _Run:
    def __init__(self, address: Address, options: Options, pids: Sequence[int]) -> None:
        self._address = address
        self._options = options
        self._pids = list(pids)
        self._tally = Tally()
        self._samples: list[Sample] = []
        self._numbers = itertools.count()
        self._mix: list[Work] = [work for work, _ in MIXES[options.mix]]
        self._weights = [weight for _, weight in MIXES[options.mix]]
        self._late = 0

    async def measured(self) -> Report:
        async with Connection(self._address) as first:
            if (await first.send("GET", "/health")).status != 200:
                raise Unavailable(f"nothing answers at port {self._address.port}; start it with 'lakehouse up'")
        if self._options.warm_up:
            waiting = asyncio.create_task(_count(self._options.warm_up))
            await self._driven(self._options.warm_up)
            waiting.cancel()
        self._tally, self._late = Tally(), 0
        sampling = asyncio.create_task(self._sample())
        began = time.perf_counter()
        await self._driven(self._options.seconds)
        seconds = time.perf_counter() - began
        sampling.cancel()
        self._samples.append(self._now())
        return self._report(seconds)

    async def _driven(self, seconds: float) -> None:
        drive = self._open if self._options.rate else self._closed
        began = time.perf_counter()
        await drive(began, began + seconds)

    async def _closed(self, _began: float, until: float) -> None:
        async def one(seed: int) -> None:
            chooser = random.Random(seed)
            async with Connection(self._address) as connection:
                while (due := time.perf_counter()) < until:
                    await self._do(connection, chooser, due)

        await asyncio.gather(*(one(self._options.seed * 1_000 + at) for at in range(self._options.connections)))

    async def _open(self, began: float, until: float) -> None:
        waiting: asyncio.Queue[float | None] = asyncio.Queue()

        async def arrive() -> None:
            step = 1 / self._options.rate
            for at in itertools.count():
                due = began + at * step
                if due >= until:
                    break
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                waiting.put_nowait(due)
            for _ in range(self._options.connections):
                waiting.put_nowait(None)

        async def one(seed: int) -> None:
            chooser = random.Random(seed)
            async with Connection(self._address) as connection:
                while (due := await waiting.get()) is not None:
                    if time.perf_counter() > until + self._options.seconds:
                        # Hopelessly behind: what is left is told as a number, not waited for.
                        self._late += 1
                    else:
                        await self._do(connection, chooser, due)

        served = (one(self._options.seed * 1_000 + at) for at in range(self._options.connections))
        await asyncio.gather(arrive(), *served)

    async def _do(self, connection: Connection, chooser: random.Random, due: float) -> None:
        work = chooser.choices(self._mix, self._weights)[0]
        client = Client(connection, self._tally.statuses)
        try:
            failure = await work(client, next(self._numbers))
        except Failure as error:
            failure = str(error)
        self._tally.add(work.__name__, (time.perf_counter() - due) * 1000, failure)

    async def _sample(self) -> None:
        while True:
            self._samples.append(self._now())
            progress.report("seconds", int(self._samples[-1].at_s), int(self._options.seconds))
            await asyncio.sleep(_SAMPLE_S)

    def _now(self) -> Sample:
        usage = processes.usage(processes.family(self._pids))
        done = sum(map(len, self._tally.times.values()))
        return Sample(round(time.perf_counter() - self._tally.began, 2), done, usage)

    def _report(self, seconds: float) -> Report:
        first, last = self._samples[0], self._samples[-1]
        busy = (last.usage.cpu_s - first.usage.cpu_s) / max(0.001, last.at_s - first.at_s)
        return Report(
            options=self._options,
            kinds=self._tally.kinds(seconds),
            statuses=dict(sorted(self._tally.statuses.items())),
            processes=len(processes.family(self._pids)),
            peak_mb=max(sample.usage.memory_mb for sample in self._samples),
            peak_private_mb=max(sample.usage.private_mb for sample in self._samples),
            cpus=round(max(0.0, busy), 2),
            late=self._late,
            validators=VALIDATES,
            samples=self._samples,
        )


async def _count(seconds: float) -> None:
    for passed in range(int(seconds) + 1):
        progress.report("seconds of warm-up", passed, int(seconds))
        await asyncio.sleep(_SAMPLE_S)


class Flatness(msgspec.Struct, frozen=True, kw_only=True):
    """How memory went over a run: a line through the samples after the first quarter.

    Attributes:
        start_mb: Where the line begins, resident memory without pages of files.
        slope_mb_per_h: How it rises.
        slope_share_per_h: The same as a share of `start_mb`.
    """

    start_mb: float
    slope_mb_per_h: float
    slope_share_per_h: float


def flatness(samples: Sequence[Sample]) -> Flatness:
    """Fit a line through the memory of a run, its first quarter left out.

    Raises:
        InvalidInput: Fewer than eight samples.
    """
    import numpy as np

    if len(samples) < 8:
        raise InvalidInput("memory needs eight samples or more; let the run take longer", field="seconds")
    kept = samples[len(samples) // 4 :]
    hours = np.array([sample.at_s for sample in kept]) / 3_600
    memory = np.array([sample.usage.private_mb for sample in kept])
    slope, start = np.polyfit(hours - hours[0], memory, 1)
    return Flatness(
        start_mb=round(float(start), 1),
        slope_mb_per_h=round(float(slope), 2),
        slope_share_per_h=round(float(slope / start), 4) if start else 0.0,
    )
