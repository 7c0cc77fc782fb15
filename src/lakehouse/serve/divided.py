"""A stack divided into processes: started in order, each waited for, each started again when it ends.

The parts are `embedd` (texts to vectors), `lake` (all that owns files of the lake folder, which belongs to one process)
and `gateway`, the front door. This process is none of them: it binds every listening socket and hands it down, so that
a connection which comes while a part is started again waits for it and is not refused.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess  # nosec B404 - only for the type
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from lakehouse.decoding import ready
from lakehouse.errors import Unavailable
from lakehouse.serve import logs, ports, services
from lakehouse.serve._standby import Standby, started
from lakehouse.serve.services import GATEWAY
from lakehouse.serve.stacks import url_of
from lakehouse.settings import Settings, State

EMBEDD_FOLDER = "embedd"
LAKE = "lake"
READY = b"ready\n"
_START_S = 120.0
# A part that ends sooner than this after its start is started again more slowly each time.
_SETTLED_S = 10.0
_PAUSES_S = (0.0, 0.2, 1.0, 5.0)
_KILL_S = 5.0

_log = logging.getLogger("lakehouse.serve")


@ready
class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a part is told on its standard input.

    Attributes:
        listener: Descriptor of its bound socket; `others` are those of other parts that it has too.
        behind: URL of what the gateway forwards to.
    """

    part: str
    config: Settings
    listener: int
    others: tuple[int, ...] = ()
    behind: str = ""


