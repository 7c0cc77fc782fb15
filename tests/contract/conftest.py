"""The same lake behind three faces: in this process, over HTTP in this process, and in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import lakehouse
from lakehouse import settings
from lakehouse.evals.fake_provider import FakeProvider
from serving import stack_of

LAKEHOUSE = [sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main())"]
# The cases make API keys, and from the first of them on a stack asks everybody who they are.
TOKEN = "contract"

Connect = Callable[[str], lakehouse.Lakehouse]


@contextmanager
def in_process(folder: Path, models: str) -> Iterator[lakehouse.Lakehouse]:
    config = settings.load(environ={}, overrides={"data": str(folder), "chat": {"ollama_url": models}})
    with lakehouse.connect(config=config) as lake:
        yield lake


@contextmanager
def over_http(folder: Path, models: str) -> Iterator[lakehouse.Lakehouse]:
    with (
        in_process(folder, models) as lake,
        stack_of(lake, token=TOKEN) as stack,
        lakehouse.connect(stack.url, token=TOKEN) as remote,
    ):
        yield remote


@contextmanager
def in_a_process_of_its_own(folder: Path, models: str) -> Iterator[lakehouse.Lakehouse]:
    command = [*LAKEHOUSE, "up", "--port", "0", "--data", str(folder)]
    environ = {**os.environ, "LAKEHOUSE_TOKEN": TOKEN, "LAKEHOUSE_CHAT__OLLAMA_URL": models}
    with subprocess.Popen(command, cwd=folder.parent, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            with lakehouse.connect(url_of(process), token=TOKEN) as remote:
                yield remote
        finally:
            process.terminate()
            process.communicate(timeout=30)
        assert process.returncode == 0


def url_of(process: subprocess.Popen) -> str:
    """Read the log of a starting stack up to the line that names its URL, then keep reading in a thread."""
    seen = []
    for line in process.stderr:
        seen.append(line)
        if found := re.search(r"ready on (http://\S+)", line):
            # Left unread, the pipe would fill and stop the stack.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
    raise AssertionError("".join(seen))


_OPENERS = {"process": in_process, "http": over_http, "separate": in_a_process_of_its_own}


# Of this module only: the engine of workflows draws from the global random numbers while a lake that has run one is
# open, and a property test that comes later in the same process would be blamed for it.
@pytest.fixture(scope="module")
def face(built, people, tmp_path_factory) -> Iterator[Connect]:
    """Give the lake behind a face by its name; each is opened once, over its own copy of the same folder."""
    opened: dict[str, lakehouse.Lakehouse] = {}
    with ExitStack() as stack:
        models = stack.enter_context(FakeProvider())

        def get(name: str) -> lakehouse.Lakehouse:
            if name not in opened:
                folder = tmp_path_factory.mktemp(name) / "lake"
                shutil.copytree(built(people), folder)
                opened[name] = stack.enter_context(_OPENERS[name](folder, models.url))
            return opened[name]

        yield get
