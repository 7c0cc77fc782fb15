"""One named index: a built part that never changes, a fresh part in memory, and a journal that keeps the writes.

Reads take no lock. They look at the built part first and at the fresh part second; a write puts an item into the fresh
part first and drops it from the built part second. So a search sees an item as it was or as it is, never not at all.

When the fresh part has grown to `fresh_limit` slots, or when all rows are replaced, a new built part is made beside the
old one while both serve. The journal is sealed at the start; what is written after that goes into the next file and is
carried over. The manifest `index.json` names the built part and the first journal file that counts; writing it is the
moment of the swap, before and after which a crash finds a whole index.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from lakehouse import settings
from lakehouse.child import Children
from lakehouse.errors import IntegrityError, LakehouseError, NotFound
from lakehouse.state.folder import atomic_write, disk_error, fsync_dir
from lakehouse.vectors import _build, _scoring, journal
from lakehouse.vectors._built import Built
from lakehouse.vectors._fresh import Fresh
from lakehouse.vectors.base import Distance, Filter, Hit, IndexStats, StoredItem
from lakehouse.vectors.journal import Drop, Journal, Put

MANIFEST = "index.json"
FORMAT: Literal[1] = 1

# A build of so few rows is done before a child process has started.
_INLINE_ROWS = 2_000
# Carried over outside of the write lock until so few entries are left.
_LAST_ENTRIES = 4
_BUILT = "built-"

_log = logging.getLogger(__name__)
_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an index is and which files make it up."""

    format: Literal[1] = FORMAT
    name: str
    dimension: int
    distance: Distance
    model: str | None = None
    built: str = ""
    journal: int = 1


class _Parts(NamedTuple):
    """What a read looks at, exchanged as one."""

    built: Built | None
    fresh: Fresh


