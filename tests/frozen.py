"""A way to a server that can be frozen: connections are taken and what they say is held, as by a process that hangs."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Relay:
    """Passes on what comes to a free port of loopback; a context manager.

    Args:
        to: Path of a socket, empty for a server that never says anything.

    Attributes:
        going: Cleared, it freezes.
    """

    def __init__(self, to: str | Path = "") -> None:
        self.to = str(to)
        self.going = threading.Event()
        self.going.set()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    @classmethod
    def before(cls, url: str) -> Self:
        """Stand before the Postgres of a URL that names its socket."""
        return cls(parse_qs(urlsplit(url).query)["unix_sock"][0])

    def url(self, url: str, driver: str = "pg8000") -> str:
        """Return the URL of a database as it is reached through here."""
        return f"postgresql+{driver}://postgres@127.0.0.1:{self.port}{urlsplit(url).path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.going.set()
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.append(near)
                if self.to:
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(self.to)
                    self._open.append(far)
                    for pair in ((near, far), (far, near)):
                        threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, here: socket.socket, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(65_536):
                self.going.wait()
                there.sendall(data)
            there.shutdown(socket.SHUT_RDWR)
