"""An answer leaves in one piece, and nothing of what is written is lost or out of order."""

from __future__ import annotations

import asyncio

import pytest

from lakehouse.serve._wire import _Joined


class Kept(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self):
        super().__init__()
        self.written = []
        self.closed = False

    def write(self, data):
        self.written.append(bytes(data))

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


def on_loop(work):
    async def run():
        kept = Kept()
        await work(_Joined(kept, asyncio.get_running_loop()), kept)
        return kept

    return asyncio.run(run())


def test_head_and_body_leave_together():
    async def work(joined, kept):
        joined.write(b"head ")
        assert kept.written == []
        joined.write(b"body")
        assert kept.written == [b"head body"]
        await asyncio.sleep(0)

    assert on_loop(work).written == [b"head body"]


def test_what_nothing_follows_leaves_when_the_loop_comes_round():
    async def work(joined, _kept):
        joined.write(b"head")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert on_loop(work).written == [b"head"]


@pytest.mark.parametrize("sizes", [(1, 100_000), (100_000, 1), (1, 1, 1), (1, 100_000, 1, 1)])
def test_all_that_was_written_arrives_in_order(sizes):
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def work(joined, _kept):
        for piece in pieces:
            joined.write(piece)
        joined.close()

    kept = on_loop(work)
    assert b"".join(kept.written) == b"".join(pieces)
    assert kept.closed
