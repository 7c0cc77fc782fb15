"""What keeps chat within bounds: calls at once per provider, requests and tokens per namespace."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakehouse.chat.base import Deadline, Failed
from lakehouse.errors import LimitExceeded

if TYPE_CHECKING:
    from lakehouse.settings import ChatBudget

ANYBODY = "*"


class Gate:
    """Lets a number of calls through at once; others wait for as long as their deadline allows.

    Args:
        name: Of the provider.
        at_once: Calls at once.
        waiting: Calls that may wait beside them.
    """

    def __init__(self, name: str, at_once: int, waiting: int) -> None:
        self._name = name
        self._at_once = at_once
        self._most = at_once + waiting
        self._room = threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self._inside = 0

    @contextmanager
    def passed(self, deadline: Deadline) -> Iterator[None]:
        """Run the block as one of the calls at once.

        Raises:
            Failed: Too many wait already, or the turn did not come in time.
        """
        with self._lock:
            if self._inside >= self._most:
                raise Failed(self._full(f"{self._most} calls to {self._name} run or wait"), again=False)
            self._inside += 1
        try:
            if not self._room.acquire(timeout=deadline.remaining()):
                raise Failed(self._full(f"{self._at_once} calls to {self._name} kept this one waiting"), again=False)
            try:
                yield
            finally:
                self._room.release()
        finally:
            with self._lock:
                self._inside -= 1

    def _full(self, what: str) -> LimitExceeded:
        return LimitExceeded(f"{what}; try again in a moment", provider=self._name, limit=self._at_once)


class _Window:
    def __init__(self, start: float) -> None:
        self.start = start
        self.requests = 0
        self.tokens = 0


class Charge:
    """What one request takes from its namespace's budget; `settle` says what it really took."""

    def __init__(self, window: _Window, lock: threading.Lock, reserved: int) -> None:
        self._window = window
        self._lock = lock
        self._reserved = reserved

    def settle(self, tokens: int) -> None:
        """Exchange what was reserved for what was used; once."""
        with self._lock:
            self._window.tokens += tokens - self._reserved
            self._reserved = tokens


class Budgets:
    """Requests and tokens per namespace and window of time, in this process; a new start begins anew.

    Args:
        budgets: By namespace; `*` is for those without one of their own, each counted apart.
        now: Seconds that never go back.
    """

    def __init__(self, budgets: Mapping[str, ChatBudget], *, now: Callable[[], float]) -> None:
        self._budgets = budgets
        self._now = now
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def charge(self, namespace: str, tokens: int) -> Charge | None:
        """Take a request and its expected tokens from a budget; null when the namespace has none.

        Raises:
            LimitExceeded: The budget is used up; the message names it and says when it is there again.
        """
        budget = self._budgets.get(namespace) or self._budgets.get(ANYBODY)
        if budget is None:
            return None
        now = self._now()
        with self._lock:
            window = self._windows.get(namespace)
            if window is None or now - window.start >= budget.window_s:
                window = self._windows[namespace] = _Window(now)
            wait_s = max(1, round(budget.window_s - (now - window.start)))
            if budget.requests and window.requests >= budget.requests:
                raise _used_up(namespace, f"{budget.requests} requests", budget.window_s, wait_s)
            if budget.tokens and window.tokens + tokens > budget.tokens:
                left = max(0, budget.tokens - window.tokens)
                what = f"{budget.tokens} tokens ({left} left, this request may take {tokens})"
                raise _used_up(namespace, what, budget.window_s, wait_s)
            window.requests += 1
            window.tokens += tokens
            return Charge(window, self._lock, tokens)


def _used_up(namespace: str, what: str, window_s: int, wait_s: int) -> LimitExceeded:
    return LimitExceeded(
        f"namespace {namespace!r} has used its budget of {what} in {window_s} s; it begins anew in {wait_s} s",
        namespace=namespace,
        retry_after_s=wait_s,
    )
