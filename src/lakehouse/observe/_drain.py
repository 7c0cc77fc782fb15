"""A bounded queue and the thread that empties it: what is put in never waits and never fails."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

_COMPLAIN_EVERY_S = 60.0
# Work of a queue's thread between two breaths, and how long one is.
_STEPS = 32
_BREATH_S = 0.000_02

_log = logging.getLogger(__name__)


def paced(items: Iterable[T]) -> Iterator[T]:
    """Give items, and let other threads have the interpreter after every few of them.

    A thread that only computes keeps it for 5 ms at a time, which is far longer than a search takes.
    """
    for nth, item in enumerate(items, 1):
        yield item
        if nth % _STEPS == 0:
            time.sleep(_BREATH_S)


class Drain(Generic[T]):
    """Hands what is put in to `work`, in order and in batches, in a thread of its own that begins with the first.

    Args:
        work: Gets a batch, and returns how many of it were lost, if any; what it raises is logged at most once a
            minute, and the batch counts as dropped.
        name: Of the thread.
        most: Items that may wait; more are dropped and counted.
        every_ms: How long a batch is gathered.
        batch: Most items of one.

    Attributes:
        dropped: Items that never got through.

    >>> seen = []
    >>> drain = Drain(seen.extend, name="example", most=10, every_ms=1)
    >>> drain.put("a")
    True
    >>> drain.close()
    True
    >>> seen
    ['a']
    """

    def __init__(
        self, work: Callable[[Sequence[T]], int | None], *, name: str, most: int, every_ms: float, batch: int = 1_000
    ) -> None:
        self._work = work
        self._name = name
        self._most = most
        self._every_s = every_ms / 1000
        self._batch = batch
        self._waiting: deque[T | threading.Event] = deque()
        self._idle = True
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._complained = float("-inf")
        self._in_hand = 0
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Put one item in, and tell whether there was room; takes a microsecond."""
        if len(self._waiting) >= self._most or self._closing.is_set():
            self._drop(1)
            return False
        # One step in CPython, so writers need no lock.
        self._waiting.append(item)
        if self._idle:
            self._begin()
        return True

    def flush(self, *, within_ms: float = 10_000) -> bool:
        """Wait until everything put in before is through, and tell whether it was in time."""
        reached = threading.Event()
        self._waiting.append(reached)
        self._closing_or_begin()
        return reached.wait(within_ms / 1000)

    def close(self, *, within_ms: float = 10_000) -> bool:
        """Let what waits get through, take nothing more, and tell whether all was in time; what was not is dropped."""
        self._closing.set()
        self._wake.set()
        with self._lock:
            thread = self._thread
        if thread is None:
            return True
        thread.join(within_ms / 1000)
        if thread.is_alive():
            left, self._waiting = self._waiting, deque()
            with self._lock:
                # Nobody will know what becomes of the batch that is under way.
                self.dropped += self._in_hand + sum(not isinstance(item, threading.Event) for item in left)
                self._in_hand = 0
            return False
        return True

    def _closing_or_begin(self) -> None:
        if self._closing.is_set() and (self._thread is None or not self._thread.is_alive()):
            self._release()
        else:
            self._begin()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            if not self._waiting:
                if self._closing.is_set():
                    return
                self._idle = True
                if not self._waiting:
                    self._wake.wait()
                self._wake.clear()
                self._idle = False
                continue
            if len(self._waiting) < self._batch and not self._asked():
                # What comes meanwhile shares the batch, and the sync to disk or the request that goes with it.
                self._closing.wait(self._every_s)
            self._pass_on()

    def _asked(self) -> bool:
        return isinstance(self._waiting[0], threading.Event) or isinstance(self._waiting[-1], threading.Event)

    def _pass_on(self) -> None:
        items: list[T] = []
        reached: list[threading.Event] = []
        while self._waiting and len(items) < self._batch:
            item = self._waiting.popleft()
            if isinstance(item, threading.Event):
                reached.append(item)
                break
            items.append(item)
        if items:
            self._in_hand = len(items)
            try:
                lost = self._work(items)
                if lost:
                    self._drop(lost)
            except Exception as error:  # noqa: BLE001 - whatever happens here must reach nobody
                with self._lock:
                    self.dropped += self._in_hand
                self._complain(error)
            self._in_hand = 0
        for event in reached:
            event.set()

    def _release(self) -> None:
        for item in self._waiting:
            if isinstance(item, threading.Event):
                item.set()

    def _drop(self, count: int) -> None:
        with self._lock:
            self.dropped += count

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_EVERY_S:
            self._complained = now
            _log.warning("%s: dropped a batch: %s", self._name, error)
