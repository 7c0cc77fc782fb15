"""What a caller's roles allow: which operations, which memory, and whether contact data is in the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from lakehouse import caller
from lakehouse.caller import AUDITOR, COORDINATOR, OPERATOR, Caller
from lakehouse.errors import PermissionDenied
from lakehouse.staffing import worker

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
    "validate": _WORK,
    "iterate": _WORK,
    "iterate.sessions": _LOOK,
    "chat": _WORK,
    "pathways": _WORK,
    "observer": _WORK,
    "subjects": _LOOK,
    "subjects.erase": _RUN,
    "vectors.list": _ALL,
    "vectors.stats": _ALL,
    "vectors.get": _ALL,
    "vectors.search": _WORK,
}
SEES_CONTACT = _WORK
_WORDS = ("query_text", "why")
_NAMESPACES = ("namespace", "playbook", "from_", "to")


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
    """Stands in `Rooms.around`, innermost: what it refuses is not done, what it takes out nobody sees."""

    def __call__(self, operation: Named, values: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Do the work if the caller may have it done, and leave out what they may not see.

        Raises:
            PermissionDenied: Their roles do not allow it, or the memory is not theirs.
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
        _check_namespaces(who, operation, values)
        answer = work()
        return answer if who.roles & SEES_CONTACT else without_contact(answer)


def without_contact(answer: Any) -> Any:
    """Return an answer without the names and contact data in the metadata it shows, and without words about people."""
    if isinstance(answer, msgspec.Struct):
        changed = {
            name: _cleaned(value) if name == "metadata" else without_contact(value)
            for name in ("metadata", "results", "items", "entries")
            if (value := getattr(answer, name, None)) is not None and not isinstance(value, int)
        }
        # In what a memory was recorded with anybody may be named.
        changed |= {name: "" for name in _WORDS if isinstance(getattr(answer, name, None), str)}
        return msgspec.structs.replace(answer, **changed) if changed else answer
    if isinstance(answer, list):
        return [without_contact(each) for each in answer]
    return answer


def _cleaned(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if not worker.is_personal(name)}


def _check_namespaces(who: Caller, operation: Named, values: Mapping[str, Any]) -> None:
    if who.namespaces is None:
        return
    named = [values[name] for name in _NAMESPACES if isinstance(values.get(name), str)]
    named += [entry.namespace for entry in values.get("entries") or () if hasattr(entry, "namespace")]
    if operation.name == "matrix.search" and not values.get("use_playbook"):
        return
    if operation.service not in {"matrix", "playbooks"}:
        return
    if operation.name == "playbooks.delete":
        raise PermissionDenied(f"{who.id!r} may use certain memories only, and an entry's id does not say whose it is")
    foreign = [name for name in named if name not in who.namespaces]
    if foreign:
        raise PermissionDenied(
            f"the memory {foreign[0]!r} is not one that {who.id!r} may use, which are: {_listed(who.namespaces)}",
            namespace=foreign[0],
        )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
