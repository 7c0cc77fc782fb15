"""What a statement may do: read datasets, and nothing else.

This is the second fence and the one with the clear messages. The first is the engine's: the connection that
runs the statement may open the datasets' own files only, loads no extensions and takes no settings.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection
from typing import Any

import duckdb

from lakehouse.errors import InvalidInput, LakehouseError, PermissionDenied, Unavailable

MAX_SQL_CHARS = 200_000

_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"})
_REFUSED_FUNCTIONS = frozenset(
    {
        "current_setting",
        "getvariable",
        "getenv",
        "write_log",
        "sleep_ms",
        "pg_sleep",
        "nextval",
        "currval",
        "pg_get_viewdef",
        "json_serialize_plan",
        "json_deserialize_sql",
        "json_execute_serialized_sql",
        "which_secret",
    }
)
_SHOWN = frozenset({'"tables"', "__show_tables_expanded"})
_SYSTEM = frozenset({("information_schema", "tables"), ("information_schema", "columns")})
_OWN_SCHEMAS = frozenset({"", "main"})
_OWN_CATALOGS = frozenset({"", "memory"})
_PATH_SIGNS = frozenset("/\\.*?:[")


def check(cursor: duckdb.DuckDBPyConnection, sql: str, datasets: Collection[str], broken: Collection[str] = ()) -> None:
    """Refuse a statement that is anything but one query over datasets.

    Args:
        cursor: Where it would run.
        sql: The statement.
        datasets: Names it may read.
        broken: Those whose files cannot be read.

    Raises:
        InvalidInput: Empty, too long, not SQL, several statements, or a table that does not exist.
        PermissionDenied: It would do something other than read datasets.
        Unavailable: It reads a broken dataset.
    """
    if len(sql) > MAX_SQL_CHARS:
        raise InvalidInput(f"sql has {len(sql):,} characters, at most {MAX_SQL_CHARS:,} are allowed", field="sql")
    try:
        statements = cursor.extract_statements(sql)
    except duckdb.PermissionException:
        raise PermissionDenied("only queries are allowed; files cannot be read", field="sql") from None
    except duckdb.Error as error:
        raise refused(str(error)) from None
    if not statements:
        raise InvalidInput("sql is empty; write a SELECT", field="sql")
    if any(statement.type.name != "SELECT" for statement in statements):
        raise PermissionDenied(
            "only queries are allowed (SELECT, WITH, FROM, DESCRIBE, SUMMARIZE, SHOW TABLES; PIVOT with its values"
            " listed in IN)",
            field="sql",
        )
    if len(statements) > 1:
        raise InvalidInput("sql has several statements; send one at a time", field="sql")
    found = nodes(cursor, sql)
    known = {name.casefold() for name in datasets}
    known |= {entry["key"].casefold() for node in found for entry in node.get("cte_map", {}).get("map", [])}
    known |= {str(node["cte_name"]).casefold() for node in found if node.get("cte_name")}
    for node in found:
        if node.get("type") == "BASE_TABLE" and node["table_name"].casefold() in broken:
            name = node["table_name"]
            raise Unavailable(f"the files of dataset {name!r} cannot be read; check the disk", dataset=name)
        fault = _fault(node, known, datasets)
        if fault:
            raise fault


def refused(reason: str) -> InvalidInput:
    """Return the engine's refusal of a statement in its own words."""
    return InvalidInput(reason.strip()[:2_000], field="sql")


def _tree(cursor: duckdb.DuckDBPyConnection, sql: str) -> Any:
    found = cursor.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    try:
        tree = json.loads(found[0]) if found else {"error": True}
    except RecursionError:
        raise InvalidInput("sql is nested too deeply; flatten it", field="sql") from None
    if tree["error"]:
        raise PermissionDenied("only queries are allowed, no PRAGMA or other command", field="sql")
    return tree["statements"]


def nodes(cursor: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Return every node of a statement's tree, the topmost first.

    Raises:
        PermissionDenied: It is no query.
        InvalidInput: It is nested too deeply.
    """
    found: list[dict[str, Any]] = []
    pending = [_tree(cursor, sql)]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            found.append(node)
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return found


def _fault(node: dict[str, Any], known: Collection[str], datasets: Collection[str]) -> LakehouseError | None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        return _table_fault(node, known, datasets)
    if kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).casefold()
        if name not in _TABLE_FUNCTIONS:
            allowed = ", ".join(sorted(_TABLE_FUNCTIONS))
            return PermissionDenied(f"table function {name!r} is not allowed; allowed are {allowed}", field="sql")
    if kind == "SHOW_REF" and node.get("query") is None and node.get("table_name") not in _SHOWN:
        return PermissionDenied("only SHOW TABLES and DESCRIBE of a dataset are allowed", field="sql")
    if node.get("class") == "FUNCTION":
        name = str(node.get("function_name", "")).casefold()
        if name in _REFUSED_FUNCTIONS or name.startswith("__internal"):
            return PermissionDenied(f"function {name!r} is not allowed", field="sql")
    return None


def _table_fault(node: dict[str, Any], known: Collection[str], datasets: Collection[str]) -> LakehouseError | None:
    name = str(node["table_name"])
    schema, catalog = str(node["schema_name"]).casefold(), str(node["catalog_name"]).casefold()
    own = schema in _OWN_SCHEMAS and catalog in _OWN_CATALOGS
    if (own and name.casefold() in known) or (catalog in _OWN_CATALOGS and (schema, name.casefold()) in _SYSTEM):
        return None
    if not own or _PATH_SIGNS & set(name):
        shown = ".".join(part for part in (catalog, schema, name) if part)
        return PermissionDenied(f"{shown[:200]!r} is no dataset; files and system tables cannot be read", field="sql")
    near = difflib.get_close_matches(name.casefold(), list(datasets), 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    there = ", ".join(sorted(datasets)) or "none yet"
    return InvalidInput(f"no dataset {name!r}; {hint}there are: {there}", field="sql", table=name)