class Index:
    """An index, open. Thread-safe.

    Args:
        folder: Made by `create`.
        config: Section `[vectors]`.
        children: Where builds run.

    Raises:
        IntegrityError: The folder is not a whole index.
    """

    def __init__(self, folder: Path, config: settings.Vectors, children: Children) -> None:
        self.folder = folder
        self._config = config
        self._children = children
        self._manifest = _read_manifest(folder)
        self._write_lock = threading.Lock()
        self._build_lock = threading.Lock()
        self._builder: threading.Thread | None = None
        self._build_at = config.fresh_limit
        self._carried: list[Put | Drop] | None = None
        self._closed = False
        _clear(folder, self._manifest)
        self._parts = self._load()
        numbers = journal.numbers(folder)
        self._journal = Journal(folder, max(numbers[-1] if numbers else 1, self._manifest.journal))

    @classmethod
    def create(cls, folder: Path, manifest: Manifest) -> None:
        """Write an empty index to `folder`, whole or not at all."""
        scratch = folder.with_name(f"~new-{folder.name}")
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            atomic_write(scratch / MANIFEST, msgspec.json.encode(manifest))
            scratch.rename(folder)
            fsync_dir(folder.parent)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            raise disk_error(error, folder) from error

    @property
    def manifest(self) -> Manifest:
        """What the index is."""
        return self._manifest

    def __len__(self) -> int:
        built, fresh = self._parts
        return (built.live if built else 0) + len(fresh.slot_of)

    def stats(self) -> IndexStats:
        """Return the counts."""
        built, manifest = self._parts.built, self._manifest
        return IndexStats(
            name=manifest.name,
            dimension=manifest.dimension,
            distance=manifest.distance,
            items=len(self),
            indexed=built.live if built and built.summary.indexed else 0,
            model=manifest.model,
            findability=built.summary.findability if built else None,
        )

    def search(
        self, vector: np.ndarray, k: int, *, filter: Filter | None, exclude: Collection[str], exact: bool
    ) -> list[Hit]:
        """Return at most `k` hits, nearest first, ties by id; see `Vectors.nearest`."""
        query = _scoring.Query(vector, self._manifest.distance)
        built, fresh = self._parts
        near = (
            built.search(query, k, ef=self._config.ef_search, filter=filter, exclude=exclude, exact=exact)
            if built is not None
            else []
        )
        newer = fresh.search(query, k, filter=filter, exclude=exclude)
        if newer:
            near = _merged(near, newer)
        hits = []
        for distance, id, place in near:
            # An item put back while this search ran may have slipped past the exclusion of its old slot.
            if id in exclude:
                continue
            encoded: Any = fresh.metadata[~place] if place < 0 or built is None else built.metadata[place]
            hits.append(Hit(id, distance, _decode_metadata(encoded)))
            if len(hits) == k:
                break
        return hits

    def get(self, id: str) -> StoredItem:
        """Return the item under `id`.

        Raises:
            NotFound: There is none.
        """
        item = self.find(id)
        if item is None:
            raise NotFound(f"index {self._manifest.name!r} has no item {id!r}", index=self._manifest.name, id=id)
        return item

    def find(self, id: str) -> StoredItem | None:
        """Return the item under `id`, None when there is none."""
        return self._item(self._parts, id)

    def ids(self) -> list[str]:
        """Return all ids, sorted."""
        built, fresh = self._parts
        ids = list(fresh.slot_of)
        if built is not None:
            known = set(ids)
            gone = built.gone.tolist()
            ids += [id for id, out in zip(built.ids, gone, strict=True) if not out and id not in known]
        ids.sort()
        return ids

    def scan(self) -> Iterator[StoredItem]:
        """Yield all items in the order of their ids, each as it is when its turn comes."""
        for id in self.ids():
            item = self.find(id)
            if item is not None:
                yield item

    def put(self, ids: Sequence[str], vectors: np.ndarray, metadata: Sequence[bytes], *, keep: bool = False) -> int:
        """Store items; on return they are findable and survive a power cut.

        Args:
            ids: Each once.
            vectors: `(n, d)` float32, checked.
            metadata: JSON objects.
            keep: Leave items that are there as they are.

        Returns:
            How many ids were there before.
        """
        with self._write_lock:
            self._refuse_closed()
            present = [id for id in ids if self._holds(id)]
            if keep and present:
                there = set(present)
                new = [position for position, id in enumerate(ids) if id not in there]
                ids, vectors = [ids[at] for at in new], vectors[new]
                metadata = [metadata[at] for at in new]
            if not ids:
                return len(present)
            position = self._write(Put(list(ids), list(metadata), vectors.tobytes()))
            file = self._journal
        file.commit(position)
        self._build_when_due()
        return len(present)

    def drop(self, ids: Sequence[str]) -> int:
        """Remove items; on return they are gone for good.

        Returns:
            How many were there.
        """
        return self._drop(dict.fromkeys(ids), self._holds)

    def drop_unchanged(self, items: Sequence[StoredItem]) -> int:
        """Remove those of `items` that are still as given.

        Returns:
            How many were removed.
        """
        as_given = {item.id: item for item in items}
        return self._drop(as_given, lambda name: self.find(name) == as_given[name])

    def replace(self, rows: Path, *, model: str | None, progress: Callable[[int, int], None] | None) -> int:
        """Exchange all items for those of an Arrow file; see `Vectors.replace`."""
        return self._rebuild(rows, model, progress)

    def close(self) -> None:
        """Close the files; running builds are given up. Idempotent."""
        with self._write_lock:
            self._closed = True
            self._journal.close()
        builder = self._builder
        if builder is not None and builder is not threading.current_thread():
            builder.join()

    def _drop(self, ids: Iterable[str], chosen: Callable[[str], bool]) -> int:
        with self._write_lock:
            self._refuse_closed()
            present = [id for id in ids if chosen(id)]
            if not present:
                return 0
            position = self._write(Drop(present))
            file = self._journal
        file.commit(position)
        return len(present)

    def _load(self) -> _Parts:
        manifest = self._manifest
        try:
            built = Built(self.folder / manifest.built) if manifest.built else None
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise IntegrityError(
                f"index {manifest.name!r} is damaged: {error}; delete it and build it anew", index=manifest.name
            ) from error
        parts = _Parts(built, Fresh(manifest.dimension))
        for number in journal.numbers(self.folder):
            if number >= manifest.journal:
                for entry in journal.entries(journal.path_of(self.folder, number)):
                    self._apply(parts, entry)
        return parts

    def _write(self, entry: Put | Drop) -> int:
        position = self._journal.append(entry)
        self._apply(self._parts, entry)
        if self._carried is not None:
            self._carried.append(entry)
        return position

    def _apply(self, parts: _Parts, entry: Put | Drop) -> None:
        if isinstance(entry, Put):
            vectors = np.frombuffer(entry.vectors, dtype=np.float32).reshape(-1, self._manifest.dimension)
            parts.fresh.put(entry.ids, vectors, entry.metadata)
        for id in entry.ids:
            if isinstance(entry, Drop):
                parts.fresh.drop(id)
            if parts.built is not None:
                parts.built.drop(id)

    def _holds(self, id: str) -> bool:
        built, fresh = self._parts
        return id in fresh.slot_of or (built is not None and built.holds(id))

    def _item(self, parts: _Parts, id: str) -> StoredItem | None:
        built, fresh = parts
        row = built.row_of.get(id) if built is not None and built.holds(id) else None
        slot = fresh.slot_of.get(id)
        if slot is not None:
            vector, encoded = fresh.vector(slot), fresh.metadata[slot]
        elif built is not None and row is not None:
            vector, encoded = built.vectors[row], bytes(built.metadata[row])
        else:
            return None
        return StoredItem(id=id, vector=vector.tolist(), metadata=_decode_metadata(encoded))

    def _refuse_closed(self) -> None:
        if self._closed:
            raise NotFound(f"index {self._manifest.name!r} was deleted or closed", index=self._manifest.name)

    def _build_when_due(self) -> None:
        if len(self._parts.fresh) < self._build_at:
            return
        with self._write_lock:
            busy = self._builder is not None and self._builder.is_alive()
            if busy or self._closed or self._carried is not None or len(self._parts.fresh) < self._build_at:
                return
            self._builder = threading.Thread(target=self._compact, name=f"build-{self._manifest.name}", daemon=True)
            self._builder.start()

    def _compact(self) -> None:
        try:
            self._rebuild(None, self._manifest.model, None)
        except LakehouseError as error:
            # The index goes on as it is; the next try waits for as many writes again.
            self._build_at = len(self._parts.fresh) + self._config.fresh_limit
            if not self._closed:
                _log.warning("building index %s failed: %s", self._manifest.name, error.message)

    def _rebuild(self, rows: Path | None, model: str | None, progress: Callable[[int, int], None] | None) -> int:
        with self._build_lock:
            request, first = self._begin(rows)
            target = Path(request.target)
            try:
                count = self._run(request, progress)
                self._swap(target, first, model)
            except OSError as error:
                raise disk_error(error, target) from error
            finally:
                with self._write_lock:
                    self._carried = None
                    _clear(self.folder, self._manifest)
            return count

    def _begin(self, rows: Path | None) -> tuple[_build.Request, int]:
        """Seal the journal and start to collect what is written from now on."""
        with self._write_lock:
            self._refuse_closed()
            manifest = self._manifest
            first = self._journal.rotate()
            self._carried = []
        request = _build.Request(
            target=str(self.folder / f"{_BUILT}{first:06d}"),
            dimension=manifest.dimension,
            distance=manifest.distance,
            rows=str(rows) if rows is not None else "",
            built=str(self.folder / manifest.built) if manifest.built else "",
            journals=[str(journal.path_of(self.folder, number)) for number in range(manifest.journal, first)],
            graph_from=self._config.exact_below,
            m=self._config.m,
            ef_construct=self._config.ef_construct,
            ef_search=self._config.ef_search,
        )
        return request, first

    def _run(self, request: _build.Request, progress: Callable[[int, int], None] | None) -> int:
        if not request.rows and len(self) < min(_INLINE_ROWS, request.graph_from):
            return _build.build(request, progress or _silent)
        count: int = self._children.run("lakehouse.vectors._build", msgspec.to_builtins(request), progress=progress)
        return count

    def _swap(self, target: Path, first: int, model: str | None) -> None:
        parts = _Parts(Built(target), Fresh(self._manifest.dimension))
        carried = self._carried or []
        done = 0
        while len(carried) - done > _LAST_ENTRIES:
            self._apply(parts, carried[done])
            done += 1
        with self._write_lock:
            self._refuse_closed()
            for entry in carried[done:]:
                self._apply(parts, entry)
            manifest = msgspec.structs.replace(self._manifest, built=target.name, journal=first, model=model)
            atomic_write(self.folder / MANIFEST, msgspec.json.encode(manifest))
            self._manifest = manifest
            self._parts = parts
            self._build_at = self._config.fresh_limit


def _merged(older: list[tuple[float, str, int]], newer: list[tuple[float, str, int]]) -> list[tuple[float, str, int]]:
    """Return both in order; of an id that comes twice only the newest, which has the lowest place."""
    newest: dict[str, tuple[float, str, int]] = {}
    for hit in (*older, *newer):
        other = newest.get(hit[1])
        if other is None or hit[2] < other[2]:
            newest[hit[1]] = hit
    return sorted(newest.values())


def _silent(done: int, total: int) -> None:
    """Report to nobody."""


def _read_manifest(folder: Path) -> Manifest:
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise IntegrityError(f"the index in {folder} cannot be read: {error}", path=str(folder)) from error


def _clear(folder: Path, manifest: Manifest) -> None:
    """Remove what no manifest names: half-built parts, parts and journals that were superseded."""
    for path in folder.glob(f"{_BUILT}*"):
        if path.name != manifest.built:
            shutil.rmtree(path, ignore_errors=True)
    for number in journal.numbers(folder):
        if number < manifest.journal:
            journal.path_of(folder, number).unlink(missing_ok=True)
