"""Kill one process of a divided stack after the other, under load, and see what its callers notice.

    lakehouse eval chaos --data lake-demo --seconds 300 --every 10

Coordinators write and search through the client library, which retries. Beside them a bare client sends the same
without retrying, so that what the stack itself answers is seen. After each kill the time is taken until a search for a
demand not seen before, which needs every process, is answered. At the end every acknowledged write is looked up.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse import progress
from lakehouse.app import connect
from lakehouse.errors import InvalidInput, LakehouseError
from lakehouse.evals._load_work import CORPORA, demand, new_demand
from lakehouse.serve import processes
from lakehouse.serve.stacks import Stacks

if TYPE_CHECKING:
    import httpx

    from lakehouse.app import Lakehouse

_INDEX = "chaos"
_NAMESPACE = "chaos"
_PREFIX = "chaos/"
_PROBE_S = 0.02


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a run: how long, how often one is killed, how many coordinators, and what chance goes by."""

    seconds: float = 300
    every: float = 10
    coordinators: int = 4
    seed: int = 1


class Kill(msgspec.Struct, frozen=True):
    """One process killed, and how long until a search that needs every process was answered again."""

    part: str
    at_s: float
    recovered_s: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found.

    Attributes:
        acknowledged: Writes that a coordinator was told are done, by kind.
        lost: Those that are not there at the end.
        client_errors: What the client library raised in spite of its retries, by kind; must be none.
        statuses: What the bare client got; 0 is a connection that broke or was refused.
        wrong: Answers of the bare client that are neither good nor 502 or 503 with `retryable: true`.
        slowest_s, median_s: Of the recoveries.
    """

    options: Options
    kills: list[Kill]
    acknowledged: dict[str, int]
    lost: list[str]
    client_errors: dict[str, int]
    statuses: dict[int, int]
    wrong: list[str]
    searches: int
    slowest_s: float
    median_s: float


def run(stacks: Stacks, name: str, options: Options, *, token: str | None = None) -> Report:
    """Kill and measure; the stack is left running, with what was written in it.

    Args:
        stacks: Where the stack is recorded.
        name: A running stack in several processes that has both corpora.
        options: Settings of the run.
        token: Bearer token, None for none.

    Raises:
        InvalidInput: The stack does not run in several processes.
    """
    status = stacks.status(name)
    if not status.services:
        raise InvalidInput(f"stack {name!r} is one process; start it with --processes", stack=name)
    with connect(status.url, token=token) as lake:
        if _INDEX not in {index.name for index in lake.vectors.list().indexes}:
            lake.vectors.create(_INDEX, 2)
        lake.matrix.search(demand(0), CORPORA)
    trouble = _Trouble(status.url, options, token)
    killer = _Killer(stacks, name, options, trouble.probe)
    stop = threading.Event()
    with ThreadPoolExecutor(options.coordinators + 1) as pool:
        working = [pool.submit(trouble.coordinate, at, stop) for at in range(options.coordinators)]
        working.append(pool.submit(trouble.watch, stop))
        try:
            kills = killer.kill_on(stop)
        finally:
            stop.set()
        for work in working:
            work.result()
    with connect(status.url, token=token) as lake:
        lost = trouble.lost(lake)
    times = [kill.recovered_s for kill in kills]
    return Report(
        options=options,
        kills=kills,
        acknowledged={kind: len(ids) for kind, ids in trouble.acknowledged.items()},
        lost=lost,
        client_errors=dict(trouble.client_errors),
        statuses=dict(sorted(trouble.statuses.items())),
        wrong=trouble.wrong[:20],
        searches=trouble.searches,
        slowest_s=round(max(times, default=0.0), 2),
        median_s=round(statistics.median(times), 2) if times else 0.0,
    )


class _Killer:
    """Kills the parts of a stack by lot, one at a time, each only when all are up again."""

    def __init__(self, stacks: Stacks, name: str, options: Options, probe: Callable[[int], bool]) -> None:
        self._stacks = stacks
        self._name = name
        self._options = options
        self._probe = probe

    def kill_on(self, stop: threading.Event) -> list[Kill]:
        """Kill until the time is over."""
        chooser = random.Random(self._options.seed)
        began = time.monotonic()
        kills: list[Kill] = []
        waiting: list[str] = []
        while time.monotonic() - began < self._options.seconds:
            if not waiting:
                # Each once before any comes twice.
                waiting = sorted(self._stacks.status(self._name).services)
                chooser.shuffle(waiting)
            part = waiting.pop()
            killed_at = time.monotonic()
            self._kill(part)
            number = 0
            while not self._probe(len(kills) * 1_000 + number):
                number += 1
                time.sleep(_PROBE_S)
            recovered = time.monotonic() - killed_at
            kills.append(Kill(part, round(killed_at - began, 1), round(recovered, 2)))
            progress.report("seconds", int(time.monotonic() - began), int(self._options.seconds))
            stop.wait(max(0.0, self._options.every - recovered))
        return kills

    def _kill(self, part: str) -> None:
        while True:
            status = self._stacks.status(self._name)
            pid = status.services.get(part)
            if pid is not None and status.pid is not None and processes.parent(pid) == status.pid:
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(_PROBE_S)


class _Trouble:
    """Those who use the stack meanwhile, and what they saw."""

    def __init__(self, url: str, options: Options, token: str | None) -> None:
        self._url = url
        self._options = options
        self._token = token
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.acknowledged: dict[str, list[str]] = {"items": [], "entries": [], "objects": []}
        self.client_errors: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.searches = 0

    def coordinate(self, at: int, stop: threading.Event) -> None:
        """Write and search through the client library until told to stop."""
        with connect(self._url, token=self._token) as lake:
            number = 0
            while not stop.is_set():
                for step in (self._add, self._record, self._put, self._search):
                    try:
                        step(lake, at, number)
                    except LakehouseError as error:
                        self.client_errors[f"{step.__name__[1:]}: {type(error).__name__}: {error.message[:80]}"] += 1
                number += 1

    def watch(self, stop: threading.Event) -> None:
        """Send searches and writes without retrying, and look at what comes back."""
        import httpx

        number = 0
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=60, trust_env=False) as client:
            while not stop.is_set():
                self._bare(client, number)
                number += 1

    def probe(self, number: int) -> bool:
        """Tell whether a search that needs every process is answered now."""
        import httpx

        text = new_demand(self._options.seed * 10_000_000 + number + int(time.time() * 10) % 10_000_000)
        try:
            answer = httpx.post(
                f"{self._url}/v1/matrix/search",
                json={"query_text": text, "corpora": CORPORA, "k": 1},
                headers=self._headers,
                timeout=60,
                trust_env=False,
            )
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    def lost(self, lake: Lakehouse) -> list[str]:
        """Return the acknowledged writes that are not there."""
        there = {
            "items": set(lake.vectors.ids(_INDEX).ids),
            "entries": {entry.query_text for entry in lake.playbooks.list(_NAMESPACE).entries},
            "objects": {info.key for info in lake.storage.list(_PREFIX).objects},
        }
        return [id for kind, ids in self.acknowledged.items() for id in ids if id not in there[kind]]

    def _add(self, lake: Lakehouse, at: int, number: int) -> None:
        from lakehouse.vectors.base import Item

        id = f"{self._options.seed}-{at}-{number}"
        lake.vectors.add(_INDEX, [Item(id=id, vector=[1.0, float(number)])])
        self.acknowledged["items"].append(id)

    def _record(self, lake: Lakehouse, at: int, number: int) -> None:
        text = f"{demand(number)} run {self._options.seed} by {at} for the {number}th time"
        lake.playbooks.record(text, "w-1", CORPORA[0], 0.5, namespace=_NAMESPACE)
        self.acknowledged["entries"].append(text)

    def _put(self, lake: Lakehouse, at: int, number: int) -> None:
        key = f"{_PREFIX}{self._options.seed}/{at}/{number}"
        lake.storage.put(key, b"kept")
        self.acknowledged["objects"].append(key)

    def _search(self, lake: Lakehouse, _at: int, number: int) -> None:
        lake.matrix.search(demand(number), CORPORA, 5)
        self.searches += 1

    def _bare(self, client: httpx.Client, number: int) -> None:
        import httpx

        entry: dict[str, Any] = {"query_text": demand(number), "corpora": CORPORA, "k": 3}
        path = "/v1/matrix/search"
        if number % 2:
            path = "/v1/matrix/playbooks/record"
            entry = {"query_text": demand(number), "answer_id": "w-1", "corpus": CORPORA[0], "score": 0.5}
            entry["namespace"] = "chaos-bare"
        try:
            answer = client.post(path, json=entry)
        except httpx.TransportError:
            self.statuses[0] += 1
            return
        self.statuses[answer.status_code] += 1
        if answer.status_code == httpx.codes.OK:
            return
        retryable = answer.status_code in {502, 503} and answer.json()["error"]["retryable"] is True
        if not retryable:
            self.wrong.append(f"{answer.status_code} {answer.text[:200]}")


def started(stacks: Stacks, lake: Path, port: int) -> str:
    """Start a divided stack on a lake folder and return its name."""
    from lakehouse import settings
    from lakehouse.serve import background

    record, _ = stacks.prepare("chaos", settings.load(), port=port, data=str(lake))
    background.start(stacks, record, options=["--processes"], within_s=240)
    return record.name
