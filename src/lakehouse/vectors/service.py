"""Named vector indexes: the public face."""

from __future__ import annotations

import difflib
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from lakehouse import settings
from lakehouse.child import Children
from lakehouse.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from lakehouse.state.folder import disk_error
from lakehouse.vectors import filters
from lakehouse.vectors import items as checks
from lakehouse.vectors.base import (
    Added,
    Distance,
    Filter,
    Hit,
    IdList,
    IndexList,
    IndexStats,
    Item,
    Merged,
    SearchResults,
    StoredItem,
)

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.vectors.index import Index

# Inside the class `list` is an operation.
Items = list[Item]
Ids = list[str]
Numbers = list[float]
Hits = list[Hit]

FOLDER = "vectors"
MAX_K = 10_000
MAX_DIMENSION = 4_096

_MERGED_AT_ONCE = 500
_NEVER_A_NAME = "~"


class Vectors:
    """Named indexes of vectors with ids and metadata.

    Thread-safe; a search takes no lock. What a write returned from is findable by the next search and survives a
    power cut. Indexes are opened when first asked for.

    Args:
        config: Section `[vectors]`.
        folder: The lake; the indexes are kept in `vectors/` below it.
        embed: Turns n texts into `(n, d)` float32 vectors.
        embed_model: The name of its model.
        embed_dimension: Its d.

    >>> import tempfile
    >>> import numpy as np
    >>> vectors = Vectors(
    ...     settings.Vectors(), Path(tempfile.mkdtemp()),
    ...     embed=lambda texts: np.ones((len(texts), 2), dtype=np.float32), embed_model="ones", embed_dimension=2,
    ... )
    >>> vectors.create("towns", 2).items
    0
    >>> vectors.add("towns", [Item(id="a", vector=[1, 0]), Item(id="b", vector=[0, 1], metadata={"state": "OH"})])
    Added(added=2, updated=0)
    >>> [hit.id for hit in vectors.search("towns", vector=[0.9, 0.1]).results]
    ['a', 'b']
    """

    def __init__(
        self,
        config: settings.Vectors,
        folder: Path,
        *,
        embed: Callable[[Sequence[str]], np.ndarray],
        embed_model: str,
        embed_dimension: int,
    ) -> None:
        self._config = config
        self._root = folder / FOLDER
        self._embed = embed
        self._embed_model = embed_model
        self._embed_dimension = embed_dimension
        self._children = Children()
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._open: dict[str, Index] = {}
        self._names = self._found()

    def create(
        self,
        name: str,
        dimension: Annotated[int, msgspec.Meta(ge=1, le=MAX_DIMENSION)],
        distance: Distance = "cosine",
        model: str | None = None,
    ) -> IndexStats:
        """Make an empty index.

        Args:
            name: 1 to 128 of A-Z, a-z, 0-9, `_`, `.`, `-`.
            dimension: Length of every vector, 1 to 4,096.
            distance: `cosine` (1 - cosine), `dot` (the negative product) or `euclid`.
            model: The embedding model whose vectors it holds; items and searches by text need it to be the
                configured one.

        Raises:
            InvalidInput: The name or dimension is not allowed.
            AlreadyExists: The name is taken.
        """
        from lakehouse.vectors.index import Index, Manifest

        checks.check_name(name)
        if not 1 <= dimension <= MAX_DIMENSION:
            raise InvalidInput(f"dimension is {dimension}; it must be 1 to {MAX_DIMENSION}", field="dimension")
        manifest = Manifest(name=name, dimension=dimension, distance=distance, model=model)
        with self._lock:
            if name in self._names:
                raise AlreadyExists(f"index {name!r} exists already", index=name)
            Index.create(self._root / name, manifest)
            self._names.add(name)
        return self._index(name).stats()

    def list(self) -> IndexList:
        """Return all indexes, by name."""
        with self._lock:
            names = sorted(self._names)
        found = []
        for name in names:
            try:
                found.append(self._index(name).stats())
            except NotFound:
                continue
        return IndexList(found)

    def stats(self, name: str) -> IndexStats:
        """Return an index' shape and counts.

        Raises:
            NotFound: There is no such index; near names are listed.
        """
        return self._index(name).stats()

    def ids(self, name: str) -> IdList:
        """Return all ids of an index, sorted.

        Raises:
            NotFound: There is no such index.
        """
        return IdList(self._index(name).ids())

    def add(self, name: str, items: Items) -> Added:
        """Store items under their ids, replacing what is there; all of them or none.

        Args:
            name: An index.
            items: Each with an id (1 to 512 bytes, once per call) and either `vector` or `text`.

        Raises:
            NotFound: There is no such index.
            InvalidInput: An item has no or a wrong vector, both or neither of vector and text, a bad or repeated
                id, metadata that is no JSON, or a text although the index holds another model's vectors; the
                message names `items[i]`.
            TooLarge: A text is too long.
            PermissionDenied, Unavailable: The disk refused, or the embedding model is out of reach.
        """
        import numpy as np

        index = self._index(name)
        _check_ids(items)
        metadata = [checks.encode_metadata(item.metadata, f"items[{at}]") for at, item in enumerate(items)]
        texts = [at for at, item in enumerate(items) if _has_text(item, at)]
        vectors = np.empty((len(items), index.manifest.dimension), dtype=np.float32)
        for at, item in enumerate(items):
            if item.vector is not None:
                vectors[at] = _row(item.vector, index, f"items[{at}].vector")
        if texts:
            self._check_model(index, f"items[{texts[0]}].text")
            vectors[texts] = self._embed([items[at].text or "" for at in texts])
        checks.check_vectors(vectors, index.manifest.distance, lambda row: f"items[{row}].vector")
        updated = index.put([item.id for item in items], vectors, metadata)
        return Added(added=len(items) - updated, updated=updated)

    def search(
        self,
        name: str,
        k: Annotated[int, msgspec.Meta(ge=1, le=MAX_K)] = 10,
        vector: Numbers | None = None,
        text: str | None = None,
        filter: Filter | None = None,
        exclude_ids: Ids = [],  # noqa: B006 - never changed
        exact: bool = False,
    ) -> SearchResults:
        """Find the nearest items.

        Args:
            name: An index.
            k: How many, 1 to 10,000.
            vector: What to search with; or
            text: a text to embed.
            filter: What the metadata must meet.
            exclude_ids: Items left out, any number.
            exact: Score every item instead of walking the graph.

        Returns:
            Nearest first by distance rounded to six decimals, ties by id; `k` results whenever `k` items pass.

        Raises:
            NotFound: There is no such index.
            InvalidInput: Not exactly one of vector and text, a wrong vector, a filter without a single meaning,
                `k` out of range, or a text although the index holds another model's vectors.
            TooLarge: The text is too long.
        """
        index = self._index(name)
        if (vector is None) == (text is None):
            raise InvalidInput("give either vector or text, one of them", field="vector")
        if vector is not None:
            query = _row(vector, index, "vector")
        else:
            self._check_model(index, "text")
            query = self._embed([text or ""])[0]
        return SearchResults(self.nearest(name, query, k, filter=filter, exclude=frozenset(exclude_ids), exact=exact))

    def nearest(
        self,
        name: str,
        vector: np.ndarray,
        k: int,
        *,
        filter: Filter | None = None,
        exclude: Collection[str] = frozenset(),
        exact: bool = False,
    ) -> Hits:
        """Find the nearest items to a vector at hand; as `search`, without the copies.

        Args:
            name: An index.
            vector: `(d,)` float32.
            k: How many, 1 to 10,000.
            filter: What the metadata must meet.
            exclude: Ids left out; a set.
            exact: Score every item.

        Raises:
            NotFound: There is no such index.
            InvalidInput: The vector is not of the index' dimension, not finite or without direction, the filter has
                no single meaning, or `k` is out of range.
        """
        index = self._open.get(name) or self._index(name)
        if not 1 <= k <= MAX_K:
            raise InvalidInput(f"k is {k}; it must be 1 to {MAX_K}", field="k")
        _check_query(vector, index)
        if filter is not None:
            filters.check(filter)
            if not (filter.must or filter.must_not or filter.should):
                filter = None
        return index.search(vector, k, filter=filter, exclude=exclude, exact=exact)

    def merge(self, src: str, dest: str, clear_source: bool = False) -> Merged:
        """Copy the items of one index into another; ids that are there already are skipped.

        Running it again changes nothing.

        Args:
            src, dest: Two different indexes of one dimension and, where both name one, one model.
            clear_source: Remove the copied and skipped items from the source afterwards, unless they were changed
                in the meantime.

        Raises:
            NotFound: One of them does not exist.
            InvalidInput: They are the same, or differ in dimension or model.
        """
        source, target = self._index(src), self._index(dest)
        _check_merge(source, target)
        merged, skipped, cleared = 0, 0, 0
        ids = source.ids()
        for start in range(0, len(ids), _MERGED_AT_ONCE):
            copied, present, dropped = _merge_portion(
                source, target, ids[start : start + _MERGED_AT_ONCE], clear_source
            )
            merged, skipped, cleared = merged + copied, skipped + present, cleared + dropped
        return Merged(merged=merged, skipped=skipped, cleared=cleared)

    def get(self, name: str, id: str) -> StoredItem:
        """Return one item with its vector and metadata.

        Raises:
            NotFound: There is no such index or item.
        """
        return self._index(name).get(id)

    def delete_item(self, name: str, id: str) -> None:
        """Remove one item.

        Raises:
            NotFound: There is no such index or item.
        """
        if not self._index(name).drop([id]):
            raise NotFound(f"index {name!r} has no item {id!r}", index=name, id=id)

    def delete_items(self, name: str, ids: Sequence[str]) -> int:
        """Remove several items at once; ids that are not there are passed over.

        Returns:
            How many were there.

        Raises:
            NotFound: There is no such index.
        """
        return self._index(name).drop(ids)

    def delete(self, name: str) -> None:
        """Remove an index with all its items.

        Raises:
            NotFound: There is no such index.
        """
        index = self._index(name)
        with self._lock:
            if name not in self._names:
                raise self._missing(name)
            grave = self._root / f"{_NEVER_A_NAME}gone-{name}"
            try:
                shutil.rmtree(grave, ignore_errors=True)
                index.folder.rename(grave)
            except OSError as error:
                raise disk_error(error, index.folder) from error
            self._names.discard(name)
            self._open.pop(name, None)
        index.close()
        shutil.rmtree(grave, ignore_errors=True)

    def scan(self, name: str) -> Iterator[StoredItem]:
        """Yield all items of an index in the order of their ids.

        Items added meanwhile may be missing, items deleted meanwhile are.

        Raises:
            NotFound: There is no such index.
        """
        return self._index(name).scan()

    def replace(
        self,
        name: str,
        rows: Path,
        *,
        dimension: int,
        distance: Distance = "cosine",
        model: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Exchange all items of an index for those of a file, in a child process of low priority.

        The index serves its old items until the new ones take over, all at once; one that does not exist is made.
        What is added or deleted while this runs is carried over and wins. When it fails nothing has changed.

        Args:
            name: An index, or a name for a new one.
            rows: Arrow IPC file with `id` (string), `vector` (`fixed_size_list<float32>[d]`), `metadata` (string,
                a JSON object).
            dimension, distance: As the index has them.
            model: The model of the new vectors.
            progress: Called in this thread with (rows done, rows in all).

        Returns:
            The number of rows.

        Raises:
            InvalidInput: The file lacks a column, a row cannot be stored, or an id comes twice.
            Conflict: The index has another dimension or distance.
            PermissionDenied, Unavailable: The disk refused, or `close` was called.
            InternalError: The child process died; the message has the end of its stderr.
        """
        made = False
        try:
            self.create(name, dimension, distance, model)
            made = True
        except AlreadyExists:
            shape = self.stats(name)
            if (shape.dimension, shape.distance) != (dimension, distance):
                raise Conflict(
                    f"index {name!r} holds {shape.dimension} numbers under {shape.distance}, the rows {dimension} "
                    f"under {distance}; delete it first",
                    index=name,
                ) from None
        index = self._index(name)
        try:
            return index.replace(rows, model=model, progress=progress)
        except BaseException:
            if made and not len(index):
                self.delete(name)
            raise

    def close(self) -> None:
        """End running builds and close every index; idempotent."""
        self._children.close()
        with self._lock:
            indexes = [*self._open.values()]
            self._open = {}
        for index in indexes:
            index.close()

    def _found(self) -> set[str]:
        names = set()
        for path in self._root.iterdir() if self._root.is_dir() else ():
            if path.name.startswith(_NEVER_A_NAME):
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir():
                names.add(path.name)
        return names

    def _index(self, name: str) -> Index:
        index = self._open.get(name)
        if index is not None:
            return index
        with self._lock:
            if name not in self._names:
                raise self._missing(name)
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            index = self._open.get(name)
            if index is None:
                from lakehouse.vectors.index import Index

                index = Index(self._root / name, self._config, self._children)
                with self._lock:
                    if name not in self._names:
                        index.close()
                        raise self._missing(name)
                    self._open[name] = index
        return index

    def _missing(self, name: str) -> NotFound:
        near = difflib.get_close_matches(name, self._names, 3, 0.5) or sorted(self._names)[:10]
        hint = f"; there is {', '.join(near)}" if near else "; there is none yet"
        return NotFound(f"no index {name[:140]!r}{hint}", index=name)

    def _check_model(self, index: Index, where: str) -> None:
        manifest = index.manifest
        if manifest.model not in (None, self._embed_model) or manifest.dimension != self._embed_dimension:
            raise InvalidInput(
                f"{where}: index {manifest.name!r} holds vectors of {manifest.model or 'another model'} with "
                f"{manifest.dimension} numbers, texts are embedded by {self._embed_model} with "
                f"{self._embed_dimension}; give vectors",
                field=where,
            )


def _check_ids(items: Sequence[Item]) -> None:
    seen: dict[str, int] = {}
    for at, item in enumerate(items):
        checks.check_id(item.id, f"items[{at}]")
        if item.id in seen:
            raise InvalidInput(
                f"items[{at}] has the id {item.id!r} of items[{seen[item.id]}]; give an id once per call",
                field=f"items[{at}].id",
            )
        seen[item.id] = at


def _has_text(item: Item, at: int) -> bool:
    if (item.vector is None) == (item.text is None):
        raise InvalidInput(f"items[{at}] needs either vector or text, one of them", field=f"items[{at}]")
    return item.text is not None


def _row(numbers: Sequence[float], index: Index, where: str) -> np.ndarray:
    import numpy as np

    manifest = index.manifest
    if len(numbers) != manifest.dimension:
        raise InvalidInput(
            f"{where} has {len(numbers)} numbers, index {manifest.name!r} has dimension {manifest.dimension}",
            field=where,
        )
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.float32)


def _check_query(vector: np.ndarray, index: Index) -> None:
    from lakehouse.vectors import _scoring

    manifest = index.manifest
    if vector.shape != (manifest.dimension,):
        raise InvalidInput(
            f"vector has {vector.size} numbers, index {manifest.name!r} has dimension {manifest.dimension}",
            field="vector",
        )
    if not _scoring.fits(vector, manifest.distance):
        checks.check_vectors(vector.reshape(1, -1), manifest.distance, lambda _: "vector")


def _check_merge(source: Index, target: Index) -> None:
    here, there = source.manifest, target.manifest
    if source is target:
        raise InvalidInput(f"index {here.name!r} cannot be merged into itself", field="dest")
    if here.dimension != there.dimension:
        raise InvalidInput(
            f"index {here.name!r} has dimension {here.dimension}, {there.name!r} {there.dimension}; they cannot merge",
            field="dest",
        )
    if here.model and there.model and here.model != there.model:
        raise InvalidInput(
            f"index {here.name!r} holds vectors of {here.model}, {there.name!r} of {there.model}; they cannot merge",
            field="dest",
        )


def _merge_portion(source: Index, target: Index, ids: Sequence[str], clear: bool) -> tuple[int, int, int]:
    """Copy some items; return how many were copied, were there already, and left the source."""
    import numpy as np

    found = [item for id in ids if (item := source.find(id)) is not None]
    if not found:
        return 0, 0, 0
    vectors = np.array([item.vector for item in found], dtype=np.float32)
    checks.check_vectors(vectors, target.manifest.distance, lambda row: f"the vector of {found[row].id!r}")
    metadata = [checks.encode_metadata(item.metadata, item.id) for item in found]
    present = target.put([item.id for item in found], vectors, metadata, keep=True)
    cleared = source.drop_unchanged(found) if clear else 0
    return len(found) - present, present, cleared
