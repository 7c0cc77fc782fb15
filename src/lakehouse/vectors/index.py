"""One named index: its parts, the journal that keeps the writes, and the builds that take them in.

When `fresh_limit` changes have come together since the last build, or when all rows are replaced, a new built part is
made beside the old one while both serve. The journal is sealed at the start; what is written after that goes into the
next file and is taken in a second time as it comes, ready to lie beside the new part. The manifest `index.json` names
the built part and the first journal file that counts; writing it is the moment of the swap, before and after which a
crash leaves a whole index.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from lakehouse import settings
from lakehouse.child import Children
from lakehouse.decoding import ready
from lakehouse.errors import IntegrityError, LakehouseError, NotFound
from lakehouse.state.folder import atomic_write, disk_error, fsync_dir
from lakehouse.vectors import _build, _scratch, journal
from lakehouse.vectors._built import Built
from lakehouse.vectors._lookup import Lookup
from lakehouse.vectors._parts import Carried, Parts
from lakehouse.vectors._scoring import Query
from lakehouse.vectors._shelves import Shelves
from lakehouse.vectors.base import LOCAL, Distance, IndexStats, StoredItem
from lakehouse.vectors.journal import Drop, Entry, Journal, Put

MANIFEST = "index.json"
FORMAT: Literal[1] = 1

# A build of so few rows is done before a child process has started.
_INLINE_ROWS = 2_000
_BUILT = "built-"
_GRAVE = "~"
# Without a graph few fresh items are looked at by any search, so a build may wait for a share of what is built: a
# million items that come in portions are then not written anew each time.
_WAITING_SHARE = 0.25
_NEVER = 1 << 62
# How long a look at what was replaced may keep its files.
_LOOKED_AT_S = 5.0
_BETWEEN_PIECES_S = 0.002

_log = logging.getLogger(__name__)


@ready
class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an index is and which files make it up.

    Attributes:
        walked: Whether it gets a graph; one that is only ever looked up by filters does not.
        engine: Where its items lie, as in section `[vectors]`.
        built: The built part, a folder beside this file, or the table on a server.
        journal: The first journal file that counts.
        home: Of an index on a server, the inode of its folder: what tells the lake from a copy of it.
    """

    format: Literal[1] = FORMAT
    name: str
    dimension: int
    distance: Distance
    model: str | None = None
    walked: bool = True
    engine: str = LOCAL
    built: str = ""
    journal: int = 1
    home: int = 0


