"""What every file format gives the ingest: columns, bad rows, and the good rows as SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.lake.columns import Column

if TYPE_CHECKING:
    import duckdb

MAX_BAD_ROWS = 100_000
MAX_COLUMNS = 2_000
RAW_CHARS = 1_000


class Bad(msgspec.Struct, frozen=True):
    """A row that cannot land: its first line (from 1), the column if one is to blame, why, and how it reads."""

    line: int
    column: str
    reason: str
    raw: str = ""


class Survey(msgspec.Struct, frozen=True):
    """A file seen whole: its columns, and the rows that are not like them, by line."""

    columns: list[Column]
    bad: list[Bad]


class Reader(Protocol):
    """One file of one format, in scratch. `survey` comes first, or `guess`.

    `failure` is there because the engine that reads the rows keeps only the words of an error.
    """

    @property
    def failure(self) -> InvalidInput | None:
        """What the rows were refused for."""

    def names(self) -> list[str]:
        """Return the columns' names, in order."""

    def guess(self, wanted: Mapping[str, str]) -> list[Column] | None:
        """Look at the beginning of the file, and return the columns that a survey finds if all rows are like the first.

        `rows` then fails with an error of the engine at the first row that is not, and else gives what it gives after
        a survey without bad rows. A survey may follow.

        Args:
            wanted: As for `survey`.

        Returns:
            The columns, or null where only a survey tells.
        """

    def survey(self, wanted: Mapping[str, str]) -> Survey:
        """Read the whole file.

        Args:
            wanted: Types that columns of these names must keep, because rows are to be added to a dataset;
                an integer column may still widen. A value that cannot be read so makes its row bad.
        """

    def rows(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Return a SELECT of the good rows, in the file's order, columns named and typed as surveyed."""

    def lines(self, ordinals: Sequence[int]) -> list[tuple[int, str]]:
        """Return line and text of some of those good rows, given by their position from 0, ascending."""


def too_many(limit: int = MAX_BAD_ROWS) -> InvalidInput:
    """Return the error for a file that is mostly bad."""
    return InvalidInput(
        f"more than {limit:,} rows are bad; this is not a file of this kind: check delimiter, quotes and encoding",
        field="source",
    )


def check_width(count: int) -> None:
    """Refuse a file with more columns than a dataset may have."""
    if count > MAX_COLUMNS:
        raise InvalidInput(f"the file has {count:,} columns, a dataset has at most {MAX_COLUMNS:,}", field="source")
