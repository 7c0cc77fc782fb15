"""Evidence and its verdicts, read back from their partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from lakehouse.errors import IntegrityError
from lakehouse.learn.base import EvidenceRecord, ScoredRow
from lakehouse.learn.outputs import partitions

T = TypeVar("T")

_evidence = msgspec.json.Decoder(EvidenceRecord).decode
_scored = msgspec.json.Decoder(ScoredRow).decode


def evidence(folder: Path, kinds: Iterable[str] = ()) -> Iterator[EvidenceRecord]:
    """Yield evidence by day, then by log and kind, then in the order of the log.

    Args:
        folder: Of the evidence.
        kinds: Only of these; all when empty.

    Raises:
        IntegrityError: A row is no evidence; the message names file and offset.
    """
    wanted = frozenset(kinds)
    for path in partitions(folder):
        if not wanted or path.stem.rpartition(".")[2] in wanted:
            yield from _rows(path, _evidence)


def verdicts(folder: Path) -> dict[str, ScoredRow]:
    """Return the verdicts by id of the evidence.

    Raises:
        IntegrityError: A row is no verdict; the message names file and offset.
    """
    return {row.evidence_id: row for path in partitions(folder) for row in _rows(path, _scored)}


def _rows(path: Path, decode: Callable[[bytes], T]) -> Iterator[T]:
    offset = 0
    with path.open("rb") as file:
        for line in file:
            try:
                yield decode(line)
            except ValueError as error:
                raise IntegrityError(
                    f"{path}, byte {offset}: {error}; remove its folder and run `lakehouse materialize` again",
                    path=str(path),
                    offset=offset,
                ) from None
            offset += len(line)
