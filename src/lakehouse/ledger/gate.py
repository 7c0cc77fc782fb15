"""What a caller's roles allow: which operations, which memory, and whether contact data is in the answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from lakehouse import caller
from lakehouse.caller import AUDITOR, COORDINATOR, OPERATOR, Caller
from lakehouse.errors import NotFound, PermissionDenied
from lakehouse.staffing import worker
from lakehouse.state.names import MEMORY_INDEX, OF_A_DEMAND

_ALL = frozenset({COORDINATOR, AUDITOR, OPERATOR})
_WORK = frozenset({COORDINATOR, OPERATOR})
_LOOK = frozenset({AUDITOR, OPERATOR})
_RUN = frozenset({OPERATOR})

# By operation, then by service; what is in neither is for operators alone.
SCOPES: Mapping[str, frozenset[str]] = {
    "catalog.datasets": _ALL,
    "catalog.dataset": _ALL,
    "corpora.list": _ALL,
    "corpora.people": _WORK,
    "demand": _ALL,
    "demands": _WORK,
    "embed": _WORK,
    "inbox": _WORK,
    "matrix": _WORK,
    "matrix.search": _ALL,
    "playbooks": _WORK,
    "playbooks.list": _ALL,
    "playbooks.shares": _ALL,
    "validate": _WORK,
    "iterate": _WORK,
    "iterate.sessions": _LOOK,
    "chat": _WORK,
    "pathways": _WORK,
    "observer": _WORK,
    "subjects.due": _LOOK,
    "subjects.get": _LOOK,
    "subjects.audit": _LOOK,
    "subjects.audit_log": _LOOK,
    "subjects.verify": _LOOK,
    "vectors.list": _ALL,
    "vectors.stats": _ALL,
    "vectors.get": _ALL,
    "vectors.search": _WORK,
}
SEES_CONTACT = _WORK
_WORDS = ("query_text", "why")
# Arguments that name a memory, by service, on whatever level. Demands check theirs themselves, by what a demand uses.
_MEMORIES: Mapping[str, frozenset[str]] = {
    "matrix": frozenset({"playbook"}),
    "playbooks": frozenset({"namespace", "from_", "to", "src", "dest"}),
}
# Those that name an index: in every service, and by service. The index of a memory tells all that the memory does.
_INDEXES = frozenset({"corpora", "corpus", "roster"})
_INDEXES_OF: Mapping[str, frozenset[str]] = {"vectors": frozenset({"name", "src", "dest"})}
# Services where a namespace says whose budget a call is for, and the one that is everybody's.
_BUDGETS = frozenset({"chat", "iterate"})
_ANYBODYS = "default"
_NONE: frozenset[str] = frozenset()


class Named(Protocol):
    """Of an operation: its names."""

    @property
    def name(self) -> str:
        """Dotted name, `matrix.search`."""

    @property
    def service(self) -> str:
        """Name of its service, `matrix`."""


def allowed(operation: Named) -> frozenset[str]:
    """Return the roles that may call an operation."""
    return SCOPES.get(operation.name) or SCOPES.get(operation.service) or _RUN


class Gate:
    """Stands in `Rooms.around`, innermost: what it refuses is not done, what it takes out nobody sees.

    Args:
        owner: Returns whose memory an entry of this id is in; raises `NotFound`.
        used_by: Returns the memories that one uses: itself, and those shared with it.
    """

    def __init__(self, owner: Callable[[str], str], used_by: Callable[[str], Collection[str]]) -> None:
        self._owner = owner
        self._used_by = used_by

    def __call__(self, operation: Named, values: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Do the work if the caller may have it done, and leave out what they may not see.

        Raises:
            PermissionDenied: Their roles do not allow it, or the memory is not theirs.
            NotFound: The entry is of a memory that is not theirs: whether there is one is not theirs to know.
        """
        who = caller.current()
        if who is caller.LOCAL:
            return work()
        roles = allowed(operation)
        if not roles & who.roles:
            raise PermissionDenied(
                f"{operation.name} is for {_listed(roles)}; {who.id!r} is {_listed(who.roles)}",
                operation=operation.name,
                roles=sorted(roles),
            )
        if who.namespaces is not None:
            _check_named(who, who.namespaces, operation, values)
            if operation.service == "playbooks" and "id" in values:
                self._check_entry(who.namespaces, operation, values["id"])
        answer = work()
        if who.namespaces is not None and operation.name == "vectors.list":
            answer = _without_others(answer, who.namespaces)
        if who.namespaces is not None and operation.name == "validate.fills":
            answer = _without_demands(answer)
        return answer if who.roles & SEES_CONTACT else without_contact(answer)

    def _check_entry(self, namespaces: frozenset[str], operation: Named, id: str) -> None:
        """Refuse an entry of another memory in the words for one that does not exist."""
        owner = self._owner(id)
        if owner in namespaces:
            return
        if operation.name == "playbooks.get" and any(owner in self._used_by(mine) for mine in namespaces):
            # What is shared is listed, so it can be looked at.
            return
        raise NotFound(f"no playbook entry has the id {id!r}; see `lakehouse playbook list`", id=id)


