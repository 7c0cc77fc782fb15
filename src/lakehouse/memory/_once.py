"""What several memories hold, each entry and each outcome once.

With whom a memory is shared may have a copy of it besides. The entry of the memory that is named first stands for
both, as in a search.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lakehouse.memory import _joining, _rows
from lakehouse.memory._entries import identity
from lakehouse.memory._index import chunks

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lakehouse.memory._rows import Brief
    from lakehouse.memory.base import Playbook


def listed(connection: Connection, used: Sequence[str], *, limit: int | None, offset: int) -> list[Playbook]:
    """Return the entries of some memories, newest change first, ties by id; `limit` after the first `offset`."""
    if len(used) == 1:
        return _rows.of_namespaces(connection, used, limit=limit, offset=offset)
    end = None if limit is None else offset + limit
    most = end
    while True:
        rows = _rows.of_namespaces(connection, used, limit=most)
        copies = _first_of(connection, used, rows)
        kept = [row for row in rows if row.id not in copies]
        if most is None or end is None or len(rows) < most or len(kept) >= end:
            return kept[offset:end]
        most *= 2


def arms(connection: Connection, used: Sequence[str]) -> Counter[tuple[bool, str]]:
    """Count the outcomes of some memories by whether the demand was held out, and by outcome."""
    counted = Counter(_rows.arms(connection, used))
    if len(used) == 1:
        return counted
    of_first: dict[str, list[str]] = {}
    for copy, first in _first_of(connection, used, _rows.briefly(connection, used[1:])).items():
        of_first.setdefault(first, []).append(copy)
    for group in chunks([*of_first]):
        told = _rows.outcomes_by_entry(connection, [id for first in group for id in (first, *of_first[first])])
        for first in group:
            known = list(told.get(first, ()))
            for copy in of_first[first]:
                its = told.get(copy, [])
                new = _joining.missing(its, known)
                known += new
                twice = Counter(its) - Counter(new)
                for each, times in twice.items():
                    counted[each.held_out, each.outcome] -= times
    return counted


def _first_of(connection: Connection, used: Sequence[str], rows: Iterable[Playbook | Brief]) -> dict[str, str]:
    """Return the ids of rows that a memory named before theirs has, too, each with the id it has in the first such."""
    earlier = {namespace: used[:at] for at, namespace in enumerate(used)}
    same = {
        row.id: [identity(each, row.query_text, row.role, row.corpus, row.answer_id) for each in earlier[row.namespace]]
        for row in rows
        if earlier[row.namespace]
    }
    there: set[str] = set()
    for chunk in chunks([id for ids in same.values() for id in ids]):
        there |= _rows.existing(connection, chunk)
    firsts = {copy: next((id for id in ids if id in there), "") for copy, ids in same.items()}
    return {copy: first for copy, first in firsts.items() if first}
