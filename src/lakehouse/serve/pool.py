"""A bounded pool of threads for calls that would hold up the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

from lakehouse.errors import Unavailable

T = TypeVar("T")


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
