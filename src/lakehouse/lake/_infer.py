"""Which type a column of text has: the narrowest that every value of the whole file is written as.

A number counts as one only if writing it back gives the same text or nothing is lost: `05356`, `+1`, `1_000`,
` 5` and integers beyond 64 bits stay text. Dates and times are ISO 8601 only, because 3/4/2024 is two dates.
An empty cell is null in a column of any type; a quoted empty cell is an empty string in a text column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime

from lakehouse.lake._relation import text
from lakehouse.lake.columns import duckdb_type

# Ways of writing a value that are never guessed, only asked for in a mapping: the type they give, and how they read.
FORMS = {"money": "float64", "mdy": "date", "dmy": "date", "day": "date"}
SHOWN = {
    "money": "an amount like $1,234.50",
    "mdy": "a date like 12/31/2024",
    "dmy": "a date like 31/12/2024",
    "day": "a date like 2024-12-31, with or without a time",
}
CANDIDATES = ("bool", "int64", "float64", "date", "timestamp", "timestamptz")

_FLOAT = r"-?((0|[1-9]\d{0,17})(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?"
_MONEY = r"-?\$? ?(\d{1,3}(,\d{3})+|\d{1,18})(\.\d{0,9})?"
_DATE = r"\d{4}-\d\d-\d\d"
_TIME = r"[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?"
_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)"
_SHAPES = {"date": _DATE, "timestamp": _DATE + _TIME, "timestamptz": _DATE + _TIME + _ZONE}
_PATTERNS = {
    "mdy": "['%m/%d/%Y', '%Y-%m-%d']",
    "dmy": "['%d/%m/%Y', '%Y-%m-%d']",
    "day": "['%Y-%m-%d', '%Y-%m-%d %H:%M:%S', '%Y-%m-%dT%H:%M:%S']",
}
_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)
_NUMBER = re.compile(_FLOAT, re.ASCII)
_SMALL = 1 << 63
_COMPILED = {name: re.compile(shape, re.ASCII) for name, shape in _SHAPES.items()}


def condition(kind: str, value: str, *, among: Collection[str] = ()) -> str:
    """Return the SQL test whether a text, not empty, is written as a type or in a form.

    Types that are tested `among` others of the same text cost less where a narrower one decides.
    """
    if kind == "float64" and "int64" in among:
        # A longer integer is none that a float holds.
        whole = f"strlen({value}) <= 18 AND {condition('int64', value)}"
        return f"CASE WHEN {whole} THEN true ELSE {condition(kind, value)} END"
    if kind in FORMS:
        fits = f" AND regexp_full_match({value}, {text(_MONEY)})" if kind == "money" else ""
        return f"({cast(kind, value)} IS NOT NULL{fits})"
    if kind == "bool":
        # As most files write it costs half of what any way costs.
        return f"CASE WHEN {value} IN ('true', 'false') THEN true ELSE lower({value}) IN ('true', 'false') END"
    if kind == "int64":
        return f"coalesce(CAST(TRY_CAST({value} AS BIGINT) AS VARCHAR) = {value}, false)"
    if kind == "float64":
        return (
            f"(regexp_full_match({value}, {text(_FLOAT)}) AND coalesce(isfinite(TRY_CAST({value} AS DOUBLE)), false))"
        )
    return _shaped(kind, value) if kind in _SHAPES else "true"


def _shaped(kind: str, value: str) -> str:
    read = f"TRY_CAST({value} AS {duckdb_type(kind)})"
    shaped = f"(regexp_full_match({value}, {text(_SHAPES[kind])}) AND {read} IS NOT NULL)"
    if kind != "date":
        return shaped
    # Written back the same in ten letters it has the shape, which costs less to tell than the shape itself.
    back = f"strlen({value}) = 10 AND coalesce(CAST({read} AS VARCHAR) = {value}, false)"
    return f"CASE WHEN {back} THEN true ELSE {shaped} END"


def cast(kind: str, value: str) -> str:
    """Return the SQL that reads a text as a type, or in a form; an empty text is null unless the type is text."""
    if kind == "string":
        return value
    if kind == "money":
        return f"TRY_CAST(nullif(replace(replace(replace({value}, '$', ''), ',', ''), ' ', ''), '') AS DOUBLE)"
    if kind in _PATTERNS:
        return f"CAST(try_strptime(nullif({value}, ''), {_PATTERNS[kind]}) AS DATE)"
    return f"TRY_CAST(nullif({value}, '') AS {duckdb_type(kind)})"


def possible(values: Iterable[str | None]) -> list[str]:
    """Return the candidate types that all of some texts are written as; agrees with `condition`."""
    kinds = list(CANDIDATES)
    for value in values:
        if value:
            kinds = [kind for kind in kinds if is_written_as(kind, value)]
        if not kinds:
            break
    return kinds


def is_written_as(kind: str, value: str) -> bool:
    """Tell whether a text, not empty, is written as a candidate type; agrees with `condition`."""
    if kind == "bool":
        return value.lower() in ("true", "false")
    if kind == "int64":
        return bool(_INTEGER.fullmatch(value)) and -_SMALL <= int(value) < _SMALL
    if kind == "float64":
        return bool(_NUMBER.fullmatch(value)) and math.isfinite(float(value))
    return moment(value) == kind


def narrowest(possible: Collection[str]) -> str:
    """Return the first of the candidate types that is still possible, `string` when none is."""
    return next((kind for kind in CANDIDATES if kind in possible), "string")


def moment(value: str) -> str:
    """Return `date`, `timestamp` or `timestamptz` for a text that is one, else `string`."""
    for kind, shape in _COMPILED.items():
        if shape.fullmatch(value):
            try:
                date.fromisoformat(value) if kind == "date" else datetime.fromisoformat(value)
            except ValueError:
                return "string"
            return kind
    return "string"


def looks_like_data(names: Sequence[str]) -> bool:
    """Tell whether a supposed header is a row: every cell is a number, a date or a time."""
    return all(_NUMBER.fullmatch(name) or moment(name) != "string" for name in names)
