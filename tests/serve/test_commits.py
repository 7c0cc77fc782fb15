"""Syncs shared by those who wait."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from lakehouse.errors import Unavailable
from lakehouse.serve.pool import Commits


def test_many_who_wait_share_few_syncs_and_nobody_goes_before_theirs():
    synced = [0]

    def commit(position):
        synced.append(position)

    async def run():
        commits = Commits(commit)

        async def one(number):
            for turn in range(10):
                position = 20 * turn + number + 1
                await commits.safe(position)
                assert max(synced) >= position
                await asyncio.sleep(0)

        await asyncio.gather(*(one(number) for number in range(20)))
        commits.close(within_ms=1_000)

    asyncio.run(run())
    assert len(synced) < 100


def test_one_alone_is_synced_each_time():
    synced = []

    async def run():
        commits = Commits(synced.append)
        for position in range(1, 40):
            await commits.safe(position)
            assert synced[-1] == position
        commits.close(within_ms=1_000)

    asyncio.run(run())
    assert synced == list(range(1, 40))


def test_quick_disk_is_waited_for_where_requests_are_answered_and_a_slow_one_elsewhere():
    took_s = 0.0
    threads = []

    def commit(_):
        threads.append(threading.current_thread())
        time.sleep(took_s)

    async def run():
        nonlocal took_s
        commits = Commits(commit)
        for position in range(20):
            await commits.safe(position)
        assert threads[-1] is threading.current_thread()
        took_s = 0.05
        for position in range(20, 30):
            await commits.safe(position)
        assert threads[-1] is not threading.current_thread()
        waiting = asyncio.ensure_future(commits.safe(30))
        turns = 0
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0.001)
        assert turns > 5
        took_s = 0.0
        for position in range(31, 50):
            await commits.safe(position)
        assert threads[-1] is threading.current_thread()
        commits.close(within_ms=1_000)

    asyncio.run(run())


def test_sync_that_fails_fails_for_all_who_share_it_and_not_for_the_next():
    broken = threading.Event()
    broken.set()

    def commit(_):
        if broken.is_set():
            raise Unavailable("the disk is full")

    async def run():
        commits = Commits(commit)
        found = await asyncio.gather(*(commits.safe(number) for number in (1, 2, 3)), return_exceptions=True)
        assert [type(each) for each in found] == [Unavailable] * 3
        broken.clear()
        await commits.safe(4)
        waiting = asyncio.ensure_future(commits.safe(5))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await commits.safe(6)
        commits.close(within_ms=1_000)

    asyncio.run(run())
