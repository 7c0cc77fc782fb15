"""Lets every request wait until this process knows what other replicas had written when the request came."""

from __future__ import annotations

import asyncio
from concurrent import futures
from typing import TYPE_CHECKING

from lakehouse.errors import Unavailable

if TYPE_CHECKING:
    from lakehouse.state.following import Following

# A replica that has much to take in, such as a corpus to build, says so instead of holding requests for minutes.
PATIENCE_S = 10.0
# And a stack that stops does not hold them longer than this.
LAST_S = 1.0


class Fresh:
    """One look at what others wrote at a time; requests that come during one wait for the next, all for the same.

    Args:
        following: Takes in what others wrote, in a thread of its own.
    """

    def __init__(self, following: Following) -> None:
        self._following = following
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="replica")
        self._waiting: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._look: futures.Future[None] | None = None
        self._stopped: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Return when everything that was committed before this call has been taken in.

        Raises:
            Unavailable: That takes long, or the database is out of reach; the same again may go well.
        """
        loop = asyncio.get_running_loop()
        if self._waiting is None:
            self._waiting = loop.create_future()
        if self._stopped is None:
            self._stopped = loop.create_future()
        waiting = self._waiting
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await asyncio.wait([waiting, self._stopped], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        elif self._stopped.done():
            raise Unavailable("the stack stops; try again when it is back")
        elif self._following.taking_in:
            raise Unavailable("this replica is taking in what another one has written; try again in a moment")
        else:
            raise Unavailable(
                f"the database of state.url has not said within {PATIENCE_S:.0f} s whether another replica has written;"
                " see that it runs and can be reached from here, and try again"
            )

    async def _run(self) -> None:
        while self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            try:
                self._look = self._thread.submit(self._following.catch_up)
                await asyncio.wrap_future(self._look)
            except Exception as error:  # noqa: BLE001 - goes to each of those who wait
                waiting.set_exception(error)
                # Those who wait may have given up.
                waiting.exception()
            else:
                waiting.set_result(None)
        self._running = None

    def stop(self) -> None:
        """Give those who wait a last second; on the loop."""
        if self._stopped is not None:
            asyncio.get_running_loop().call_later(LAST_S, self._end)

    def _end(self) -> None:
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    def close(self, *, within_ms: float) -> bool:
        """Take no other look, and tell whether the one under way has ended in time; nobody has waited for it lately."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        return self._look is None or not futures.wait([self._look], timeout=min(LAST_S, within_ms / 1000)).not_done
