"""Playbook rows in the state database: the truth that the index over them is derived from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)

from lakehouse.memory.base import PastOutcome, Playbook
from lakehouse.memory.evidence import WEIGHTS
from lakehouse.state.database import Migration

ROOM = "memory"
metadata = MetaData()

playbooks = Table(
    "playbooks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("namespace", String(64), nullable=False),
    Column("query_text", String, nullable=False),
    Column("answer_id", String(512), nullable=False),
    Column("corpus", String(128), nullable=False),
    Column("score", Float, nullable=False),
    Column("role", String, nullable=False),
    Column("role_code", String(16), nullable=False),
    Column("city", String, nullable=False),
    Column("state", String(2), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Column("client", String, nullable=False, server_default=""),
    Column("by", String(200), nullable=False, server_default=""),
    Column("why", String(1000), nullable=False, server_default=""),
    Column("good", Float, nullable=False, server_default=text("0")),
    Column("bad", Float, nullable=False, server_default=text("0")),
    Column("evidence_on", String(10), nullable=False, server_default=""),
    Column("helped", Integer, nullable=False, server_default=text("0")),
    Column("overridden", Integer, nullable=False, server_default=text("0")),
    # True while the derived index may not hold this row yet; a crash in between is mended at the next start.
    Column("pending", Boolean, nullable=False),
    Index("playbooks_namespace", "namespace", "updated_at"),
    Index("playbooks_pending", "pending"),
)
_by_use = Index("playbooks_use", *(playbooks.c[name] for name in ("corpus", "answer_id", "city", "state", "role_code")))

shares = Table(
    "playbook_shares",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("reader", String(64), nullable=False),
    PrimaryKeyConstraint("owner", "reader"),
)

# Every outcome ever recorded, so that none is lost when an entry is brought up to date.
outcomes = Table(
    "playbook_outcomes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("playbook_id", String(40), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("at", String(32), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("score", Float, nullable=False),
    Column("by", String(200), nullable=False),
    Column("why", String(1000), nullable=False),
    Column("held_out", Boolean, nullable=False),
    Index("playbook_outcomes_entry", "playbook_id"),
    Index("playbook_outcomes_arm", "namespace", "held_out"),
)

# Which entries were written or removed, in order; only for processes that share the database.
changes = Table(
    "playbook_changes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False),
    Column("namespace", String(64), nullable=False),
)
# Whoever is farther behind compares everything.
_CHANGES_KEPT = 100_000

# What was answered to calls that came with a key, so that one that is sent again is not carried out again.
receipts = Table(
    "playbook_receipts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False),
    Column("answer", String, nullable=False),
    Index("playbook_receipts_key", "key", unique=True),
)
# What was brought up to which edition of what it is made by.
notes = Table(
    "playbook_notes",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String(64), nullable=False),
)
_RECEIPTS_KEPT = 100_000
# Looked at that often, and not with every call.
_RECEIPTS_AT_ONCE = 1_000

_LAYOUT_2 = ("client", "by", "why", "good", "bad", "evidence_on", "helped", "overridden")


def _add_outcomes(connection: Connection) -> None:
    """Bring layout 1 to layout 2: what an entry said becomes its first outcome, and its index is made anew."""
    quoted = connection.dialect.identifier_preparer.quote
    for name in _LAYOUT_2:
        kind = playbooks.c[name].type.compile(connection.dialect)
        default = "0" if kind in {"FLOAT", "INTEGER"} else "''"
        connection.execute(text(f"ALTER TABLE playbooks ADD COLUMN {quoted(name)} {kind} NOT NULL DEFAULT {default}"))
    outcomes.create(connection)
    for outcome, (good, bad) in WEIGHTS.items():
        connection.execute(update(playbooks).where(playbooks.c.outcome == outcome).values(good=good, bad=bad))
    connection.execute(update(playbooks).values(evidence_on=func.substr(playbooks.c.updated_at, 1, 10), pending=True))
    c = playbooks.c
    first = select(c.id, c.namespace, c.updated_at, c.outcome, c.score, c.by, c.why, literal_column("false"))
    names = ["playbook_id", "namespace", "at", "outcome", "score", "by", "why", "held_out"]
    connection.execute(outcomes.insert().from_select(names, first))


def _file_anew(connection: Connection) -> None:
    """Bring layout 2 to layout 3: other words in the derived indexes, and an index for what `count_use` asks."""
    connection.execute(text("DROP INDEX IF EXISTS playbooks_answer"))
    _by_use.create(connection)
    connection.execute(update(playbooks).values(pending=True))


MIGRATIONS = (
    Migration(2, _add_outcomes),
    Migration(3, _file_anew),
    Migration(4, lambda connection: metadata.create_all(connection, [changes])),
    Migration(5, lambda connection: metadata.create_all(connection, [receipts])),
)

_FIELDS = Playbook.__struct_fields__
_KEPT = frozenset({"id", "created_at", "helped", "overridden"})
_PLACE = ("corpus", "answer_id", "city", "state")


class Brief(NamedTuple):
    """Of a row what its id is made of."""

    id: str
    namespace: str
    query_text: str
    role: str
    corpus: str
    answer_id: str


def _playbook(row: Sequence[object]) -> Playbook:
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Playbook)


def _columns() -> list[Column[Any]]:
    return [playbooks.c[name] for name in _FIELDS]


# Made once: every list put into a statement leaves objects that refer to each other behind, which only a search for
# garbage frees, and these two run for every entry that is recorded.
_BY_IDS = select(*_columns()).where(playbooks.c.id.in_(bindparam("ids", expanding=True)))
_SETTLE = update(playbooks).where(playbooks.c.id.in_(bindparam("ids", expanding=True))).values(pending=False)


def by_ids(connection: Connection, ids: Iterable[str]) -> dict[str, Playbook]:
    """Return the rows that exist, by id."""
    found = connection.execute(_BY_IDS, {"ids": list(ids)})
    return {row[0]: _playbook(row) for row in found}


def existing(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Return those of some ids that rows have."""
    return set(connection.scalars(select(playbooks.c.id).where(playbooks.c.id.in_(list(ids)))))


