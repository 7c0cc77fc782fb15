import asyncio
import threading

import pytest

from lakehouse import tracing
from lakehouse.errors import NotFound, Unavailable
from lakehouse.serve.pool import Pool


@pytest.fixture
def pool():
    made = Pool(2, waiting=1, name="test")
    yield made
    made.close(within_ms=5_000)


def test_pool_runs_in_another_thread_under_the_same_trace(pool):
    async def run():
        with tracing.trace("t1"):
            return await pool.run(lambda: (threading.current_thread().name, tracing.current()))

    name, trace_id = asyncio.run(run())
    assert name.startswith("test")
    assert trace_id == "t1"


def test_pool_error_reaches_the_caller(pool):
    def fail():
        raise NotFound("gone")

    with pytest.raises(NotFound, match="gone"):
        asyncio.run(pool.run(fail))


def test_pool_over_its_limit_refuses_at_once(pool):
    release = threading.Event()

    async def run():
        held = [asyncio.create_task(pool.run(release.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(Unavailable) as caught:
                await pool.run(lambda: None)
        finally:
            release.set()
        assert await asyncio.gather(*held) == [True, True, True]
        return caught.value

    error = asyncio.run(run())
    assert error.retryable
    assert error.detail == {"limit": 3}
    assert asyncio.run(pool.run(lambda: "free again")) == "free again"


def test_pool_close_waits_for_what_runs(pool):
    begun, release = threading.Event(), threading.Event()

    def hold():
        begun.set()
        return release.wait()

    async def run():
        task = asyncio.create_task(pool.run(hold))
        await asyncio.to_thread(begun.wait)
        assert not pool.close(within_ms=1)
        assert pool.under_way == 1
        release.set()
        await task

    asyncio.run(run())
    assert pool.close(within_ms=5_000)


def test_pool_closed_refuses(pool):
    pool.close(within_ms=0)
    with pytest.raises(Unavailable, match="shutting down"):
        asyncio.run(pool.run(lambda: None))
