"""Rows brought up to how texts and clients are compared today, and to the codes that titles have today."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import case, inspect, select, text, update

from lakehouse.memory import _joining, _rows
from lakehouse.memory._entries import composed, identity, outcome_row
from lakehouse.memory._index import chunks
from lakehouse.staffing.folding import client_key
from lakehouse.state.database import Migration

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lakehouse.memory.base import Playbook
    from lakehouse.staffing.roles import Roles

_ROLES = "roles"


def migrations(half_life_days: float) -> list[Migration]:
    """Return all steps to the newest layout; entries that become one are joined as `half_life_days` says."""
    return [*_rows.MIGRATIONS, Migration(6, functools.partial(_respell, half_life_days=half_life_days))]


def _respell(connection: Connection, half_life_days: float) -> None:
    """Bring layout 5 to layout 6: clients and texts are compared by other spellings, and ids follow from texts."""
    _rows.metadata.create_all(connection, [_rows.notes])
    c = _rows.playbooks.c
    clients = {name: client_key(name) for name in connection.scalars(select(c.client).distinct())}
    for some in chunks([name for name, key in clients.items() if name != key]):
        # Many at once, as each statement goes through all rows.
        keys = case({name: clients[name] for name in some}, value=c.client)
        connection.execute(update(_rows.playbooks).where(c.client.in_(some)).values(client=keys, pending=True))
    is_told = inspect(connection).has_table("demand_people")
    for id in _spelt_otherwise(connection):
        # Of several that become one, those after the first find it there.
        entry = _rows.by_ids(connection, [id])[id]
        now = msgspec.structs.replace(entry, id=_identity(entry), role=composed(entry.role), city=composed(entry.city))
        there = _rows.by_ids(connection, [now.id]).get(now.id)
        if there is None:
            values = {"id": now.id, "role": now.role, "city": now.city, "pending": True}
            connection.execute(update(_rows.playbooks).where(c.id == id).values(values))
            told = _rows.outcomes.c.playbook_id
            connection.execute(update(_rows.outcomes).where(told == id).values(playbook_id=now.id))
        else:
            _join(connection, id, now, there, half_life_days)
        if is_told:
            _tell_demands(connection, id, now.id, alone=there is None)


def _join(connection: Connection, id: str, now: Playbook, there: Playbook, half_life_days: float) -> None:
    """Join an entry with the one that has been what it is now."""
    told = _rows.outcomes_by_entry(connection, [id, there.id])
    had, given = told.get(there.id, []), told.get(id, [])
    row = _joining.joined((there, had), (now, given), half_life_days) or there
    _rows.put(connection, [row], {row.id})
    _rows.note_outcomes(connection, [outcome_row(row, each) for each in _joining.missing(given, had)])
    _rows.remove(connection, [id])


def _tell_demands(connection: Connection, before: str, now: str, *, alone: bool) -> None:
    """Let what came of somebody on an open demand name its entry, which undoing it takes away where it is alone."""
    made = "" if alone else ", made = false"
    statement = text(f"UPDATE demand_people SET entry = :now{made} WHERE entry = :before")  # noqa: S608 - of two
    connection.execute(statement, {"now": now, "before": before})


def _spelt_otherwise(connection: Connection) -> list[str]:
    """Return the ids that are others today, sorted: of what is written in ASCII none is."""
    briefly = _rows.briefly(connection)
    return sorted(row.id for row in briefly if not (row.query_text + row.role).isascii() and _identity(row) != row.id)


def _identity(row: Playbook | _rows.Brief) -> str:
    return identity(row.namespace, row.query_text, row.role, row.corpus, row.answer_id)


def are_resolved(connection: Connection, roles: Roles) -> bool:
    """Tell whether entries have the codes of this edition of `roles`."""
    return _rows.noted(connection, _ROLES) == str(roles.edition)


def resolve_anew(connection: Connection, roles: Roles) -> list[tuple[str, str]]:
    """Give the titles of entries the codes they have in this edition of `roles`.

    Returns:
        Id and namespace of each entry that has another code now.
    """
    c = _rows.playbooks.c
    had = connection.execute(select(c.role, c.role_code).distinct().where(c.role != "")).all()
    matches = {role: roles.resolve(role) for role, _ in had}
    codes = {role: match.code if match is not None else "" for role, match in matches.items()}
    changed: list[tuple[str, str]] = []
    for some in chunks(sorted({role for role, code in had if codes[role] != code})):
        now = case({role: codes[role] for role in some}, value=c.role)
        of_them = c.role.in_(some) & (c.role_code != now)
        changed += [(row.id, row.namespace) for row in connection.execute(select(c.id, c.namespace).where(of_them))]
        connection.execute(update(_rows.playbooks).where(of_them).values(role_code=now, pending=True))
    _rows.note(connection, _ROLES, str(roles.edition))
    return changed
