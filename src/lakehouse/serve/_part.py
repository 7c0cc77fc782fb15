"""One part of a divided stack, run as a process: told on standard input what it is, ends when that closes."""

from __future__ import annotations

import os
import socket
import sys
import threading

import msgspec

from lakehouse import child
from lakehouse.errors import LakehouseError
from lakehouse.serve import _standby
from lakehouse.serve.divided import LAKE, READY, Order
from lakehouse.serve.services import GATEWAY


def main() -> int:
    """Be the part; return the exit code."""
    if sys.argv[1:2] == [_standby.LOADED]:
        _standby.rehearse(sys.argv[2])
    said = sys.stdin.buffer.readline()
    if not said:
        # The stack has ended while this process waited for a part to do so.
        return 0
    order = msgspec.json.decode(said, type=Order)
    threading.Thread(target=child.end_with_parent, daemon=True).start()
    listener = socket.socket(fileno=order.listener)
    for other in order.others:
        os.close(other)
    try:
        _serve(order, listener)
    except LakehouseError as error:
        sys.stderr.write(f"error: {order.part}: {error.message}\n")
        return 1
    return 0


def _serve(order: Order, listener: socket.socket) -> None:
    from lakehouse.serve import run

    if order.part == GATEWAY:
        run.serve_gateway(order.config, order.behind, listener, ready=_say_ready)
        return
    # The lake serves everything, so that what has no part of its own is behind the gateway all the same.
    only = None if order.part == LAKE else frozenset({order.part})
    run.serve(order.config, only=only, ready=_say_ready, listener=listener)


def _say_ready(_url: str) -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
