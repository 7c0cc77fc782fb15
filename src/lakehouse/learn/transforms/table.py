"""The twelve transforms, and the logs they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import (
    audits,
    chats,
    fills,
    inbox,
    iterates,
    ops,
    parses,
    playbooks,
    ratings,
    replays,
    searches,
    spans,
    validations,
)
from lakehouse.ledger.rows import Row
from lakehouse.observe.base import Op
from lakehouse.validate.session import Session

Transform = Callable[[Any], Iterable[Draft]]

# What a line of each log is read as.
LINES: Mapping[str, type[msgspec.Struct]] = {
    "ops": Op,
    "spans": spans.SpanLine,
    "sessions": Session,
    "replay_runs": replays.ReplayLine,
    "ledger": Row,
}
# By kind: the logs it reads, and what it makes of a line.
TRANSFORMS: Mapping[str, tuple[tuple[str, ...], Transform]] = {
    "ops": ((ops.LOG,), ops.draft),
    "inbox": ((inbox.LOG,), inbox.draft),
    "parses": ((parses.LOG,), parses.draft),
    "searches": ((searches.LOG,), searches.draft),
    "playbooks": ((playbooks.LOG,), playbooks.draft),
    "ratings": ((ratings.LOG,), ratings.draft),
    "validations": ((validations.LOG,), validations.draft),
    "iterates": ((iterates.LOG,), iterates.draft),
    "chats": ((chats.LOG,), chats.draft),
    "replays": ((replays.LOG,), replays.draft),
    "fills": (fills.LOGS, fills.draft),
    "audits": ((audits.LOG,), audits.draft),
}


def of_log(log: str) -> list[tuple[str, Transform]]:
    """Return the transforms that read a log, in the order of the table."""
    return [(kind, transform) for kind, (logs, transform) in TRANSFORMS.items() if log in logs]
