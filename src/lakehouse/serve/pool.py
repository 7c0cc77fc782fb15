"""A bounded pool of threads for calls that would hold up the event loop, and one thread that waits for the disk."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

from lakehouse.errors import Unavailable

T = TypeVar("T")
# How long those who wait for a sync wait for others to join: for the next, in all, and in all when it is tried how many
# there are.
_GAP_S = 0.001
_MOST_S = 0.005
_TRYING_S = 0.015
_TURNS = 16
_TRIED_EVERY = 16


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
    """Waits for the disk on behalf of many requests: all that wait while one sync runs share the next.

    A sync costs the processor half as much as an answer that is given again, so many should share one; but when all who
    ask wait for the same, nobody is being answered meanwhile. So it begins at once when half as many wait as there are
    when everybody does, which is tried now and then; otherwise those who are there wait a millisecond for the next to
    join, five at most. A caller alone never waits.

    Args:
        commit: Returns when everything up to a position is safe.
    """

    def __init__(self, commit: Callable[[int], None]) -> None:
        self._commit = commit
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None
        self._enough = 1
        self._syncs = 0

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
            await self._gathered()
            batch, self._waiting = self._waiting, []
            error: Exception | None = None
            try:
                await loop.run_in_executor(self._thread, self._commit, max(position for position, _ in batch))
            except Exception as failed:  # noqa: BLE001 - goes to each of those who wait
                error = failed
            for _, done in batch:
                if not done.done():
                    if error is None:
                        done.set_result(None)
                    else:
                        done.set_exception(error)
        self._running = None

    async def _gathered(self) -> None:
        """Return when enough wait, or nobody joins them any more."""
        loop = asyncio.get_running_loop()
        self._syncs += 1
        # Now and then, when several wait, it is tried whether more come if they are given the time.
        tries = self._syncs % _TRIED_EVERY == 0 and len(self._waiting) > 1
        until = loop.time() + (_TRYING_S if tries else _MOST_S)
        for _ in range(_TURNS):
            there = len(self._waiting)
            enough = there >= self._enough and not tries
            # One turn to read what has come in, one to answer it.
            await asyncio.sleep(0 if enough else _GAP_S)
            await asyncio.sleep(0)
            if enough or len(self._waiting) == there or loop.time() > until:
                break
        there = len(self._waiting)
        self._enough = (there + 1) // 2 if tries else min(self._enough, there)

    def close(self, *, within_ms: float) -> bool:  # noqa: ARG002 - a sync is under way or done, there is nothing to drop
        """End the thread once its sync is done."""
        self._thread.shutdown(wait=False)
        return True
