"""Columns of a dataset: their type names, and how a later file may change them.

Type names: `bool`, `int64`, `float64`, `decimal(p,s)`, `date`, `time`, `timestamp` (microseconds, no zone),
`timestamptz` (an instant), `string`, `binary`, and `list<T>` of any of these.
"""

from __future__ import annotations

import re

import msgspec

from lakehouse.errors import InvalidInput

MAX_NAME_CHARS = 128

_DUCKDB = {
    "bool": "BOOLEAN",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "binary": "BLOB",
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_LIST = re.compile(r"list<(.+)>")


class Column(msgspec.Struct, frozen=True):
    """A column as a manifest shows it."""

    name: str
    type: str


class Field(msgspec.Struct, frozen=True):
    """A column with the Iceberg ids it has in data files; `element_id` is set for lists only."""

    id: int
    name: str
    type: str
    element_id: int | None = None

    @property
    def column(self) -> Column:
        """The column without its ids."""
        return Column(self.name, self.type)


def element_type(name: str) -> str | None:
    """Return `T` of `list<T>`, null for anything else."""
    found = _LIST.fullmatch(name)
    return found[1] if found else None


def decimal_parts(name: str) -> tuple[int, int] | None:
    """Return precision and scale of a `decimal(p,s)`, null for anything else."""
    found = _DECIMAL.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def duckdb_type(name: str) -> str:
    """Return the DuckDB type of a column type."""
    element = element_type(name)
    if element:
        return f"{duckdb_type(element)}[]"
    parts = decimal_parts(name)
    return f"DECIMAL({parts[0]},{parts[1]})" if parts else _DUCKDB[name]


def widened(old: str, new: str) -> str | None:
    """Return the type that holds every value of both, null when a value of `new` cannot become `old`.

    Only numbers widen: an integer column becomes a float column once a file brings fractions.
    """
    if old == new:
        return old
    return "float64" if {old, new} == {"int64", "float64"} else None


def check_names(names: list[str], *, what: str = "column") -> None:
    """Refuse names that SQL could not tell apart.

    Raises:
        InvalidInput: A name is empty, over 128 characters, or stands twice (upper and lower case are the same
            to SQL); the message gives the positions, counted from 1.
    """
    if not names:
        raise InvalidInput("the file has no columns", field="source")
    seen: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise InvalidInput(f"{what} {position} has no name; name every column", field="source", column=position)
        if len(name) > MAX_NAME_CHARS:
            raise InvalidInput(
                f"{what} {position} has a name of {len(name)} characters ({name[:40]!r}...), {MAX_NAME_CHARS} are"
                " allowed; does the file start with a header?",
                field="source",
                column=position,
            )
        first = seen.setdefault(name.casefold(), position)
        if first != position:
            raise InvalidInput(
                f"columns {first} and {position} are both named {name!r} (SQL does not tell upper from lower case);"
                " rename one",
                field="source",
                column=position,
            )


def assign_ids(columns: list[Column], known: list[Field], last_id: int) -> list[Field]:
    """Give every column its Iceberg ids: those it has, if name and type are unchanged, else new ones.

    New ids go to the columns first, then to list elements, both in order: what Iceberg gives a fresh table.
    """
    kept = {field.column: field for field in known}
    fields: list[Field] = []
    for column in columns:
        field = kept.get(column)
        if field is None:
            last_id += 1
            field = Field(last_id, column.name, column.type)
        fields.append(field)
    for position, field in enumerate(fields):
        if element_type(field.type) and field.element_id is None:
            last_id += 1
            fields[position] = msgspec.structs.replace(field, element_id=last_id)
    return fields
