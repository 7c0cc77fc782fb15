"""Which columns of a dataset the columns of a statement's result come from, as far as its text tells.

Names are followed through aliases, subqueries, common table expressions and set operations, without regard to scope: a
name that means two things is taken for both. What an expression computes is not followed (`a || b`, `id + 1`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

# Functions whose result is one of the values they are given, or a list of them.
_KEEPS = frozenset(
    "min max first last any_value arbitrary arg_min arg_max min_by max_by mode list array_agg list_value unnest"
    " ifnull nullif greatest least lag lead first_value last_value nth_value list_distinct list_sort".split()
)
_STAR = "STAR"


class Origin(msgspec.Struct, frozen=True):
    """Columns of the dataset, in lower case; `plain` when the value is that of one row as it stands there."""

    columns: frozenset[str] = frozenset()
    plain: bool = True


class _Step(msgspec.Struct, frozen=True):
    """A name means these names."""

    names: frozenset[str]
    plain: bool


def origins(
    nodes: Sequence[Mapping[str, Any]], dataset: str, columns: Sequence[str], result: Sequence[str]
) -> list[Origin]:
    """Return where each column of a result comes from.

    Args:
        nodes: Every node of the statement, see `_statement.nodes`.
        dataset: Its name.
        columns: Its columns.
        result: Names of the result's columns.
    """
    steps: dict[str, list[_Step]] = {}
    for node in nodes:
        for name, step in _steps(node, dataset, columns):
            steps.setdefault(name, []).append(step)
    top = next((node for node in nodes if node.get("type") in {"SELECT_NODE", "SET_OPERATION_NODE"}), {})
    first = _selected(top)
    named = [name.casefold() for name in result]
    if len(first) == len(result) and not any(_is_star(expression) for expression in first):
        # The engine names what has no alias in its own way.
        for name, expression in zip(named, first, strict=True):
            steps.setdefault(name, []).append(_step(expression))
    known = {column.casefold() for column in columns}
    return [_followed(name, steps, known) for name in named]


def tables(nodes: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the names of the tables that a statement reads, in lower case."""
    return {str(node["table_name"]).casefold() for node in nodes if node.get("type") == "BASE_TABLE"}


def named(nodes: Sequence[Mapping[str, Any]], columns: Collection[str]) -> frozenset[str]:
    """Return those of columns, in lower case, that a statement names anywhere."""
    refs = {str(node["column_names"][-1]).casefold() for node in nodes if node.get("class") == "COLUMN_REF"}
    return frozenset(refs & set(columns))


def _steps(node: Mapping[str, Any], dataset: str, columns: Sequence[str]) -> Iterator[tuple[str, _Step]]:
    for expression in node.get("select_list") or ():
        name = _name(expression)
        if name:
            yield name, _step(expression)
        for renamed in expression.get("rename_list") or ():
            yield renamed["value"].casefold(), _Step(frozenset({renamed["key"]["column"].casefold()}), plain=True)
    if node.get("left") and node.get("right"):
        left, right = _selected(node["left"]), _selected(node["right"])
        for one, other in zip(left, right, strict=False):
            yield _name(one), _step(other)
    yield from _renamed(node.get("column_name_alias"), node.get("subquery"))
    value = node.get("value")
    if isinstance(value, dict) and "query" in value:
        yield from _renamed(value.get("aliases"), value["query"])
    if node.get("type") == "BASE_TABLE" and str(node["table_name"]).casefold() == dataset:
        for alias, column in zip(node.get("column_name_alias") or (), columns, strict=False):
            yield str(alias).casefold(), _Step(frozenset({column.casefold()}), plain=True)


def _renamed(aliases: Sequence[str] | None, query: Mapping[str, Any] | None) -> Iterator[tuple[str, _Step]]:
    """Follow `t(a, b)` to what the query behind it selects."""
    if aliases and query:
        for alias, expression in zip(aliases, _selected(query["node"]), strict=False):
            yield alias.casefold(), _step(expression)


def _selected(node: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return what a query selects, of a set operation what its first part does."""
    while node.get("left"):
        node = node["left"]
    return node.get("select_list") or ()


def _is_star(expression: Mapping[str, Any]) -> bool:
    return expression.get("class") == _STAR


def _name(expression: Mapping[str, Any]) -> str:
    if expression.get("alias"):
        return str(expression["alias"]).casefold()
    if expression.get("class") == "COLUMN_REF":
        return str(expression["column_names"][-1]).casefold()
    children: Sequence[Mapping[str, Any]] = expression.get("children") or ()
    if expression.get("class") == "FUNCTION" and len(children) == 1:
        return f"{expression['function_name']}({_name(children[0])})".casefold()
    return ""


def _step(expression: Mapping[str, Any]) -> _Step:
    """Return the names whose values an expression gives."""
    kind = expression.get("class")
    if kind == "COLUMN_REF":
        return _Step(frozenset({str(expression["column_names"][-1]).casefold()}), plain=True)
    if kind == "CAST":
        return _step(expression["child"])
    within: list[Mapping[str, Any]] = []
    if kind in {"FUNCTION", "WINDOW"} and str(expression.get("function_name", "")).casefold() in _KEEPS:
        within = [*expression["children"]]
    elif kind == "CASE":
        within = [*(check["then_expr"] for check in expression["case_checks"]), expression["else_expr"]]
    elif kind == "OPERATOR":
        within = [*expression.get("children", ())]
    elif kind == "SUBQUERY":
        within = [*_selected(expression["subquery"]["node"])]
    return _Step(frozenset().union(*(_step(each).names for each in within if each)), plain=False)


def _followed(name: str, steps: Mapping[str, Sequence[_Step]], known: set[str]) -> Origin:
    found: set[str] = set()
    plain, seen, waiting = True, {name}, [name]
    while waiting:
        at = waiting.pop()
        if at in known:
            found.add(at)
        for step in steps.get(at, ()):
            plain = plain and (step.plain or not step.names)
            waiting += step.names - seen
            seen |= step.names
    return Origin(frozenset(found), plain)
