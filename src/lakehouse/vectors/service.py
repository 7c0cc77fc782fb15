"""Named vector indexes: the public face."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse import settings
from lakehouse.errors import AlreadyExists, Conflict, IntegrityError, InvalidInput, NotFound
from lakehouse.vectors import filters
from lakehouse.vectors import items as checks
from lakehouse.vectors.base import (
    LOCAL,
    Added,
    Distance,
    Filter,
    Finder,
    Hit,
    IdList,
    IndexList,
    IndexStats,
    Item,
    Merged,
    SearchResults,
    StoredItem,
)
from lakehouse.vectors.items import TextEmbedder
from lakehouse.vectors.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.vectors._scoring import Query
    from lakehouse.vectors._shelves import Shelves
    from lakehouse.vectors.index import Manifest
    from lakehouse.vectors.registry import AnyIndex

# Inside the class `list` is an operation.
Items = list[Item]
Ids = list[str]
Numbers = list[float]
Hits = list[Hit]

FOLDER = "vectors"
MAX_K = 10_000
MAX_DIMENSION = 4_096

_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


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

    Attributes:
        before_delete: Called with the name of an index that somebody wants deleted; may raise.

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
        self._indexes = Registry(config, folder / FOLDER)
        self._texts = TextEmbedder(embed, embed_model, embed_dimension)
        self._latest: Query | None = None
        self.before_delete: Callable[[str], None] = lambda _name: None

    def create(
        self,
        name: str,
        dimension: Annotated[int, msgspec.Meta(ge=1, le=MAX_DIMENSION)],
        distance: Distance = "cosine",
        model: str | None = None,
    ) -> IndexStats:
        """Make an empty index.

        Args:
            name: 1 to 128 of A-Z, a-z, 0-9, `_`, `.`, `-`; not beginning with `playbook_`, which is for memory.
            dimension: Length of every vector, 1 to 4,096.
            distance: `cosine` (1 - cosine), `dot` (the negative product) or `euclid`.
            model: The embedding model whose vectors it holds; items and searches by text need it to be the
                configured one.

        Raises:
            InvalidInput: The name or dimension is not allowed.
            AlreadyExists: The name is taken.
        """
        if not 1 <= dimension <= MAX_DIMENSION:
            raise InvalidInput(f"dimension is {dimension}; it must be 1 to {MAX_DIMENSION}", field="dimension")
        checks.check_writable(name)
        return self._create(name, dimension, distance, model, walked=True).stats()

    def create_unwalked(self, name: str, dimension: int, *, model: str) -> None:
        """Make an empty index for cosine that is only ever looked up by filters, as memory's are; it gets no graph.

        Raises:
            InvalidInput, AlreadyExists: As `create`.
        """
        self._create(name, dimension, "cosine", model, walked=False)

    def is_unwalked(self, name: str, dimension: int, *, model: str) -> bool:
        """Tell whether a whole index is there as `create_unwalked` makes one with these arguments."""
        try:
            made = self._indexes.get(name).manifest
        except (NotFound, IntegrityError):
            return False
        shape = (made.dimension, made.distance, made.model, made.walked, made.engine)
        return shape == (dimension, "cosine", model, False, LOCAL)

    def _create(self, name: str, dimension: int, distance: Distance, model: str | None, *, walked: bool) -> AnyIndex:
        from lakehouse.vectors.index import Manifest

        checks.check_name(name)
        return self._indexes.create(
            Manifest(name=name, dimension=dimension, distance=distance, model=model, walked=walked)
        )

    def list(self) -> IndexList:
        """Return all indexes, by name; one whose files are damaged is left out and refused by name."""
        found = []
        for index in self._indexes.whole():
            try:
                found.append(index.stats())
            except NotFound:
                # Deleted since.
                continue
        return IndexList(found)

    def local_items(self, prefix: str = "") -> dict[str, int]:
        """Return how many items each whole index in files whose name begins so has, by name; no server is asked."""
        found = {}
        for index in self._indexes.whole(prefix):
            if index.manifest.engine == LOCAL:
                with contextlib.suppress(NotFound):
                    found[index.manifest.name] = len(index)
        return found

    def is_here(self, name: str) -> bool:
        """Tell whether an index is open and no server is asked for it."""
        return self._here(name) is not None

    def is_at_hand(self, name: str) -> bool:
        """Tell whether the nearest of an index are found in microseconds: it is open, here, and has a graph."""
        index = self._here(name)
        return index is not None and index.manifest.walked

    def stats(self, name: str) -> IndexStats:
        """Return an index' shape and counts.

        Raises:
            NotFound: There is no such index; near names are listed.
        """
        return self._indexes.get(name).stats()

    def ids(self, name: str) -> IdList:
        """Return all ids of an index, sorted.

        Raises:
            NotFound: There is no such index.
        """
        return IdList(self._indexes.get(name).ids())

    def add(self, name: str, items: Items) -> Added:
        """Store items under their ids, replacing what is there; all of them or none.

        Args:
            name: An index.
            items: Each with an id (1 to 512 bytes, once per call) and either `vector` or `text`.

        Raises:
            NotFound: There is no such index.
            InvalidInput: An item has no or a wrong vector, both or neither of vector and text, a bad or repeated
                id, metadata that is no JSON, or a text although the index holds another model's vectors; the
                message names `items[i]`. Or the index is of memory.
            TooLarge: A text is too long.
            PermissionDenied, Unavailable: The disk refused, or the embedding model is out of reach.
        """
        checks.check_writable(name)
        index = self._indexes.get(name)
        prepared = checks.prepare(items, index.manifest, self._texts)
        updated = index.put(prepared.ids, prepared.vectors, prepared.metadata)
        return Added(added=len(prepared.ids) - updated, updated=updated)

    def put(self, name: str, ids: Sequence[str], vectors: np.ndarray, metadata: Sequence[bytes]) -> int:
        """Store items that are at hand as arrays; as `add`, without the copies.

        Args:
            name: An index.
            ids: Each once.
            vectors: `(n, d)` float32.
            metadata: JSON objects.

        Returns:
            How many ids were there before.

        Raises:
            NotFound: There is no such index.
            InvalidInput: A vector is not of the index' dimension or cannot be compared.
            PermissionDenied, Unavailable: The disk refused.
        """
        index = self._indexes.get(name)
        if vectors.shape != (len(ids), index.manifest.dimension):
            raise InvalidInput(
                f"vectors are {vectors.shape}, index {name!r} takes {(len(ids), index.manifest.dimension)}",
                field="vectors",
            )
        checks.check_vectors(vectors, index.manifest.distance, lambda row: f"the vector of {ids[row]!r}")
        return index.put(ids, vectors, metadata)

    def has(self, name: str, id: str) -> bool:
        """Tell whether an index has an item.

        Raises:
            NotFound: There is no such index.
        """
        return self._indexes.get(name).has(id)

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
        index = self._indexes.get(name)
        if (vector is None) == (text is None):
            raise InvalidInput("give either vector or text, one of them", field="vector")
        if vector is not None:
            query = checks.row(vector, index.manifest, "vector")
        else:
            query = self._texts.vectors([text or ""], index.manifest, "text")[0]
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
        lookup = self.lookup(name, vector, exclude=exclude, exact=exact)
        if not 1 <= k <= MAX_K:
            raise InvalidInput(f"k is {k}; it must be 1 to {MAX_K}", field="k")
        near = lookup.nearest(k, self.checked(filter))
        return [Hit(id, distance, _decode_metadata(lookup.encoded(place))) for distance, id, place in near]

    def lookup(
        self, name: str, vector: np.ndarray, *, exclude: Collection[str] = frozenset(), exact: bool = False
    ) -> Finder:
        """Look at an index with one vector, for several filters, without decoding what is found.

        Args:
            name: An index.
            vector: `(d,)` float32.
            exclude: Ids left out; a set.
            exact: Score every item.

        Raises:
            NotFound: There is no such index.
            InvalidInput: The vector is not of the index' dimension, not finite or without direction.
        """
        index = self._indexes.get(name)
        return index.lookup(self._query(vector, index.manifest), exclude=exclude, exact=exact)

    def _here(self, name: str) -> AnyIndex | None:
        index = self._indexes.opened(name)
        return index if index is not None and index.manifest.engine == LOCAL else None

    def _query(self, vector: np.ndarray, manifest: Manifest) -> Query:
        """Make a vector ready, once for all indexes that are asked with it one after the other."""
        latest = self._latest
        if latest is None or latest.vector is not vector or not latest.fits(manifest.dimension, manifest.distance):
            checks.check_query(vector, manifest)
            latest = _query_type()(vector, manifest.distance)
            # What may be written on may be another vector the next time.
            self._latest = latest if not vector.flags.writeable else None
        return latest

    def shelves(self, name: str, vector: np.ndarray) -> Shelves:
        """Return what finds the nearest items to a vector among those that hold certain words in their metadata.

        Args:
            name: An index for cosine.
            vector: What it is going to be asked with, `(d,)` float32.

        Raises:
            NotFound: There is no such index.
            InvalidInput: The vector is not of the index' dimension, not finite or without direction.
        """
        index = self._indexes.get(name)
        checks.check_query(vector, index.manifest)
        return index.shelves

    def has_shelves(self, name: str, shelves: Shelves) -> bool:
        """Tell whether these are still what `shelves` gives for an index."""
        try:
            return self._indexes.get(name).shelves is shelves
        except NotFound:
            return False

    def version(self, name: str) -> int:
        """Return a number that changes with every write to an index, 0 while there is none of that name.

        It changes after the write can be seen and before the write returns.

        Raises:
            IntegrityError: The index' files are damaged.
        """
        try:
            return self._indexes.get(name).version
        except NotFound:
            return 0

    @staticmethod
    def checked(filter: Filter | None) -> Filter | None:
        """Return a filter that a lookup can take: None when it asks for nothing.

        Raises:
            InvalidInput: It has no single meaning.
        """
        if filter is None:
            return None
        filters.check(filter)
        return filter if filter.must or filter.must_not or filter.should else None

    def merge(self, src: str, dest: str, clear_source: bool = False) -> Merged:
        """Copy the items of one index into another; ids that are there already are skipped.

        Running it again changes nothing.

        Args:
            src, dest: Two different indexes of one dimension and, where both name one, one model.
            clear_source: Remove the copied and skipped items from the source afterwards, unless they were changed
                in the meantime.

        Raises:
            NotFound: One of them does not exist.
            InvalidInput: They are the same, or differ in dimension or model; or one that would change is of memory.
        """
        from lakehouse.vectors import merging

        checks.check_writable(dest, "dest")
        if clear_source:
            checks.check_writable(src, "src")
        return merging.merge(self._indexes.get(src), self._indexes.get(dest), clear_source=clear_source)

    def get(self, name: str, id: str) -> StoredItem:
        """Return one item with its vector and metadata.

        Raises:
            NotFound: There is no such index or item.
        """
        item = self._indexes.get(name).find(id)
        if item is None:
            raise NotFound(f"index {name!r} has no item {id!r}; see `lakehouse vectors ids {name}`", index=name, id=id)
        return item

    def metadata(self, name: str, id: str) -> dict[str, Any] | None:
        """Return one item's metadata without its vector, None when there is no such index or item."""
        try:
            return self._indexes.get(name).metadata(id)
        except NotFound:
            return None

    def delete_item(self, name: str, id: str) -> None:
        """Remove one item.

        Raises:
            NotFound: There is no such index or item.
            InvalidInput: The index is of memory.
        """
        checks.check_writable(name)
        if not self._indexes.get(name).drop([id]):
            raise NotFound(f"index {name!r} has no item {id!r}; see `lakehouse vectors ids {name}`", index=name, id=id)

    def delete_items(self, name: str, ids: Sequence[str]) -> int:
        """Remove several items at once; ids that are not there are passed over.

        Returns:
            How many were there.

        Raises:
            NotFound: There is no such index.
        """
        return self._indexes.get(name).drop(ids)

    def purge(self, name: str, ids: Sequence[str]) -> int:
        """Remove items for good: on return no file of the index holds anything of them.

        Returns:
            How many were there.

        Raises:
            NotFound: There is no such index.
            PermissionDenied, Unavailable, InternalError: As `replace`; the items are gone from searches all the same.
        """
        return self._indexes.get(name).purge(ids)

    def delete(self, name: str) -> None:
        """Remove an index with all its items; one of memory is made again by the next write to that memory.

        Raises:
            NotFound: There is no such index.
            WrongState: It is that of a corpus which other replicas have too; the message names what deletes that.
        """
        self.before_delete(name)
        self._indexes.delete(name)

    def scan(self, name: str) -> Iterator[StoredItem]:
        """Yield all items of an index in the order of their ids.

        Items added meanwhile may be missing, items deleted meanwhile are.

        Raises:
            NotFound: There is no such index.
        """
        return self._indexes.get(name).scan()

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
            InvalidInput: The file lacks a column, a row cannot be stored, or an id comes twice; or the index is of
                memory.
            Conflict: The index has another dimension or distance.
            PermissionDenied, Unavailable: The disk refused, or `close` was called.
            InternalError: The child process died; the message has the end of its stderr.
        """
        checks.check_writable(name)
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
        index = self._indexes.get(name)
        try:
            return index.replace(rows, model=model, progress=progress)
        except BaseException:
            if made and _is_empty(index):
                self._indexes.delete(name)
            raise

    def close(self) -> None:
        """Give up running builds and close every index; idempotent."""
        self._indexes.close()


def _is_empty(index: AnyIndex) -> bool:
    try:
        return not len(index)
    except NotFound:
        return False


@functools.cache
def _query_type() -> type[Query]:
    from lakehouse.vectors._scoring import Query

    return Query
