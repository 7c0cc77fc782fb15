"""Statements of DuckDB's dialect in Spark's."""

from __future__ import annotations

from collections.abc import Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

from lakehouse.errors import InvalidInput


def tables_of(sql: str) -> set[str] | None:
    """Return the tables that a query reads, in lower case; null when it is no query but asks about tables."""
    tree = _parsed(sql)
    if not isinstance(tree, exp.Query):
        return None
    return {table.name.casefold() for table in _tables(tree)}


def translated(sql: str, views: Mapping[str, str]) -> str:
    """Put a query of DuckDB's dialect into Spark's, with the datasets' views for their names.

    >>> translated("SELECT name, day::VARCHAR FROM people ORDER BY pay", {"people": "people_1"})
    'SELECT name, CAST(day AS STRING) FROM people_1 AS people ORDER BY pay NULLS LAST'

    Raises:
        InvalidInput: Something of it cannot be said in Spark's SQL.
    """
    tree = _parsed(sql)
    by_name = {name.casefold(): view for name, view in views.items()}
    for table in _tables(tree):
        view = by_name.get(table.name.casefold())
        if view is not None:
            known_as = table.alias or table.name
            table.set("this", exp.to_identifier(view))
            table.set("db", None)
            table.set("catalog", None)
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(known_as)))
    try:
        return tree.sql(dialect="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)
    except SqlglotError as error:
        raise _unsaid(error) from None


def _tables(tree: exp.Expr) -> list[exp.Table]:
    """Return the tables of a query that are no common table expressions of it."""
    found = {id(source): source for scope in traverse_scope(tree) for source in scope.sources.values()}
    return [source for source in found.values() if isinstance(source, exp.Table)]


def _parsed(sql: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(sql, read="duckdb")
    except SqlglotError as error:
        raise _unsaid(error) from None


def _unsaid(error: SqlglotError) -> InvalidInput:
    reason = str(error).splitlines()[0][:500]
    return InvalidInput(f"the statement cannot be put into Spark's SQL: {reason}; write it another way", field="sql")