def briefly(connection: Connection, namespaces: Iterable[str] | None = None) -> Iterator[Brief]:
    """Yield of all rows of these namespaces, or of every one, what their ids are made of."""
    c = playbooks.c
    query = select(*(c[name] for name in Brief._fields))
    if namespaces is not None:
        query = query.where(c.namespace.in_(list(namespaces)))
    for row in connection.execute(query):
        yield Brief(*row)


def of_namespaces(
    connection: Connection, namespaces: Iterable[str], *, limit: int | None = None, offset: int = 0
) -> list[Playbook]:
    """Return the rows of these namespaces, newest change first, ties by id; `limit` after the first `offset`."""
    query = (
        select(*_columns())
        .where(playbooks.c.namespace.in_(list(namespaces)))
        .order_by(playbooks.c.updated_at.desc(), playbooks.c.id)
        .limit(limit)
        .offset(offset or None)
    )
    return [_playbook(row) for row in connection.execute(query)]


def counts(connection: Connection) -> dict[str, int]:
    """Return the number of rows of every namespace."""
    query = select(playbooks.c.namespace, func.count()).group_by(playbooks.c.namespace)
    return {row[0]: row[1] for row in connection.execute(query)}


def pending(connection: Connection) -> list[Playbook]:
    """Return the rows that the index may not hold yet, by id."""
    query = select(*_columns()).where(playbooks.c.pending).order_by(playbooks.c.id)
    return [_playbook(row) for row in connection.execute(query)]


def put(connection: Connection, entries: Sequence[Playbook], known: Collection[str]) -> None:
    """Insert rows; those whose id is `known` are replaced, keeping `created_at` and their counts. Marks all pending."""
    rows = [{**msgspec.structs.asdict(entry), "pending": True} for entry in entries]
    new = [row for row in rows if row["id"] not in known]
    later = [{f"new_{name}": value for name, value in row.items()} for row in rows if row["id"] in known]
    if new:
        connection.execute(playbooks.insert(), new)
    if later:
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in (*_FIELDS, "pending") if name not in _KEPT}
        connection.execute(update(playbooks).where(playbooks.c.id == bindparam("new_id")).values(values), later)


def settle(connection: Connection, ids: Iterable[str]) -> None:
    """Note that the index holds these rows."""
    wanted = list(ids)
    if wanted:
        connection.execute(_SETTLE, {"ids": wanted})


def remove(connection: Connection, ids: Iterable[str]) -> int:
    """Delete rows and their outcomes; returns how many there were."""
    ids = list(ids)
    connection.execute(delete(outcomes).where(outcomes.c.playbook_id.in_(ids)))
    return connection.execute(delete(playbooks).where(playbooks.c.id.in_(ids))).rowcount


def note_changes(connection: Connection, entries: Iterable[tuple[str, str]]) -> None:
    """Tell other processes that entries, given as id and namespace, were written or removed."""
    rows = [{"id": id, "namespace": namespace} for id, namespace in entries]
    if rows:
        connection.execute(changes.insert(), rows)
        connection.execute(delete(changes).where(changes.c.number <= last_change(connection) - _CHANGES_KEPT))


def last_change(connection: Connection) -> int:
    """Return the number of the newest change, 0 when there is none."""
    return connection.scalar(select(func.max(changes.c.number))) or 0


def changed_since(connection: Connection, number: int) -> tuple[list[tuple[str, str]], bool]:
    """Return id and namespace of what was changed after a number, oldest first, and whether that is surely all."""
    c = changes.c
    first = connection.scalar(select(func.min(c.number)))
    found = connection.execute(select(c.id, c.namespace).where(c.number > number).order_by(c.number))
    return [(row.id, row.namespace) for row in found], first is None or first <= number + 1


