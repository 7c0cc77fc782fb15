"""Erasure: what is removed where, and the look through every file afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.ledger.base import Purged, Remaining
from lakehouse.staffing import worker

if TYPE_CHECKING:
    from lakehouse.ledger.people import Found

_SENTENCE = re.compile(r"(?<=[.!?;])\s+")
# Shorter pieces of text are of everybody.
_LEAST_SENTENCE = 25
_LEAST_VALUE = 6
_CHUNK = 8 * 1024 * 1024


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be erased.

    Attributes:
        subject: Their id.
        found: Their rows, by dataset, as they were before.
        pieces: Names, contact data and sentences of theirs, to be looked for in logs.
    """

    subject: str
    found: Sequence[Found]
    pieces: Sequence[str]


# Removes somebody from one place and returns how much was there, in that place's own unit.
Purge = Callable[[Gone], int]


class Eraser:
    """Removes people from everywhere and then looks for them.

    Args:
        folder: The lake.
        purges: What removes somebody, by place, in the order it is done: the truth first, so that nothing derived
            is made again from it.
    """

    def __init__(self, folder: Path, purges: Mapping[str, Purge]) -> None:
        self._folder = folder
        self._purges = purges

    def purge(self, subject: str, found: Sequence[Found]) -> tuple[list[Purged], list[Remaining]]:
        """Remove somebody; returns what was removed and what stays."""
        gone = Gone(subject=subject, found=found, pieces=pieces(found))
        purged = [Purged(place, count) for place, purge in self._purges.items() if (count := purge(gone))]
        remains = [
            Remaining(
                "ledger",
                1,
                "the chain of who saw and used the data is kept as proof; it holds the id and no other data",
            )
        ]
        return purged, remains

    def probe(self, _subject: str, found: Sequence[Found]) -> tuple[int, list[str]]:
        """Look through the bytes of every file of the lake; returns how many pieces for, and the files with one."""
        wanted = [piece.encode() for piece in pieces(found)]
        if not wanted:
            return 0, []
        left = [
            str(path.relative_to(self._folder))
            for path in sorted(self._folder.rglob("*"))
            if path.is_file() and not path.is_symlink() and _holds(path, wanted)
        ]
        return len(wanted), left


def pieces(found: Sequence[Found]) -> list[str]:
    """Return what tells somebody from others: values of personal columns, and sentences of their texts.

    Single sentences that are shared by others would be found with them; callers give what is the person's own.
    """
    values: dict[str, None] = {}
    for each in found:
        for row in each.rows:
            for column, value in row.items():
                for piece in _pieces(column, value):
                    values[piece] = None
    return list(values)


def _pieces(column: str, value: Any) -> Iterable[str]:
    if not isinstance(value, str):
        return
    if worker.is_personal(column):
        if len(value) >= _LEAST_VALUE:
            yield value
    elif column in {"resume", "notes", "text", "summary", "bio"}:
        yield from (part for part in _SENTENCE.split(value) if len(part) >= _LEAST_SENTENCE)


def _holds(path: Path, wanted: Sequence[bytes]) -> bool:
    longest = max(map(len, wanted))
    try:
        with path.open("rb") as file:
            rest = b""
            while chunk := file.read(_CHUNK):
                block = rest + chunk
                if any(piece in block for piece in wanted):
                    return True
                rest = block[-longest:]
    except FileNotFoundError:
        # Replaced meanwhile.
        return False
    return False
