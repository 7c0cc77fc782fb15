"""The materializer: new lines of the logs to evidence, once each, in the same bytes however often it is interrupted.

Every output takes its rows from one log and one transform, in the order of the log, so what it holds does not depend on
when the materializer ran.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.decoding import ready
from lakehouse.learn.base import Draft, EvidenceRecord, Materialized, Provenance, SourceReceipt
from lakehouse.learn.outputs import Outputs, day_of
from lakehouse.learn.transforms.table import LINES, Transform, of_log
from lakehouse.observe.lines import json_line
from lakehouse.state.log import files, sealed

# The number changes with what transforms make of a line, so that evidence made by others is made anew.
VERSION = "evidence.v1/2"
_EVERY_LINES = 50_000

_encode = msgspec.json.Encoder().encode

# Called now and then with the number of lines read.
Progress = Callable[[int], None]


@ready
class Place(msgspec.Struct, frozen=True):
    """How far a log has been read: which of its files, from 1, and the offset of the next line in it."""

    part: int = 1
    offset: int = 0


class _LogChangedError(Exception):
    """A log is not the one that was read before."""


def materialize(
    folder: Path, logs: Mapping[str, Path], *, lake: Path, progress: Progress = lambda _: None
) -> Materialized:
    """Read what is new in the logs.

    Args:
        folder: Of the evidence.
        logs: Path by name, see `transforms.table.LINES`; a log without any file is empty.
        lake: What the files of provenance are relative to.
        progress: Told of lines read.

    Raises:
        PermissionDenied, Unavailable: The disk refused; the next run goes on from there.
    """
    started = time.perf_counter()
    outputs = Outputs(folder, VERSION)
    try:
        receipts, found = _all(outputs, logs, lake, progress)
    except _LogChangedError:
        outputs.start_over()
        receipts, found = _all(outputs, logs, lake, progress)
    return Materialized(
        lines=sum(each.lines for each in receipts),
        records=sum(count for (what, _), count in found.items() if what == "kind"),
        rejected=sum(each.rejected for each in receipts),
        by_kind={name: count for (what, name), count in sorted(found.items()) if what == "kind"},
        by_day={name: count for (what, name), count in sorted(found.items()) if what == "day"},
        sources=receipts,
        started_over=outputs.started_over,
        elapsed_ms=round((time.perf_counter() - started) * 1000, 3),
    )


def waiting(folder: Path, logs: Mapping[str, Path]) -> int:
    """Return the bytes of whole and torn lines that no run has read yet."""
    from lakehouse.learn.outputs import read_state

    state = read_state(folder)
    cursor = state.cursor if state is not None and state.version == VERSION else {}
    left = 0
    for name, path in logs.items():
        place = msgspec.convert(cursor.get(name, {}), Place)
        for part, file in enumerate(files(path), 1):
            if part >= place.part:
                left += max(0, file.stat().st_size - (place.offset if part == place.part else 0))
    return left


def records_of(log: str, line: bytes, provenance: Mapping[str, Any]) -> Iterator[EvidenceRecord]:
    """Yield what all transforms of a log make of one line, in the order of their table.

    Raises:
        ValueError: The line is not what the log writes.
    """
    reader = _Reader(log, str(provenance["file"]))
    for _, record, _ in reader.read(line, int(provenance["part"]), int(provenance["line_offset"])):
        yield record


def _all(
    outputs: Outputs, logs: Mapping[str, Path], lake: Path, progress: Progress
) -> tuple[list[SourceReceipt], Counter[tuple[str, str]]]:
    found: Counter[tuple[str, str]] = Counter()
    receipts = [
        _one(outputs, _Reader(name, _relative(logs[name], lake)), logs[name], found, progress)
        for name in LINES
        if name in logs
    ]
    return receipts, found


def _one(
    outputs: Outputs, reader: _Reader, path: Path, found: Counter[tuple[str, str]], progress: Progress
) -> SourceReceipt:
    place = msgspec.convert(outputs.state.cursor.get(reader.log, {}), Place)
    before, lines, rejected = place, 0, 0
    for at, line, place in _new_lines(path, place):  # noqa: B020 - where the next line begins
        lines += 1
        try:
            made = list(reader.read(line, at.part, at.offset))
        except ValueError as error:
            rejected += 1
            outputs.add(f"rejected/{reader.log}.jsonl", reader.rejection(at, str(error)))
            outputs.count(f"rejected.{reader.log}")
            made = []
        for kind, record, day in made:
            outputs.add(f"{day}/{reader.log}.{kind}.jsonl", json_line(_encode(record)))
            outputs.count(f"records.{kind}")
            found["kind", kind] += 1
            found["day", day.replace("/", "-")] += 1
        if outputs.full or lines % _EVERY_LINES == 0:
            _note(outputs, reader.log, place)
            progress(lines)
    if place != before:
        _note(outputs, reader.log, place)
    return SourceReceipt(file=reader.file, lines=lines, rejected=rejected, part=place.part, offset=place.offset)


def _note(outputs: Outputs, log: str, place: Place) -> None:
    outputs.state.cursor[log] = msgspec.to_builtins(place)
    outputs.commit()


class _Reader:
    """Reads lines of one log."""

    def __init__(self, log: str, file: str) -> None:
        self.log = log
        self.file = file
        self._decode = msgspec.json.Decoder(LINES[log]).decode
        self._transforms: list[tuple[str, Transform]] = of_log(log)

    def read(self, line: bytes, part: int, offset: int) -> Iterable[tuple[str, EvidenceRecord, str]]:
        """Yield kind, record and day.

        Raises:
            ValueError: The line is not what the log writes.
        """
        decoded = self._decode(line)
        for kind, transform in self._transforms:
            try:
                drafts = list(transform(decoded))
            except (TypeError, KeyError, AttributeError) as error:
                raise ValueError(f"{kind} cannot read it: {type(error).__name__}") from None
            for nth, draft in enumerate(drafts):
                place = Provenance(file=self.file, part=part, line_offset=offset, time=draft.time)
                yield kind, _record(kind, nth, draft, place), day_of(draft.time)

    def rejection(self, at: Place, reason: str) -> bytes:
        """Return the row of a line that could not be read. It does not repeat the line."""
        row = {"file": self.file, "part": at.part, "line_offset": at.offset, "reason": reason}
        return json_line(_encode(row))


def _record(kind: str, nth: int, draft: Draft, place: Provenance) -> EvidenceRecord:
    key = f"{kind}\0{place.file}\0{place.part}\0{place.line_offset}\0{nth}"
    return EvidenceRecord(
        evidence_id=f"ev-{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}",
        kind=kind,
        task=draft.task,
        time=draft.time,
        status=draft.status,
        input=draft.input,
        output=draft.output,
        labels=draft.labels,
        subjects=draft.subjects,
        model=draft.model,
        provider=draft.provider,
        namespace=draft.namespace,
        trace_id=draft.trace_id,
        attempts=draft.attempts,
        grounded_in_roster=draft.grounded_in_roster,
        rating=draft.rating,
        prompt_tokens=draft.prompt_tokens,
        completion_tokens=draft.completion_tokens,
        latency_ms=draft.latency_ms,
        metadata=draft.metadata,
        provenance=place,
    )


def _new_lines(path: Path, place: Place) -> Iterator[tuple[Place, bytes, Place]]:
    """Yield each whole line from a place on: where it stands, its bytes without the end, where the next one stands.

    Raises:
        _LogChangedError: There is less of the log than was read before.
    """
    while True:
        file, is_sealed = _file(path, place.part)
        if file is None:
            if place.offset:
                raise _LogChangedError
            return
        with file.open("rb") as handle:
            # Sealed between the look and the opening: what was opened is the next file.
            if not is_sealed and sealed(path, place.part).exists():
                continue
            if handle.seek(0, 2) < place.offset:
                raise _LogChangedError
            handle.seek(place.offset)
            for line in handle:
                if not line.endswith(b"\n"):
                    break
                at, place = place, Place(place.part, place.offset + len(line))
                yield at, line[:-1], place
        if not is_sealed:
            return
        place = Place(place.part + 1, 0)


def _file(path: Path, part: int) -> tuple[Path | None, bool]:
    whole = sealed(path, part)
    if whole.exists():
        return whole, True
    if part > 1 and not sealed(path, part - 1).exists():
        raise _LogChangedError
    return (path, False) if path.exists() else (None, False)


def _relative(path: Path, lake: Path) -> str:
    return str(path.relative_to(lake)) if path.is_relative_to(lake) else path.name
