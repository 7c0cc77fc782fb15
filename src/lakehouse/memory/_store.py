"""Rows and the index over them, changed in step.

A write is acknowledged when both hold it. Rows are marked pending in the transaction that writes them; the next write
takes the mark away, so that a crash between row and index is seen, and mended, at the next start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lakehouse.memory import _rows
from lakehouse.memory._entries import outcome_row
from lakehouse.memory._index import RecallIndex, chunks, index_name

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lakehouse.memory._entries import Writer
    from lakehouse.memory.base import Playbook
    from lakehouse.state.database import Database


class Store:
    """All entries; one writer at a time.

    Args:
        state: Database of the rows.
        index: What is derived from them.
        writer: Joins the evidence of an entry that is recorded again.
        held_out: Tells of a demand's text whether memory leaves it alone.

    Attributes:
        writing: Held by whoever reads rows to write what follows from them, so that row and index change in one order.
    """

    def __init__(self, state: Database, index: RecallIndex, writer: Writer, *, held_out: Callable[[str], bool]) -> None:
        self._state = state
        self._index = index
        self._writer = writer
        self._held_out = held_out
        self._settled: list[str] = []
        self.writing = threading.RLock()
        state.prepare(_rows.ROOM, _rows.metadata, _rows.MIGRATIONS)
        self._catch_up()

    def used_by(self, namespace: str) -> Sequence[str]:
        """Return the namespaces whose entries one uses: its own, then those shared with it."""
        return [namespace, *self._shared.get(namespace, ())]

    def own(self, namespace: str) -> Sequence[Playbook]:
        """Return the rows of a namespace alone, without those shared with it, newest change first."""
        with self._state.read() as connection:
            return _rows.of_namespaces(connection, [namespace])

    def share(self, owner: str, reader: str) -> bool:
        """Let `reader` use the entries of `owner`; returns whether that is new."""
        with self._state.write() as connection:
            new = _rows.share(connection, owner, reader)
            self._shared = _rows.all_shares(connection)
        return new

    def note(self, entries: Sequence[Playbook]) -> Sequence[tuple[Playbook, bool]]:
        """Store what was just recorded, with its outcome; returns each row with whether it is new.

        Args:
            entries: Each id once.
        """
        with self.writing:
            before = self._known(entries)
            rows = [self._writer.joined(before[row.id], row) if row.id in before else row for row in entries]
            with self._state.write() as connection:
                self._settle(connection)
                by_namespace: dict[str, list[Playbook]] = {}
                for entry in entries:
                    by_namespace.setdefault(entry.namespace, []).append(entry)
                for namespace, group in by_namespace.items():
                    _rows.count_use(connection, group, self.used_by(namespace))
                _rows.put(connection, rows, before)
                outcomes = [outcome_row(each, held_out=self._held_out(each.query_text)) for each in entries]
                _rows.note_outcomes(connection, outcomes)
            return self._filed(rows, before)

    def put(
        self, entries: Sequence[Playbook], *, history: Sequence[tuple[Playbook, Playbook]] = ()
    ) -> Sequence[tuple[Playbook, bool]]:
        """Store rows; returns each with whether it is new.

        Args:
            entries: The rows, each id once.
            history: Pairs of entries; the second gets the first one's outcomes.
        """
        if not entries:
            return []
        with self.writing:
            before = self._known(entries)
            with self._state.write() as connection:
                self._settle(connection)
                _rows.put(connection, entries, before)
                for entry, copy in history:
                    _rows.copy_outcomes(connection, entry.id, copy.id, copy.namespace)
            return self._filed(entries, before)

    def remove(self, entries: Sequence[Playbook]) -> None:
        """Remove rows, all of one namespace."""
        for chunk in chunks(entries):
            ids = [entry.id for entry in chunk]
            # Marked first, then out of the index: a crash in between leaves a row that the next start puts back.
            with self._state.write() as connection:
                _rows.put(connection, chunk, frozenset(ids))
            self._index.drop(chunk[0].namespace, ids)
            with self._state.write() as connection:
                _rows.remove(connection, ids)

    def purge(self, wanted: Callable[[Playbook], bool]) -> int:
        """Forget some entries for good; returns how many there were."""
        with self.writing:
            with self._state.read() as connection:
                entries = _rows.of_namespaces(connection, list(_rows.counts(connection)))
            by_namespace: dict[str, list[str]] = {}
            for entry in filter(wanted, entries):
                by_namespace.setdefault(entry.namespace, []).append(entry.id)
            for namespace, ids in by_namespace.items():
                self._index.purge(namespace, ids)
                for chunk in chunks(ids):
                    with self._state.write() as connection:
                        _rows.remove(connection, chunk)
            self._state.scrub()
            return sum(map(len, by_namespace.values()))

    def close(self) -> None:
        """Note that the indexes hold every row, so that the next start has nothing to catch up."""
        with self.writing, self._state.write() as connection:
            self._settle(connection)

    def _known(self, entries: Sequence[Playbook]) -> dict[str, Playbook]:
        before: dict[str, Playbook] = {}
        with self._state.read() as connection:
            for chunk in chunks(entries):
                before |= _rows.by_ids(connection, [entry.id for entry in chunk])
        return before

    def _filed(self, entries: Sequence[Playbook], before: dict[str, Playbook]) -> Sequence[tuple[Playbook, bool]]:
        self._index.put(entries)
        self._settled = [entry.id for entry in entries]
        return [(entry, entry.id not in before) for entry in entries]

    def _settle(self, connection: Connection) -> None:
        for chunk in chunks(self._settled):
            _rows.settle(connection, chunk)
        self._settled = []

    def _catch_up(self) -> None:
        """Bring every index to the state of the rows, after a crash or the loss of an index."""
        with self._state.read() as connection:
            self._shared = _rows.all_shares(connection)
            rows = _rows.counts(connection)
            behind = _rows.pending(connection)
        items = self._index.find_names(rows)
        behind_of = {entry.namespace for entry in behind}
        for namespace, count in rows.items():
            if namespace not in behind_of and items.get(index_name(namespace)) != count:
                self._rebuild(namespace)
        self._index.put(behind)
        with self._state.write() as connection:
            for chunk in chunks(behind):
                _rows.settle(connection, [entry.id for entry in chunk])

    def _rebuild(self, namespace: str) -> None:
        entries = self.own(namespace)
        self._index.drop_others(namespace, {entry.id for entry in entries})
        self._index.put(entries)
