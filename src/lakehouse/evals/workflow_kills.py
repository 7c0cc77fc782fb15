"""Kill a workflow's process at every boundary between its nodes, and count how often each node ran.

    python -m lakehouse.evals.workflow_kills             # 12 nodes, killed 12 times
    python -m lakehouse.evals.workflow_kills --nodes 4

One run, of a graph whose nodes need each other in several ways. Every process dies by SIGKILL when it is about to do
the work of the next node; the one after it takes the run up. In the end every node must have run once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.errors import InternalError

_MODULE = '''
import os, pathlib, signal

def work(node: str, value: list = []) -> str:
    """Note that a node ran; die before the first time."""
    log = pathlib.Path(os.environ["KILLS_LOG"])
    died = log.with_suffix("." + node)
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with log.open("a") as file:
        file.write(node + "\\n")
        file.flush()
        os.fsync(file.fileno())
    return node
'''
_ENTRY = "[lakehouse.modes]\nkills.work = kills_modes:work\n"
_METADATA = "Metadata-Version: 2.1\nName: kills\nVersion: 1\n"
_TIMEOUT_S = 120


class Kills(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        nodes: In the graph.
        kills: Processes that died by SIGKILL.
        ran: Node to how often its work was done.
        status: Of the run in the end.
    """

    nodes: int
    kills: int
    ran: dict[str, int]
    status: str

    @property
    def once(self) -> bool:
        """Whether every node ran, and none twice."""
        return self.status == "succeeded" and len(self.ran) == self.nodes and set(self.ran.values()) == {1}


def killed_at_every_boundary(folder: Path, nodes: int) -> Kills:
    """Run a graph of so many nodes in a new lake below `folder`, killing its process before every node."""
    (folder / "kills-1.dist-info").mkdir(parents=True)
    (folder / "kills-1.dist-info" / "METADATA").write_text(_METADATA, encoding="utf-8")
    (folder / "kills-1.dist-info" / "entry_points.txt").write_text(_ENTRY, encoding="utf-8")
    (folder / "kills_modes.py").write_text(_MODULE, encoding="utf-8")
    (folder / "graph.json").write_bytes(msgspec.json.encode({"name": "kills", "nodes": _graph(nodes)}))
    log = folder / "ran.log"
    environ = {**os.environ, "KILLS_LOG": str(log), "PYTHONPATH": str(folder)}
    words = ["workflow", "run", str(folder / "graph.json")]
    kills = 0
    while (done := _lakehouse(folder, words, environ)).returncode < 0:
        kills += 1
        words = ["workflow", "resume"]
        if kills > nodes:
            raise InternalError("the run was killed more often than it has nodes")
    if done.returncode:
        raise InternalError(f"the run failed: {done.stdout}{done.stderr}")
    status = msgspec.json.decode(_lakehouse(folder, ["workflow", "list", "--json"], environ).stdout)
    ran = Counter(log.read_text(encoding="utf-8").split())
    return Kills(nodes=nodes, kills=kills, ran=dict(ran), status=status["runs"][0]["status"])


def _graph(nodes: int) -> list[dict[str, Any]]:
    """Return a chain in which every third node also needs the one three before it."""
    graph = []
    for number in range(1, nodes + 1):
        needed = [number - 1] if number > 1 else []
        needed += [number - 3] if number > 3 and number % 3 == 0 else []
        sources = [{"$from": f"n{other}"} for other in needed]
        graph.append({"id": f"n{number}", "mode": "kills.work", "inputs": {"node": f"n{number}", "value": sources}})
    return graph


def _lakehouse(folder: Path, words: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lakehouse", "--lake", str(folder / "lake"), *words]
    return subprocess.run(  # noqa: S603 - this very program
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )


def main() -> int:
    """Run it and print what came of it; 1 when a node did not run, or ran twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=12)
    with tempfile.TemporaryDirectory() as folder:
        kills = killed_at_every_boundary(Path(folder), parser.parse_args().nodes)
    print(f"{kills.nodes} nodes, killed {kills.kills} times: {kills.status}")
    print(f"ran more than once: {[node for node, times in kills.ran.items() if times > 1] or 'none'}")
    return 0 if kills.once else 1


if __name__ == "__main__":
    sys.exit(main())
