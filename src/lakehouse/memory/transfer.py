"""Entries out of one lake and into another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.memory import _joining
from lakehouse.memory.base import CarriedOutcome, NewPlaybook, PastOutcome, Playbook, PlaybookCopy

if TYPE_CHECKING:
    from lakehouse.memory._entries import Writer

# Clocks of two machines differ, and so do their days.
_AHEAD = timedelta(days=1)


def copies(entries: Sequence[Playbook], outcomes: Mapping[str, Sequence[PastOutcome]]) -> list[PlaybookCopy]:
    """Return entries as they are carried, oldest first, ties by id.

    Args:
        entries: What is remembered.
        outcomes: What came of each, by its id.
    """
    ordered = sorted(entries, key=lambda entry: (entry.created_at, entry.id))
    names = [name for name in PlaybookCopy.__struct_fields__ if name != "outcomes"]
    return [
        PlaybookCopy(
            **{name: getattr(entry, name) for name in names},
            outcomes=[CarriedOutcome(**msgspec.structs.asdict(each)) for each in outcomes.get(entry.id, ())],
        )
        for entry in ordered
    ]


def arrived(
    carried: Sequence[PlaybookCopy], namespace: str, writer: Writer, *, now: datetime, skip_unknown: bool
) -> tuple[list[tuple[Playbook, list[PastOutcome]]], list[str]]:
    """Return carried entries as rows of a namespace with their outcomes, and the answers that are on no roster here.

    Args:
        carried: What another lake remembered; of an entry that comes twice both are joined.
        namespace: Where it goes.
        writer: Checks each entry as one that is recorded.
        now: Nothing that is carried may be later.
        skip_unknown: Leave entries out whose person or corpus does not exist, instead of refusing all.

    Raises:
        NotFound: A person or corpus does not exist; the message names the entry by its position.
        InvalidInput, TooLarge: A query is empty or too long, or a time is none or lies ahead.
    """
    known: list[tuple[int, PlaybookCopy, NewPlaybook]] = []
    unknown: list[str] = []
    for at, copy in enumerate(carried):
        new = NewPlaybook(
            query_text=copy.query_text,
            answer_id=copy.answer_id,
            corpus=copy.corpus,
            score=copy.score,
            role=copy.role or None,
            namespace=namespace,
            outcome=copy.outcome,
            by=copy.by,
            why=copy.why,
        )
        try:
            writer.check(new, at)
        except NotFound:
            if not skip_unknown:
                raise
            unknown.append(copy.answer_id)
        else:
            known.append((at, copy, new))
    writer.read([new for _, _, new in known])
    rows: dict[str, tuple[Playbook, list[PastOutcome]]] = {}
    for at, copy, new in known:
        times = _Times(at, now)
        row = msgspec.structs.replace(
            writer.row(new, times.of("updated_at", copy.updated_at)),
            created_at=times.of("created_at", copy.created_at),
            good=copy.good,
            bad=copy.bad,
            evidence_on=times.day("evidence_on", copy.evidence_on),
            helped=copy.helped,
            overridden=copy.overridden,
        )
        told = [
            PastOutcome(**{**msgspec.structs.asdict(each), "at": times.of("outcomes", each.at)})
            for each in copy.outcomes
        ]
        before = rows.get(row.id)
        if before is not None:
            row = _joining.joined(before, (row, told), writer.half_life_days) or before[0]
            told = [*before[1], *_joining.missing(told, before[1])]
        rows[row.id] = row, told
    return list(rows.values()), unknown


class _Times:
    """Reads the times of one entry, which nobody has checked: evidence of a day to come would never fade."""

    def __init__(self, at: int, now: datetime) -> None:
        self._at = at
        self._latest = now.astimezone(UTC) + _AHEAD

    def of(self, field: str, text: str) -> str:
        """Return a time as the rows have it."""
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self._refused(field, text, "is no time; write one like 2026-11-26T09:00:00.000+00:00") from None
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment > self._latest:
            raise self._refused(field, text, "lies in the future")
        return moment.isoformat(timespec="milliseconds")

    def day(self, field: str, text: str) -> str:
        """Return a day as the rows have it."""
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise self._refused(field, text, "is no day; write one like 2026-11-26") from None
        if day > self._latest.date():
            raise self._refused(field, text, "lies in the future")
        return day.isoformat()

    def _refused(self, field: str, text: str, why: str) -> InvalidInput:
        place = f"entries[{self._at}]"
        return InvalidInput(f"{place}: field {field!r}: {text[:40]!r} {why}", field=f"{place}.{field}", entry=self._at)
