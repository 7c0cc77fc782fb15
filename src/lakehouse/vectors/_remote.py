"""One named index whose items lie on a server: the same face as an index in files.

The lake's folder keeps the manifest, which names the table. To exchange all items, or to remove some for good, a new
table is filled beside the old one, what is written meanwhile is carried over, and the manifest's writing is the moment
of the swap. Tables that no manifest names are removed when the index is first used.

A write that was broken off (nobody said whether it happened) may still land: the server may have it in a queue, or the
network may bring it once it is whole again. Until that cannot be any more the index is in doubt: its version is another
one with each look, and its items are counted anew.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from lakehouse.errors import (
    IntegrityError,
    InternalError,
    InvalidInput,
    LakehouseError,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from lakehouse.state.folder import atomic_write, disk_error
from lakehouse.vectors import _build
from lakehouse.vectors._remote_lookup import RemoteLookup
from lakehouse.vectors._server import Row, Server, Table, TableGone
from lakehouse.vectors.base import IndexStats, StoredItem
from lakehouse.vectors.index import MANIFEST, Manifest, read_manifest
from lakehouse.vectors.journal import Drop, Entry, Put

if TYPE_CHECKING:
    from lakehouse.vectors._scoring import Query
    from lakehouse.vectors._shelves import Shelves

# Rows sent at a time.
_PORTION = 256
# Carried over outside of the write lock until so few entries are left.
_LAST_ENTRIES = 4
# A system goes on sending what a closed connection had left for up to 102 s (Linux), so later nothing comes in.
_ON_ITS_WAY_S = 120.0
# The server answered, so nothing is under way.
_REFUSALS = (PermissionDenied, InternalError, IntegrityError, NotFound)

_T = TypeVar("_T")
_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


def table_name(prefix: str, number: int) -> str:
    """Return the name of the n-th table of an index."""
    return f"{prefix}{number:06d}"


def owns_tables(folder: Path, manifest: Manifest) -> bool:
    """Tell whether the tables of a manifest are those of its folder: a copy of a lake must leave them alone."""
    return manifest.home == folder.stat().st_ino


class RemoteIndex:
    """An index on a server, open. Thread-safe; reads take no lock.

    No other process may write to its tables: what is counted and kept here goes by the writes of this one.

    Args:
        folder: Holds the manifest.
        server: Returns the server, which is asked when the index is first used.
        versions: Rising numbers, never given to any other index.

    Raises:
        IntegrityError: The manifest cannot be read, or belongs to another folder.
    """

    def __init__(self, folder: Path, server: Callable[[], Server], versions: Iterator[int]) -> None:
        self.folder = folder
        self.manifest = _claimed(folder, read_manifest(folder))
        self._server = server
        self._versions = versions
        self._version = next(versions)
        # When a write was broken off that may still land.
        self._doubted: float | None = None
        self._write_lock = threading.Lock()
        self._build_lock = threading.Lock()
        self._open_lock = threading.Lock()
        self._table: Table | None = None
        self._items: int | None = None
        self._carried: list[Entry] | None = None
        self._making = ""
        self._clean = False
        self._closed = False

    def __len__(self) -> int:
        items = self._items
        if items is None:
            # Under the lock, so that no write comes between the count and its being kept.
            with self._write_lock:
                items = self._ask(lambda table: table.count())
                if self._doubted is None:
                    self._items = items
        return items

    @property
    def version(self) -> int:
        """As that of `Index`; another one with each look while a write may still land."""
        return self._version if self._doubted is None else next(self._versions)

    @property
    def shelves(self) -> Shelves:
        """Refuse: memory, which looks things up by words, is never on a server.

        Raises:
            InvalidInput: Always.
        """
        raise InvalidInput(f"index {self.manifest.name!r} is on a server and has no shelves", index=self.manifest.name)

    def stats(self) -> IndexStats:
        """Return what the index is and how many items it has; the server decides what it indexes, 0 stands for it."""
        manifest = self.manifest
        return IndexStats(
            name=manifest.name,
            dimension=manifest.dimension,
            distance=manifest.distance,
            items=len(self),
            indexed=0,
            model=manifest.model,
        )

    def lookup(self, query: Query, *, exclude: Collection[str], exact: bool) -> RemoteLookup:
        """Return what finds the nearest items to a checked vector; see `Vectors.nearest`."""
        self._refuse_closed()
        # Whoever writes right now sees to it as well.
        if self._doubted is not None and self._write_lock.acquire(blocking=False):
            try:
                self._end_doubt()
            finally:
                self._write_lock.release()
        return RemoteLookup(self._ask, query, exclude=exclude, exact=exact)

    def find(self, id: str) -> StoredItem | None:
        """Return the item under `id`, None when there is none."""
        row = self._ask(lambda table: table.rows([id])).get(id)
        return _item(row) if row is not None else None

    def metadata(self, id: str) -> dict[str, Any] | None:
        """Return the metadata of the item under `id`, None when there is none."""
        item = self.find(id)
        return item.metadata if item is not None else None

    def has(self, id: str) -> bool:
        """Tell whether there is an item under `id`."""
        return bool(self._ask(lambda table: table.present([id])))

    def ids(self) -> list[str]:
        """Return all ids, sorted."""
        return sorted(self._ask(lambda table: table.ids()))

    def scan(self) -> Iterator[StoredItem]:
        """Yield all items in the order of their ids, each as it is when its turn comes."""
        for portion in _portions(self.ids()):
            for row in self._in_order(portion):
                yield _item(row)

    def put(self, ids: Sequence[str], vectors: np.ndarray, metadata: Sequence[bytes], *, keep: bool = False) -> int:
        """Store items; on return every search finds them and they last as the server keeps them.

        Whether all or none are stored when the server fails meanwhile is the server's: Postgres keeps to it, Qdrant by
        portions. What is stored again is stored once.

        Args:
            ids, vectors, metadata, keep: As `Index.put`.

        Returns:
            How many ids were there before.
        """
        with self._write_lock:
            self._refuse_closed()
            present = self._ask(lambda table: table.present(ids))
            if keep and present:
                new = [position for position, id in enumerate(ids) if id not in present]
                ids, vectors = [ids[at] for at in new], vectors[new]
                metadata = [metadata[at] for at in new]
            if ids:
                added = sum(id not in present for id in ids)
                self._write(Put(list(ids), [bytes(each) for each in metadata], vectors.tobytes()), added)
        return len(present)

    def drop(self, ids: Iterable[str]) -> int:
        """Remove items; returns how many were there."""
        with self._write_lock:
            self._refuse_closed()
            wanted = list(dict.fromkeys(ids))
            present = self._ask(lambda table: table.present(wanted))
            return self._drop([id for id in wanted if id in present])

    def drop_unchanged(self, items: Sequence[StoredItem]) -> int:
        """Remove those of `items` that are still as given; returns how many were removed."""
        with self._write_lock:
            self._refuse_closed()
            rows = self._ask(lambda table: table.rows([item.id for item in items]))
            return self._drop([item.id for item in items if item.id in rows and _item(rows[item.id]) == item])

    def purge(self, ids: Iterable[str]) -> int:
        """Remove items and fill a new table with the others, so that no table holds anything of them."""
        dropped = self.drop(ids)
        with self._build_lock:
            self._exchange(self._rows_of_table, self.manifest.model)
        return dropped

    def replace(self, rows: Path, *, model: str | None, progress: Callable[[int, int], None] | None) -> int:
        """Exchange all items for those of an Arrow file; see `Vectors.replace`."""
        manifest = self.manifest
        total = _build.arrow_rows(str(rows))
        done = 0

        def read() -> Iterator[list[Row]]:
            nonlocal done
            for portion in _build.arrow_portions(str(rows), manifest.dimension, manifest.distance):
                for metadata, id in zip(portion.metadata, portion.ids, strict=True):
                    _build.checked_metadata(metadata, id)
                whole = [Row(*each) for each in zip(portion.ids, portion.vectors, portion.metadata, strict=True)]
                for part in _portions(whole):
                    yield list(part)
                    done += len(part)
                    if progress is not None:
                        progress(done, total)

        with self._build_lock:
            self._exchange(read, model)
        return total

    def close(self) -> None:
        """Take no more writes; an exchange under way is given up and gone on return. Idempotent."""
        with self._write_lock:
            self._closed = True
        with self._build_lock:
            pass

    def _drop(self, ids: list[str]) -> int:
        if ids:
            self._write(Drop(ids), -len(ids))
        return len(ids)

    def _write(self, entry: Entry, more: int) -> None:
        items, self._items = self._items, None
        if self._carried is not None and isinstance(entry, Drop):
            # Also when it fails: nothing may come back that was removed in part.
            self._carried.append(entry)
        try:
            self._ask(lambda table: _apply(table, entry))
            if self._doubted is None and items is not None:
                self._items = items + more
        except _REFUSALS:
            raise
        except BaseException:
            self._doubted = time.monotonic()
            raise
        finally:
            # One that failed may be there in part.
            self._version = next(self._versions)
        if self._carried is not None and isinstance(entry, Put):
            self._carried.append(entry)
        self._end_doubt()

    def _end_doubt(self) -> None:
        """Settle, under the write lock, what became of writes that were broken off, once none is on its way."""
        if self._doubted is None or time.monotonic() - self._doubted < _ON_ITS_WAY_S:
            return
        try:
            self._ask(lambda table: table.fence())
        except LakehouseError:
            # Nobody waits for this again at once; the index can be used meanwhile.
            self._doubted = time.monotonic()
        else:
            self._version = next(self._versions)
            self._doubted = None

    def _ask(self, call: Callable[[Table], _T]) -> _T:
        self._refuse_closed()
        table = self._opened()
        while True:
            try:
                return call(table)
            except TableGone:
                now = self._opened()
                if now is table:
                    raise IntegrityError(
                        f"the server at {self._server().shown} has no table {self.manifest.built!r} of index "
                        f"{self.manifest.name!r}; mend vectors.url if the index is on another one, or else delete it "
                        "and build it anew",
                        index=self.manifest.name,
                    ) from None
                # Exchanged meanwhile.
                table = now

    def _opened(self) -> Table:
        table = self._table
        if table is not None and self._clean:
            return table
        with self._open_lock:
            if not self._clean:
                self._clear()
            if self._table is None:
                manifest = self.manifest
                self._table = self._server().table(manifest.built, manifest.dimension, manifest.distance)
            return self._table

    def _exchange(self, portions: Callable[[], Iterator[list[Row]]], model: str | None) -> None:
        self._opened()
        with self._write_lock:
            self._refuse_closed()
            self._carried = []
        prefix, _, number = self.manifest.built.rpartition("_")
        self._making = table_name(f"{prefix}_", int(number) + 1)
        manifest = msgspec.structs.replace(self.manifest, built=self._making, model=model)
        try:
            fresh = self._server().create(manifest.built, manifest.dimension, manifest.distance)
            for portion in portions():
                self._refuse_closed_build()
                fresh.put(portion)
            fresh.settle()
            self._swap(fresh, manifest)
        except TableGone as error:
            raise Unavailable(f"index {manifest.name!r}: a table went while it was filled ({error})") from None
        finally:
            with self._write_lock:
                self._carried = None
            # Either the old one or the new one goes; should that fail, the next use does it.
            self._making, self._clean = "", False
            self._clear()

    def _swap(self, fresh: Table, manifest: Manifest) -> None:
        carried = self._carried or []
        done = 0
        while len(carried) - done > _LAST_ENTRIES:
            _apply(fresh, carried[done])
            done += 1
        with self._write_lock:
            self._refuse_closed_build()
            for entry in carried[done:]:
                _apply(fresh, entry)
            try:
                atomic_write(self.folder / MANIFEST, msgspec.json.encode(manifest))
            except OSError as error:
                raise disk_error(error, self.folder) from error
            self.manifest = manifest
            self._table = fresh
            self._items = None
            self._version = next(self._versions)
            # What lands late does so in a table that goes.
            self._doubted = None

    def _clear(self) -> None:
        """Remove tables of this index that no manifest names."""
        server = self._server()
        names = server.names(self.manifest.built.rpartition("_")[0] + "_")
        # Looked at after the names: what begins to be made later is not among them.
        kept = {self._making, self.manifest.built, read_manifest(self.folder).built}
        for name in names:
            if name not in kept:
                server.remove(name)
        self._clean = True

    def _rows_of_table(self) -> Iterator[list[Row]]:
        for portion in _portions(self.ids()):
            yield self._in_order(portion)

    def _in_order(self, ids: Sequence[str]) -> list[Row]:
        rows = self._ask(lambda table: table.rows(ids))
        return [rows[id] for id in ids if id in rows]

    def _refuse_closed(self) -> None:
        if self._closed:
            raise NotFound(f"index {self.manifest.name!r} was deleted or closed", index=self.manifest.name)

    def _refuse_closed_build(self) -> None:
        if self._closed:
            raise Unavailable(f"index {self.manifest.name!r} was closed while it was built", index=self.manifest.name)


def _claimed(folder: Path, manifest: Manifest) -> Manifest:
    if not manifest.home:
        # Made a moment ago.
        manifest = msgspec.structs.replace(manifest, home=folder.stat().st_ino)
        atomic_write(folder / MANIFEST, msgspec.json.encode(manifest))
    if not owns_tables(folder, manifest):
        raise IntegrityError(
            f"index {manifest.name!r} is on a server and belongs to the lake that this one is a copy of; delete it, "
            "which leaves the server alone, and build it anew",
            index=manifest.name,
        )
    return manifest


def _apply(table: Table, entry: Entry) -> None:
    if isinstance(entry, Drop):
        table.drop(entry.ids)
        return
    vectors = np.frombuffer(entry.vectors, dtype=np.float32).reshape(len(entry.ids), -1)
    table.put([Row(*each) for each in zip(entry.ids, vectors, entry.metadata, strict=True)])


def _item(row: Row) -> StoredItem:
    return StoredItem(id=row.id, vector=row.vector.tolist(), metadata=_decode_metadata(row.metadata))


def _portions(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in itertools.count(0, _PORTION):
        if start >= len(items):
            return
        yield items[start : start + _PORTION]