class Index:
    """An index, open. Thread-safe; reads take no lock.

    Args:
        folder: Made by `create`.
        config: Section `[vectors]`.
        versions: Rising numbers, never given to any other index.

    Attributes:
        version: Changes with every write, before the write returns and after it can be seen: what was read while the
            version stayed the same is what is there.
        shelves: The items by the words of their metadata; every write is on them before it returns.

    Raises:
        IntegrityError: The folder is not a whole index.
    """

    def __init__(self, folder: Path, config: settings.Vectors, versions: Iterator[int]) -> None:
        self.folder = folder
        self._config = config
        self._versions = versions
        self.version = next(versions)
        self._children = Children()
        self.manifest = read_manifest(folder)
        self._write_lock = threading.Lock()
        self._build_lock = threading.Lock()
        self._builder: threading.Thread | None = None
        self._carried: Carried | None = None
        self._closed = False
        _scratch.clear(folder, config.scratch)
        _clear(folder, self.manifest)
        self._whole = _load(folder, self.manifest)
        self._build_at = self._due(self._whole)
        self.shelves = Shelves(lambda: self._parts)
        self._journal = Journal(folder, max([self.manifest.journal, *journal.numbers(folder)]))
        if self._whole.built is not None and self._whole.built.lacks_graph:
            self._build_at = 0
            self._build_when_due()

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

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def _parts(self) -> Parts:
        self._refuse_closed()
        return self._whole

    def stats(self) -> IndexStats:
        """Return what the index is and how many items it has."""
        parts, manifest = self._parts, self.manifest
        return IndexStats(
            name=manifest.name,
            dimension=manifest.dimension,
            distance=manifest.distance,
            items=len(parts),
            indexed=parts.built.live if parts.built and parts.built.summary.indexed else 0,
            model=manifest.model,
            findability=parts.built.summary.findability if parts.built else None,
        )

    def lookup(self, query: Query, *, exclude: Collection[str], exact: bool) -> Lookup:
        """Return what finds the nearest items to a checked vector; see `Vectors.nearest`."""
        return self._parts.lookup(query, ef=self._config.ef_search, exclude=exclude, exact=exact)

    def find(self, id: str) -> StoredItem | None:
        """Return the item under `id`, None when there is none."""
        return self._parts.find(id)

    def metadata(self, id: str) -> dict[str, Any] | None:
        """Return the metadata of the item under `id`, None when there is none."""
        return self._parts.metadata(id)

    def has(self, id: str) -> bool:
        """Tell whether there is an item under `id`."""
        return self._parts.holds(id)

    def ids(self) -> list[str]:
        """Return all ids, sorted."""
        return self._parts.ids()

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
            present = {id for id in ids if self._parts.holds(id)}
            if keep and present:
                new = [position for position, id in enumerate(ids) if id not in present]
                ids, vectors = [ids[at] for at in new], vectors[new]
                metadata = [metadata[at] for at in new]
            if not ids:
                return len(present)
            position = self._write(Put(list(ids), list(metadata), vectors.tobytes()))
        self._journal.commit(position)
        self._build_when_due()
        return len(present)

    def drop(self, ids: Iterable[str]) -> int:
        """Remove items; on return they are gone for good.

        Returns:
            How many were there.
        """
        return self._drop(dict.fromkeys(ids), self._parts_hold)

    def purge(self, ids: Iterable[str]) -> int:
        """Remove items and write the index again, so that no file of it holds anything of them."""
        dropped = self.drop(ids)
        self._rebuild(None, self.manifest.model, None)
        return dropped

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
        """Close the files; running builds are given up and gone on return. Idempotent."""
        with self._write_lock:
            self._closed = True
            self._journal.close()
        self._children.close()
        with self._build_lock:
            builder = self._builder
        if builder is not None:
            builder.join()
        # Before anybody removes the files: to let go of a mapped file that is gone already holds the interpreter.
        self._whole = Parts(None, self.manifest.dimension)

    def _parts_hold(self, id: str) -> bool:
        return self._parts.holds(id)

    def _drop(self, ids: Iterable[str], chosen: Callable[[str], bool]) -> int:
        with self._write_lock:
            self._refuse_closed()
            present = [id for id in ids if chosen(id)]
            if not present:
                return 0
            position = self._write(Drop(present))
        self._journal.commit(position)
        self._build_when_due()
        return len(present)

    def _write(self, entry: Entry) -> int:
        position = self._journal.append(entry)
        before = self.shelves.before(entry)
        self._whole.apply(entry)
        self.shelves.apply(entry, before)
        self.version = next(self._versions)
        if self._carried is not None:
            self._carried.apply(entry)
        return position

    def _refuse_closed(self) -> None:
        if self._closed:
            raise NotFound(f"index {self.manifest.name!r} was deleted or closed", index=self.manifest.name)

    def _build_when_due(self) -> None:
        if self._whole.changes < self._build_at:
            return
        with self._write_lock:
            busy = self._builder is not None and self._builder.is_alive()
            if busy or self._closed or self._carried is not None or self._whole.changes < self._build_at:
                return
            self._builder = threading.Thread(target=self._compact, name=f"build-{self.manifest.name}", daemon=True)
            self._builder.start()

    def _compact(self) -> None:
        # What was written during a build may make the next one due.
        while self._whole.changes >= self._build_at and not self._closed:
            try:
                self._rebuild(None, self.manifest.model, None)
            except LakehouseError as error:
                # The index goes on as it is; the next try waits for as many writes again.
                self._build_at = self._whole.changes + self._due(self._whole)
                if not self._closed:
                    _log.warning("building index %s failed: %s", self.manifest.name, error.message)

    def _rebuild(self, rows: Path | None, model: str | None, progress: Callable[[int, int], None] | None) -> int:
        with self._build_lock:
            request, first = self._begin(rows)
            target = Path(request.target)
            before = _Replaced(self._whole)
            try:
                count = self._build(request, progress)
                self._swap(target, first, model, replaced=rows is not None)
                before.let_go()
            except OSError as error:
                raise disk_error(error, target) from error
            finally:
                with self._write_lock:
                    self._carried = None
                    if not self._closed:
                        # As it is on disk: when the swap failed half way, that is what the next start will read.
                        _clear(self.folder, read_manifest(self.folder))
            return count

    def _begin(self, rows: Path | None) -> tuple[_build.Request, int]:
        """Seal the journal and start to collect what is written from now on."""
        with self._write_lock:
            self._refuse_closed()
            manifest = self.manifest
            first = self._journal.rotate()
            self._carried = Carried(manifest.dimension)
        request = _build.Request(
            target=str(self.folder / f"{_BUILT}{first:06d}"),
            dimension=manifest.dimension,
            distance=manifest.distance,
            rows=str(rows) if rows is not None else "",
            built=str(self.folder / manifest.built) if manifest.built else "",
            journals=[str(journal.path_of(self.folder, number)) for number in range(manifest.journal, first)],
            graph_from=self._config.exact_below if manifest.walked else _NEVER,
            m=self._config.m,
            ef_construct=self._config.ef_construct,
            ef_search=self._config.ef_search,
            laid_by=list(self._config.laid_by),
        )
        return request, first

    def _due(self, parts: Parts) -> int:
        """Return how many changes start a build."""
        share = 0 if self.manifest.walked or parts.built is None else int(_WAITING_SHARE * len(parts.built))
        return max(1, self._config.fresh_limit, share)

    def _build(self, request: _build.Request, progress: Callable[[int, int], None] | None) -> int:
        rows = _build.arrow_rows(request.rows) if request.rows else len(self._whole)
        if rows < min(_INLINE_ROWS, request.graph_from):
            return _build.build(request, progress or _silent)
        with _scratch.scratch(self.folder, rows * _row_bytes(request.dimension), self._config.scratch) as folder:
            asked = msgspec.to_builtins(request) | {"scratch": str(folder or "")}
            count: int = self._children.run("lakehouse.vectors._build", asked, progress=progress)
        return count

    def _swap(self, target: Path, first: int, model: str | None, *, replaced: bool) -> None:
        built = Built(target)
        with self._write_lock:
            self._refuse_closed()
            # From here on it is searched, and written to like any other.
            carried, self._carried = self._carried or Carried(self.manifest.dimension), None
            parts = carried.beside(built)
            manifest = msgspec.structs.replace(self.manifest, built=target.name, journal=first, model=model)
            atomic_write(self.folder / MANIFEST, msgspec.json.encode(manifest))
            self.manifest = manifest
            self._whole = parts
            if replaced:
                self.shelves.clear()
            if replaced or manifest.walked:
                # Without a graph the same items are the same answers, wherever they lie.
                self.version = next(self._versions)
            self._build_at = self._due(parts)


