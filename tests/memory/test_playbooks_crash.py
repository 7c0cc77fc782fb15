"""A real process records playbooks and is killed at random moments; what it acknowledged is there afterwards."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import lakehouse
from lakehouse import settings

WRITER = """
import sys
import lakehouse
from lakehouse import settings
lake = lakehouse.connect(config=settings.load(environ={}, overrides={"data": sys.argv[1]}))
start = int(sys.argv[2])
for number in range(start, start + 100_000):
    text = f"Need {number} Forklift Operators in Cleveland OH"
    made = lake.playbooks.record(text, f"w-{1 + number % 36}", "workers", 0.5)
    print(made.playbook_id, flush=True)
"""


def killed_after(folder: Path, start: int, delay_s: float) -> list[str]:
    """Run the writer, kill it `delay_s` after its first acknowledgement; return the ids it acknowledged."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(start)], stdout=subprocess.PIPE)
    first = process.stdout.readline()
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    lines = (first + process.stdout.read()).split(b"\n")
    process.stdout.close()
    process.wait()
    # The last line may be torn: only what ended with a newline was acknowledged.
    return [line.decode() for line in lines[:-1]]


def test_record_killed_at_random_moments_keeps_what_it_acknowledged(tmp_path, built, people):
    folder = tmp_path / "lake"
    shutil.copytree(built(people), folder)
    moments = random.Random(20)
    acknowledged: set[str] = set()
    for kill in range(20):
        acknowledged |= set(killed_after(folder, kill * 100_000, moments.uniform(0, 0.5)))
        with lakehouse.connect(config=settings.load(environ={}, overrides={"data": str(folder)})) as lake:
            kept = {entry.id for entry in lake.playbooks.list().entries}
            assert acknowledged <= kept
            # At most the one write in flight per kill is there without having been acknowledged.
            assert len(kept - acknowledged) <= kill + 1
            if kept:
                assert set(lake.vectors.ids("playbook_default").ids) == kept
    assert acknowledged
