"""Entries out of one lake and into another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import NotFound
from lakehouse.memory.base import NewPlaybook, Playbook, PlaybookCopy

if TYPE_CHECKING:
    from lakehouse.memory._entries import Writer


def copies(entries: Sequence[Playbook]) -> list[PlaybookCopy]:
    """Return entries as they are carried, oldest first, ties by id."""
    ordered = sorted(entries, key=lambda entry: (entry.created_at, entry.id))
    names = PlaybookCopy.__struct_fields__
    return [PlaybookCopy(**{name: getattr(entry, name) for name in names}) for entry in ordered]


def arrived(
    carried: Sequence[PlaybookCopy], namespace: str, writer: Writer, *, skip_unknown: bool
) -> tuple[list[Playbook], list[str]]:
    """Return carried entries as rows of a namespace, and the answers that are on no roster here.

    Args:
        carried: What another lake remembered.
        namespace: Where it goes.
        writer: Checks each entry as one that is recorded.
        skip_unknown: Leave entries out whose person or corpus does not exist, instead of refusing all.

    Raises:
        NotFound: A person or corpus does not exist; the message names the entry by its position.
        InvalidInput, TooLarge: A query is empty or too long.
    """
    rows: dict[str, Playbook] = {}
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
            row = writer.row(new, at, copy.updated_at)
        except NotFound:
            if not skip_unknown:
                raise
            unknown.append(copy.answer_id)
            continue
        rows[row.id] = msgspec.structs.replace(
            row,
            created_at=copy.created_at,
            good=copy.good,
            bad=copy.bad,
            evidence_on=copy.evidence_on,
            helped=copy.helped,
            overridden=copy.overridden,
        )
    return list(rows.values()), unknown