def _without_others(answer: Any, namespaces: frozenset[str]) -> Any:
    """Return a list of indexes without those made of other memories: whose they are and how much is in them is told."""

    def is_seen(name: str) -> bool:
        return not name.startswith(MEMORY_INDEX) or name.removeprefix(MEMORY_INDEX) in namespaces

    return msgspec.structs.replace(answer, indexes=[each for each in answer.indexes if is_seen(each.name)])


def _without_demands(answer: Any) -> Any:
    """Return a list of bookings that does not tell which demands they are for: those of other memories are among them.

    Who is booked, when and with whom is for everybody to know.
    """
    bookings = [
        msgspec.structs.replace(each, session_id="") if each.session_id.startswith(OF_A_DEMAND) else each
        for each in answer.bookings
    ]
    return msgspec.structs.replace(answer, bookings=bookings)


def without_contact(answer: Any) -> Any:
    """Return an answer without the names and contact data in the metadata it shows, and without words about people."""
    if isinstance(answer, msgspec.Struct):
        shown = {name: getattr(answer, name) for name in answer.__struct_fields__}
        bare = {name: _bare(name, value) for name, value in shown.items()}
        changed = {name: value for name, value in bare.items() if value is not shown[name]}
        return msgspec.structs.replace(answer, **changed) if changed else answer
    if isinstance(answer, list):
        return [without_contact(each) for each in answer]
    return answer


def _bare(name: str, value: Any) -> Any:
    """Return the value of a field without what `without_contact` leaves out."""
    if isinstance(value, str):
        # In what a memory was recorded with anybody may be named.
        return "" if name in _WORDS else value
    if name == "metadata" and isinstance(value, Mapping):
        return _cleaned(value)
    return without_contact(value)


def _cleaned(metadata: Any) -> Any:
    """Return metadata without names, contact data and words, on whatever level they are."""
    if isinstance(metadata, Mapping):
        return {
            name: "" if name in _WORDS and isinstance(value, str) else _cleaned(value)
            for name, value in metadata.items()
            if not worker.is_personal(name)
        }
    if isinstance(metadata, list):
        return [_cleaned(each) for each in metadata]
    return metadata


def _check_named(who: Caller, namespaces: frozenset[str], operation: Named, values: Mapping[str, Any]) -> None:
    """Refuse arguments that name another memory."""
    foreign = next((name for name in _named(operation, values) if name not in namespaces), None)
    if foreign is not None:
        raise PermissionDenied(
            f"the memory {foreign!r} is not one that {who.id!r} may use, which are: {_listed(namespaces)}",
            namespace=foreign,
        )


def _named(operation: Named, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the memories that the arguments of a call name, themselves or by their index."""
    memories = _MEMORIES.get(operation.service, _NONE)
    if operation.name == "matrix.search" and not values.get("use_playbook"):
        memories = _NONE
    if operation.service in _BUDGETS and (payer := values.get("namespace", _ANYBODYS)) != _ANYBODYS:
        yield payer
    indexes = _INDEXES | _INDEXES_OF.get(operation.service, _NONE)
    for field, text in _texts(values, memories | indexes):
        if field in memories:
            yield text
        elif text.startswith(MEMORY_INDEX):
            yield text.removeprefix(MEMORY_INDEX)


def _texts(values: Mapping[str, Any], wanted: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the texts in fields of these names, on whatever level they are."""
    # Not by recursion: how deep a payload goes is up to whoever sends it.
    waiting: list[tuple[str, Any]] = [*values.items()]
    while waiting:
        field, value = waiting.pop()
        if isinstance(value, str):
            if field in wanted:
                yield field, value
        elif isinstance(value, msgspec.Struct):
            waiting += [(name, getattr(value, name)) for name in value.__struct_fields__]
        elif isinstance(value, Mapping):
            waiting += value.items()
        elif isinstance(value, list) and value and (field in wanted or not isinstance(value[0], str | int | float)):
            # Ids to leave out and numbers of a vector are many.
            waiting += [(field, each) for each in value]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
