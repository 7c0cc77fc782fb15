"""The warehouse behind the catalog: tables and their files, changed so that a crash leaves nothing to repair.

Before anything is written below a table's folder, an intent names that folder; it is removed when the change and
its cleaning up are done. The intents found at the next start say which folders to sweep.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from pyiceberg.exceptions import (
    CommitStateUnknownException,
    ForbiddenError,
    OAuthError,
    RESTError,
    UnauthorizedError,
)
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from lakehouse.decoding import ready
from lakehouse.errors import Conflict, PermissionDenied, Unavailable
from lakehouse.lake import _commit
from lakehouse.lake._catalogs import open_tables
from lakehouse.lake._iceberg import NAMESPACE, Version, known_ids
from lakehouse.lake._pins import Pins
from lakehouse.lake.columns import Column, Field, assign_ids
from lakehouse.state.database import database_error
from lakehouse.state.folder import atomic_write, disk_error, fsync_dir

if TYPE_CHECKING:
    from lakehouse import settings


@ready
class Intent(msgspec.Struct, frozen=True):
    """A table folder that a write is changing, kept on disk while it does."""

    name: str
    location: str


class Warehouse:
    """Tables, intents and scratch of one lake folder.

    Args:
        catalog: The settings section.
        storage: The settings section with the way to an S3.
        folder: The lake folder.
        pins: Readers whose files must stay.

    Attributes:
        tables: The catalog.
        files: The warehouse.
        revision: A number that changes with every commit.
    """

    def __init__(self, catalog: settings.Catalog, storage: settings.Storage, folder: Path, pins: Pins) -> None:
        self._settings = catalog
        self._folder = folder
        self._pins = pins
        self._intents = folder / "catalog-intents"
        self._scratch = folder / "scratch"
        self.revision = 0
        with self.mapped():
            self._intents.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self._scratch, ignore_errors=True)
            self.tables = open_tables(catalog, storage, folder)
            self.files = self.tables.files
            fsync_dir(folder)
            for intent in sorted(self._intents.glob("*.json")):
                self._recover(intent)

    def fields(self, name: str, columns: list[Column]) -> list[Field]:
        """Return the ids that a dataset's columns have, or would get."""
        table = self.tables.find(name)
        return assign_ids(columns, *known_ids(table))

    def commit(
        self,
        name: str,
        fields: list[Field],
        add: list[Path],
        *,
        keep: Sequence[str],
        notes: Mapping[str, str],
        onto: Version | Literal["any"] | None,
        forget: bool = False,
    ) -> None:
        """Commit files as the new snapshot of a dataset; see `Catalog.commit`."""
        table = self.tables.find(name)
        snapshot = table.metadata.current_snapshot_id if table else None
        moved = onto != "any" and snapshot != (onto.snapshot_id if onto else None)
        if moved or fields != assign_ids([field.column for field in fields], *known_ids(table)):
            raise Conflict(f"dataset {name!r} was changed by another writer; try again", dataset=name)
        change = _commit.Change(
            name=name,
            table=table,
            location=table.location() if table else _commit.new_location(self.tables, name),
            fields=fields,
            add=add,
            keep=frozenset(keep),
            notes=notes,
            now=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            forgets=forget,
        )
        # What a failed commit made is found by what was there before it; in a bucket that look costs too much, and the
        # intent is left for the next start.
        quick = not self._shared and self.files.s3 is None
        before = set(self.files.below(change.location)) if quick else set()
        intent = self._intend(name, change.location)
        try:
            freed = _commit.commit(self.tables, change, 1 if forget else self._settings.keep_snapshots)
        except BaseException:
            if quick:
                made = set(self.files.below(change.location)) - before
                _commit.sweep(self.tables, name, change.location, made)
                intent.unlink(missing_ok=True)
            raise
        self._changed(intent, lambda: self._remove(freed))

    def maintain(self, name: str) -> int:
        """Expire what is too old of one dataset, and remove files that nobody refers to; return how many went."""
        freed: list[str] = []
        if self._settings.max_age_days:
            before = time.time() - self._settings.max_age_days * 24 * 3600
            location = self.tables.load(name).location()
            intent = self._intend(name, location)
            freed = _commit.expire(self.tables, name, before_ms=int(before * 1000))
            self._changed(intent, lambda: self._remove(freed))
        table = self.tables.load(name)
        settled = time.time() - self._settings.orphan_grace_ms / 1000
        old = [each for each, written in self.files.below(table.location()).items() if written < settled]
        return len(freed) + (_commit.sweep(self.tables, name, table.location(), old) if old else 0)

    def drop(self, name: str) -> None:
        """Remove a table at once, and its files once nobody reads them."""
        location = self.tables.load(name).location()
        intent = self._intend(name, location)
        self.tables.catalog.drop_table((NAMESPACE, name))
        self._changed(intent, lambda: _commit.sweep(self.tables, name, location))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder for unfinished files, removed with the block."""
        folder = self._scratch / secrets.token_hex(8)
        with self.mapped():
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def mapped(self) -> AbstractContextManager[None]:
        """Name disk and database errors in the product's words."""
        return mapped(self._settings, self._folder)

    def close(self) -> None:
        """Close the catalog."""
        self.tables.close()

    @property
    def _shared(self) -> bool:
        """True when other processes may be writing the same tables."""
        return bool(self._settings.uri)

    def _intend(self, name: str, location: str) -> Path:
        intent = self._intents / f"{secrets.token_hex(8)}.json"
        atomic_write(intent, msgspec.json.encode(Intent(name, location)))
        return intent

    def _recover(self, intent: Path) -> None:
        """Remove what a crashed write left; of a shared catalog only what nobody can still be writing."""
        found = msgspec.json.decode(intent.read_bytes(), type=Intent)
        left = None
        if self._shared:
            settled = time.time() - self._settings.orphan_grace_ms / 1000
            if intent.stat().st_mtime > settled:
                return
            left = [each for each, written in self.files.below(found.location).items() if written < settled]
        _commit.sweep(self.tables, found.name, found.location, left)
        intent.unlink()

    def _changed(self, intent: Path, remove: Callable[[], object]) -> None:
        """Announce a commit, then clean up after it."""

        def run() -> None:
            remove()
            intent.unlink(missing_ok=True)

        # In this order: who holds its files from now on already sees that there is something newer to read.
        self.revision += 1
        self._pins.retire(run)

    def _remove(self, locations: list[str]) -> None:
        for location in locations:
            self.files.remove(location)


@contextmanager
def mapped(catalog: settings.Catalog, folder: Path) -> Iterator[None]:
    """Name disk and database errors in the product's words."""
    try:
        yield
    except OSError as error:
        if error.errno is None and catalog.uri:
            # What the HTTP client of a REST catalog raises.
            raise _away(catalog, error) from error
        raise disk_error(error, error.filename or folder) from error
    except DBAPIError as error:
        uri = catalog.uri
        place = make_url(uri).render_as_string() if uri else str(folder / "catalog.db")
        raise database_error(error, place, setting="catalog.uri") or error from error
    except (UnauthorizedError, ForbiddenError, OAuthError) as error:
        raise PermissionDenied(f"the catalog {catalog.uri} refused: {error}; check its credential") from error
    except CommitStateUnknownException as error:
        reason = f"the catalog {catalog.uri} did not say whether it committed; read the dataset, then try again"
        raise Unavailable(reason) from error
    except RESTError as error:
        raise _away(catalog, error) from error


def _away(catalog: settings.Catalog, error: Exception) -> Unavailable:
    return Unavailable(
        f"the catalog {catalog.uri} is out of reach: {error}; see that it runs and can be reached from here,"
        " or mend catalog.uri"
    )
