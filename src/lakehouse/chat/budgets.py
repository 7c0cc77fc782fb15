"""Requests and tokens per namespace and window of time, counted in files that several processes may share."""

from __future__ import annotations

import fcntl
import logging
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import LimitExceeded
from lakehouse.state.folder import disk_error

if TYPE_CHECKING:
    from lakehouse.settings import ChatBudget

ANYBODY = "*"
_PREFIX = "of-"
# Start of the window in seconds since the epoch, requests, tokens.
_WINDOW = struct.Struct("<dqq")

_log = logging.getLogger("lakehouse.chat")


class Charge:
    """What one request takes from its namespace's budget; `settle` says what it really took."""

    def __init__(self, budgets: Budgets, namespace: str, start: float, reserved: int) -> None:
        self._budgets = budgets
        self._namespace = namespace
        self._start = start
        self._reserved = reserved

    def settle(self, tokens: int) -> None:
        """Exchange what was reserved for what was used; never raises."""
        self._budgets.add(self._namespace, self._start, tokens - self._reserved)
        self._reserved = tokens


class Budgets:
    """Counts what namespaces use. Thread-safe, and several processes may share a folder.

    A count is a file of 24 bytes, changed under its lock, so that it outlives the process and costs some tens of
    microseconds; it is not synced, so a power cut may set it back. Nothing is written for namespaces without a budget.

    Args:
        budgets: By namespace; `*` is for those without one of their own, each counted apart.
        folder: Of the counts; made when needed.
        now: Seconds since the epoch.

    >>> import tempfile
    >>> from lakehouse.settings import ChatBudget
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     budgets = Budgets({"*": ChatBudget(requests=1)}, Path(scratch), now=lambda: 0.0)
    ...     charge = budgets.charge("ann", 10)
    ...     try:
    ...         budgets.charge("ann", 10)
    ...     except LimitExceeded as error:
    ...         print(error.detail["retry_after_s"])
    3600
    """

    def __init__(self, budgets: Mapping[str, ChatBudget], folder: Path, *, now: Callable[[], float]) -> None:
        self._budgets = budgets
        self._folder = folder
        self._now = now

    def charge(self, namespace: str, tokens: int) -> Charge | None:
        """Take a request and its expected tokens from a budget; null when the namespace has none.

        Raises:
            LimitExceeded: The budget is used up; the message names it and says when it is there again.
            PermissionDenied, Unavailable: The count cannot be kept; nothing was taken.
        """
        budget = self._budgets.get(namespace) or self._budgets.get(ANYBODY)
        if budget is None:
            return None
        path = self._folder / f"{_PREFIX}{namespace}"
        try:
            with _held(path) as file:
                # Asked under the lock: a moment from before it may lie before a window that another one has begun.
                now = self._now()
                start, requests, used = _read(file)
                # A clock that was set back must not make a window longer.
                if not start <= now < start + budget.window_s:
                    start, requests, used = now, 0, 0
                _require(budget, namespace, tokens, requests=requests, used=used, until=start + budget.window_s - now)
                os.pwrite(file, _WINDOW.pack(start, requests + 1, used + tokens), 0)
        except OSError as error:
            raise disk_error(error, path) from error
        return Charge(self, namespace, start, tokens)

    def add(self, namespace: str, start: float, tokens: int) -> None:
        """Add to what a namespace has used, unless another window has begun since; never raises."""
        try:
            with _held(self._folder / f"{_PREFIX}{namespace}") as file:
                kept, requests, used = _read(file)
                if kept == start:
                    os.pwrite(file, _WINDOW.pack(start, requests, max(0, used + tokens)), 0)
        except OSError as error:
            # The answer is there; what it took stays counted as it was reserved.
            _log.warning("the budget of namespace %s was not settled: %s", namespace, error)


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """Open a count and keep others from it for the block."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        file = os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, flags, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _read(file: int) -> tuple[float, int, int]:
    found = os.pread(file, _WINDOW.size, 0)
    if len(found) < _WINDOW.size:
        return 0.0, 0, 0
    start, requests, tokens = _WINDOW.unpack(found)
    return start, requests, tokens


def _require(budget: ChatBudget, namespace: str, tokens: int, *, requests: int, used: int, until: float) -> None:
    wait_s = max(1, round(until))
    if budget.requests and requests >= budget.requests:
        raise _used_up(namespace, f"{budget.requests} requests", budget.window_s, wait_s)
    if budget.tokens and used + tokens > budget.tokens:
        left = max(0, budget.tokens - used)
        what = f"{budget.tokens} tokens ({left} left, this request may take {tokens})"
        raise _used_up(namespace, what, budget.window_s, wait_s)


def _used_up(namespace: str, what: str, window_s: int, wait_s: int) -> LimitExceeded:
    return LimitExceeded(
        f"namespace {namespace!r} has used its budget of {what} in {window_s} s; it begins anew in {wait_s} s",
        namespace=namespace,
        retry_after_s=wait_s,
    )
