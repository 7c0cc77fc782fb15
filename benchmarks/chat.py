"""What chat adds to a call: the same request directly to an upstream, through the object, and through a stack.

    python benchmarks/chat.py --rounds 300

The upstream answers at once and stands in a process of its own, and so does the stack. Each round does the three in a
new order over kept connections; the figures are medians of one run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from lakehouse import settings
from lakehouse.chat.base import Message
from lakehouse.chat.service import Chat

UPSTREAM = """
import sys
from lakehouse.evals.fake_provider import FakeProvider
print(FakeProvider().url, flush=True)
sys.stdin.read()
"""
STACK = "import sys; from lakehouse.cli import main; sys.exit(main())"
TEXT = "Which of these three people holds OSHA-30? " * 20


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", UPSTREAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextlib.contextmanager
def stack(folder: Path, models: str) -> Iterator[str]:
    command = [sys.executable, "-c", STACK, "up", "--port", "0", "--data", str(folder)]
    environ = {**os.environ, "LAKEHOUSE_CHAT__OLLAMA_URL": models, "LAKEHOUSE_LOGGING__LEVEL": "warning"}
    with (folder.parent / "log").open("w+") as log, subprocess.Popen(command, env=environ, stderr=log) as process:
        try:
            for _ in range(600):
                found = re.search(r"ready on (http://\S+)", (folder.parent / "log").read_text())
                if found:
                    break
                time.sleep(0.1)
            else:
                raise SystemExit("the stack did not start")
            yield found[1]
        finally:
            process.terminate()
            process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, upstream() as models, stack(Path(scratch) / "lake", models) as url:
        client = httpx.Client(trust_env=False, timeout=60)
        chat = Chat(settings.Chat(ollama_url=models), environ={})
        message = {"role": "user", "content": TEXT}
        direct = {"model": "m", "messages": [message], "stream": False, "think": False, "options": {}}
        ours = {"model": "m", "messages": [message]}
        ways: dict[str, Callable[[], object]] = {
            "direct": lambda: client.post(f"{models}/api/chat", json=direct).raise_for_status().json(),
            "object": lambda: chat.complete("m", [Message("user", TEXT)]),
            "stack": lambda: client.post(f"{url}/v1/chat", json=ours).raise_for_status().json(),
        }
        times = measured(ways, options.rounds)
        chat.close()
    base = statistics.median(times["direct"])
    for name, found in times.items():
        p95 = statistics.quantiles(found, n=20)[-1]
        added = statistics.median(found) - base
        print(f"{name:<8} p50 {statistics.median(found):6.2f} ms   p95 {p95:6.2f} ms   added at p50 {added:+.2f} ms")


def measured(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    draw = random.Random(1)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 20):
        for name in draw.sample(sorted(ways), len(ways)):
            started = time.perf_counter()
            ways[name]()
            if number >= 20:
                times[name].append((time.perf_counter() - started) * 1000)
    return times


if __name__ == "__main__":
    main()
