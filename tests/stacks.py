"""Stacks of several that share a state, each a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

import lakehouse

LAKEHOUSE = [sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main())"]


class Replica:
    """One stack: its process, and a client of it."""

    def __init__(self, folder: Path, sections: dict[str, Any]) -> None:
        self.folder = folder
        self._named = {
            f"LAKEHOUSE_{section}__{key}".upper(): str(value)
            for section, keys in sections.items()
            for key, value in keys.items()
        }
        self._log = folder.with_suffix(".log")
        self.begin()

    def begin(self) -> None:
        """Start it on a free port."""
        # A file, so that nobody has to read what it writes for it to go on.
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                [*LAKEHOUSE, "up", "--port", "0", "--data", str(self.folder)],
                env={**os.environ, **self._named},
                stderr=out,
            )

    def wait(self) -> None:
        """Wait for the line that names where it answers."""
        while (found := re.search(rb"ready on (http://\S+)", self._log.read_bytes())) is None:
            assert self.process.poll() is None, self._log.read_text()
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        self.url = found[1].decode()
        self.lake = lakehouse.connect(self.url)
        self.http = httpx.Client(base_url=self.url)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it and wait for that."""
        self.lake.close()
        self.http.close()
        self.process.send_signal(number)
        self.process.wait()
