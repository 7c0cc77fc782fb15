"""The key of the call at hand: with it, a call that is sent again is not carried out again.

Carried through threads by a context variable, as the trace id is; a request carries it in the header
`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). What a key stands for is kept by the room that is called.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from types import TracebackType

from lakehouse.errors import InvalidInput

HEADER = "Idempotency-Key"
LONGEST = 255

_current: ContextVar[str] = ContextVar("lakehouse_idempotency_key", default="")


def current() -> str:
    """Return the key of this context, empty when the call is to be carried out whatever was called before."""
    return _current.get()


def new_key() -> str:
    """Return a key that nobody else has."""
    return secrets.token_hex(16)


class keyed:  # noqa: N801 - opened like a function: `with idempotency.keyed(key)`
    """Run the block's calls under a key.

    Args:
        key: 1 to 255 visible ASCII characters; empty for none.

    Raises:
        InvalidInput: The key is not of that form.
    """

    __slots__ = ("_key", "_token")

    def __init__(self, key: str) -> None:
        if len(key) > LONGEST or not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidInput(f"{HEADER} must be 1 to {LONGEST} visible ASCII characters", field=HEADER)
        self._key = key

    def __enter__(self) -> None:
        self._token = _current.set(self._key)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)
