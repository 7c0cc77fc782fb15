"""Which column of a file becomes which column of a dataset: the mapping file, and a reader that follows it.

A mapping is TOML. The dataset's columns stand on the left, so one mapping serves files whose headers differ:

    others = "refuse"                  # columns that stand nowhere below: refuse (default), drop, or keep
    optional = ["county"]              # columns that a file may lack; they are null then

    [columns]
    case_number = "CASE_NUMBER"
    county = ["WORKSITE_COUNTY", "EMPLOYEE_WORKSITE_COUNTY"]

    [types]
    pay = "money"                      # a column type, or a way of writing one: see `_infer.FORMS`
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from lakehouse.decoding import ready
from lakehouse.errors import InvalidInput
from lakehouse.lake import _infer
from lakehouse.lake._reading import Reader, Survey
from lakehouse.lake._relation import quoted
from lakehouse.lake.columns import Column, check_names, duckdb_type

if TYPE_CHECKING:
    import duckdb

_TYPES = ("bool", "int64", "float64", "date", "timestamp", "timestamptz", "string")


@ready
class ColumnMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping file.

    Attributes:
        columns: By column of the dataset, the name or names that a file may give it.
        types: By column of the dataset, its type or how a file writes it.
        optional: Columns of the dataset that a file may lack.
        others: What becomes of columns of the file that are not mentioned.
    """

    columns: dict[str, str | list[str]]
    types: dict[str, str] = {}
    optional: list[str] = []
    others: Literal["refuse", "drop", "keep"] = "refuse"


class Plan(msgspec.Struct, frozen=True):
    """A mapping applied to one file's header.

    Attributes:
        sources: Column of the file by column of the dataset, in the dataset's order; null for one that is not there.
        types: Types asked for, by column of the dataset.
        forms: Ways of writing, by column of the file.
    """

    sources: dict[str, str | None]
    types: dict[str, str]
    forms: dict[str, str]


def parse(text: str) -> ColumnMap:
    """Read a mapping.

    Raises:
        InvalidInput: It is not TOML, has a key or type that does not exist, names one column of the file for two
            of the dataset, or types one that it does not list; `detail.field` is `mapping`.
    """
    try:
        found = msgspec.convert(tomllib.loads(text), ColumnMap)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(f"is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise _wrong(str(error).replace("`", "")) from None
    taken: dict[str, str] = {}
    for target, names in found.columns.items():
        for name in alternatives(names):
            other = taken.setdefault(name, target)
            if other != target:
                raise _wrong(f"gives the file's column {name!r} to both {other!r} and {target!r}; choose one")
    for target, kind in found.types.items():
        if kind not in _TYPES and kind not in _infer.FORMS:
            known = ", ".join((*_TYPES, *_infer.FORMS))
            raise _wrong(f"has type {kind!r} for {target!r}; use one of {known}")
    unknown = [target for target in (*found.types, *found.optional) if target not in found.columns]
    if unknown and found.others != "keep":
        raise _wrong(f"speaks of column {unknown[0]!r}, which [columns] does not list; add it there")
    return found


def plan(mapping: ColumnMap, header: Sequence[str]) -> Plan:
    """Apply a mapping to the names that a file has.

    Raises:
        InvalidInput: A column is missing, stands there under two names, or is not mentioned; the message names them.
    """
    sources: dict[str, str | None] = {}
    for target, names in mapping.columns.items():
        present = [name for name in header if name in alternatives(names)]
        if len(present) > 1:
            raise _wrong(f"finds {target!r} twice in the file: {', '.join(present)}; leave one of them out")
        if not present and target not in mapping.optional:
            raise _wrong(
                f"needs a column for {target!r}, and the file has none of {', '.join(alternatives(names))}; it has"
                f" {', '.join(header)}. Correct the name, or list {target!r} as optional"
            )
        sources[target] = present[0] if present else None
    used = set(sources.values())
    rest = [name for name in header if name not in used]
    if rest and mapping.others == "refuse":
        raise _wrong(
            f"does not mention columns of the file: {', '.join(rest)}; map them, or set others to drop or keep"
        )
    if mapping.others == "keep":
        sources.update({name: name for name in rest})
        check_names(list(sources))
    forms = {source: mapping.types[target] for target, source in sources.items() if source and target in mapping.types}
    return Plan(
        sources,
        {target: _infer.FORMS.get(kind, kind) for target, kind in mapping.types.items()},
        {source: form for source, form in forms.items() if form in _infer.FORMS},
    )


class MappedReader:
    """A reader whose columns go by a mapping; bad rows are told in the file's own names.

    Args:
        reader: Of the file.
        plan: From `plan`.
    """

    def __init__(self, reader: Reader, plan: Plan) -> None:
        self._reader = reader
        self._plan = plan
        self._columns: list[Column] = []

    @property
    def failure(self) -> InvalidInput | None:
        """What the file was refused for while its rows were read."""
        return self._reader.failure

    def sources(self) -> dict[str, str | None]:
        """Return the file's column by the dataset's."""
        return dict(self._plan.sources)

    def names(self) -> list[str]:
        """Return the dataset's names."""
        return list(self._plan.sources)

    def guess(self, wanted: Mapping[str, str]) -> list[Column] | None:
        """Look at the beginning; see `Reader`."""
        asked = self._asked(wanted)
        found = self._reader.guess(self._by_source(asked))
        if found is None or {column.name for column in found} - set(self._plan.sources.values()):
            # The engine does not look at a column that is left out, and would miss that a row lacks its cell.
            return None
        return self._mapped(found, asked)

    def survey(self, wanted: Mapping[str, str]) -> Survey:
        """Read the whole file; see `Reader`."""
        asked = self._asked(wanted)
        found = self._reader.survey(self._by_source(asked))
        return Survey(self._mapped(found.columns, asked), found.bad)

    def _asked(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return the types that columns of the dataset must have."""
        types = self._plan.types
        for target, kind in types.items():
            if wanted.get(target, kind) != kind:
                raise _wrong(f"makes {target!r} {kind}, and the dataset has it as {wanted[target]}; use that type")
        return {**types, **wanted}

    def _by_source(self, asked: Mapping[str, str]) -> dict[str, str]:
        return {source: asked[target] for target, source in self._plan.sources.items() if source and target in asked}

    def _mapped(self, found: Sequence[Column], asked: Mapping[str, str]) -> list[Column]:
        types = {column.name: column.type for column in found}
        self._columns = [
            Column(target, types[source] if source else asked.get(target, "string"))
            for target, source in self._plan.sources.items()
            if source is None or source in types
        ]
        return self._columns

    def rows(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Return the good rows; see `Reader`."""
        selected = ", ".join(
            f"CAST({quoted(source) if (source := self._plan.sources[column.name]) else 'NULL'}"
            f" AS {duckdb_type(column.type)}) AS {quoted(column.name)}"
            for column in self._columns
        )
        return f"SELECT {selected} FROM ({self._reader.rows(connection)})"  # noqa: S608 - every name is quoted

    def lines(self, ordinals: Sequence[int]) -> list[tuple[int, str]]:
        """Return line and text of good rows; see `Reader`."""
        return self._reader.lines(ordinals)


def alternatives(names: str | list[str]) -> list[str]:
    """Return the names that a file may give a column."""
    return [names] if isinstance(names, str) else names


def _wrong(what: str) -> InvalidInput:
    return InvalidInput(f"the mapping {what}", field="mapping")
