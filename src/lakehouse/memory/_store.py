"""Rows and the index over them, changed in step.

A write is acknowledged when both hold it. Rows are marked pending in the transaction that writes them; the next write
takes the mark away, so that a crash between row and index is seen, and mended, at the next start.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from lakehouse.errors import LakehouseError, NotFound, Unavailable
from lakehouse.memory import _joining, _respelling, _rows
from lakehouse.memory._entries import as_recorded, for_namespace, outcome_row
from lakehouse.memory._index import RecallIndex, chunks, index_name, stamp
from lakehouse.state.turn import Turn

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lakehouse.memory._entries import Writer
    from lakehouse.memory.base import PastOutcome, Playbook
    from lakehouse.state.database import Database

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


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
        # Namespaces whose index could not be brought to the state of its rows.
        self._behind: set[str] = set()
        self.writing = Turn(state, _rows.ROOM)
        state.prepare(_rows.ROOM, _rows.metadata, _respelling.migrations(writer.half_life_days))
        self._resolve_anew()
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

    def withdraw(self, owner: str, reader: str) -> bool:
        """Let `reader` use the entries of `owner` no more; returns whether it could."""
        with self.writing, self._state.write() as connection:
            known = _rows.withdraw(connection, owner, reader)
            self._shared = _rows.all_shares(connection)
        return known

    def readers(self, namespace: str) -> list[str]:
        """Return the namespaces that use the entries of one, sorted, without itself."""
        return sorted(reader for reader, owners in self._shared.items() if namespace in owners)

    def note(
        self, entries: Sequence[Playbook], answer: Callable[[Sequence[bool]], _T], *, key: str, kind: type[_T]
    ) -> _T:
        """Store what was just recorded, with its outcome; returns the answer to that.

        Args:
            entries: Each id once.
            answer: Makes it of whether each of them is new.
            key: Of the call; when one of that key was answered before, nothing is stored, and that is the answer.
            kind: Type of the answer.
        """
        with self.writing:
            before = self._known(entries)
            earlier = self.answered(key, kind)
            if earlier is not None:
                # The call may have ended between row and index.
                self._file(before.values())
                return earlier
            told = answer([entry.id not in before for entry in entries])
            rows = [self._writer.joined(before[row.id], row) if row.id in before else row for row in entries]
            with self._state.write() as connection:
                self._settle(connection)
                for namespace, group in _by_namespace(entries).items():
                    _rows.count_use(connection, group, self.used_by(namespace))
                _rows.put(connection, rows, before)
                held = (self._held_out(each.query_text) for each in entries)
                outcomes = (as_recorded(each, held_out=out) for each, out in zip(entries, held, strict=True))
                _rows.note_outcomes(connection, [*map(outcome_row, entries, outcomes)])
                if key:
                    _rows.note_receipt(connection, key, _encoded(told))
                self._tell(connection, rows)
            self._file(rows)
        return told

    def put(self, entries: Sequence[Playbook], *, outcomes: Sequence[Mapping[str, Any]] = ()) -> int:
        """Store rows; returns how many of them are new.

        Args:
            entries: The rows, each id once.
            outcomes: Rows of the history that come with them.
        """
        if not entries:
            return 0
        with self.writing:
            before = self._known(entries)
            with self._state.write() as connection:
                self._settle(connection)
                _rows.put(connection, entries, before)
                _rows.note_outcomes(connection, outcomes)
                self._tell(connection, entries)
            self._file(entries)
        return len(entries) - len(before)

    def bring(self, entries: Sequence[Playbook], namespace: str) -> int:
        """Bring entries of one namespace into another; returns how many of them are new there.

        Those that both have are joined: each outcome counts once, so that doing it again changes nothing.
        """
        with self.writing:
            told = self.outcomes(entries)
            return self.take_in([(for_namespace(entry, namespace), told.get(entry.id, [])) for entry in entries])

    def take_in(self, arrived: Sequence[tuple[Playbook, Sequence[PastOutcome]]]) -> int:
        """Store rows with their outcomes, each id once, joined with what is there; returns how many of them are new."""
        with self.writing:
            before = self._known([row for row, _ in arrived])
            told = self.outcomes([*before.values()])
            rows: list[Playbook] = []
            outcomes: list[Mapping[str, Any]] = []
            for came, given in arrived:
                had = told.get(came.id, [])
                row: Playbook | None = came
                if came.id in before:
                    row = _joining.joined((before[came.id], had), (came, given), self._writer.half_life_days)
                if row is not None:
                    rows.append(row)
                    outcomes += [outcome_row(came, outcome) for outcome in _joining.missing(given, had)]
            self.put(rows, outcomes=outcomes)
        return len(arrived) - len(before)

    def outcomes(self, entries: Sequence[Playbook]) -> dict[str, list[PastOutcome]]:
        """Return the outcomes of entries by their ids, oldest first; an entry without any is left out."""
        told: dict[str, list[PastOutcome]] = {}
        with self._state.read() as connection:
            for chunk in chunks(entries):
                told |= _rows.outcomes_by_entry(connection, [entry.id for entry in chunk])
        return told

    def answered(self, key: str, kind: type[_T]) -> _T | None:
        """Return what was answered to the call of a key; None when that is not known, or there is no key."""
        if not key:
            return None
        with self._state.read() as connection:
            answer = _rows.receipt(connection, key)
        return None if answer is None else msgspec.json.decode(answer, type=kind)

    def note_answer(self, key: str, answer: object) -> None:
        """Keep what is answered to the call of a key, once all of it is done; nothing without a key."""
        if key:
            with self._state.write() as connection:
                _rows.note_receipt(connection, key, _encoded(answer))

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
            by_namespace = _by_namespace(filter(wanted, entries))
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
            is_all = is_all and not self._state.put_back
            by_namespace: dict[str, list[str]] = {}
            for id, namespace in dict(changed).items():
                by_namespace.setdefault(namespace, []).append(id)
            for namespace in by_namespace if is_all else self._namespaces():
                with self._or_behind(namespace):
                    if is_all:
                        self._bring_up(namespace, by_namespace[namespace])
                    else:
                        self._compare(namespace)
            self._position = newest

    def is_behind(self, namespace: str) -> bool:
        """Tell whether the index of a namespace lacks something; see `mend`."""
        return namespace in self._behind

    def mend(self, namespaces: Iterable[str]) -> None:
        """Bring indexes that are behind to the state of their rows.

        Raises:
            Unavailable, Upstream: What makes vectors is out of reach still.
        """
        for namespace in self._behind.intersection(namespaces):
            with self.writing.here:
                self._compare(namespace)
                self._behind.discard(namespace)

    def close(self) -> None:
        """Note that the indexes hold every row, so that the next start has nothing to catch up."""
        if not self._settled:
            return
        try:
            with self.writing, self._state.write() as connection:
                self._settle(connection)
        except Unavailable as error:
            # The next start catches up, and what else is to be closed must be.
            _log.warning("the next start looks through memory again: %s", error.message)

    def _resolve_anew(self) -> None:
        """Give titles the codes of today where those of another edition of the roles were stored."""
        with self._state.read() as connection:
            if _respelling.are_resolved(connection, self._writer.roles):
                return
        with self.writing, self._state.write() as connection:
            changed = _respelling.resolve_anew(connection, self._writer.roles)
            if self._state.shared:
                _rows.note_changes(connection, changed)

    def _known(self, entries: Sequence[Playbook]) -> dict[str, Playbook]:
        before: dict[str, Playbook] = {}
        with self._state.read() as connection:
            for chunk in chunks(entries):
                before |= _rows.by_ids(connection, [entry.id for entry in chunk])
        return before

    def _file(self, entries: Iterable[Playbook]) -> None:
        """Bring rows that were stored into their indexes."""
        for namespace, group in _by_namespace(entries).items():
            self._put(namespace, group)
            self._settled += [entry.id for entry in group]

    def _put(self, namespace: str, entries: Sequence[Playbook]) -> None:
        """Bring rows into the index of their namespace; one that is not there, or was deleted, is made of all rows."""
        if self._index.has(namespace):
            try:
                self._index.put(namespace, entries)
            except NotFound:
                if self._index.has(namespace):
                    raise
            else:
                return
        self._index.make(namespace, self.own(namespace))

    def _settle(self, connection: Connection) -> None:
        for chunk in chunks(self._settled):
            _rows.settle(connection, chunk)
        self._settled = []

    def _catch_up(self) -> None:
        """Bring every index to the state of the rows, after a crash or the loss of an index.

        What is derived keeps no lake from opening: where that cannot be done now, it is tried again by the next who
        looks something up.
        """
        with self._state.read() as connection:
            self._shared = _rows.all_shares(connection)
            self._position = _rows.last_change(connection)
            rows = _rows.counts(connection)
            behind = _rows.pending(connection)
        items = self._index.find_names(rows)
        if self._state.shared:
            # What is pending, another process may have written and be about to put into an index of its own.
            for namespace in self._namespaces():
                with self._or_behind(namespace):
                    self._compare(namespace)
            return
        behind_of = _by_namespace(behind)
        for namespace, count in rows.items():
            pending = behind_of.get(namespace, [])
            filed = items.get(index_name(namespace))
            with self._or_behind(namespace):
                if filed is not None and pending:
                    self._put(namespace, pending)
                    filed = self._index.items(namespace)
                if filed != count:
                    self._rebuild(namespace)
                self._settled += [entry.id for entry in pending]
        with self._state.write() as connection:
            self._settle(connection)

    def _tell(self, connection: Connection, entries: Sequence[Playbook]) -> None:
        if self._state.shared:
            _rows.note_changes(connection, [(entry.id, entry.namespace) for entry in entries])

    def _bring_up(self, namespace: str, ids: Sequence[str]) -> None:
        """Bring entries of a namespace to the state of their rows."""
        rows: dict[str, Playbook] = {}
        for chunk in chunks(ids):
            with self._state.read() as connection:
                rows |= _rows.by_ids(connection, chunk)
        gone = [id for id in ids if id not in rows]
        if gone:
            # For good: it may have been an erasure. And first, for to put some in a model must be within reach.
            self._index.purge(namespace, gone)
        if rows:
            self._put(namespace, [*rows.values()])

    @contextlib.contextmanager
    def _or_behind(self, namespace: str) -> Iterator[None]:
        """Note that the index of a namespace is behind when it cannot be brought up to its rows now."""
        try:
            yield
        except LakehouseError as error:
            self._behind.add(namespace)
            _log.error("the index of the memory of %s is not up to date: %s", namespace, error.message)

    def _namespaces(self) -> list[str]:
        """Return the namespaces that have rows or an index here, sorted."""
        with self._state.read() as connection:
            names = [*_rows.counts(connection)]
        return sorted({*names, *self._index.namespaces()})

    def _compare(self, namespace: str) -> None:
        """Bring the index of a namespace to the state of the rows, whatever it has missed."""
        rows = {entry.id: entry for entry in self.own(namespace)}
        if rows and not self._index.has(namespace):
            self._index.make(namespace, [*rows.values()])
            return
        filed = self._index.stamps(namespace)
        self._bring_up(
            namespace, [id for id in rows.keys() | filed.keys() if id not in rows or filed.get(id) != stamp(rows[id])]
        )

    def _rebuild(self, namespace: str) -> None:
        entries = self.own(namespace)
        if not self._index.has(namespace):
            self._index.make(namespace, entries)
            return
        self._index.drop_others(namespace, {entry.id for entry in entries})
        self._index.put(namespace, entries)


def _by_namespace(entries: Iterable[Playbook]) -> dict[str, list[Playbook]]:
    found: dict[str, list[Playbook]] = {}
    for entry in entries:
        found.setdefault(entry.namespace, []).append(entry)
    return found


def _encoded(answer: object) -> str:
    return msgspec.json.encode(answer).decode()
