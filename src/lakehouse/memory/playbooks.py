"""Playbooks: what worked for a demand, kept per coordinator and found again by meaning.

A row in the state database is the truth; each namespace has a vector index `playbook_<namespace>` derived
from its rows (`_store` keeps the two in step, `_index` looks entries up).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from lakehouse import settings
from lakehouse.errors import InvalidInput, NotFound
from lakehouse.memory import evidence, transfer
from lakehouse.memory._entries import Writer
from lakehouse.memory._found import Recollection, joined, nearer
from lakehouse.memory._index import RecallIndex
from lakehouse.memory._receipts import key_of
from lakehouse.memory.base import (
    DEFAULT_NAMESPACE,
    NEAREST_FIRST,
    Arm,
    BulkRecorded,
    Exported,
    HandedOver,
    Imported,
    Lift,
    MergedPlaybooks,
    Namespace,
    NewPlaybook,
    Playbook,
    PlaybookCopy,
    PlaybookHistory,
    PlaybookList,
    Recall,
    Recorded,
    Score,
    Shares,
    Who,
    Why,
)
from lakehouse.memory.evidence import Outcome
from lakehouse.staffing.demand import Role
from lakehouse.staffing.folding import client_key, clients_like, folded

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lakehouse.memory.asks import Ask, Asks
    from lakehouse.state.database import Database
    from lakehouse.vectors.service import Vectors

MAX_BULK = 10_000
_DEFAULTS = settings.Matrix()
Entries = Annotated[list[NewPlaybook], msgspec.Meta(min_length=1, max_length=MAX_BULK)]
Client = Annotated[str, msgspec.Meta(max_length=200)]
# Not `Namespace`: who is told of their own memory's readers needs no right to theirs.
Reader = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Many = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Copies = Annotated[list[PlaybookCopy], msgspec.Meta(max_length=MAX_BULK)]


class Playbooks:
    """Remembered answers, isolated per namespace, handed over on demand.

    Args:
        state: Database of the rows.
        vectors: Holds the derived indexes and the corpora that answers must come from.
        asks: Parses and embeds query texts.
        model, dimension: Of the vectors that `asks` makes.
        config: How fast evidence fades, and the share of demands held out from memory.
        clock: Time source of `created_at` and `updated_at`, and of the day that evidence fades to.

    >>> import lakehouse, tempfile
    >>> with lakehouse.connect(tempfile.mkdtemp() + "/lake") as lake:
    ...     lake.playbooks.list("alice").entries
    []
    """

    def __init__(
        self,
        state: Database,
        *,
        vectors: Vectors,
        asks: Asks,
        model: str,
        dimension: int,
        config: settings.Matrix = _DEFAULTS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from lakehouse.memory import _once, _rows
        from lakehouse.memory._store import Store

        self._rows = _rows
        self._once = _once
        self._state = state
        self._asks = asks
        self._clock = clock
        self._holdout = config.holdout
        self._writer = Writer(vectors, asks, config.half_life_days)
        self._index = RecallIndex(vectors, asks, model=model, dimension=dimension)
        self._never = itertools.count(-1, -1)
        self._store = Store(state, self._index, self._writer, held_out=self.held_out)

    def record(  # noqa: PLR0913, PLR0917 - the fields of the wire's request, one argument each
        self,
        query_text: str,
        answer_id: str,
        corpus: str,
        score: Score,
        role: Role | None = None,
        namespace: Namespace = DEFAULT_NAMESPACE,
        outcome: Outcome = "worked",
        by: Who = "",
        why: Why = "",
    ) -> Recorded:
        """Remember that an answer worked for a demand, or that it was rejected.

        The same answer to the same query, role and namespace is one entry: recording again updates it and adds an
        outcome, unless it is the same call with the same `Idempotency-Key`. Durable, and used by the very next search,
        when this returns.

        Args:
            query_text: The demand as it was asked.
            answer_id: Who it was.
            corpus: The corpus the person is in.
            score: How well, 0 to 1.
            role: Role of the demand, instead of the one parsed from the text; at most 200 letters.
            namespace: Whose memory.
            outcome: What came of it; see `memory.evidence` for what each is worth.
            by: Who records it, shown wherever the entry acts.
            why: The reason in their words, shown likewise.

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
            by=by,
            why=why,
        )
        self._writer.check(entry)
        row = self._writer.row(entry, self._now())

        def answer(new: Sequence[bool]) -> Recorded:
            return Recorded(playbook_id=row.id, created=new[0])

        return self._store.note([row], answer, key=key_of("record", entry), kind=Recorded)

    def bulk(self, entries: Entries) -> BulkRecorded:
        """Remember many entries at once, all or none; a repeated entry counts once, the last one wins.

        Raises:
            InvalidInput, NotFound: As `record`; the message names the entry by its position.
        """
        for at, entry in enumerate(entries):
            self._writer.check(entry, at)
        self._writer.read(entries)
        now = self._now()
        rows = {row.id: row for row in (self._writer.row(entry, now) for entry in entries)}

        def answer(new: Sequence[bool]) -> BulkRecorded:
            return BulkRecorded(recorded=sum(new), updated=len(new) - sum(new))

        return self._store.note([*rows.values()], answer, key=key_of("bulk", entries), kind=BulkRecorded)

    def list(
        self, namespace: Namespace = DEFAULT_NAMESPACE, limit: Many | None = None, offset: Offset = 0
    ) -> PlaybookList:
        """List the entries that a namespace uses, its own and those shared with it, newest change first.

        One that it has a copy of is listed once, as its own.

        Args:
            namespace: Who uses them.
            limit: At most this many; all of them by default.
            offset: How many of the newest to pass over; what is recorded meanwhile moves the others back.
        """
        with self._state.read() as connection:
            found = self._once.listed(connection, self._store.used_by(namespace), limit=limit, offset=offset)
        today = self._clock().date()
        return PlaybookList(entries=[self._writer.listed(entry, today) for entry in found])

    def get(self, id: str) -> PlaybookHistory:
        """Return one entry with every outcome that was recorded for it.

        Raises:
            NotFound: No entry has this id.
        """
        with self._state.read() as connection:
            entry = self._found(connection, id)
            outcomes = self._rows.outcomes_of(connection, id)
        return PlaybookHistory(entry=self._writer.listed(entry, self._clock().date()), outcomes=outcomes)

    def delete(self, id: str) -> None:
        """Forget one entry and its outcomes.

        Raises:
            NotFound: No entry has this id.
        """
        with self._store.writing:
            with self._state.read() as connection:
                entry = self._found(connection, id)
            self._store.remove([entry])

    def handover(
        self, from_: Namespace, to: Namespace, mode: Literal["share", "copy", "move"], client: Client = ""
    ) -> HandedOver:
        """Let one namespace use what another remembers, all of it or what is of one client.

        An entry that both have is joined as `merge` joins it. Of what the giver remembers nothing, nothing is handed
        over, which is no error, so that it can be done again.

        Args:
            from_: Namespace that holds the memory (`from` on the wire).
            to: Namespace that receives it.
            mode: `share` lets `to` use entries of `from_`, present and future; `copy` leaves both with their
                own; `move` leaves `from_` without them.
            client: Only entries whose demand names this client, compared without case and punctuation, see
                `staffing.folding`; entries of others, and of demands that name nobody, stay as they are. All of them
                when empty.

        Raises:
            InvalidInput: Both namespaces are the same; or what is of one client is to be shared, which only a
                whole memory can be.
        """
        if from_ == to:
            raise InvalidInput(f"cannot hand {from_!r} over to itself", field="to")
        wanted = client_key(client)
        if client and not wanted:
            raise InvalidInput(f"field 'client': {client!r} names no client", field="client")
        if client and mode == "share":
            raise InvalidInput(
                "field 'mode': what is remembered of one client is copied or moved; only a whole memory can be shared",
                field="mode",
            )
        with self._store.writing:
            own = self.own(from_)
            entries = [entry for entry in own if not client or entry.client == wanted]
            held = len(entries)
            if mode == "share":
                return HandedOver(entries=held if self._store.share(from_, to) else 0, held=held)
            new = self._store.bring(entries, to)
            if mode == "move":
                self._store.remove(entries)
            like = clients_like(wanted, {entry.client for entry in own}) if client and not held else []
            return HandedOver(entries=new, held=held, clients_like=like)

    def shares(self, namespace: Namespace = DEFAULT_NAMESPACE) -> Shares:
        """Tell whose memory a namespace uses by a handover that shares, and who uses its memory."""
        return Shares(uses=list(self._store.used_by(namespace)[1:]), used_by=self._store.readers(namespace))

    def withdraw(self, namespace: Namespace, reader: Reader) -> None:
        """Take back what a handover shared: from the next search on `reader` uses nothing of `namespace`.

        What was copied or moved, and outcomes that `reader` recorded, stay as they are.

        Args:
            namespace: Whose memory it is.
            reader: Who was let use it.

        Raises:
            NotFound: It is not shared with them.
        """
        if not self._store.withdraw(namespace, reader):
            raise NotFound(
                f"the memory {namespace!r} is not shared with {reader!r}; `lakehouse playbook shares` lists with whom",
                namespace=namespace,
                reader=reader,
            )

    def merge(self, src: Namespace, dest: Namespace, clear_source: bool = False) -> MergedPlaybooks:
        """Bring what one namespace remembers into another.

        An entry that both have keeps the later text, score and reason, and gets the outcomes of both, each once:
        running it again changes nothing. Both namespaces are whole before and after a crash; the entries that were
        reached by then are merged.

        Args:
            src: Namespace to take from.
            dest: Namespace to bring into.
            clear_source: Leave the source empty.

        Raises:
            InvalidInput: Both namespaces are the same.
        """
        if src == dest:
            raise InvalidInput(f"cannot merge {src!r} with itself", field="dest")
        key = key_of("merge", src, dest, clear_source)
        with self._store.writing:
            earlier = self._store.answered(key, MergedPlaybooks)
            if earlier is not None:
                return earlier
            entries = self.own(src)
            new = self._store.bring(entries, dest)
            if clear_source:
                self._store.remove(entries)
            answer = MergedPlaybooks(new, len(entries) - new, len(entries) if clear_source else 0)
            self._store.note_answer(key, answer)
            return answer

    def export(self, namespace: Namespace = DEFAULT_NAMESPACE) -> Exported:
        """Return all entries of one namespace and their outcomes, to be imported elsewhere; without what is shared."""
        entries = self.own(namespace)
        return Exported(namespace=namespace, entries=transfer.copies(entries, self._store.outcomes(entries)))

    def import_(
        self, entries: Copies, namespace: Namespace = DEFAULT_NAMESPACE, skip_unknown: bool = False
    ) -> Imported:
        """Take in what `export` gave, all or none; doing it again changes nothing.

        An entry that is there already is joined as `merge` joins it: nothing that was recorded since is lost.

        Args:
            entries: At most 10,000.
            namespace: Whose memory they become.
            skip_unknown: Leave out entries whose person or corpus is not here, instead of refusing all of them.

        Raises:
            NotFound: A person or corpus does not exist; the message names the entry by its position.
            InvalidInput, TooLarge: A query is empty or too long, or a time is none or lies in the future.
        """
        rows, unknown = transfer.arrived(entries, namespace, self._writer, now=self._clock(), skip_unknown=skip_unknown)
        new = self._store.take_in(rows)
        return Imported(imported=new, replaced=len(rows) - new, unknown=unknown)

    def lift(self, namespace: Namespace = DEFAULT_NAMESPACE) -> Lift:
        """Compare the outcomes of demands that memory served with those it was held out from.

        Demands are held out by the setting `matrix.holdout`, by their text alone: the same demand always is or never.
        An outcome that two of the memories have, one of which was copied from the other, counts once.
        """
        with self._state.read() as connection:
            counted = self._once.arms(connection, self._store.used_by(namespace))
        served, held = (_arm(counted, held_out) for held_out in (False, True))
        return Lift(
            holdout=self._holdout,
            served=served,
            held_out=held,
            difference=round(served.posterior.mean - held.posterior.mean, 6),
            better=evidence.better(served.posterior, held.posterior),
        )

    def held_out(self, query_text: str) -> bool:
        """Tell whether memory leaves this demand alone so that its effect can be measured."""
        return evidence.held_out(query_text, self._holdout)

    def recall(  # noqa: PLR0913 - what a search knows
        self,
        namespace: str,
        ask: Ask,
        *,
        role: tuple[str, str],
        corpora: Collection[str],
        answers: Sequence[str],
        within: float,
        near_km: float,
        before: Recollection | None = None,
    ) -> Recollection:
        """Return what is remembered for demands like an ask, and of the given answers.

        Args:
            namespace: Whose memory, with what is shared with it.
            ask: The new demand.
            role: Its title and O*NET-SOC code, empty when unknown.
            corpora: Only answers of these corpora.
            answers: Ids of people of whom everything remembered counts, wherever it was recorded.
            within: Largest cosine distance of the two demands.
            near_km: How far around the demand's place memory is looked for.
            before: What was returned for the same arguments earlier, which makes it quicker.

        Returns:
            Nearest first, ties by entry id; at most 64 per namespace, besides those of the same text.

        Raises:
            Unavailable, Upstream: An index could not be brought up to what was written, and cannot be now.
        """
        used = self._store.used_by(namespace)
        self._store.mend(used)
        earlier = before.found if before is not None else {}
        near = [
            self._index.near(each, ask, role=role, answers=answers, near_km=near_km, corpora=corpora, before=earlier)
            for each in used
        ]
        found_in = {name: found for each in near for name, found in each.found.items()}
        recalls, copies = _each_once([nearer(found.recalls, within) for found in near])
        if len(used) > 1:
            recalls.sort(key=NEAREST_FIRST)
            copies += _each_once([nearer(found.recalls, within) for found in earlier.values()])[1]
        # What came and went in each memory does not tell what of it is a copy.
        known = earlier.keys() == found_in.keys() and not copies
        change = joined([found.change for found in near], within) if known else None

        def still() -> bool:
            as_then = self._store.used_by(namespace) == used and not any(map(self._store.is_behind, used))
            return as_then and all(found.still() for found in near)

        return Recollection(recalls, still, found_in, change)

    def is_behind(self, namespace: str) -> bool:
        """Tell whether `recall` for a namespace has to bring an index up first, which may wait for a model."""
        return any(map(self._store.is_behind, self._store.used_by(namespace)))

    def version(self, namespace: str) -> tuple[tuple[str, int], ...]:
        """Return what changes with every write that `recall` for a namespace can see, before the write returns."""
        return tuple((used, self._version(used)) for used in self._store.used_by(namespace))

    def purge(self, answer_ids: Sequence[str], names: Callable[[str], bool] = lambda _: False) -> int:
        """Forget for good every entry about these people, and every entry whose words name one of them.

        Args:
            answer_ids: Of the people.
            names: Tells whether a text names somebody.

        Returns:
            How many entries there were.
        """
        wanted = frozenset(answer_ids)

        def is_meant(entry: Playbook) -> bool:
            return entry.answer_id in wanted or names(f"{entry.query_text}\n{entry.why}\n{entry.by}")

        return self._store.purge(is_meant)

    def follow(self) -> None:
        """Take in what other processes that share the database wrote since this was last called."""
        self._store.follow()

    def everything(self) -> Sequence[Playbook]:
        """Return the rows of all namespaces, newest change first."""
        with self._state.read() as connection:
            return self._rows.of_namespaces(connection, list(self._rows.counts(connection)))

    def own(self, namespace: str) -> Sequence[Playbook]:
        """Return the rows of a namespace alone, without those shared with it, newest change first."""
        return self._store.own(namespace)

    def close(self) -> None:
        """Note that the indexes hold every row, so that the next start has nothing to catch up."""
        self._store.close()

    def _version(self, namespace: str) -> int:
        # Nothing that was made of an index which is behind is given again.
        return next(self._never) if self._store.is_behind(namespace) else self._index.version(namespace)

    def _now(self) -> str:
        return self._clock().isoformat(timespec="milliseconds")

    def _found(self, connection: Connection, id: str) -> Playbook:
        entry = self._rows.by_ids(connection, [id]).get(id)
        if entry is None:
            raise NotFound(f"no playbook entry has the id {id!r}; see `lakehouse playbook list`", id=id)
        return entry


def _each_once(found: Sequence[Sequence[Recall]]) -> tuple[list[Recall], int]:
    """Join what several memories say, and tell how many entries were left out that one before them has, too.

    With whom a memory is shared may have a copy of it besides; each outcome would then count twice.
    """
    recalls = [*found[0]] if found else []
    if len(found) < 2:
        return recalls, 0
    there = set(map(_meant, recalls))
    for each in found[1:]:
        recalls += [recall for recall in each if _meant(recall) not in there]
        there.update(map(_meant, each))
    return recalls, sum(map(len, found)) - len(recalls)


def _meant(recall: Recall) -> tuple[str, str, tuple[str, str]]:
    """Return what is the same of an entry and its copy in another namespace."""
    return recall.playbook.text, folded(recall.playbook.role), recall.answer


def _arm(counted: Mapping[tuple[bool, str], int], held_out: bool) -> Arm:
    by_outcome = {outcome: count for (held, outcome), count in counted.items() if held == held_out}
    good = sum(count for outcome, count in by_outcome.items() if evidence.WEIGHTS[outcome][0])
    total = sum(by_outcome.values())
    return Arm(outcomes=total, good=good, posterior=evidence.posterior(good, total - good))
