"""Playbooks: what worked for a demand, kept per coordinator and found again by meaning.

A row in the state database is the truth; each namespace has a vector index `playbook_<namespace>` derived
from its rows. A write is acknowledged when both hold it. A crash between the two leaves the row marked
pending, and the next start brings the index up.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.memory.base import (
    DEFAULT_NAMESPACE,
    BulkRecorded,
    HandedOver,
    Namespace,
    NewPlaybook,
    Outcome,
    Playbook,
    PlaybookList,
    Recall,
    Recorded,
    Score,
)
from lakehouse.vectors.base import Condition, Filter, Item

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.memory.asks import Asks
    from lakehouse.state.database import Database
    from lakehouse.vectors.service import Vectors

MAX_BULK = 10_000
Entries = Annotated[list[NewPlaybook], msgspec.Meta(min_length=1, max_length=MAX_BULK)]

_RECALLED = 200
_CHUNK = 500
_T = TypeVar("_T")


def index_name(namespace: str) -> str:
    """Return the name of the vector index that is derived from a namespace's rows."""
    return f"playbook_{namespace}"


class Playbooks:
    """Remembered answers, isolated per namespace, handed over on demand.

    Args:
        state: Database of the rows.
        vectors: Holds the derived indexes and the corpora that answers must come from.
        asks: Parses and embeds query texts.
        model, dimension: Of the vectors that `asks` makes.
        clock: Time source of `created_at` and `updated_at`.
    """

    def __init__(
        self,
        state: Database,
        *,
        vectors: Vectors,
        asks: Asks,
        model: str,
        dimension: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from lakehouse.memory import _rows

        self._rows = _rows
        self._state = state
        self._vectors = vectors
        self._asks = asks
        self._model = model
        self._dimension = dimension
        self._clock = clock
        self._settled: list[str] = []
        self._indexes: set[str] = set()
        # One writer at a time, so that row and index change in the same order.
        self._writing = threading.RLock()
        state.prepare(_rows.ROOM, _rows.metadata)
        self._catch_up()

    def record(
        self,
        query_text: str,
        answer_id: str,
        corpus: str,
        score: Score,
        role: str | None = None,
        namespace: Namespace = DEFAULT_NAMESPACE,
        outcome: Outcome = "worked",
    ) -> Recorded:
        """Remember that an answer worked for a demand, or that it was rejected.

        The same answer to the same query, role and namespace is one entry: recording again updates it.
        Durable, and used by the very next search, when this returns.

        Raises:
            InvalidInput: The query is empty.
            NotFound: The corpus does not exist, or holds no such answer: nobody can be remembered who is
                not on the roster.
        """
        entry = NewPlaybook(
            query_text=query_text,
            answer_id=answer_id,
            corpus=corpus,
            score=score,
            role=role,
            namespace=namespace,
            outcome=outcome,
        )
        made = self._write([self._entry(entry, None)])
        return Recorded(playbook_id=made[0][0].id, created=made[0][1])

    def bulk(self, entries: Entries) -> BulkRecorded:
        """Remember many entries at once, all or none; a repeated entry counts once, the last one wins.

        Raises:
            InvalidInput, NotFound: As `record`; the message names the entry by its position.
        """
        self._asks.many([entry.query_text for entry in entries])
        rows = {row.id: row for row in (self._entry(entry, at) for at, entry in enumerate(entries))}
        made = self._write(list(rows.values()))
        created = sum(new for _, new in made)
        return BulkRecorded(recorded=created, updated=len(made) - created)

    def list(self, namespace: Namespace = DEFAULT_NAMESPACE) -> PlaybookList:
        """List the entries that a namespace uses, its own and those shared with it, newest change first."""
        with self._state.read() as connection:
            return PlaybookList(entries=self._rows.of_namespaces(connection, self._used_by(namespace)))

    def delete(self, id: str) -> None:
        """Forget one entry.

        Raises:
            NotFound: No entry has this id.
        """
        with self._writing:
            with self._state.read() as connection:
                entry = self._rows.by_ids(connection, [id]).get(id)
            if entry is None:
                raise NotFound(f"no playbook entry has the id {id!r}", id=id)
            # Index first: a crash in between leaves a row that the next start puts back, never a ghost.
            with self._state.write() as connection:
                self._rows.put(connection, entry)
            self._vectors.delete_items(index_name(entry.namespace), [id])
            with self._state.write() as connection:
                self._rows.remove(connection, [id])

    def handover(self, from_: Namespace, to: Namespace, mode: Literal["share", "copy", "move"]) -> HandedOver:
        """Let one namespace use what another remembers.

        Args:
            from_: Namespace that holds the memory (`from` on the wire).
            to: Namespace that receives it.
            mode: `share` lets `to` use entries of `from_`, present and future; `copy` leaves both with their
                own; `move` leaves `from_` empty.

        Raises:
            InvalidInput: Both namespaces are the same.
        """
        if from_ == to:
            raise InvalidInput(f"cannot hand {from_!r} over to itself", field="to")
        with self._writing:
            with self._state.read() as connection:
                entries = self._rows.of_namespaces(connection, [from_])
            if mode == "share":
                with self._state.write() as connection:
                    new = self._rows.share(connection, from_, to)
                    self._shared = self._rows.all_shares(connection)
                return HandedOver(entries=len(entries) if new else 0)
            made = self._write([_for_namespace(entry, to) for entry in entries])
            if mode == "move":
                self._remove(entries)
            return HandedOver(entries=sum(new for _, new in made))

    def recall(self, namespace: str, vector: np.ndarray, *, corpora: Sequence[str], within: float) -> Sequence[Recall]:
        """Return the remembered answers whose query lies within a distance of `vector`.

        Args:
            namespace: Whose memory, with what is shared with it.
            vector: (d,) float32, unit length.
            corpora: Only answers of these corpora.
            within: Largest cosine distance.

        Returns:
            Nearest first, ties by entry id; at most 200 per namespace.
        """
        among = Filter(must=[Condition(key="corpus", any=[*corpora])])
        found: list[Recall] = []
        for name in map(index_name, self._used_by(namespace)):
            if name in self._indexes:
                found.extend(
                    Recall(msgspec.convert(hit.metadata, Playbook), hit.distance)
                    for hit in self._vectors.nearest(name, vector, _RECALLED, filter=among)
                    if hit.distance <= within
                )
        found.sort(key=lambda recall: (recall.distance, recall.playbook.id))
        return found

    def purge(self, answer_ids: Sequence[str], pieces: Sequence[str] = ()) -> int:
        """Forget for good every entry about these people, and every entry whose demand names one of `pieces`.

        Returns:
            How many entries there were.
        """
        with self._writing:
            with self._state.read() as connection:
                entries = self._rows.of_namespaces(connection, list(self._rows.counts(connection)))
            wanted = frozenset(answer_ids)
            gone = [
                entry
                for entry in entries
                if entry.answer_id in wanted or any(piece in entry.query_text for piece in pieces)
            ]
            by_namespace: dict[str, list[str]] = {}
            for entry in gone:
                by_namespace.setdefault(entry.namespace, []).append(entry.id)
            for namespace, ids in by_namespace.items():
                self._vectors.purge(index_name(namespace), ids)
                for chunk in _chunks(ids):
                    with self._state.write() as connection:
                        self._rows.remove(connection, chunk)
            self._state.scrub()
            return len(gone)

    def close(self) -> None:
        """Note that the indexes hold every row, so that the next start has nothing to catch up."""
        with self._writing, self._state.write() as connection:
            for chunk in _chunks(self._settled):
                self._rows.settle(connection, chunk)
        self._settled = []

    def _used_by(self, namespace: str) -> Sequence[str]:
        return [namespace, *self._shared.get(namespace, ())]

    def _entry(self, new: NewPlaybook, at: int | None) -> Playbook:
        """Check one entry and work out its row."""
        where = "" if at is None else f"entries[{at}]: "
        try:
            self._vectors.get(new.corpus, new.answer_id)
            ask = self._asks.of(new.query_text)
        except (NotFound, InvalidInput) as error:
            if not where:
                raise
            raise type(error)(where + error.message, **{**error.detail, "entry": at}) from None
        role = (new.role or ask.demand.role or "").strip()
        match = self._asks.roles.resolve(role) if role else None
        place = ask.demand.location
        now = self._clock().isoformat(timespec="milliseconds")
        return Playbook(
            id=_identity(new.namespace, new.query_text, role, new.corpus, new.answer_id),
            namespace=new.namespace,
            query_text=new.query_text,
            answer_id=new.answer_id,
            corpus=new.corpus,
            score=new.score,
            role=role,
            role_code=match.code if match else "",
            city=(place.city or "") if place else "",
            state=(place.state or "") if place else "",
            outcome=new.outcome,
            created_at=now,
            updated_at=now,
        )

    def _write(self, entries: Sequence[Playbook]) -> Sequence[tuple[Playbook, bool]]:
        """Store rows, then bring them into their indexes; returns each with whether it is new."""
        if not entries:
            return []
        with self._writing:
            with self._state.write() as connection:
                for settled in _chunks(self._settled):
                    self._rows.settle(connection, settled)
                before: dict[str, Playbook] = {}
                for chunk in _chunks(entries):
                    before |= self._rows.by_ids(connection, [entry.id for entry in chunk])
                kept = [
                    msgspec.structs.replace(entry, created_at=before[entry.id].created_at)
                    if entry.id in before
                    else entry
                    for entry in entries
                ]
                for entry in kept:
                    self._rows.put(connection, entry)
            self._settled = []
            self._index(kept)
            self._settled = [entry.id for entry in kept]
            return [(entry, entry.id not in before) for entry in kept]

    def _remove(self, entries: Sequence[Playbook]) -> None:
        for chunk in _chunks(entries):
            ids = [entry.id for entry in chunk]
            self._vectors.delete_items(index_name(chunk[0].namespace), ids)
            with self._state.write() as connection:
                self._rows.remove(connection, ids)

    def _index(self, entries: Sequence[Playbook]) -> None:
        by_namespace: dict[str, Any] = {}
        for entry in entries:
            by_namespace.setdefault(entry.namespace, []).append(entry)
        for namespace, group in by_namespace.items():
            name = index_name(namespace)
            if name not in self._indexes:
                self._make_index(name)
            for chunk in _chunks(group):
                self._vectors.add(name, [self._item(entry) for entry in chunk])

    def _make_index(self, name: str) -> None:
        if name not in {stats.name for stats in self._vectors.list().indexes}:
            self._vectors.create(name, self._dimension, model=self._model)
        self._indexes.add(name)

    def _item(self, entry: Playbook) -> Item:
        vector: Any = self._asks.of(entry.query_text).meaning
        return Item(id=entry.id, vector=vector.tolist(), metadata=msgspec.structs.asdict(entry))

    def _catch_up(self) -> None:
        """Bring every index to the state of the rows, after a crash or the loss of an index."""
        with self._state.read() as connection:
            self._shared = self._rows.all_shares(connection)
            rows = self._rows.counts(connection)
            behind = self._rows.pending(connection)
        items = {stats.name: stats.items for stats in self._vectors.list().indexes}
        self._indexes = {index_name(namespace) for namespace in rows} & set(items)
        behind_of = {entry.namespace for entry in behind}
        for namespace, count in rows.items():
            if namespace not in behind_of and items.get(index_name(namespace)) != count:
                self._rebuild(namespace)
        self._index(behind)
        with self._state.write() as connection:
            for chunk in _chunks(behind):
                self._rows.settle(connection, [entry.id for entry in chunk])

    def _rebuild(self, namespace: str) -> None:
        name = index_name(namespace)
        with self._state.read() as connection:
            entries = self._rows.of_namespaces(connection, [namespace])
        if name in self._indexes:
            wanted = {entry.id for entry in entries}
            self._vectors.delete_items(name, [id for id in self._vectors.ids(name).ids if id not in wanted])
        self._index(entries)


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _identity(namespace: str, query_text: str, role: str, corpus: str, answer_id: str) -> str:
    parts = (namespace, " ".join(query_text.casefold().split()), role.casefold(), corpus, answer_id)
    return "pb-" + hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:24]


def _for_namespace(entry: Playbook, namespace: str) -> Playbook:
    identity = _identity(namespace, entry.query_text, entry.role, entry.corpus, entry.answer_id)
    return msgspec.structs.replace(entry, id=identity, namespace=namespace)
