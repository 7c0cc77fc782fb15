"""HTTP/1.1 that resets nobody who has just connected when the server stops."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# What a client sends right after it connected is here within this time.
_FIRST_REQUEST_S = 0.5


class Protocol(HttpToolsProtocol):
    """One connection.

    A server that stops closes those on which nothing is asked. One that was accepted a moment ago has its request on
    the way, which would be met by a reset; another process that holds the same port cannot take it over any more.
    """

    def shutdown(self) -> None:
        """Close when what is asked is answered; where nothing was asked yet, wait for it for a moment."""
        if self.cycle is None:
            # By its type there always is one.
            self.loop.call_later(_FIRST_REQUEST_S, super().shutdown)  # type: ignore[unreachable]
        else:
            super().shutdown()
