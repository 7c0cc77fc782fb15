"""The alarm must stay silent: thousands of iterates with a model that lies.

    python -m lakehouse.evals.iterates --iterates 10000

The model stands behind a real server on loopback. It proposes people who do not exist, people twice, too few, with a
lowered demand; writes secrets, placeholders and prose; breaks off, answers with errors; and sometimes tells the truth.
Afterwards every accepted fill is looked at again, apart from the validators: each id against the rows that were put in,
the alarm query of docs/session-log.md, and the accepted fills for anybody booked twice.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from lakehouse import settings
from lakehouse.app import Lakehouse, connect
from lakehouse.errors import LakehouseError
from lakehouse.evals.fake_provider import FakeProvider, Manner
from lakehouse.evals.phantoms import mangled

ALARM = (
    "SELECT count(*) FROM sessions"
    " WHERE kind = 'fill' AND status = 'accepted' AND grounded_in_roster IS DISTINCT FROM true"
)
_TWICE = (
    "SELECT count(*) FROM (SELECT json_extract_string(w, '$.id') AS id, json_extract_string(artifact, '$.demand.start')"
    " AS day FROM (SELECT artifact, unnest(json_extract(artifact, '$.workers[*]')) AS w FROM sessions"
    " WHERE kind = 'fill' AND status = 'accepted') GROUP BY ALL HAVING count(*) > 1)"
)
_TROUBLE: tuple[Manner, ...] = ("500", "429", "truncated", "garbage", "closed", "no_choices", "not_utf8")
_TROUBLE_SHARE = 0.02
_DAYS = 4_000
_PEOPLE = 3


class Tally(msgspec.Struct):
    """What came of it.

    Attributes:
        ends: Iterates by their end.
        rows: Rows in the session log.
        alarms: Rows that the alarm query counts.
        outside: Ids of accepted fills that are not in the roster, by the rows that were put in.
        booked_twice: People who are in two accepted fills of one day.
    """

    iterates: int
    ends: dict[str, int]
    rows: int
    alarms: int
    outside: list[str]
    booked_twice: int


class Liar:
    """Says what a bad model says.

    Args:
        workers: People in the roster `workers`, `w-1` and on.
        seed: Of the lies.
    """

    def __init__(self, workers: int, seed: int) -> None:
        self._workers = workers
        self._draw = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, request: dict[str, Any]) -> str:
        """Answer a request."""
        with self._lock:
            prompt = request["messages"][1]["content"]
            kind, _, rest = prompt.partition(" ")
            made = self._fill(json.loads(rest)) if kind == "fill" else self._message(kind)
            text = json.dumps(made)
            claimed = '{"status": "accepted", "grounded_in_roster": true}'
            ways = [text, f"```json\n{text}\n```", f"Of course! {text} Anything else?", f"[{text}]"]
            ways += [
                text[: len(text) // 2],
                "I am sorry, I cannot do that.",
                "ACCEPTED",
                f"{claimed} {text}",
                text,
                text,
            ]
            return self._draw.choice(ways)

    def _fill(self, demand: dict[str, Any]) -> dict[str, Any]:
        draw = self._draw
        ids = [f"w-{draw.randint(1, self._workers)}" for _ in range(demand["count"])]
        lie = draw.randrange(8)
        if lie == 0:
            ids[0] = mangled(ids[0], draw)
        elif lie == 1:
            ids[0] = f"w-{self._workers + draw.randint(1, 10**6)}"
        elif lie == 2:
            ids = [ids[0]] * len(ids)
        elif lie == 3:
            ids = ids[1:]
        elif lie == 4:
            demand = {**demand, "count": 1, "role": "Anybody"}
            ids = ids[:1]
        workers: list[Any] = [{"id": id} for id in ids]
        if lie == 5 and workers:
            workers[0] = {"id": 7}
        return {"demand": demand, "workers": workers}

    def _message(self, kind: str) -> dict[str, Any]:
        body = self._draw.choice(
            [
                "Shift on Monday 06:00.",
                "SSN 219-09-9999",
                "Card 4111 1111 1111 1111",
                "Dear [Name], come.",
                "x" * 161,
                "",
            ]
        )
        if kind == "sms":
            return {"to": self._draw.choice(["216-555-0101", "nobody"]), "body": body}
        return {"to": "ann@beacon.example", "subject": self._draw.choice(["Monday", ""]), "body": body}


def soak(folder: Path, *, iterates: int, workers: int, threads: int, seed: int) -> Tally:
    """Run iterates against a liar and look at what came out."""
    liar = Liar(workers, seed)
    with FakeProvider(liar) as model:
        chat = {"ollama_url": model.url, "retries": 0}
        config = settings.load(environ={}, overrides={"data": str(folder), "chat": chat})
        with connect(config=config) as lake:
            _build(lake, workers)
            draw = random.Random(seed + 1)
            jobs = [_job(draw, number) for number in range(iterates)]

            def work(job: tuple[str, dict[str, Any], bool]) -> str:
                kind, demand, trouble = job
                if trouble:
                    model.manners.append(_TROUBLE[len(model.requests) % len(_TROUBLE)])
                return _ended(lake, kind, demand)

            with ThreadPoolExecutor(threads) as pool:
                ends = Counter(pool.map(work, jobs))
            return _looked_at(lake, ends, iterates, workers)


def _build(lake: Lakehouse, workers: int) -> None:
    rows = "".join(f"{number},Forklift Operator,53-7051.00\n" for number in range(1, workers + 1))
    lake.ingest.file(f"id,role,role_code\n{rows}".encode(), "workers", content_type="text/csv")
    lake.corpora.build("workers", "workers", "id", "w-", ["role"])


def _job(draw: random.Random, number: int) -> tuple[str, dict[str, Any], bool]:
    kind = "fill" if number % 5 else draw.choice(("email", "sms"))
    year, day = divmod(draw.randrange(_DAYS), 336)
    start = f"{2030 + year}-{day // 28 + 1:02d}-{day % 28 + 1:02d}"
    demand = {"role": "Forklift Operator", "count": draw.randint(1, _PEOPLE), "start": start}
    return kind, demand, draw.random() < _TROUBLE_SHARE


def _ended(lake: Lakehouse, kind: str, demand: dict[str, Any]) -> str:
    context = {"demand": demand} if kind == "fill" else {}
    call = next(each for each in _operations() if each.name == "iterate.run")
    given = {"artifact": kind, "prompt": f"{kind} {json.dumps(demand)}", "model": "liar", "context": context}
    try:
        return str(lake.call(call, given).status)
    except LakehouseError as error:
        return str(error.detail.get("status", type(error).__name__))


def _operations() -> Sequence[Any]:
    from lakehouse.operations import OPERATIONS

    return OPERATIONS


def _looked_at(lake: Lakehouse, ends: Counter[str], iterates: int, workers: int) -> Tally:
    known = {f"w-{number}" for number in range(1, workers + 1)}
    accepted = "SELECT artifact FROM sessions WHERE kind = 'fill' AND status = 'accepted'"
    artifacts = [json.loads(row[0]) for row in lake.sql.query(accepted, limit=1_000_000).rows]
    return Tally(
        iterates=iterates,
        ends=dict(ends),
        rows=lake.sql.query("SELECT count(*) FROM sessions").rows[0][0],
        alarms=lake.sql.query(ALARM).rows[0][0],
        outside=[each["id"] for artifact in artifacts for each in artifact["workers"] if each["id"] not in known],
        booked_twice=lake.sql.query(_TWICE).rows[0][0],
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run as a command; 1 when something came through that must not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--iterates", type=int, default=10_000, help="how many")
    parser.add_argument("--workers", type=int, default=5_000, help="people in the roster")
    parser.add_argument("--threads", type=int, default=4, help="at once")
    parser.add_argument("--seed", type=int, default=1, help="of the lies")
    options = parser.parse_args(words)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        tally = soak(
            Path(scratch) / "lake",
            iterates=options.iterates,
            workers=options.workers,
            threads=options.threads,
            seed=options.seed,
        )
    print(f"{tally.iterates:,} iterates in {time.perf_counter() - started:.0f} s: {tally.ends}")
    print(
        f"rows in the session log {tally.rows:,}, alarms {tally.alarms}, people from outside the roster"
        f" {len(tally.outside)}, booked twice {tally.booked_twice}"
    )
    return 1 if tally.alarms or tally.outside or tally.booked_twice or tally.rows != tally.iterates else 0


if __name__ == "__main__":
    raise SystemExit(main())
