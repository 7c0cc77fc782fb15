"""Erasure: what tells a person from others, its removal from every place, the look through every file afterwards."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakehouse.ledger import contents
from lakehouse.ledger.base import Purged, Remaining
from lakehouse.ledger.people import Found
from lakehouse.ledger.pieces import Blotter, Finder, Person, over, owners_of
from lakehouse.staffing import worker
from lakehouse.state.folder import disk_error

# Shorter values are of everybody, and occur by chance in the bytes of vectors.
_LEAST_VALUE = 5
_LEAST_SENTENCE = 25
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
# Logs of services are put aside as NAME.log.1, NAME.log.2, ...
_LOG_NAME = re.compile(r".*(?:\.jsonl|\.log|\.log\.[0-9]+)")
_PROOF = "the chain of who saw and used the data is kept as proof; of the person it holds the id and nothing else"


class Gone(Person, frozen=True, kw_only=True):
    """Who is to be erased, with their rows, by dataset, as they were before."""

    found: Sequence[Found] = ()


# Removes people from one place; returns how much of each was there, in that place's own unit.
Purge = Callable[[Sequence[Gone]], Mapping[str, int]]
_NOTHING: Mapping[str, Purge] = {}


class Eraser:
    """Removes people from everywhere and then looks for them.

    Args:
        folder: The lake.
        purges: What removes people, by place, in the order it is done: the truth first, so that nothing derived is
            made again from it.
        shared: The same of places that other replicas go on writing to until they are told.
        elsewhere: Yields what these places hold, each piece with where it lies.
    """

    def __init__(
        self,
        folder: Path,
        purges: Mapping[str, Purge],
        *,
        shared: Mapping[str, Purge] = _NOTHING,
        elsewhere: Callable[[], Iterable[tuple[str, bytes]]] = tuple,
    ) -> None:
        self._folder = folder
        self._purges = purges
        self._shared = shared
        self._elsewhere = elsewhere

    def purge(self, people: Sequence[Gone]) -> dict[str, list[Purged]]:
        """Remove people; returns what was removed of each, by place."""
        return _purged(self._purges, people)

    def purge_shared(self, people: Sequence[Gone]) -> dict[str, list[Purged]]:
        """Remove people from where other replicas write as well, once they were told; returns the same."""
        return _purged(self._shared, people)

    def remains(self, rows: int) -> list[Remaining]:
        """Return what stays of an erased person."""
        return [Remaining("ledger", rows, _PROOF)] if rows else []

    def probe(self, people: Sequence[Person]) -> dict[str, list[str]]:
        """Look through every file of the lake, also what is compressed, and what lies elsewhere.

        Returns:
            By subject, where a piece still is.
        """
        found: dict[str, list[str]] = {person.subject: [] for person in people}
        finder = Finder(owners_of(people))
        if not finder.longest:
            return found
        for path in files_of(self._folder):
            for subject in _holders(path, finder):
                found[subject].append(str(path.relative_to(self._folder)))
        for where, data in self._elsewhere():
            for subject in sorted({subject for hit in finder.hits(data) for subject in hit.subjects}):
                found[subject].append(where)
        return found


def _purged(purges: Mapping[str, Purge], people: Sequence[Gone]) -> dict[str, list[Purged]]:
    purged: dict[str, list[Purged]] = {gone.subject: [] for gone in people}
    for place, purge in purges.items():
        for subject, count in purge(people).items():
            if count:
                purged[subject].append(Purged(place, count))
    return purged


def split(
    found: Sequence[Found], shared: Callable[[str, Sequence[str], Sequence[str]], set[str]]
) -> tuple[list[str], list[str]]:
    """Return what is somebody's alone, and which of their personal values others have too.

    Args:
        found: Their rows.
        shared: Tells which of some texts rows of others hold too, by dataset and its columns.
    """
    own: dict[str, None] = {}
    common: dict[str, None] = {}
    for each in found:
        pieces = _pieces_of(each)
        others = shared(each.appearance.dataset, [*each.rows[0]], [*pieces])
        for piece, personal in pieces.items():
            if piece not in others:
                own[piece] = None
            elif personal:
                common[piece] = None
    return [*own], [piece for piece in common if piece not in own]


def blot_logs(
    folder: Path, people: Sequence[Person], *, skip: Sequence[str], more: Sequence[Path] = ()
) -> dict[str, int]:
    """Write over the pieces in logs, in place and length for length; returns how many, by subject.

    Lines keep their number and their offset, so whatever points at one still does.

    Args:
        folder: Of the lake: its files `*.jsonl` and `*.log`, and those that were put aside of them.
        people: Whose pieces.
        skip: Folders below it that are left alone.
        more: Further files.

    Raises:
        PermissionDenied, Unavailable: The disk refused.
    """
    blotter = Blotter(people)
    done: dict[str, int] = {}
    if blotter.idle:
        return done
    waiting = _logs(folder, skip, more)
    seen: set[Path] = set()
    while waiting:
        for path in waiting:
            try:
                _blot(path, blotter, done)
            except FileNotFoundError:
                # Put aside meanwhile, under another name.
                continue
            except OSError as error:
                raise disk_error(error, path) from error
        seen.update(waiting)
        waiting = [path for path in _logs(folder, skip, more) if path not in seen]
    return done


def _logs(folder: Path, skip: Sequence[str], more: Sequence[Path]) -> list[Path]:
    inside = [
        path
        for path in files_of(folder)
        if _LOG_NAME.fullmatch(path.name) and path.relative_to(folder).parts[0] not in skip
    ]
    return list(dict.fromkeys([*inside, *(path for path in more if path.is_file())]))


def _blot(path: Path, blotter: Blotter, done: dict[str, int]) -> None:
    found = list(_in_lines(path, blotter))
    if not found:
        return
    with path.open("r+b", buffering=0) as file:
        for at, piece, subjects in found:
            file.seek(at)
            file.write(over(piece))
            for subject in subjects:
                done[subject] = done.get(subject, 0) + 1
        os.fsync(file.fileno())


def _in_lines(path: Path, blotter: Blotter) -> Iterable[tuple[int, bytes, tuple[str, ...]]]:
    """Yield place, bytes and owners of what is to be written over, a line being one unit."""
    at = 0
    with path.open("rb") as lines:
        for line in lines:
            for hit in blotter.spans(line):
                yield at + hit.start, line[hit.start : hit.end], hit.subjects
            at += len(line)


def _pieces_of(found: Found) -> dict[str, bool]:
    """Return the pieces of rows, each with whether it is a personal value as a whole."""
    pieces: dict[str, bool] = {}
    for row in found.rows:
        for column, value in row.items():
            personal = worker.is_personal(column)
            for piece in _pieces(value, personal=personal):
                pieces[piece] = pieces.get(piece, False) or personal
    return pieces


def _pieces(value: Any, *, personal: bool) -> Iterable[str]:
    if personal and isinstance(value, str | int) and not isinstance(value, bool):
        text = str(value).strip()
        if len(text) >= _LEAST_VALUE:
            yield text
    elif isinstance(value, str) and len(value) >= _LEAST_SENTENCE:
        yield from (part for part in _SENTENCE.split(value) if len(part) >= _LEAST_SENTENCE)


def files_of(folder: Path) -> Iterable[Path]:
    """Return every file below a folder, in order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _holders(path: Path, finder: Finder) -> list[str]:
    found: set[str] = set()
    try:
        for block in contents.blocks(path, finder.longest):
            found.update(subject for hit in finder.hits(block) for subject in hit.subjects)
    except FileNotFoundError:
        # Replaced meanwhile.
        pass
    return sorted(found)
