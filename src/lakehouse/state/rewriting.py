"""Texts of a database changed where they lie, whatever tables there are: for what must not stay in any of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, MetaData, String, Table, cast, create_engine, literal_column, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from lakehouse.state.database import database_error

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

# Gets the texts of one row, in the order of its columns; returns them changed, or None to leave them.
Change = Callable[[Sequence[str]], Sequence[str] | None]

_ROWS_AT_ONCE = 1_000
_BUSY_S = 10.0


def rewrite(connection: Connection, change: Change, *, skip: Collection[str] = ()) -> None:
    """Offer the texts of every row of every table to `change`, inside the transaction at hand.

    Columns of a primary key are left alone, as rows are found by them.

    Args:
        connection: Of a write transaction.
        change: See `Change`.
        skip: Names of tables that are left alone.
    """
    tables = MetaData()
    tables.reflect(connection)
    sqlite = connection.dialect.name == "sqlite"
    place = literal_column("rowid") if sqlite else cast(literal_column("ctid"), String)
    for table in tables.sorted_tables:
        columns = [column for column in table.columns if isinstance(column.type, String) and not column.primary_key]
        if columns and table.name not in skip:
            _rewrite_table(connection, table, columns, place, change)


def _rewrite_table(
    connection: Connection, table: Table, columns: Sequence[Column[str]], key: ColumnElement[Any], change: Change
) -> None:
    changed: list[tuple[object, dict[str, str]]] = []
    for some in connection.execute(select(key, *columns).select_from(table)).partitions(_ROWS_AT_ONCE):
        for at, *values in some:
            there = [(column.name, value) for column, value in zip(columns, values, strict=True) if value]
            texts = change([value for _, value in there])
            if texts is not None:
                names = [name for name, _ in there]
                changed.append((at, dict(zip(names, texts, strict=True))))
    for at, named in changed:
        connection.execute(update(table).where(key == at).values(named))


def rewrite_file(path: Path, change: Change) -> None:
    """Do so in an SQLite file of somebody else's making, and leave nothing of what was deleted in it.

    Raises:
        PermissionDenied, Unavailable, IntegrityError: It cannot be written now.
    """
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": _BUSY_S})
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as plain:
            plain.exec_driver_sql("PRAGMA secure_delete=ON")
            plain.exec_driver_sql("BEGIN IMMEDIATE")
            rewrite(plain, change)
            plain.exec_driver_sql("COMMIT")
            # Pages that were freed before nobody was asked to overwrite.
            plain.exec_driver_sql("VACUUM")
            plain.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    except DBAPIError as error:
        raise database_error(error, str(path)) or error from error
    finally:
        engine.dispose()
