"""What tells a call that is sent again from another one that is the same."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from lakehouse import caller, idempotency


def key_of(operation: str, *values: Any) -> str:
    """Return what stands for the call at hand in the state, empty when it came without a key.

    Callers cannot read each other's answers, nor can one key stand for two different calls.

    Args:
        operation: Name of what is called.
        values: What it was called with.
    """
    key = idempotency.current()
    if not key:
        return ""
    who = caller.current()
    call = msgspec.json.encode((who.kind, who.id, operation, key, values), order="deterministic")
    return hashlib.sha256(call).hexdigest()
