"""Rows and the index over them, changed in step.

A write is acknowledged when both hold it. Rows are marked pending in the transaction that writes them; the next write
takes the mark away, so that a crash between row and index is seen, and mended, at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lakehouse.memory import _rows
from lakehouse.memory._entries import outcome_row
from lakehouse.memory._index import RecallIndex, chunks, index_name, stamp
from lakehouse.state.turn import Turn

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
        self._position = 0
        self.writing = Turn(state, _rows.ROOM)
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
        with self.writing, self._state.write() as connection:
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
                self._tell(connection, rows)
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
                self._tell(connection, entries)
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
                self._tell(connection, chunk)

    def purge(self, wanted: Callable[[Playbook], bool]) -> int:
        """Forget some entries for good; returns how many there were."""
        with self.writing:
            with self._state.read() as connection:
                entries = _rows.of_namespaces(connection, list(_rows.counts(connection)))
            by_namespace: dict[str, list[Playbook]] = {}
            for entry in filter(wanted, entries):
                by_namespace.setdefault(entry.namespace, []).append(entry)
            for namespace, group in by_namespace.items():
                self._index.purge(namespace, [entry.id for entry in group])
                for chunk in chunks(group):
                    with self._state.write() as connection:
                        _rows.remove(connection, [entry.id for entry in chunk])
                        self._tell(connection, chunk)
            self._state.scrub()
            return sum(map(len, by_namespace.values()))

    def follow(self) -> None:
        """Take in what other processes wrote: entries into their indexes, those removed out of them, and shares."""
        with self.writing.here:
            with self._state.read() as connection:
                self._shared = _rows.all_shares(connection)
                newest = _rows.last_change(connection)
                changed, is_all = _rows.changed_since(connection, self._position)
            if is_all:
                self._bring_up(dict(changed))
            else:
                self._compare()
            self._position = newest

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
            self._position = _rows.last_change(connection)
            rows = _rows.counts(connection)
            behind = _rows.pending(connection)
        items = self._index.find_names(rows)
        if self._state.shared:
            # What is pending, another process may have written and be about to put into an index of its own.
            self._compare()
            return
        behind_of = {entry.namespace for entry in behind}
        for namespace, count in rows.items():
            if namespace not in behind_of and items.get(index_name(namespace)) != count:
                self._rebuild(namespace)
        self._index.put(behind)
        with self._state.write() as connection:
            for chunk in chunks(behind):
                _rows.settle(connection, [entry.id for entry in chunk])

    def _tell(self, connection: Connection, entries: Sequence[Playbook]) -> None:
        if self._state.shared:
            _rows.note_changes(connection, [(entry.id, entry.namespace) for entry in entries])

    def _bring_up(self, changed: dict[str, str]) -> None:
        """Bring entries, given as ids with their namespaces, to the state of their rows."""
        gone: dict[str, list[str]] = {}
        for chunk in chunks([*changed]):
            with self._state.read() as connection:
                rows = _rows.by_ids(connection, chunk)
            self._index.put([*rows.values()])
            for id in chunk:
                if id not in rows:
                    gone.setdefault(changed[id], []).append(id)
        for namespace, ids in gone.items():
            # For good: it may have been an erasure.
            self._index.purge(namespace, ids)

    def _compare(self) -> None:
        """Bring every index to the state of the rows, one by one, whatever it has missed."""
        with self._state.read() as connection:
            names = [*_rows.counts(connection)]
        for namespace in sorted({*names, *self._index.namespaces()}):
            filed = self._index.stamps(namespace)
            rows = {entry.id: entry for entry in self.own(namespace)}
            self._bring_up(
                {
                    id: namespace
                    for id in rows.keys() | filed.keys()
                    if id not in rows or filed.get(id) != stamp(rows[id])
                }
            )

    def _rebuild(self, namespace: str) -> None:
        entries = self.own(namespace)
        self._index.drop_others(namespace, {entry.id for entry in entries})
        self._index.put(entries)
