"""What stands around every call and writes down whose data its answer shows, before the answer goes out."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Protocol

from lakehouse import caller
from lakehouse.errors import ValidationFailed
from lakehouse.ledger.ledger import Ledger
from lakehouse.ledger.rows import Event, Prepared, prepare
from lakehouse.staffing.worker import CorpusShape, is_personal
from lakehouse.state.names import MEMORY_INDEX

SHOWN = "shown"
# What a list tells of somebody.
_NAMED = ("city", "name", "role", "state")
# What an entry of memory tells of somebody, and what a search tells of an entry that a gate stopped.
_REMEMBERED = ("by", "city", "client", "outcome", "query_text", "role", "score", "state", "why")
_DROPPED = ("gate", "reason")
# What an open demand tells of somebody on it, and an accepted fill of whom it books.
_PLACED = ("by", "outcome", "stage", "why")
_BOOKED = ("client", "ends", "role", "starts")
# Of an answer whose rows stay prepared.
_MOST_RESULTS = 100
# Operations that refuse by what the roster says of somebody, and findings that tell nothing of it.
_CHECKS = frozenset({"validate.check", "validate.accept"})
_OF_NOBODY = frozenset({"phantom_worker", "duplicate_worker", "excluded", "wrong_shape"})
_OF_WORKER = re.compile(r"workers\[(\d+)\]")
_ANSWER = "answer_id"
_STATEMENTS: Mapping[str, str] = {"sql.query": "sql", "sql.arrow": "export"}


class Named(Protocol):
    """Of an operation: its name."""

    @property
    def name(self) -> str:
        """Dotted name, `matrix.search`."""


class Given(Protocol):
    """What a statement gave."""

    @property
    def table(self) -> Any:
        """Its rows as an Arrow table."""


class Held(Protocol):
    """What a result holds of the people of a dataset."""

    @property
    def ids(self) -> Sequence[str]:
        """Of those it shows, as the dataset has them."""

    @property
    def reads(self) -> bool:
        """Whether it is made from the dataset."""

    @property
    def whole(self) -> bool:
        """Whether it shows nobody else."""

    @property
    def columns(self) -> Collection[str]:
        """Columns of the dataset that it shows."""


def subject_of(shape: CorpusShape, value: object) -> str:
    """Return the id that somebody has in a corpus."""
    id = str(value)
    return id if id.startswith(shape.id_prefix) else shape.id_prefix + id


class Witness:
    """Writes the rows of what was shown or used; stands in `Rooms.around`.

    Args:
        ledger: Where rows go.
        corpora: Gives the corpora there are; asked again after every change.
        watched: Collects what statements gave.
        holders: Tells whom of a corpus' dataset that shows.
        answers: Searches whose rows stay prepared in case the same answer is given again.
    """

    def __init__(
        self,
        ledger: Ledger,
        corpora: Callable[[], Sequence[CorpusShape]],
        *,
        watched: Callable[[], AbstractContextManager[Sequence[Given]]],
        holders: Callable[[Any, CorpusShape], Held],
        answers: int = 0,
    ) -> None:
        self._ledger = ledger
        self._corpora = corpora
        self._watched = watched
        self._holders = holders
        self._shapes: dict[str, CorpusShape] | None = None
        self._again = _Again(answers)
        self._seen: Mapping[str, Callable[[Mapping[str, Any], Any], Iterable[Event] | Prepared]] = {
            "matrix.search": self._found,
            "vectors.get": self._viewed,
            "vectors.search": self._near,
            "corpora.people": self._told,
            "playbooks.record": lambda values, _: self._remembered([values]),
            "playbooks.bulk": lambda values, _: self._remembered(values["entries"]),
            "playbooks.import_": lambda values, answer: self._remembered(
                entry for entry in values["entries"] if entry.answer_id not in answer.unknown
            ),
            "playbooks.list": lambda _, answer: self._recalled(answer.entries, "view"),
            "playbooks.get": lambda _, answer: self._recalled([answer.entry], "view"),
            "playbooks.export": lambda _, answer: self._recalled(answer.entries, "export"),
            "validate.check": self._checked,
            "validate.accept": lambda values, answer: self._checked({**values, "artifact": "fill"}, answer),
            "validate.fills": lambda _, answer: self._booked(answer.bookings),
            "demands.people": self._on_demand,
            "demands.get": lambda _, answer: self._placed(answer),
            "demands.edit": lambda _, answer: self._placed(answer),
            "demands.note": lambda _, answer: self._placed(answer),
            "demands.place": lambda values, answer: self._done(
                "demand", {each.id: values["stage"] for each in values["people"]}, answer
            ),
            "demands.replace": lambda values, answer: self._done(
                "demand", {values["out"]: "excluded", values["by_whom"].id: "proposed"}, answer
            ),
            "demands.fill": lambda _, answer: self._done("fill", dict.fromkeys(answer.filled, SHOWN), answer.demand),
            "demands.release": lambda values, answer: self._done("fill", {values["worker_id"]: "released"}, answer),
            "demands.outcome": lambda values, answer: self._done(
                "remember", {values["worker_id"]: values["outcome"]}, answer.demand
            ),
            "demands.undo": lambda values, answer: self._done("remember", {values["worker_id"]: "undone"}, answer),
            "iterate.run": lambda values, answer: self._checked({**values, "payload": answer.artifact}, answer),
        }

    def __call__(self, operation: Named, values: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Do the work, write its rows, and only then give the answer."""
        action = _STATEMENTS.get(operation.name)
        if action is not None:
            with self._watched() as given:
                try:
                    return work()
                finally:
                    # Also of one that fails: what the engine says of it quotes values of rows.
                    self._ledger.record([*self._rows(given, action)])
        try:
            answer = work()
        except ValidationFailed as refusal:
            if operation.name in _CHECKS:
                self._ledger.record([*self._refused(values, refusal)])
            raise
        seen = self._seen.get(operation.name)
        if seen is not None:
            events = seen(values, answer)
            self._ledger.record(events if isinstance(events, Prepared) else [*events])
        return answer

    def forget(self) -> None:
        """Drop what is kept of answers: whom somebody asked to be erased must not stay in memory either.

        Also what corpora there are, which a call or another replica may have changed.
        """
        self._again.forget()
        self._shapes = None

    @property
    def shapes(self) -> Mapping[str, CorpusShape]:
        """Corpora by name."""
        shapes = self._shapes
        if shapes is None:
            shapes = self._shapes = {shape.name: shape for shape in self._corpora()}
        return shapes

    def _found(self, _values: Mapping[str, Any], answer: Any) -> Prepared:
        return self._again.prepared(answer.results, answer.dropped, "search")

    def _viewed(self, values: Mapping[str, Any], answer: Any) -> Iterable[Event]:
        return self._items(values["name"], [answer], "view")

    def _told(self, _values: Mapping[str, Any], answer: Any) -> Iterable[Event]:
        purpose = caller.current().purpose
        for each in answer.people:
            shown = {name: "" for name in _NAMED if getattr(each, name)}
            yield _event(each.id, "view", purpose, shown)

    def _near(self, values: Mapping[str, Any], answer: Any) -> Iterable[Event]:
        return self._items(values["name"], answer.results, "search")

    def _items(self, index: str, items: Iterable[Any], action: str) -> Iterable[Event]:
        """Name the people in items of an index.

        In a corpus that is everybody. Elsewhere it is whoever has an id as in a corpus, or a name or contact data; in
        the index of a memory whoever an entry is about.
        """
        purpose = caller.current().purpose
        is_corpus, is_memory = index in self.shapes, index.startswith(MEMORY_INDEX)
        prefixes = tuple(shape.id_prefix for shape in self.shapes.values())
        for each in items:
            if is_memory and isinstance(each.metadata.get("answer_id"), str):
                yield _event(each.metadata["answer_id"], action, purpose, each.metadata)
            elif is_corpus or each.id.startswith(prefixes) or _is_somebody(tuple(each.metadata)):
                yield _event(each.id, action, purpose, each.metadata)

    def _rows(self, given: Sequence[Given], action: str) -> Iterable[Event]:
        """Name the people in results; where a result does not tell them all, the dataset they are from as well."""
        purpose = caller.current().purpose
        for each in given:
            names = each.table.column_names
            for shape in self.shapes.values():
                held = self._holders(each, shape)
                fields = tuple(sorted({*names, *held.columns}))
                subjects = [subject_of(shape, id) for id in held.ids]
                if held.reads and not held.whole:
                    subjects.append(f"dataset:{shape.dataset}")
                for subject in subjects:
                    yield Event(subject=subject, action=action, purpose=purpose, fields=fields, result=SHOWN)

    def _remembered(self, entries: Iterable[Any]) -> Iterable[Event]:
        purpose = caller.current().purpose
        for entry in entries:
            id, outcome = (
                (entry["answer_id"], entry["outcome"])
                if isinstance(entry, Mapping)
                else (entry.answer_id, entry.outcome)
            )
            yield Event(subject=id, action="remember", purpose=purpose, fields=(), result=outcome)

    def _recalled(self, entries: Iterable[Any], action: str) -> Iterable[Event]:
        """Name the people whom entries of memory are about, each once with all that is told of them."""
        told: dict[str, set[str]] = {}
        for entry in entries:
            shown = told.setdefault(entry.answer_id, set())
            shown.update(name for name in _REMEMBERED if getattr(entry, name, "") != "")
        purpose = caller.current().purpose
        for id, shown in told.items():
            yield _event(id, action, purpose, sorted(shown))

    def _on_demand(self, _values: Mapping[str, Any], answer: Any) -> Iterable[Event]:
        purpose = caller.current().purpose
        for person in answer.items:
            yield _event(person.id, "view", purpose, person.metadata)

    def _placed(self, demand: Any, but: Collection[str] = ()) -> Iterable[Event]:
        """Name the people on an open demand, and those whom its client does not want back."""
        purpose = caller.current().purpose
        named = set(but)
        for each in demand.people:
            if each.id not in named:
                named.add(each.id)
                yield _event(each.id, "view", purpose, [name for name in _PLACED if getattr(each, name)])
        for id in demand.barred:
            if id not in named:
                yield _event(id, "view", purpose, ("barred",))

    def _booked(self, bookings: Iterable[Any]) -> Iterable[Event]:
        """Name the people whom accepted fills book, each once with all that is told of them."""
        told: dict[str, set[str]] = {}
        for each in bookings:
            told.setdefault(each.worker_id, set()).update(name for name in _BOOKED if getattr(each, name))
        purpose = caller.current().purpose
        for id, shown in told.items():
            yield _event(id, "view", purpose, sorted(shown))

    def _done(self, action: str, results: Mapping[str, str], demand: Any) -> Iterable[Event]:
        """Name people to whom something was done on a demand, with what came of it, and the others it tells of."""
        purpose = caller.current().purpose
        for id, result in results.items():
            yield Event(subject=id, action=action, purpose=purpose, fields=(), result=result)
        yield from self._placed(demand, but=results)

    def _checked(self, values: Mapping[str, Any], _answer: Any) -> Iterable[Event]:
        """Name the people of a fill that passed, or those whom a message which passed is about."""
        action = {"fill": "fill", "email": "message", "sms": "message"}.get(str(values.get("artifact")))
        if action is None:
            return
        purpose, payload = caller.current().purpose, values.get("payload") or {}
        context = values.get("context")
        about, draft = (
            (context.get("worker_ids"), context.get("draft"))
            if isinstance(context, Mapping)
            else (getattr(context, "worker_ids", ()), getattr(context, "draft", False))
        )
        if action == "message" and draft:
            # It shows nothing that was not typed, and nobody was written to yet.
            return
        workers = payload.get("workers") or [{"id": id} for id in about or ()]
        for worker in workers:
            if isinstance(worker, Mapping) and worker.get("id"):
                yield _event(str(worker["id"]), action, purpose, worker)

    def _refused(self, values: Mapping[str, Any], refusal: ValidationFailed) -> Iterable[Event]:
        """Name the people of whose rows a refusal tells: what they are, hold and are booked for."""
        purpose, payload = caller.current().purpose, values["payload"]
        told: dict[str, set[str]] = {}
        for finding in refusal.detail.get("findings", ()):
            at = _OF_WORKER.match(finding["field"])
            if finding["code"] in _OF_NOBODY or not (at or finding["field"] == _ANSWER):
                continue
            id = payload["workers"][int(at[1])]["id"] if at else payload[_ANSWER]
            told.setdefault(id, set()).add(finding["code"])
        for id, codes in told.items():
            yield _event(id, "view", purpose, sorted(codes))


