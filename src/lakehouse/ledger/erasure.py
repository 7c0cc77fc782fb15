"""Erasure: what tells a person from others, its removal from every place, the look through every file afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.ledger.base import Purged, Remaining
from lakehouse.staffing import worker

if TYPE_CHECKING:
    from lakehouse.ledger.people import Found

# Shorter values are of everybody, and occur by chance in the bytes of vectors.
_LEAST_VALUE = 5
_LEAST_SENTENCE = 25
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_CHUNK = 8 * 1024 * 1024
_PROOF = "the chain of who saw and used the data is kept as proof; of the person it holds the id and nothing else"


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be erased.

    Attributes:
        subject: Their id.
        found: Their rows, by dataset, as they were before.
        pieces: Names, contact data and sentences that are theirs alone.
    """

    subject: str
    found: Sequence[Found]
    pieces: Sequence[str]


# Removes people from one place; returns how much of each was there, in that place's own unit.
Purge = Callable[[Sequence[Gone]], Mapping[str, int]]


class Eraser:
    """Removes people from everywhere and then looks for them.

    Args:
        folder: The lake.
        purges: What removes people, by place, in the order it is done: the truth first, so that nothing derived is
            made again from it.
    """

    def __init__(self, folder: Path, purges: Mapping[str, Purge]) -> None:
        self._folder = folder
        self._purges = purges

    def purge(self, people: Sequence[Gone]) -> dict[str, list[Purged]]:
        """Remove people; returns what was removed of each, by place."""
        purged: dict[str, list[Purged]] = {gone.subject: [] for gone in people}
        for place, purge in self._purges.items():
            for subject, count in purge(people).items():
                if count:
                    purged[subject].append(Purged(place, count))
        return purged

    def remains(self, rows: int) -> list[Remaining]:
        """Return what stays of an erased person."""
        return [Remaining("ledger", rows, _PROOF)] if rows else []

    def probe(self, people: Sequence[Gone]) -> dict[str, list[str]]:
        """Look through the bytes of every file of the lake; returns the files that still hold a piece, by subject."""
        owners = {form: gone.subject for gone in people for piece in gone.pieces for form in forms(piece)}
        found: dict[str, list[str]] = {gone.subject: [] for gone in people}
        if not owners:
            return found
        anyone = re.compile(b"|".join(map(re.escape, sorted(owners, key=len, reverse=True))))
        for path in _files(self._folder):
            for subject in {owners[hit] for hit in _hits(path, anyone)}:
                found[subject].append(str(path.relative_to(self._folder)))
        return found


def pieces_of(found: Sequence[Found], shared: Callable[[str, str, str], bool]) -> list[str]:
    """Return what tells somebody from others: values of personal columns, and sentences of texts.

    Args:
        found: Their rows.
        shared: Tells whether rows of others hold a text too, by dataset, column and text.
    """
    pieces: dict[str, None] = {}
    for each in found:
        for row in each.rows:
            for column, value in row.items():
                for piece in _pieces(column, value):
                    if not shared(each.appearance.dataset, column, piece):
                        pieces[piece] = None
    return list(pieces)


def scrub(folder: Path, people: Sequence[Gone], *, skip: Sequence[str]) -> dict[str, int]:
    """Write over every piece in the logs of a folder, in place and length for length; returns how many, by subject.

    Lines keep their number and their offset, so whatever points at one still does.

    Args:
        folder: Of the lake.
        people: Whose pieces.
        skip: Folders below it that are left alone.
    """
    owners = {form: gone.subject for gone in people for piece in gone.pieces for form in forms(piece)}
    done: dict[str, int] = {}
    if not owners:
        return done
    anyone = re.compile(b"|".join(map(re.escape, sorted(owners, key=len, reverse=True))))
    for path in _files(folder):
        if path.suffix != ".jsonl" or path.relative_to(folder).parts[0] in skip:
            continue
        hits = [(hit.start(), hit[0]) for hit in anyone.finditer(path.read_bytes())]
        if not hits:
            continue
        with path.open("r+b", buffering=0) as file:
            for at, piece in hits:
                file.seek(at)
                file.write(b"x" * len(piece))
                done[owners[piece]] = done.get(owners[piece], 0) + 1
    return done


def forms(piece: str) -> set[bytes]:
    """Return the ways a piece may stand in a file: plain, and inside JSON with and without escapes."""
    return {
        piece.encode(),
        json.dumps(piece)[1:-1].encode(),
        json.dumps(piece, ensure_ascii=False)[1:-1].encode(),
    }


def _pieces(column: str, value: Any) -> Iterable[str]:
    if not isinstance(value, str):
        return
    if worker.is_personal(column):
        if len(value) >= _LEAST_VALUE:
            yield value
    elif len(value) >= _LEAST_SENTENCE:
        yield from (part for part in _SENTENCE.split(value) if len(part) >= _LEAST_SENTENCE)


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _hits(path: Path, anyone: re.Pattern[bytes]) -> set[bytes]:
    hits: set[bytes] = set()
    try:
        with path.open("rb") as file:
            rest = b""
            while chunk := file.read(_CHUNK):
                block = rest + chunk
                hits.update(anyone.findall(block))
                rest = block[-4096:]
    except FileNotFoundError:
        # Replaced meanwhile.
        return hits
    return hits
