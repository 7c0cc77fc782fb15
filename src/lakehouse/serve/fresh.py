"""Lets every request wait until this process knows what other replicas had written when the request came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent import futures

from lakehouse.errors import Unavailable

# A replica that has much to take in, such as a corpus to build, says so instead of holding requests for minutes.
PATIENCE_S = 10.0


class Fresh:
    """One look at what others wrote at a time; requests that come during one wait for the next, all for the same.

    Args:
        catch_up: Takes in what others wrote, in a thread of its own.
    """

    def __init__(self, catch_up: Callable[[], None]) -> None:
        self._catch_up = catch_up
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="replica")
        self._waiting: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Return when everything that was committed before this call has been taken in.

        Raises:
            Unavailable: That takes long, or the database is out of reach; the same again may go well.
        """
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        waiting = self._waiting
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            await asyncio.wait_for(asyncio.shield(waiting), PATIENCE_S)
        except TimeoutError:
            raise Unavailable("this replica is taking in what another one has built; try again in a moment") from None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            try:
                await loop.run_in_executor(self._thread, self._catch_up)
            except Exception as error:  # noqa: BLE001 - goes to each of those who wait
                waiting.set_exception(error)
                # Those who wait may have given up.
                waiting.exception()
            else:
                waiting.set_result(None)
        self._running = None

    def close(self) -> None:
        """Let the look under way finish, and take no other."""
        self._thread.shutdown(wait=False, cancel_futures=True)
