"""Pathways: how a task was solved, version by version, found again by meaning.

Every change is a row of its own and no row is ever altered, so the history holds all there ever was. What is searched
is held in memory, derived from the rows at the first search.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse.errors import InvalidInput, NotFound, WrongState
from lakehouse.state.turn import Turn

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.state.database import Database

MAX_STEPS = 1_000
Task = Annotated[str, msgspec.Meta(min_length=1, max_length=8_000)]
Step = str | dict[str, Any]
Steps = Annotated[list[Step], msgspec.Meta(max_length=MAX_STEPS)]
Tags = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]], msgspec.Meta(max_length=100)]
Outcome = Annotated[str, msgspec.Meta(max_length=4_000)]
K = Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class Pathway(msgspec.Struct, frozen=True, kw_only=True):
    """One version of how a task was solved.

    Attributes:
        version: From 1; `revise` makes a new one.
        change: From 1; counts every add, update, revise and retire.
        steps: In order, each a text or an object.
        retired: Hidden from search.
        created_at, updated_at: Of the pathway, and of this change; RFC 3339, UTC.
    """

    uid: str
    version: int
    change: int
    task: str
    steps: list[Step]
    tags: list[str]
    outcome: str
    retired: bool
    created_at: str
    updated_at: str


class AddedPathway(Pathway, frozen=True, kw_only=True):
    """A pathway; `created` is false when the same content was there already."""

    created: bool


class PathwayHistory(msgspec.Struct, frozen=True):
    """Every change, oldest first; the last one is how the pathway is now."""

    uid: str
    history: list[Pathway]


class FoundPathway(Pathway, frozen=True, kw_only=True):
    """A pathway near a query; `distance` is the cosine distance of the texts."""

    distance: float


class PathwayResults(msgspec.Struct, frozen=True):
    """Nearest first, ties by uid."""

    results: list[FoundPathway]


class PathwayStats(msgspec.Struct, frozen=True, kw_only=True):
    """How many pathways, versions and changes there are; tags and outcomes of those that are not retired."""

    pathways: int
    active: int
    retired: int
    versions: int
    changes: int
    tags: dict[str, int]
    outcomes: dict[str, int]


class Pathways:
    """Pathway memory; thread-safe.

    Args:
        state: Database of the rows.
        embed: `(n,)` texts to `(n, d)` float32, unit length.
        clock: Time source.
        uid: Makes the id of a new pathway.

    >>> import lakehouse, tempfile
    >>> with lakehouse.connect(tempfile.mkdtemp() + "/lake") as lake:
    ...     first = lake.pathways.add("Fill a night shift at short notice", ["ask who is free", "call in that order"])
    ...     lake.pathways.revise(first.uid, steps=["ask who is free", "text all at once"]).version
    2
    """

    def __init__(
        self,
        state: Database,
        embed: Callable[[Sequence[str]], np.ndarray],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        uid: Callable[[], str] = lambda: f"pw-{secrets.token_hex(12)}",
    ) -> None:
        from lakehouse.memory import _pathway_rows

        self._rows = _pathway_rows
        self._state = state
        self._embed = embed
        self._clock = clock
        self._uid = uid
        self._turn = Turn(state, _pathway_rows.ROOM)
        self._vectors: dict[str, tuple[Pathway, np.ndarray]] | None = None
        self._held = 0
        state.prepare(_pathway_rows.ROOM, _pathway_rows.metadata)

    def add(self, task: Task, steps: Steps, tags: Tags = [], outcome: Outcome = "") -> Pathway:  # noqa: B006
        """Keep how a task was solved; the same content may be kept many times.

        Raises:
            InvalidInput: The task is blank.
        """
        with self._turn:
            return self._append(self._new(task, steps, tags, outcome), _content(task, steps, tags))

    def add_idempotent(self, task: Task, steps: Steps, tags: Tags = [], outcome: Outcome = "") -> AddedPathway:  # noqa: B006
        """Keep how a task was solved, unless a pathway was added with this task, steps and tags and is not retired.

        Raises:
            InvalidInput: The task is blank.
        """
        content = _content(task, steps, tags)
        with self._turn:
            with self._state.read() as connection:
                known = self._rows.of_content(connection, content)
            there = next((pathway for pathway in map(self.get, known) if not pathway.retired), None)
            if there is not None:
                return AddedPathway(**msgspec.structs.asdict(there), created=False)
            made = self._append(self._new(task, steps, tags, outcome), content)
            return AddedPathway(**msgspec.structs.asdict(made), created=True)

    def update(
        self,
        uid: str,
        task: Task | None = None,
        steps: Steps | None = None,
        tags: Tags | None = None,
        outcome: Outcome | None = None,
    ) -> Pathway:
        """Correct the current version; what it was before stays in the history.

        Raises:
            NotFound: No such pathway.
            WrongState: It is retired.
            InvalidInput: Nothing to change is given, or the task is blank.
        """
        return self._change(uid, 0, task=task, steps=steps, tags=tags, outcome=outcome)

    def revise(
        self,
        uid: str,
        task: Task | None = None,
        steps: Steps | None = None,
        tags: Tags | None = None,
        outcome: Outcome | None = None,
    ) -> Pathway:
        """Make a new version; the old one stays in the history. What is not given is taken over.

        Raises:
            NotFound: No such pathway.
            WrongState: It is retired.
            InvalidInput: Nothing to change is given, or the task is blank.
        """
        return self._change(uid, 1, task=task, steps=steps, tags=tags, outcome=outcome)

    def retire(self, uid: str) -> Pathway:
        """Hide a pathway from search; its history stays. Doing it again changes nothing.

        Raises:
            NotFound: No such pathway.
        """
        with self._turn:
            now = self.get(uid)
            return now if now.retired else self._append(self._next(now, retired=True), "")

    def get(self, uid: str) -> Pathway:
        """Return a pathway as it is now, retired or not.

        Raises:
            NotFound: No such pathway.
        """
        return self.history(uid).history[-1]

    def history(self, uid: str) -> PathwayHistory:
        """Return everything a pathway ever was.

        Raises:
            NotFound: No such pathway.
        """
        with self._state.read() as connection:
            found = self._rows.history(connection, uid)
        if not found:
            raise NotFound(f"no pathway has the uid {uid!r}; see `lakehouse pathway search`", uid=uid)
        return PathwayHistory(uid, found)

    def search(self, q: str, k: K = 10, tag: str | None = None) -> PathwayResults:
        """Find the pathways whose task and steps are nearest to a text; retired ones are left out.

        Args:
            q: What is to be solved.
            k: Most results, 1 to 1,000.
            tag: Only pathways with this tag.

        Raises:
            InvalidInput: The text is blank.
        """
        if not q.strip():
            raise InvalidInput("field 'q' is empty; write what is to be solved", field="q")
        vector = self._embed([q])[0]
        with self._turn.here:
            candidates = [pair for pair in self._searchable().values() if tag is None or tag in pair[0].tags]
        scored = sorted(
            (max(0.0, round(1.0 - float(vector @ other), 6)), pathway.uid, pathway) for pathway, other in candidates
        )
        return PathwayResults(
            [FoundPathway(**msgspec.structs.asdict(pathway), distance=distance) for distance, _, pathway in scored[:k]]
        )

    def stats(self) -> PathwayStats:
        """Count pathways, versions, tags and outcomes."""
        with self._state.read() as connection:
            found = self._rows.latest(connection)
            changes = self._rows.count(connection)
        active = [pathway for pathway in found if not pathway.retired]
        tags = Counter(tag for pathway in active for tag in pathway.tags)
        outcomes = Counter(pathway.outcome for pathway in active if pathway.outcome)
        return PathwayStats(
            pathways=len(found),
            active=len(active),
            retired=len(found) - len(active),
            versions=sum(pathway.version for pathway in found),
            changes=changes,
            tags=dict(sorted(tags.items())),
            outcomes=dict(sorted(outcomes.items())),
        )

    def follow(self) -> None:
        """Take in what other processes that share the database wrote since this was last called."""
        with self._turn.here:
            with self._state.read() as connection:
                count = self._rows.count(connection)
            if count != self._held or self._state.put_back:
                # Rows are never altered, so as many are the same else; the next search reads them.
                self._vectors = None

    def forget(self) -> None:
        """Drop what is held in memory of the rows, in which somebody who was erased has been written over."""
        with self._turn.here:
            self._vectors = None

    def _new(self, task: str, steps: list[Step], tags: list[str], outcome: str) -> Pathway:
        now = self._now()
        return Pathway(
            uid=self._uid(),
            version=1,
            change=1,
            task=_checked(task),
            steps=steps,
            tags=list(dict.fromkeys(tags)),
            outcome=outcome,
            retired=False,
            created_at=now,
            updated_at=now,
        )

    def _change(self, uid: str, versions: int, **given: Any) -> Pathway:
        values = {name: value for name, value in given.items() if value is not None}
        if not values:
            raise InvalidInput("give at least one of task, steps, tags and outcome", field="task")
        if "task" in values:
            values["task"] = _checked(values["task"])
        if "tags" in values:
            values["tags"] = list(dict.fromkeys(values["tags"]))
        with self._turn:
            now = self.get(uid)
            if now.retired:
                raise WrongState(f"pathway {uid!r} is retired; add a new one instead", uid=uid)
            return self._append(self._next(now, version=now.version + versions, **values), "")

    def _next(self, now: Pathway, **values: Any) -> Pathway:
        return msgspec.structs.replace(now, change=now.change + 1, updated_at=self._now(), **values)

    def _append(self, pathway: Pathway, content: str) -> Pathway:
        # First what may fail, so that a change which is refused is not kept.
        vector = None if self._vectors is None or pathway.retired else self._embed([_searchable_text(pathway)])[0]
        with self._state.write() as connection:
            self._rows.append(connection, pathway, content)
        self._held += 1
        if self._vectors is not None:
            self._vectors.pop(pathway.uid, None)
            if vector is not None:
                self._vectors[pathway.uid] = pathway, vector
        return pathway

    def _searchable(self) -> dict[str, tuple[Pathway, np.ndarray]]:
        if self._vectors is None:
            with self._state.read() as connection:
                found = [pathway for pathway in self._rows.latest(connection) if not pathway.retired]
                self._held = self._rows.count(connection)
            self._vectors = {}
            if found:
                vectors = self._embed([_searchable_text(pathway) for pathway in found])
                self._vectors = {each.uid: (each, vector) for each, vector in zip(found, vectors, strict=True)}
        return self._vectors

    def _now(self) -> str:
        return self._clock().isoformat(timespec="milliseconds")


def _checked(task: str) -> str:
    if not task.strip():
        raise InvalidInput("field 'task' is empty; say what was to be done", field="task")
    return task.strip()


def _content(task: str, steps: list[Step], tags: list[str]) -> str:
    encoded = msgspec.json.encode([" ".join(task.split()), steps, sorted(set(tags))], order="deterministic")
    return hashlib.sha256(encoded).hexdigest()


def _searchable_text(pathway: Pathway) -> str:
    steps = (step if isinstance(step, str) else msgspec.json.encode(step).decode() for step in pathway.steps)
    return "\n".join([pathway.task, *steps])[:8_000]
