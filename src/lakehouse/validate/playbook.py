"""A playbook entry that a model proposes: shape, score, role, and an answer that is in the roster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from lakehouse.staffing.demand import Role
from lakehouse.staffing.titles import role_equal
from lakehouse.validate.base import Finding, People, consistency, quoted

if TYPE_CHECKING:
    from lakehouse.staffing.roles import Roles


class PlaybookEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `playbooks.record` takes it."""

    query_text: Annotated[str, msgspec.Meta(min_length=1, max_length=32_768)]
    answer_id: Annotated[str, msgspec.Meta(min_length=1)]
    corpus: Annotated[str, msgspec.Meta(min_length=1)]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    role: Role | None = None
    namespace: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "default"
    outcome: Literal["worked", "rejected"] = "worked"


def check(entry: PlaybookEntry, *, asked_role: str | None, people: People, roles: Roles) -> Iterator[Finding]:
    """Yield what is wrong with an entry.

    Args:
        entry: It.
        asked_role: The role that its query text asks for, null when it names none.
        people: The answer looked up in the entry's corpus.
        roles: Resolve titles.
    """
    if not entry.query_text.strip():
        yield Finding(code="empty_query", variant="Schema", field="query_text", reason="query_text is blank")
    row = people.rows.get(entry.answer_id)
    if row is None:
        yield consistency(
            "phantom_worker",
            "answer_id",
            f"answer {quoted(entry.answer_id)} is not in the roster {quoted(people.roster)}",
        )
    if entry.role is not None and roles.resolve(entry.role) is None:
        yield consistency("unknown_role", "role", f"{quoted(entry.role)} names no occupation")
    if entry.role and asked_role and not same_role(entry.role, asked_role, roles):
        yield consistency(
            "wrong_role", "role", f"the role is {quoted(entry.role)}, the query asks for {quoted(asked_role)}"
        )
    role = entry.role or asked_role
    has = row and (row.get("role") or "")
    if role and has and entry.outcome == "worked" and not same_role(role, str(has), roles):
        yield consistency(
            "wrong_role", "answer_id", f"answer {quoted(entry.answer_id)} is {quoted(has)}, not {quoted(role)}"
        )


def same_role(a: str, b: str, roles: Roles) -> bool:
    """Tell whether two titles are one role by their words or stand for one occupation."""
    if role_equal(a, b):
        return True
    first, second = roles.resolve(a), roles.resolve(b)
    return first is not None and second is not None and first.code == second.code
