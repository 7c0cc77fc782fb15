"""Readers hold what they read; what was replaced is removed once the last of its readers is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pins:
    """Deferred removal. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tick = 0
        self._held: set[int] = set()
        self._retired: list[tuple[int, Callable[[], None]]] = []

    def hold(self) -> Callable[[], None]:
        """Keep everything that is readable now until the returned function is called (once or more)."""
        with self._lock:
            self._tick += 1
            mine = self._tick
            self._held.add(mine)

        def release() -> None:
            with self._lock:
                self._held.discard(mine)
            self._remove()

        return release

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold for the length of a block."""
        release = self.hold()
        try:
            yield
        finally:
            release()

    def retire(self, remove: Callable[[], None]) -> None:
        """Run `remove` once nobody is left who held before now; at once when nobody is."""
        with self._lock:
            self._tick += 1
            self._retired.append((self._tick, remove))
        self._remove()

    def _remove(self) -> None:
        with self._lock:
            oldest = min(self._held, default=self._tick + 1)
            due = [remove for tick, remove in self._retired if tick < oldest]
            self._retired = [(tick, remove) for tick, remove in self._retired if tick >= oldest]
        for remove in due:
            remove()
