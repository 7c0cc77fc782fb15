"""A bounded pool of threads for calls that would hold up the event loop, and one thread that waits for the disk."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

from lakehouse.errors import Unavailable

T = TypeVar("T")
# A sync that takes longer is waited for in a thread.
_QUICK_S = 0.001
# How long those who wait for a sync wait for others to join: for the next, and in all.
_GAP_S = 0.0005
_MOST_S = 0.005


class Pool:
    """Runs calls in threads, each in a copy of the caller's context, and refuses when too many wait.

    Args:
        threads: Calls that run at once.
        waiting: Calls that may wait for a thread beside them.
        name: Prefix of the threads' names.
    """

    def __init__(self, threads: int, *, waiting: int, name: str) -> None:
        self._most = threads + waiting
        self._executor = futures.ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._under_way: set[futures.Future[Any]] = set()

    @property
    def under_way(self) -> int:
        """Calls that run or wait."""
        return len(self._under_way)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread and return its result; a cancelled caller does not stop what has begun.

        Raises:
            Unavailable: Too many calls run and wait already, or the pool is closed.
        """
        if len(self._under_way) >= self._most:
            raise Unavailable(
                f"{self._most} calls are running or waiting, which is the limit; try again in a moment",
                limit=self._most,
            )
        try:
            future = self._executor.submit(contextvars.copy_context().run, work)
        except RuntimeError:
            raise Unavailable("the server is shutting down; try again in a moment") from None
        # One step each in CPython, so the set needs no lock although the callback runs in the worker.
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return await asyncio.wrap_future(future)

    def close(self, *, within_ms: float) -> bool:
        """Drop what waits, let what runs finish, and tell whether all of it did in time."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not futures.wait(list(self._under_way), timeout=within_ms / 1000).not_done


class Commits:
    """Waits for the disk on behalf of many requests, which share syncs.

    A disk that needs a few tenths of a millisecond is waited for on the loop itself: to hand a sync to a thread costs
    more. On others a thread waits, and all who come while one sync runs share the next. Before either, those who have
    sent a request by now are answered, so that they join; where several shared the last sync, for as long as somebody
    comes within half a millisecond.

    Args:
        commit: Returns when everything up to a position is safe.
    """

    def __init__(self, commit: Callable[[int], None]) -> None:
        self._commit = commit
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None
        self._shared = 1
        self._took: deque[float] = deque(maxlen=8)

    async def safe(self, position: int) -> None:
        """Return when everything up to `position` survives a power cut.

        Raises:
            Unavailable: It may not.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((position, done))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await done

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            # The shortest of the last few: what a thread measures includes its wait for the interpreter.
            quick = min(self._took, default=_QUICK_S) < _QUICK_S
            await self._joined(0 if quick or self._shared == 1 else _GAP_S)
            batch, self._waiting = self._waiting, []
            self._shared = len(batch)
            position = max(position for position, _ in batch)
            error: Exception | None = None
            try:
                if quick:
                    self._sync(position)
                else:
                    await loop.run_in_executor(self._thread, self._sync, position)
            except Exception as failed:  # noqa: BLE001 - goes to each of those who wait
                error = failed
            for _, done in batch:
                if not done.done():
                    if error is None:
                        done.set_result(None)
                    else:
                        done.set_exception(error)
        self._running = None

    async def _joined(self, gap_s: float) -> None:
        """Return when nobody has come in for as long as that, or it has taken long enough."""
        until = time.monotonic() + _MOST_S
        there = 0
        while there < len(self._waiting) and time.monotonic() < until:
            there = len(self._waiting)
            # One turn to read what has been sent, one to answer it.
            await asyncio.sleep(gap_s)
            await asyncio.sleep(0)

    def _sync(self, position: int) -> None:
        began = time.monotonic()
        try:
            self._commit(position)
        finally:
            self._took.append(time.monotonic() - began)

    def close(self, *, within_ms: float) -> bool:  # noqa: ARG002 - a sync is under way or done, there is nothing to drop
        """End the thread once its sync is done."""
        self._thread.shutdown(wait=False)
        return True