def all_shares(connection: Connection) -> dict[str, list[str]]:
    """Return, for every namespace that may use others, whose entries those are, sorted."""
    found: dict[str, list[str]] = {}
    for owner, reader in connection.execute(select(shares.c.owner, shares.c.reader).order_by(shares.c.owner)):
        found.setdefault(reader, []).append(owner)
    return found


def share(connection: Connection, owner: str, reader: str) -> bool:
    """Let `reader` use the entries of `owner`; returns whether that is new."""
    if owner in all_shares(connection).get(reader, []):
        return False
    connection.execute(shares.insert().values(owner=owner, reader=reader))
    return True


def withdraw(connection: Connection, owner: str, reader: str) -> bool:
    """Let `reader` use the entries of `owner` no more; returns whether it could."""
    gone = connection.execute(delete(shares).where(shares.c.owner == owner, shares.c.reader == reader))
    return bool(gone.rowcount)


def count_use(connection: Connection, entries: Iterable[Playbook], namespaces: Iterable[str]) -> None:
    """Count for what was remembered of these answers that a new outcome confirmed it, or turned it down.

    Counted are entries of these namespaces for the same role and place that had something good to say.
    """
    times: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    for entry in entries:
        column = "helped" if entry.good > entry.bad else "overridden"
        by = "role_code" if entry.role_code else "role"
        times[column, by, tuple(getattr(entry, name) for name in (*_PLACE, by))] += 1
    # Written out: a list of unknown length cannot be bound in a statement for many rows.
    among = or_(*(playbooks.c.namespace == name for name in namespaces))
    for column, by in dict.fromkeys(key[:2] for key in times):
        used = [
            {"times": count, **{f"of_{name}": value for name, value in zip((*_PLACE, by), of, strict=True)}}
            for (one, other, of), count in times.items()
            if (one, other) == (column, by)
        ]
        c = playbooks.c
        same = [c[name] == bindparam(f"of_{name}") for name in (*_PLACE, by)]
        statement = update(playbooks).where(*same, among, c.good > c.bad)
        connection.execute(statement.values({column: c[column] + bindparam("times")}), used)


def note_outcomes(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append outcomes, each a row of the table `playbook_outcomes`."""
    if rows:
        connection.execute(outcomes.insert(), [dict(row) for row in rows])


def outcomes_of(connection: Connection, id: str) -> list[PastOutcome]:
    """Return the outcomes of an entry, oldest first."""
    return outcomes_by_entry(connection, [id]).get(id, [])


def arms(connection: Connection, namespaces: Iterable[str]) -> dict[tuple[bool, str], int]:
    """Count outcomes by whether the demand was held out, and by outcome."""
    query = (
        select(outcomes.c.held_out, outcomes.c.outcome, func.count())
        .where(outcomes.c.namespace.in_(list(namespaces)))
        .group_by(outcomes.c.held_out, outcomes.c.outcome)
    )
    return {(bool(row[0]), row[1]): row[2] for row in connection.execute(query)}


def outcomes_by_entry(connection: Connection, ids: Iterable[str]) -> dict[str, list[PastOutcome]]:
    """Return the outcomes of several entries by their ids, oldest first; an entry without any is left out."""
    names = PastOutcome.__struct_fields__
    c = outcomes.c
    query = select(c.playbook_id, *(c[name] for name in names)).where(c.playbook_id.in_(list(ids)))
    found: dict[str, list[PastOutcome]] = {}
    # Those that came with a copy were written later than they happened.
    for id, *row in connection.execute(query.order_by(c.at, c.number)):
        found.setdefault(id, []).append(msgspec.convert(dict(zip(names, row, strict=True)), PastOutcome))
    return found


def receipt(connection: Connection, key: str) -> str | None:
    """Return what was answered to the call of a key, None when none is known."""
    return connection.scalar(select(receipts.c.answer).where(receipts.c.key == key))


def note_receipt(connection: Connection, key: str, answer: str) -> None:
    """Keep what is answered to the call of a key; the last 100,000 are kept."""
    number = connection.scalars(receipts.insert().returning(receipts.c.number), {"key": key, "answer": answer}).one()
    if number % _RECEIPTS_AT_ONCE == 0:
        connection.execute(delete(receipts).where(receipts.c.number <= number - _RECEIPTS_KEPT))


def noted(connection: Connection, name: str) -> str:
    """Return what was noted under a name, empty when nothing was."""
    return connection.scalar(select(notes.c.value).where(notes.c.name == name)) or ""


def note(connection: Connection, name: str, value: str) -> None:
    """Note something under a name, in place of what was noted before."""
    connection.execute(delete(notes).where(notes.c.name == name))
    connection.execute(notes.insert().values(name=name, value=value))
