"""Datasets: Iceberg tables with a manifest each, committed whole."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from lakehouse import settings
from lakehouse.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from lakehouse.lake._pins import Pins
from lakehouse.lake.columns import Column, Field

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.lake._iceberg import Version
    from lakehouse.lake._keeper import Keeper
    from lakehouse.lake._warehouse import Warehouse

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


class Snapshot(msgspec.Struct, frozen=True):
    """One state of a dataset; `at` is when it was committed, RFC 3339 in UTC."""

    snapshot_id: int
    at: str
    rows: int
    fingerprint: str


class SnapshotList(msgspec.Struct, frozen=True):
    """Snapshots that are kept, newest first."""

    snapshots: list[Snapshot]


class Maintained(msgspec.Struct, frozen=True):
    """Files removed, and datasets left for the next time because somebody was writing them."""

    removed: int
    busy: list[str]


class Purged(msgspec.Struct, frozen=True):
    """What a purge removed: rows of the dataset, rows of its quarantine, and the snapshot that has none of them."""

    dataset: str
    rows: int
    quarantined: int
    snapshot_id: int


class Catalog:
    """Every dataset of the lake. Thread-safe; writes to one dataset run one after another.

    Opening is lazy: the first call reads the catalog and removes what a crash left.

    Args:
        catalog: The settings section. An empty `uri` is SQLite in the lake folder.
        folder: The lake folder.
        storage: The settings section that tells how to reach an S3, for a warehouse there.

    >>> import tempfile
    >>> from lakehouse.settings import Catalog as Section
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     catalog = Catalog(Section(), Path(scratch))
    ...     print(catalog.datasets().datasets)
    ...     catalog.close()
    []
    """

    def __init__(self, catalog: settings.Catalog, folder: Path, storage: settings.Storage | None = None) -> None:
        self._settings = catalog
        self._storage = storage or settings.Storage()
        self._folder = folder
        self._opening = threading.Lock()
        self._opened: Warehouse | None = None
        self._writing: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._pins = Pins()
        self._reserved: set[str] = set()
        self._keeper: Keeper | None = None

    def id(self) -> str:
        """Return what tells this catalog from others, however its address is written.

        Returns:
            Empty when the catalog lets nobody note that in it.

        Raises:
            Unavailable: The catalog is out of reach.
        """
        try:
            with self._warehouse.mapped():
                return self._warehouse.tables.id()
        except PermissionDenied:
            return ""

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

    def snapshots(self, name: str) -> SnapshotList:
        """List the states of a dataset that can still be read, newest first.

        Raises:
            NotFound: There is none of that name.
        """
        self.version(name)
        with self._warehouse.mapped():
            return SnapshotList(self._warehouse.tables.history(name))

    def reserve(self, names: Iterable[str]) -> None:
        """Refuse datasets of these names from now on: SQL knows other tables by them."""
        self._reserved.update(names)

    def check_free(self, name: str) -> None:
        """Refuse a name that no dataset can have.

        Raises:
            InvalidInput: It is malformed, or is the name of a log.
        """
        check_name(name)
        if name in self._reserved:
            raise InvalidInput(f"dataset name {name!r} is taken by a log of that name; choose another", field="name")

    def drop(self, name: str) -> None:
        """Remove a dataset with its rows and its history; statements already reading it finish.

        Raises:
            NotFound: There is none of that name.
            Unavailable, PermissionDenied: The catalog cannot be written.
        """
        warehouse = self._warehouse
        with self.writing(name), warehouse.mapped():
            self.version(name)
            warehouse.drop(name)

    def purge(self, name: str, column: str, values: Sequence[str | int]) -> Purged:
        """Remove every row with one of these values, and all history that could still show it.

        One commit: data files that hold such a row are written again without it, every older snapshot is expired, and
        the files that only those needed are deleted. Lines of the dataset's quarantine whose text holds a value as a
        word of its own leave first. Of a crash remains the dataset as it was, or without the rows; what the crash left
        of files is removed at the next start. Purging again changes nothing but the snapshot.

        Args:
            name: The dataset.
            column: The column that holds the values.
            values: Compared with the column's values as text: 7 and `7` are the same.

        Returns:
            What was removed. On return no file holds it any more, but for statements that were reading then: their
            files go when they end.

        Raises:
            NotFound: There is no such dataset.
            InvalidInput: The column does not exist, is a list, or there are no values.
            Conflict: Another process kept changing the dataset.
            Unavailable, PermissionDenied: The disk is full or not writable; nothing was removed.
        """
        from lakehouse.lake import _purge

        return _purge.purge(self, name, column, [str(value) for value in values])

    def maintain(self) -> Maintained:
        """Expire snapshots that are too old and remove files that no snapshot refers to, of every dataset.

        Also runs by itself every `catalog.maintain_every_ms` while the catalog is open.

        Raises:
            Unavailable, PermissionDenied: The catalog cannot be read or written.
        """
        warehouse, removed, busy = self._warehouse, 0, []
        for name in self.versions():
            try:
                with self.writing(name), warehouse.mapped():
                    removed += warehouse.maintain(name)
            except (Conflict, NotFound):
                # Somebody is writing it, or it is gone: the next look will do.
                busy.append(name)
        return Maintained(removed, busy)

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
        tables = self._warehouse.tables
        with self._warehouse.mapped():
            table = tables.load(name)
            snapshot = table.snapshot_by_id(snapshot_id)
            if snapshot is None:
                raise NotFound(f"dataset {name!r} has no snapshot {snapshot_id} any more", dataset=name)
            return tables.version(table, snapshot)

    def versions(self) -> dict[str, Version]:
        """Return the newest version of every dataset, by name; a fraction of a millisecond when none changed."""
        with self._warehouse.mapped():
            return self._warehouse.tables.current()

    def text_columns(self) -> dict[str, list[str]]:
        """Return the columns that hold text, by dataset."""
        versions = self.versions().items()
        return {name: [field.name for field in version.fields if field.type == "string"] for name, version in versions}

    @property
    def revision(self) -> int:
        """A number that changes with every commit of this process."""
        return self._warehouse.revision

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
        with self._warehouse.mapped():
            return self._warehouse.fields(name, columns)

    def commit(
        self,
        name: str,
        fields: list[Field],
        add: list[Path],
        *,
        keep: Sequence[str],
        notes: Mapping[str, str],
        onto: Version | Literal["any"] | None = "any",
        forget: bool = False,
    ) -> Version:
        """Make files the new snapshot of a dataset, all or nothing; on return it survives a power cut.

        Call inside `writing(name)`.

        Args:
            name: The dataset, made when absent.
            fields: Its columns from now on, ids from `fields`.
            add: Parquet files in the lake's scratch folder, written with those ids; they are moved.
            keep: Recorded locations of the present files that stay.
            notes: What the manifest is to remember (`lakehouse.*` properties).
            onto: The version that `add` and `keep` were made from, null when there was none.
            forget: Keep no older snapshot, nor a trace of the files that leave.

        Raises:
            Conflict: Another process changed the dataset since; nothing was written.
            Unavailable, PermissionDenied: Disk full or not writable; nothing was written.
        """
        warehouse = self._warehouse
        with self.writing(name), warehouse.mapped():
            warehouse.commit(name, fields, add, keep=keep, notes=notes, onto=onto, forget=forget)
            return self.version(name)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder on the lake's own disk for unfinished files; it is removed with the block."""
        with self._warehouse.scratch() as folder:
            yield folder

    def close(self) -> None:
        """Close the catalog; idempotent."""
        with self._opening:
            keeper, self._keeper = self._keeper, None
        # Before the catalog goes: its last look would open it again.
        if keeper is not None:
            keeper.stop()
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    @property
    def _warehouse(self) -> Warehouse:
        from lakehouse.lake._keeper import Keeper
        from lakehouse.lake._warehouse import Warehouse

        with self._opening:
            if self._opened is None:
                self._opened = Warehouse(self._settings, self._storage, self._folder, self._pins)
                if self._settings.maintain_every_ms:
                    self._keeper = Keeper(self.maintain, self._settings.maintain_every_ms / 1000)
            return self._opened

    def _manifest(self, version: Version) -> Manifest:
        root = self._warehouse.files.root + "/"
        return Manifest(
            name=version.name,
            schema=[field.column for field in version.fields],
            rows=version.rows,
            objects=[location.removeprefix(root) for location in version.recorded],
            fingerprint=version.properties.get("lakehouse.fingerprint", ""),
            snapshot_id=version.snapshot_id,
            created_at=version.created_at,
            updated_at=version.updated_at,
        )


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
