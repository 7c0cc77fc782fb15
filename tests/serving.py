"""A stack in a thread of the test, on a free port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lakehouse
from lakehouse import settings
from lakehouse.serve import ports
from lakehouse.serve.run import Stack


@contextmanager
def stack_of(lake: lakehouse.Lakehouse, config: settings.Settings | None = None, **options: Any) -> Iterator[Stack]:
    """Serve a lake, by its own settings unless others are given; every call must have ended when it stops."""
    stack = Stack(lake, config or lake.rooms.settings, ports.bind("127.0.0.1", 0), **options)
    ready = threading.Event()
    running = threading.Thread(target=stack.run, kwargs={"ready": ready.set})
    running.start()
    try:
        assert ready.wait(30), "the stack did not become ready"
        yield stack
    finally:
        stack.stop()
        running.join()
        assert stack.drain()
