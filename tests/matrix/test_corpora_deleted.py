"""Corpora that are deleted: of a process that is killed on the way remains the whole corpus, or nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from conftest import CORPUS
from lakehouse.errors import NotFound

DEMAND = "Need 1 forklift operator in Cleveland OH"

# Killed by its own hand at the nth change of the disk that the deletion makes; ends well when there are fewer.
DELETER = textwrap.dedent(
    """
    import os, signal, sys
    import lakehouse

    CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree"}
    left, counting = int(sys.argv[2]), False

    def count(event, arguments):
        global left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if counting and (event in CHANGES or writes):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    with lakehouse.connect(sys.argv[1]) as lake:
        lake.matrix.search("forklift operator", ["workers"])
        counting = True
        lake.corpora.delete("workers")
        counting = False
    """
)


def killed_at(number: int, folder: Path) -> bool:
    """Delete the corpus in a process of its own; tell whether it was killed at that change."""
    environ = {**os.environ, "PYTHONPATH": str(Path(lakehouse.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", DELETER, folder, str(number)], env=environ, check=False)
    assert done.returncode in {0, -signal.SIGKILL}
    return done.returncode != 0


def left_of(folder: Path, name: str) -> list[str]:
    """Return the files and folders of a lake that are named after a corpus."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.split(".")[0].endswith(name)]


def is_whole(lake: lakehouse.Lakehouse) -> bool:
    listed = lake.corpora.list().corpora
    if not listed:
        with pytest.raises(NotFound):
            lake.matrix.search(DEMAND, ["workers"])
        assert lake.vectors.list().indexes == []
        return False
    assert [(corpus.name, corpus.items) for corpus in listed] == [("workers", 36)]
    assert len(lake.matrix.search(DEMAND, ["workers"], k=5).results) == 5
    return True


def test_corpus_is_whole_or_gone_wherever_its_deletion_is_killed(tmp_path: Path, built: Any, people: Any) -> None:
    whole = []
    # Each of the first ones, where it is decided; the others remove file by file.
    for number in [1, 2, 3, 4, 5, 6, 8, 12, 99]:
        folder = Path(shutil.copytree(built(people), tmp_path / str(number)))
        killed = killed_at(number, folder)
        with lakehouse.connect(folder) as lake:
            whole.append(is_whole(lake))
            if not whole[-1]:
                assert left_of(folder, "workers") == []
            if not killed:
                assert lake.corpora.build(name="workers", **CORPUS).items == 36
            elif whole[-1]:
                lake.corpora.delete("workers")
                assert left_of(folder, "workers") == []
    assert not killed, "the deletion never came to its end"
    # Killed before it was decided, and after: not always the same.
    assert whole == sorted(whole, reverse=True)
    assert (whole[0], whole[-1]) == (True, False), whole


def test_build_takes_nothing_over_from_what_was_deleted_halfway(tmp_path: Path, built: Any, people: Any) -> None:
    folder = Path(shutil.copytree(built(people), tmp_path / "lake"))
    with lakehouse.connect(folder) as lake:
        lake.vectors.add("workers", [{"id": "direct", "text": "somebody added directly"}])
        lake.corpora.delete("workers")
        assert lake.corpora.build(name="workers", **CORPUS).items == 36
        assert "direct" not in lake.vectors.ids("workers").ids
