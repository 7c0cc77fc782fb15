"""An answer sent piece by piece, as server-sent events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import msgspec
from starlette.types import Receive, Send

from lakehouse import tracing
from lakehouse.errors import InternalError, LakehouseError
from lakehouse.serve.pool import Pool

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]

_log = logging.getLogger("lakehouse.serve")
_encode = msgspec.json.Encoder().encode


async def send(pieces: Iterator[Any], pool: Pool, receive: Receive, send: Send) -> None:
    """Send each piece as the event `message`, and an error that comes on the way as the event `error`.

    The data of an error is the one shape of an error with its HTTP status beside it. A client that goes away ends the
    work.
    """
    await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
    gone = asyncio.ensure_future(receive())
    try:
        while not gone.done():
            piece, error = await pool.run(lambda: _next(pieces))
            if error is not None:
                wire = {"status": error.status, **error.to_wire(tracing.current())}
                await _send(send, b"event: error\ndata: " + _encode(wire))
            if piece is None:
                break
            await _send(send, b"data: " + _encode(piece))
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


async def _send(send: Send, event: bytes) -> None:
    await send({"type": "http.response.body", "body": event + b"\n\n", "more_body": True})


def _next(pieces: Iterator[Any]) -> tuple[Any, LakehouseError | None]:
    try:
        return next(pieces, None), None
    except LakehouseError as error:
        return None, error
    except Exception:  # noqa: BLE001 - the answer has begun, so nobody else can tell the client
        _log.exception("a stream failed after its answer had begun")
        return None, InternalError("something went wrong inside; the log of the server has the details")
