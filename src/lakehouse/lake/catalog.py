"""Datasets: Iceberg tables with a manifest each, committed whole."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.lake._pins import Pins
from lakehouse.lake.columns import Column, Field, assign_ids
from lakehouse.state.folder import atomic_write, disk_error, fsync_dir

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse import settings
    from lakehouse.lake._iceberg import Tables, Version

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a dataset.

    Attributes:
        schema: Columns in order; for the type names see `lakehouse.lake.columns`.
        rows: Rows in the newest snapshot.
        objects: Its data files, relative to the warehouse, in the order of their rows.
        fingerprint: SHA-256 of the last file that was ingested, in hexadecimal.
        snapshot_id: Iceberg's id of the newest snapshot.
        created_at, updated_at: RFC 3339, UTC.
    """

    name: str
    schema: list[Column]
    rows: int
    objects: list[str]
    fingerprint: str
    snapshot_id: int
    created_at: str
    updated_at: str


class DatasetList(msgspec.Struct, frozen=True):
    """Manifests by name."""

    datasets: list[Manifest]


class _Intent(msgspec.Struct, frozen=True):
    """A table folder that a write is changing, kept on disk while it does."""

    name: str
    location: str


class Catalog:
    """Every dataset of the lake. Thread-safe; writes to one dataset run one after another.

    Opening is lazy: the first call reads the catalog and removes what a crash left.

    Args:
        catalog: The settings section. An empty `uri` is SQLite in the lake folder.
        folder: The lake folder.

    >>> import tempfile
    >>> from lakehouse.settings import Catalog as Section
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     catalog = Catalog(Section(), Path(scratch))
    ...     print(catalog.datasets().datasets)
    ...     catalog.close()
    []
    """

    def __init__(self, catalog: settings.Catalog, folder: Path) -> None:
        self._settings = catalog
        self._folder = folder
        self._intents = folder / "catalog-intents"
        self._opening = threading.Lock()
        self._opened: Tables | None = None
        self._writing: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._pins = Pins()
        self._revision = 0

    def datasets(self) -> DatasetList:
        """List every dataset, by name.

        Raises:
            Unavailable, PermissionDenied: The catalog cannot be read.
        """
        return DatasetList([self._manifest(version) for version in self.versions().values()])

    def dataset(self, name: str) -> Manifest:
        """Return the manifest of one dataset.

        Raises:
            NotFound: There is none of that name; the message lists those there are.
        """
        return self._manifest(self.version(name))

    def drop(self, name: str) -> None:
        """Remove a dataset with its rows and its history; statements already reading it finish.

        Raises:
            NotFound: There is none of that name.
            Unavailable, PermissionDenied: The catalog cannot be written.
        """
        from lakehouse.lake import _commit
        from lakehouse.lake._iceberg import NAMESPACE

        with self.writing(name), self._mapped():
            self.version(name)
            tables = self._tables
            location = tables.load(name).location()
            intent = self._intend(name, location)
            tables.catalog.drop_table((NAMESPACE, name))
            self._revision += 1
            self._pins.retire(self._once(lambda: _commit.sweep(tables, name, location), intent))

    def scan(
        self, name: str, *, columns: Sequence[str] | None = None, snapshot_id: int | None = None
    ) -> pa.RecordBatchReader:
        """Read a dataset in bounded memory, in the order its rows were written.

        Args:
            name: The dataset.
            columns: Names to read, in that order; all by default.
            snapshot_id: An earlier snapshot, with the columns it had; the newest by default.

        Returns:
            A reader that keeps its snapshot's files until it is exhausted or dropped.

        Raises:
            NotFound: No such dataset, or no such snapshot any more.
            InvalidInput: A column does not exist; the message lists those there are.
        """
        from lakehouse.lake._scan import reader

        release = self._pins.hold()
        try:
            version = self.version(name, snapshot_id)
            names = [field.name for field in version.fields]
            missing = [column for column in columns or () if column not in names]
            if missing:
                raise InvalidInput(
                    f"dataset {name!r} has no column {missing[0]!r}; it has {', '.join(names)}",
                    field="columns",
                    column=missing[0],
                )
            return reader(version, columns, release)
        except BaseException:
            release()
            raise

    def version(self, name: str, snapshot_id: int | None = None) -> Version:
        """Return one snapshot of a dataset, the newest by default.

        Raises:
            NotFound: No such dataset or snapshot.
        """
        versions = self.versions()
        if name not in versions:
            known = ", ".join(versions) or "none yet"
            raise NotFound(f"no dataset {name!r}; there are: {known}", dataset=name)
        if snapshot_id is None or versions[name].snapshot_id == snapshot_id:
            return versions[name]
        with self._mapped():
            table = self._tables.load(name)
            snapshot = table.snapshot_by_id(snapshot_id)
            if snapshot is None:
                raise NotFound(f"dataset {name!r} has no snapshot {snapshot_id} any more", dataset=name)
            return self._tables.version(table, snapshot)

    def versions(self) -> dict[str, Version]:
        """Return the newest version of every dataset, by name; a fraction of a millisecond when none changed."""
        with self._mapped():
            return self._tables.current()

    @property
    def revision(self) -> int:
        """A number that changes with every commit of this process."""
        return self._revision

    def pinned(self) -> Callable[[], None]:
        """Keep the files of every version that is current now, until the returned function is called."""
        return self._pins.hold()

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Keep other threads from writing one dataset; re-entrant."""
        with self._opening:
            lock = self._writing[name]
        with lock:
            yield

    def fields(self, name: str, columns: list[Column]) -> list[Field]:
        """Return the Iceberg ids that a dataset's columns have, or would get; see `commit`."""
        with self._mapped():
            if name not in self._tables.locations():
                return assign_ids(columns, [], 0)
            metadata = self._tables.load(name).metadata
            from lakehouse.lake._iceberg import fields_of

            return assign_ids(columns, fields_of(metadata.schema()), metadata.last_column_id)

    def commit(
        self, name: str, fields: list[Field], add: list[Path], *, keep: Sequence[str], notes: Mapping[str, str]
    ) -> Version:
        """Make files the new snapshot of a dataset, all or nothing; on return it survives a power cut.

        Call inside `writing(name)`.

        Args:
            name: The dataset, made when absent.
            fields: Its columns from now on, ids from `fields`.
            add: Parquet files in the lake's scratch folder, written with those ids; they are moved.
            keep: Recorded locations of the present files that stay.
            notes: What the manifest is to remember (`lakehouse.*` properties).

        Raises:
            Conflict: Another process changed the dataset meanwhile; nothing was written.
            Unavailable, PermissionDenied: Disk full or not writable; nothing was written.
        """
        from lakehouse.lake import _commit

        with self.writing(name), self._mapped():
            tables = self._tables
            table = tables.load(name) if name in tables.locations() else None
            location = table.location() if table else _commit.new_location(tables, name)
            change = _commit.Change(
                name=name,
                table=table,
                location=location,
                fields=fields,
                add=add,
                keep=frozenset(keep),
                notes=notes,
                now=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            )
            before = _commit.files_below(tables, location)
            intent = self._intend(name, location)
            try:
                _, freed = _commit.commit(tables, change, self._settings.keep_snapshots)
            except BaseException:
                _commit.sweep(tables, name, location, _commit.files_below(tables, location) - before)
                intent.unlink(missing_ok=True)
                raise
            self._revision += 1
            self._pins.retire(self._once(lambda: self._remove(freed), intent))
            return self.version(name)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder of the lake's own file system for unfinished files; it is removed with the block."""
        _ = self._tables
        folder = self._folder / "scratch" / secrets.token_hex(8)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise disk_error(error, folder) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Close the catalog; idempotent."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.catalog.engine.dispose()

    @property
    def _tables(self) -> Tables:
        with self._opening:
            if self._opened is None:
                with self._mapped():
                    self._opened = self._open()
            return self._opened

    def _open(self) -> Tables:
        from lakehouse.lake import _commit
        from lakehouse.lake._iceberg import Tables

        place = Path(self._settings.warehouse or self._folder / "warehouse").absolute()
        if "://" in self._settings.warehouse:
            raise InvalidInput("catalog.warehouse must be a folder", field="warehouse")
        for made in (place, self._intents):
            made.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._folder / "scratch", ignore_errors=True)
        uri = self._settings.uri or f"sqlite:///{self._folder.absolute() / 'catalog.db'}"
        tables = Tables(uri, root=_recorded_root(place), place=place)
        fsync_dir(self._folder)
        for intent in sorted(self._intents.glob("*.json")):
            found = msgspec.json.decode(intent.read_bytes(), type=_Intent)
            _commit.sweep(tables, found.name, found.location)
            intent.unlink()
        return tables

    def _intend(self, name: str, location: str) -> Path:
        intent = self._intents / f"{secrets.token_hex(8)}.json"
        atomic_write(intent, msgspec.json.encode(_Intent(name, location)))
        return intent

    def _once(self, remove: Callable[[], object], intent: Path) -> Callable[[], None]:
        def run() -> None:
            remove()
            intent.unlink(missing_ok=True)

        return run

    def _remove(self, locations: list[str]) -> None:
        from lakehouse.lake._fileio import path_of

        for location in locations:
            Path(path_of(location, self._tables.catalog.properties)).unlink(missing_ok=True)

    def _manifest(self, version: Version) -> Manifest:
        place = self._tables.place
        return Manifest(
            name=version.name,
            schema=[field.column for field in version.fields],
            rows=version.rows,
            objects=[str(Path(file).relative_to(place)) for file in version.files],
            fingerprint=version.properties.get("lakehouse.fingerprint", ""),
            snapshot_id=version.snapshot_id,
            created_at=version.created_at,
            updated_at=version.updated_at,
        )

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        from sqlalchemy.exc import DBAPIError

        from lakehouse.state.database import database_error

        try:
            yield
        except OSError as error:
            raise disk_error(error, error.filename or self._folder) from error
        except DBAPIError as error:
            raise database_error(error, str(self._folder / "catalog.db")) or error from error


def check_name(name: str) -> None:
    """Refuse what cannot be a dataset's name.

    Raises:
        InvalidInput: It is not 1 to 63 of `a-z`, `0-9` and `_`, starting with a letter.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"dataset name {name[:80]!r} is not allowed; use 1 to 63 of a-z, 0-9 and _, starting with a letter",
            field="name",
        )


def _recorded_root(place: Path) -> str:
    """Return the location that this warehouse's metadata records, noting it when the warehouse is new."""
    noted = place / ".root"
    if not noted.exists():
        atomic_write(noted, f"file://{place}".encode())
    return noted.read_text(encoding="utf-8")
