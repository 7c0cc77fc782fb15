"""Times, counts and sizes in the words that people use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


def age(then: datetime, now: datetime) -> str:
    """Return how long ago `then` was, in the largest unit that says it.

    >>> age(datetime(2026, 3, 1), datetime(2026, 3, 22))
    '3 weeks ago'
    """
    days = (now.date() - then.date()).days
    if days <= 0:
        return "today"
    if days == 1:
        return "yesterday"
    for unit, length in (("year", 365), ("month", 30), ("week", 7)):
        if days >= 2 * length:
            return f"{days // length} {unit}s ago"
    return f"{days} days ago"


def number(value: float) -> str:
    """Return a number with its thousands apart.

    >>> number(12345), number(0.25)
    ('12,345', '0.25')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def counted(count: int, one: str, more: str = "") -> str:
    """Return how many there are of a thing.

    >>> counted(1, "demand"), counted(2_000, "entry", "entries")
    ('1 demand', '2,000 entries')
    """
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def in_bytes(count: int) -> str:
    """Return a size in the unit that leaves up to three digits before the point.

    >>> in_bytes(200), in_bytes(5_300_000)
    ('200 bytes', '5.3 MB')
    """
    if count < 1000:
        return f"{count} bytes"
    size = float(count)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def nothing_of(namespace: str, client: str, like: Sequence[str]) -> str:
    """Say that a memory holds nothing of a client, and of which with a name like it it does.

    >>> nothing_of("ann", "Becon Freight", ["beacon freight"])
    'Nothing of Becon Freight is in the memory of ann; of a name like it there is beacon freight.'
    """
    hint = f"; of a name like it there is {', '.join(like)}" if like else ""
    return f"Nothing of {client} is in the memory of {namespace}{hint}."
