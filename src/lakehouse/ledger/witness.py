"""What stands around every call and writes down whose data its answer shows, before the answer goes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from lakehouse import caller
from lakehouse.ledger.ledger import Ledger
from lakehouse.ledger.rows import Event

SHOWN = "shown"
_WORD = re.compile(r"\w+")


class Shape(Protocol):
    """Of a corpus: whose rows are people, and how their ids are made."""

    @property
    def name(self) -> str:
        """Name of the corpus and of its index."""

    @property
    def dataset(self) -> str:
        """The dataset it is made from."""

    @property
    def id_column(self) -> str:
        """Column of the dataset with a person's id."""

    @property
    def id_prefix(self) -> str:
        """What stands before each id in the corpus."""


class Named(Protocol):
    """Of an operation: its name."""

    @property
    def name(self) -> str:
        """Dotted name, `matrix.search`."""


def subject_of(shape: Shape, value: object) -> str:
    """Return the id that somebody has in a corpus."""
    id = str(value)
    return id if id.startswith(shape.id_prefix) else shape.id_prefix + id


class Witness:
    """Writes the rows of what was shown or used; stands in `Rooms.around`.

    Args:
        ledger: Where rows go.
        corpora: Gives the corpora there are; asked again after one was built.
    """

    def __init__(self, ledger: Ledger, corpora: Callable[[], Sequence[Shape]]) -> None:
        self._ledger = ledger
        self._corpora = corpora
        self._shapes: dict[str, Shape] | None = None
        self._seen: Mapping[str, Callable[[Mapping[str, Any], Any], Iterable[Event]]] = {
            "matrix.search": self._found,
            "vectors.get": self._viewed,
            "vectors.search": self._near,
            "sql.query": self._asked,
            "sql.arrow": self._exported,
            "playbooks.record": lambda values, _: self._remembered([values]),
            "playbooks.bulk": lambda values, _: self._remembered(values["entries"]),
            "validate.check": self._checked,
            "validate.accept": lambda values, answer: self._checked({**values, "artifact": "fill"}, answer),
            "iterate.run": lambda values, answer: self._checked({**values, "payload": answer.artifact}, answer),
        }

    def __call__(self, operation: Named, values: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Do the work, write its rows, and only then give the answer."""
        answer = work()
        if operation.name == "corpora.build":
            self._shapes = None
        seen = self._seen.get(operation.name)
        if seen is not None:
            self._ledger.record([*seen(values, answer)])
        return answer

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Corpora by name."""
        if self._shapes is None:
            self._shapes = {shape.name: shape for shape in self._corpora()}
        return self._shapes

    def _found(self, _values: Mapping[str, Any], answer: Any) -> Iterable[Event]:
        purpose = caller.current().purpose
        for match in answer.results:
            yield _event(match.id, "search", purpose, match.metadata)

    def _viewed(self, values: Mapping[str, Any], answer: Any) -> Iterable[Event]:
        if values["name"] in self.shapes:
            yield _event(answer.id, "view", caller.current().purpose, answer.metadata)

    def _near(self, values: Mapping[str, Any], answer: Any) -> Iterable[Event]:
        if values["name"] in self.shapes:
            purpose = caller.current().purpose
            for hit in answer.results:
                yield _event(hit.id, "search", purpose, hit.metadata)

    def _asked(self, values: Mapping[str, Any], answer: Any) -> Iterable[Event]:
        names = [column.name for column in answer.columns]
        return self._rows(values["sql"], names, lambda at: [row[at] for row in answer.rows], "sql")

    def _exported(self, values: Mapping[str, Any], answer: bytes) -> Iterable[Event]:
        if not self._named_in(values["sql"]):
            return ()
        import pyarrow as pa

        table = pa.ipc.open_stream(answer).read_all()
        return self._rows(values["sql"], table.column_names, lambda at: table.column(at).to_pylist(), "export")

    def _named_in(self, sql: str) -> list[Shape]:
        words = {word.casefold() for word in _WORD.findall(sql)}
        return [shape for shape in self.shapes.values() if shape.dataset in words]

    def _rows(
        self, sql: str, names: Sequence[str], column: Callable[[int], Sequence[Any]], action: str
    ) -> Iterable[Event]:
        """Name the people in a result by their ids; where it has none, the dataset they are from."""
        purpose, fields = caller.current().purpose, tuple(sorted(names))
        for shape in self._named_in(sql):
            if shape.id_column in names:
                ids = dict.fromkeys(value for value in column(names.index(shape.id_column)) if value is not None)
                subjects = [subject_of(shape, id) for id in ids]
            else:
                subjects = [f"dataset:{shape.dataset}"]
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

    def _checked(self, values: Mapping[str, Any], _answer: Any) -> Iterable[Event]:
        """Name the people of a fill that passed, or those whom a message which passed is about."""
        action = {"fill": "fill", "email": "message", "sms": "message"}.get(str(values.get("artifact")))
        if action is None:
            return
        purpose, payload = caller.current().purpose, values.get("payload") or {}
        context = values.get("context")
        about = context.get("worker_ids") if isinstance(context, Mapping) else getattr(context, "worker_ids", ())
        workers = payload.get("workers") or [{"id": id} for id in about or ()]
        for worker in workers:
            if isinstance(worker, Mapping) and worker.get("id"):
                yield _event(str(worker["id"]), action, purpose, worker)


def _event(id: str, action: str, purpose: str, shown: Mapping[str, Any]) -> Event:
    return Event(subject=id, action=action, purpose=purpose, fields=tuple(sorted(shown)), result=SHOWN)
