"""What an index asks of a server that keeps its items: the shape of every such engine."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np

    from lakehouse import settings
    from lakehouse.vectors._projection import Tests
    from lakehouse.vectors.base import Distance


class TableGone(Exception):
    """The server has no such table."""


class Row(NamedTuple):
    """An item as it was put: id, vector `(d,)` float32, metadata as JSON."""

    id: str
    vector: np.ndarray
    metadata: bytes


class Table(Protocol):
    """Where the items of an index lie on a server. Thread-safe.

    Every method raises `TableGone` when there is no such table, `Unavailable` when the server does not answer and
    `PermissionDenied` when it refuses.
    """

    def put(self, rows: Sequence[Row]) -> None:
        """Store rows, each id once; on return every search finds them."""

    def drop(self, ids: Sequence[str]) -> None:
        """Remove what is there of some ids; on return no search finds it."""

    def present(self, ids: Sequence[str]) -> set[str]:
        """Return which ids are there."""

    def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """Return the rows of some ids, by id, as far as they are there."""

    def ids(self) -> list[str]:
        """Return all ids, in any order."""

    def count(self) -> int:
        """Return how many rows there are."""

    def near(
        self, vector: np.ndarray, limit: int, *, tests: Tests | None, exclude: Collection[str], exact: bool
    ) -> list[Row]:
        """Return the `limit` nearest rows by the server's own reckoning, nearest first; all when there are fewer.

        Args:
            vector: `(d,)` float32.
            limit: At least 1.
            tests: What rows must meet.
            exclude: Ids left out.
            exact: Score every row.
        """

    def fence(self) -> None:
        """Return when all writes that the server has received are done, also those whose caller has hung up."""

    def settle(self) -> None:
        """Make searches quick, after many rows came in."""


class Server(Protocol):
    """Keeps tables by name. Thread-safe; connects when first asked. Raises as `Table`.

    Attributes:
        shown: Its address without a password.
    """

    shown: str

    def create(self, name: str, dimension: int, distance: Distance) -> Table:
        """Make an empty table."""

    def table(self, name: str, dimension: int, distance: Distance) -> Table:
        """Return a table that was made before, without asking the server."""

    def names(self, prefix: str) -> list[str]:
        """Return the tables whose name begins so."""

    def remove(self, name: str) -> None:
        """Remove a table with all that is in it; nothing happens when there is none."""

    def look(self) -> str:
        """Say what it is when indexes can be kept there; nothing is changed."""

    def close(self) -> None:
        """Close all connections; idempotent."""


def connect(config: settings.Vectors) -> Server:
    """Return the server that the settings name; it is not asked anything yet.

    Raises:
        InvalidInput: `vectors.url` is missing or no address.
        NotInstalled: Its client is not installed.
    """
    if config.engine == "qdrant":
        from lakehouse.vectors._qdrant import Qdrant

        return Qdrant(config)
    from lakehouse.vectors._pgvector import Postgres

    return Postgres(config)
