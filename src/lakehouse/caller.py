"""Who asks: carried through threads and services by a context variable, as the trace id is."""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType

import msgspec

COORDINATOR = "coordinator"
AUDITOR = "auditor"
OPERATOR = "operator"
ROLES = (COORDINATOR, AUDITOR, OPERATOR)

PURPOSE = "staffing"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who asks.

    Attributes:
        kind: `local` (this process, or loopback without keys), `key` (an API key) or `token` (the stack's own).
        id: Name of the key; never the key itself.
        roles: Of `ROLES`.
        namespaces: Memory this caller may use; None means every one.
        purpose: What the data is asked for; written into the ledger.
    """

    kind: str
    id: str
    roles: frozenset[str]
    namespaces: frozenset[str] | None = None
    purpose: str = PURPOSE


LOCAL = Caller(kind="local", id="operator", roles=frozenset(ROLES))

_current: ContextVar[Caller] = ContextVar("lakehouse_caller", default=LOCAL)


def current() -> Caller:
    """Return who asks in this context: the local operator when nobody said otherwise."""
    return _current.get()


class calling:  # noqa: N801 - opened like a function: `with caller.calling(who)`
    """Run the block on behalf of a caller, and give them to it."""

    __slots__ = ("_token", "_who")

    def __init__(self, caller: Caller) -> None:
        self._who = caller

    def __enter__(self) -> Caller:
        self._token = _current.set(self._who)
        return self._who

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)