class Part:
    """One process of a divided stack, kept running by a thread.

    Args:
        order: What it is told.
        listener: Its bound socket.
        changed: Called whenever it has become ready.
        standby: Starts its processes, None for one that loads little.
    """

    def __init__(
        self, order: Order, listener: socket.socket, changed: Callable[[], None], standby: Standby | None
    ) -> None:
        self.name = order.part
        self.pid: int | None = None
        self._order = order
        self._listener = listener
        self._changed = changed
        self._standby = standby
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._first = threading.Event()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"keep-{self.name}", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Start it and return when it is ready.

        Raises:
            Unavailable: It ended before, or took too long.
        """
        self._keeper.start()
        self._first.wait(_START_S)
        if self.pid is None:
            self.stop(within_s=_KILL_S)
            raise Unavailable(f"{self.name} did not start; its log above says why", part=self.name)

    def stop(self, *, within_s: float) -> None:
        """Stop it for good: with SIGTERM, then with SIGKILL."""
        self._stopping = True
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        if not self._ended.wait(within_s) and process is not None:
            process.kill()
            self._ended.wait(_KILL_S)

    def _keep(self) -> None:
        quick = 0
        while not self._stopping:
            began = time.monotonic()
            status = self._run_once()
            self.pid = None
            if not self._first.is_set():
                # It has never been ready: whoever waits for that is told, and nothing is tried again.
                self._first.set()
                break
            quick = 0 if time.monotonic() - began > _SETTLED_S else quick + 1
            if not self._stopping:
                _log.warning("%s ended with status %s and is started again", self.name, status)
                time.sleep(_PAUSES_S[min(quick, len(_PAUSES_S) - 1)])
        self._ended.set()

    def _run_once(self) -> int:
        order, standby = self._order, self._standby
        with standby.take() if standby else started([order.listener, *order.others]) as process:
            self._process = process
            if self._stopping:
                process.terminate()
            with contextlib.suppress(BrokenPipeError):
                os.write(process.stdin.fileno() if process.stdin else -1, msgspec.json.encode(order) + b"\n")
            said = process.stdout.readline() if process.stdout else b""
            if said == READY:
                self.pid = process.pid
                self._first.set()
                self._changed()
            return process.wait()


def serve(config: Settings, *, offset: int = 0, ready: Callable[[str, Mapping[str, int]], None] | None = None) -> None:
    """Serve a lake in several processes until SIGTERM or SIGINT.

    Args:
        config: As of a stack in one process.
        offset: Added to the ports that services have when run alone.
        ready: Called with the URL and the process of each part, once at the start and whenever one has changed.

    Raises:
        Unavailable: A port is taken, or a part did not start.
    """
    stop = threading.Event()

    def leave(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    parts: list[Part] = []

    def changed() -> None:
        _tell(config, parts, ready)
        if standby and parts[-1].name == GATEWAY and all(part.pid is not None for part in parts):
            standby.refill()

    with logs.configured(config.logging):
        try:
            with contextlib.ExitStack() as bound:
                orders = _orders(config, offset, bound)
                standby = _standby(config, orders, bound)
                for order, listener in orders:
                    part = Part(order, listener, changed, None if order.part == GATEWAY else standby)
                    parts.append(part)
                    part.start()
                    if stop.is_set():
                        break
                _tell(config, parts, ready)
                stop.wait()
        finally:
            # The front door first, so that what it has let in can still be answered.
            for part in reversed(parts):
                part.stop(within_s=config.server.shutdown_grace_ms / 1000 + _KILL_S)
            for number, old in before.items():
                signal.signal(number, old)


def _standby(
    config: Settings, orders: Sequence[tuple[Order, socket.socket]], bound: contextlib.ExitStack
) -> Standby | None:
    """Keep a process loaded for the parts that load much, which the gateway does not."""
    if not config.server.standby:
        return None
    listeners = [order.listener for order, _ in orders if order.part != GATEWAY]
    return bound.enter_context(contextlib.closing(Standby(listeners)))


def _orders(config: Settings, offset: int, bound: contextlib.ExitStack) -> tuple[tuple[Order, socket.socket], ...]:
    host = "127.0.0.1"

    def listen(address: str, port: int) -> socket.socket:
        return bound.enter_context(contextlib.closing(ports.bind(address, port)))

    def inner(name: str) -> socket.socket:
        return listen(host, services.find(name).port + offset if config.server.port else 0)

    front = listen(config.server.host, config.server.port)
    embedd, lake = inner("embedd"), inner("matrixd")
    token_env = config.server.token_env
    embedding, lake_url = (url_of(host, int(part.getsockname()[1])) for part in (embedd, lake))
    server = msgspec.structs.replace(
        config.server,
        host=host,
        tls_cert="",
        tls_key="",
        behind_tls_proxy=config.server.behind_tls_proxy or bool(config.server.tls_cert),
    )
    own = msgspec.structs.replace(config, server=server)
    # Its own folder holds nothing but a cache: the lake's belongs to the part that owns the files.
    embeds = msgspec.structs.replace(
        own,
        data=str(Path(config.data) / EMBEDD_FOLDER),
        state=State(),
        # Nobody but the other parts comes to it, and it knows no keys.
        server=msgspec.structs.replace(server, behind_tls_proxy=False),
    )
    uses = msgspec.structs.replace(own, embed=msgspec.structs.replace(config.embed, url=embedding, token_env=token_env))
    at_embedd, at_lake, at_front = embedd.fileno(), lake.fileno(), front.fileno()
    return (
        (Order(part="embedd", config=_apart(embeds, "embedd"), listener=at_embedd, others=(at_lake,)), embedd),
        (Order(part=LAKE, config=_apart(uses, LAKE), listener=at_lake, others=(at_embedd,)), lake),
        (Order(part=GATEWAY, config=_apart(config, GATEWAY), listener=at_front, behind=lake_url), front),
    )


def log_of(file: str, part: str) -> str:
    """Return the log file of a part, given that of its stack; two processes cannot put one file aside."""
    path = Path(file)
    return str(path.with_name(f"{path.stem}-{part}{path.suffix}"))


def _apart(config: Settings, part: str) -> Settings:
    """Return the settings of a part: a log file of its own, and a name of its own in traces."""
    traces = msgspec.structs.replace(config.traces, service=f"{config.traces.service}-{part}")
    logging = config.logging
    if logging.file:
        logging = msgspec.structs.replace(logging, file=log_of(logging.file, part))
    return msgspec.structs.replace(config, traces=traces, logging=logging)


def _tell(config: Settings, parts: list[Part], ready: Callable[[str, Mapping[str, int]], None] | None) -> None:
    running = {part.name: part.pid for part in parts if part.pid is not None}
    if ready is not None and GATEWAY in running:
        url = url_of(config.server.host, parts[-1].port)
        ready(url.replace("http:", "https:", 1) if config.server.tls_cert else url, running)