class _Replaced:
    """What a build replaces, to be taken apart by whoever waits here, not by the search that looks at it last.

    Letting go of a graph and of mapped files holds the interpreter, for a quarter of a second where the files are
    removed already; so one piece goes after the other, and in between whoever answers gets a turn.
    """

    def __init__(self, parts: Parts) -> None:
        self._unseen = threading.Event()
        self._fresh: object = parts.fresh
        self._built: dict[str, object] = {}
        if parts.built is None:
            self._unseen.set()
        else:
            self._built = vars(parts.built)
            weakref.finalize(parts.built, self._unseen.set).atexit = False

    def let_go(self) -> None:
        """Wait for a few seconds until nobody looks at it any more, and take it apart."""
        unseen = self._unseen.wait(_LOOKED_AT_S)
        self._fresh = None
        while unseen and self._built:
            time.sleep(_BETWEEN_PIECES_S)
            self._built.popitem()
        self._built = {}


def _row_bytes(dimension: int) -> int:
    """Return about how many bytes of a scratch folder a build takes for each row.

    The graph's engine has a vector twice, as 32 bits a number, and once as 8; the text and the links are some hundred.
    """
    return 9 * dimension + 1_024


def _silent(done: int, total: int) -> None:
    """Report to nobody."""


def read_manifest(folder: Path) -> Manifest:
    """Return what the index in a folder is.

    Raises:
        IntegrityError: It cannot be read.
    """
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise IntegrityError(
            f"the index in {folder} cannot be read: {error}; delete it and build it anew", path=str(folder)
        ) from error


def _load(folder: Path, manifest: Manifest) -> Parts:
    try:
        parts = Parts(Built(folder / manifest.built) if manifest.built else None, manifest.dimension)
    except (OSError, ValueError, KeyError, msgspec.DecodeError) as error:
        raise IntegrityError(
            f"index {manifest.name!r} is damaged: {error}; delete it and build it anew", index=manifest.name
        ) from error
    numbers = [number for number in journal.numbers(folder) if number >= manifest.journal]
    # The first file of all is made when the index is opened, every later one before a manifest names it.
    if numbers != [*range(manifest.journal, manifest.journal + len(numbers))] or (not numbers and manifest.journal > 1):
        raise IntegrityError(
            f"index {manifest.name!r} lacks a part of its journal; delete it and build it anew", index=manifest.name
        )
    for number in numbers:
        parts.apply_all(journal.entries(journal.path_of(folder, number), sealed=number != numbers[-1]))
    return parts


def _clear(folder: Path, manifest: Manifest) -> None:
    """Remove what no manifest names: half-built parts, parts and journals that were superseded.

    The child of a process that was killed may live on for a moment and still write; under another name its files are
    beyond it.
    """
    for grave in folder.glob(f"{_GRAVE}*"):
        shutil.rmtree(grave, ignore_errors=True)
    for path in folder.glob(f"{_BUILT}*"):
        if path.name != manifest.built:
            shutil.rmtree(path.rename(folder / f"{_GRAVE}{path.name}"), ignore_errors=True)
    for number in journal.numbers(folder):
        if number < manifest.journal:
            journal.path_of(folder, number).unlink(missing_ok=True)