class _Again:
    """The rows of the latest answers, as far as they are the same whenever one is given again. Thread-safe.

    An answer that is given again is not made again, so its results are the very list they were the first time.

    Args:
        most: How many, oldest out first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        # With the list itself, so that no other one can have its id meanwhile.
        self._kept: dict[tuple[int, str, str], tuple[Sequence[Any], Sequence[Any], Prepared]] = {}

    def prepared(self, results: Sequence[Any], dropped: Sequence[Any], action: str) -> Prepared:
        """Return the rows of an answer: of its results, and of others of whom it tells why memory did not act."""
        key = (id(results), action, caller.current().purpose)
        kept = self._kept.get(key)
        if kept is not None and kept[1] is dropped:
            return kept[2]
        made = prepare([*_events(results, action), *_stopped(results, dropped, action)])
        if self._most and len(results) <= _MOST_RESULTS:
            with self._lock:
                self._kept[key] = (results, dropped, made)
                while len(self._kept) > self._most:
                    del self._kept[next(iter(self._kept))]
        return made

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()


def _events(results: Iterable[Any], action: str) -> list[Event]:
    """Return an event for each result."""
    purpose = caller.current().purpose
    return [
        Event(subject=each.id, action=action, purpose=purpose, fields=_in_order(tuple(each.metadata)), result=SHOWN)
        for each in results
    ]


def _stopped(results: Iterable[Any], dropped: Iterable[Any], action: str) -> list[Event]:
    """Return an event for each remembered answer that a gate stopped and that is not among the results."""
    purpose, shown = caller.current().purpose, {each.id for each in results}
    return [
        Event(subject=each.answer_id, action=action, purpose=purpose, fields=_DROPPED, result=SHOWN)
        for each in dropped
        if each.answer_id not in shown
    ]


def _event(id: str, action: str, purpose: str, shown: Iterable[str]) -> Event:
    return Event(subject=id, action=action, purpose=purpose, fields=_in_order(tuple(shown)), result=SHOWN)


@lru_cache(maxsize=1_024)
def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    # People of one corpus mostly have the same fields.
    return tuple(sorted(names))


@lru_cache(maxsize=1_024)
def _is_somebody(names: tuple[str, ...]) -> bool:
    return any(map(is_personal, names))
