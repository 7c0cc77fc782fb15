"""Build the built part of an index; run as a child process, or in this one when there are few rows."""

from __future__ import annotations

import hashlib
import itertools
import mmap
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import numpy as np

from lakehouse import child
from lakehouse.decoding import ready
from lakehouse.errors import InvalidInput
from lakehouse.state.folder import fsync_dir
from lakehouse.vectors import _groups, _scoring, _sketch, columns, journal
from lakehouse.vectors._built import HIDDEN, RUNS, SUMMARY, Built, Summary, Texts, TextWriter
from lakehouse.vectors._scratch import PIECE, carry
from lakehouse.vectors.base import Distance
from lakehouse.vectors.items import check_id, check_vectors

_PORTION = 1_024
# Rows that are brought to disk together.
_SYNCED = 2_048
_SAMPLED = 256
# Rows with whose vectors it is tried whether those who are likely near are.
_TRIED = 48
_FOUND_WITHIN = 200
# As many rows as a search for ten asks a graph for.
_SEEN_WITHIN = 28
# Fewest links of a row in the graph of those that walks miss, and among how many they are chosen.
_LINKS = 32
_LINKED_AMONG = 400
# What of the progress is left for a look at each row, where that is called for.
_LOOKED = 10
_AS_THEY_COME = "as-they-come"
_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


@ready
class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to build.

    Attributes:
        target: Folder to make.
        rows: Arrow IPC file with `id`, `vector`, `metadata`; empty means the live rows of the two below.
        built: Folder of the built part so far, empty when there is none.
        journals: Sealed journal files, in order.
        graph_from: Fewest rows that get a graph.
        laid_by: Metadata keys; rows with the same values lie side by side.
        scratch: Folder for what is not kept, and for the graph until it is whole; empty means the target.
    """

    target: str
    dimension: int
    distance: Distance
    rows: str = ""
    built: str = ""
    journals: list[str] = []
    graph_from: int
    m: int
    ef_construct: int
    ef_search: int
    laid_by: list[str] = []
    scratch: str = ""


class Portion(NamedTuple):
    """Some rows: ids, `(n, d)` float32, metadata as JSON."""

    ids: list[str]
    vectors: np.ndarray
    metadata: list[bytes]


class Rows(NamedTuple):
    """The rows of a build, counted before they are read."""

    total: int
    portions: Iterator[Portion]


def main(request: dict[str, Any], progress: Callable[[int, int], None]) -> int:
    """Build what a JSON `Request` asks for.

    Returns:
        The number of rows.
    """
    return build(msgspec.convert(request, Request), progress)


def build(request: Request, progress: Callable[[int, int], None]) -> int:
    """Write the folder `request.target`; on return all of it survives a power cut, `summary.json` is last.

    Returns:
        The number of rows.

    Raises:
        InvalidInput: A row cannot be stored, or an id comes twice; the message names it.
        OSError: The disk is full or read-only.
    """
    folder = Path(request.target)
    folder.mkdir(parents=True)
    rows = (
        Rows(arrow_rows(request.rows), arrow_portions(request.rows, request.dimension, request.distance))
        if request.rows
        else _live(request)
    )
    steps = _Steps(rows.total, progress, graph=rows.total >= request.graph_from)
    vectors = _write_rows(folder, rows, request, steps)
    if steps.graph and request.distance == "cosine":
        _sketch.write(folder, vectors, np.load(folder / "lengths.npy"))
    if steps.graph:
        _build_graphs(folder, vectors, request, steps)
    summary = Summary(
        rows=rows.total,
        dimension=request.dimension,
        distance=request.distance,
        indexed=rows.total if steps.graph else 0,
    )
    (folder / SUMMARY).write_bytes(msgspec.json.encode(summary))
    if steps.graph:
        built = Built(folder)
        share = _findability(built, request)
        if share < 1:
            _build_graph_of_hidden(built, request, steps)
            built = Built(folder)
            share = _findability(built, request)
        summary = msgspec.structs.replace(
            summary,
            findability=share,
            likely=built.likely_found(_spread(built, _TRIED)),
            trusted=_groups.write(built, request.ef_search),
        )
        (folder / SUMMARY).write_bytes(msgspec.json.encode(summary))
    steps.done()
    _sync(folder)
    return rows.total


class _Steps:
    """Progress in rows: a row with a graph counts once it is in the graph, the last tenth once all can be found."""

    def __init__(self, rows: int, progress: Callable[[int, int], None], *, graph: bool) -> None:
        self.graph = graph
        self._rows = rows
        self._progress = progress
        progress(0, rows)

    def written(self, rows: int) -> None:
        if not self.graph:
            self._progress(rows, self._rows)

    def indexed(self, rows: int) -> None:
        self._progress(rows - rows // _LOOKED, self._rows)

    def looked_at(self, rows: int) -> None:
        self._progress(self._rows - self._rows // _LOOKED + rows // _LOOKED, self._rows)

    def done(self) -> None:
        self._progress(self._rows, self._rows)


def _write_rows(folder: Path, rows: Rows, request: Request, steps: _Steps) -> np.ndarray:
    """Write the rows, those of one kind side by side; what a demand asks for together is then read together."""
    scratch = Path(request.scratch or folder) / _AS_THEY_COME
    scratch.mkdir()
    order, runs = _write_as_they_come(scratch, rows, request)
    if runs is not None:
        np.save(folder / RUNS, runs)
    unordered = np.load(scratch / "vectors.npy", mmap_mode="r")
    # A file of no rows cannot be mapped; one spare row is never looked at.
    shape = (max(rows.total, 1), request.dimension)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", dtype=np.float32, shape=shape)
    all_ids, all_metadata = Texts(scratch, "ids"), Texts(scratch, "metadata")
    by_key = columns.Columns()
    with TextWriter(folder, "ids") as ids, TextWriter(folder, "metadata") as metadata:
        synced = 0
        for start in range(0, rows.total, _PORTION):
            portion = order[start : start + _PORTION]
            end = start + len(portion)
            vectors[start:end] = unordered[portion]
            for row, at in enumerate(portion.tolist(), start):
                encoded = bytes(all_metadata[at])
                by_key.add(row, _decode_metadata(encoded))
                ids.write([bytes(all_ids[at])])
                metadata.write([encoded])
            if end - synced >= _SYNCED:
                # While much is brought to disk at once, the sync that an answer waits for has to wait for all of it.
                _sync_rows(vectors, synced, end)
                ids.sync()
                metadata.sync()
                synced = end
            steps.written(end)
    by_key.save(folder / "columns.npz")
    live = vectors[: rows.total].view(np.ndarray)
    np.save(folder / "lengths.npy", np.concatenate([_NO_LENGTHS, *_lengths(live)]))
    del unordered, all_ids, all_metadata
    shutil.rmtree(scratch)
    return live


def _sync_rows(vectors: np.memmap, start: int, end: int) -> None:
    """Bring some rows of a mapped file to disk."""
    mapped: Any = vectors.base
    size = vectors.strides[0]
    first = (vectors.offset + start * size) // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.flush(first, vectors.offset + end * size - first)


def _write_as_they_come(folder: Path, rows: Rows, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
    """Write vectors, ids and metadata.

    Returns:
        The row numbers in the order in which they are to lie, int64; the runs of `_in_runs`, None without any.
    """
    shape = (max(rows.total, 1), request.dimension)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", dtype=np.float32, shape=shape)
    kinds: dict[tuple[str, ...], int] = {}
    kind_of = np.zeros(rows.total, dtype=np.int64)
    known: dict[bytes, int] = {}
    vector_of = np.zeros(rows.total, dtype=np.int64)
    row = 0
    with TextWriter(folder, "ids") as ids, TextWriter(folder, "metadata") as metadata:
        for portion in rows.portions:
            vectors[row : row + len(portion.ids)] = portion.vectors
            ids.write(id.encode() for id in portion.ids)
            metadata.write(portion.metadata)
            for at, encoded in enumerate(portion.metadata):
                facts = checked_metadata(encoded, portion.ids[at])
                kind = tuple(str(facts.get(key, "")) for key in request.laid_by)
                kind_of[row + at] = kinds.setdefault(kind, len(kinds))
                name = hashlib.blake2b(portion.vectors[at].tobytes(), digest_size=16).digest()
                vector_of[row + at] = known.setdefault(name, len(known))
            row += len(portion.ids)
    place_of = np.empty(len(kinds), dtype=np.int64)
    place_of[[kinds[kind] for kind in sorted(kinds)]] = np.arange(len(kinds))
    # Rows of one kind stay in the order in which they came, so the same rows give the same files.
    if 2 * len(known) >= rows.total:
        return (np.argsort(place_of[kind_of], kind="stable") if kinds else np.empty(0, dtype=np.int64)), None
    return _in_runs(np.lexsort((vector_of, place_of[kind_of])), vector_of, folder)


def _in_runs(order: np.ndarray, vector_of: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Put the rows of one vector, which lie side by side in `order`, into the order of their ids.

    Returns:
        The order, and of each place in it the number of its run, int32.
    """
    starts = np.flatnonzero(np.diff(vector_of[order], prepend=-1))
    bounds = [*starts.tolist(), len(order)]
    ids = Texts(folder, "ids")
    for begin, end in itertools.pairwise(bounds):
        if end - begin > 1:
            order[begin:end] = sorted(order[begin:end].tolist(), key=lambda at: bytes(ids[at]))
    lengths = np.diff(bounds)
    return order, np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)


_NO_LENGTHS = np.empty(0, dtype=np.float32)


def _lengths(vectors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), _PORTION):
        yield _scoring.lengths_of(vectors[start : start + _PORTION])


def checked_metadata(encoded: bytes, id: str) -> dict[str, Any]:
    """Decode the metadata of a row.

    Raises:
        InvalidInput: It is not a JSON object.
    """
    try:
        return _decode_metadata(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the metadata of row {id!r} is not a JSON object: {error}", id=id) from None


def _build_graphs(folder: Path, vectors: np.ndarray, request: Request, steps: _Steps) -> None:
    from lakehouse.vectors import _edge

    # Parts of equal size: a small last one would cost a query as much as a full one.
    parts = -(-len(vectors) // _edge.GRAPH_ROWS)
    bounds = [len(vectors) * part // parts for part in range(parts + 1)]
    for part, (begin, end) in enumerate(itertools.pairwise(bounds)):
        target = folder / f"graph-{part:04d}"
        made = Path(request.scratch) / target.name if request.scratch else target
        handed_over = _edge.build(
            made,
            vectors[begin:end],
            distance=request.distance,
            m=request.m,
            ef_construct=request.ef_construct,
            numbers=range(begin, end),
        )
        for rows in handed_over:
            # Walking into the graph is most of the work and tells nothing while it goes on.
            steps.indexed(begin + rows // 2)
        if made != target:
            carry(made, target)
        steps.indexed(end)


def _build_graph_of_hidden(built: Built, request: Request, steps: _Steps) -> None:
    """Put the rows to which no walk leads into a graph of their own, beside those that they are in."""
    from lakehouse.vectors import _edge

    hidden = []
    for row in range(len(built)):
        if not _finds(built, row, _SEEN_WITHIN, request):
            hidden.append(row)
        if row % _PORTION == 0:
            steps.looked_at(row)
    if not hidden:
        return
    graph = _edge.build(
        built.folder / HIDDEN,
        built.vectors[hidden],
        distance=request.distance,
        # They are few, so that links cost little, and hard to link.
        m=max(_LINKS, 2 * request.m),
        ef_construct=max(_LINKED_AMONG, 2 * request.ef_construct),
        numbers=hidden,
    )
    for _ in graph:
        pass


def _findability(built: Built, request: Request) -> float:
    """Return the share of sampled rows that a search with their own vector finds among the first 200."""
    sample = _spread(built, _SAMPLED)
    return round(sum(_finds(built, row, _FOUND_WITHIN, request) for row in sample) / len(sample), 4)


def _spread(built: Built, number: int) -> list[int]:
    """Return so many rows from all over a part, or all of them."""
    rows: list[int] = np.unique(np.linspace(0, len(built) - 1, num=number, dtype=np.int64)).tolist()
    return rows


def _finds(built: Built, row: int, within: int, request: Request) -> bool:
    query = _scoring.Query(np.array(built.vectors[row]), request.distance)
    return built.graph_finds(query, row, within, request.ef_search)


def arrow_rows(path: str) -> int:
    """Return how many rows an Arrow IPC file has.

    Raises:
        InvalidInput: It lacks a column.
        OSError: It cannot be read.
    """
    import pyarrow as pa

    with pa.memory_map(path) as file, pa.ipc.open_file(file) as reader:
        missing = [name for name in ("id", "vector", "metadata") if name not in reader.schema.names]
        if missing:
            raise InvalidInput(f"the rows to index have no column {missing[0]!r}", field=missing[0])
        return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))


def arrow_portions(path: str, dimension: int, distance: Distance) -> Iterator[Portion]:
    """Yield the rows of an Arrow IPC file, checked but for their metadata.

    Raises:
        InvalidInput: A row cannot be stored, or an id comes twice; the message names it.
        OSError: The file cannot be read.
    """
    import pyarrow as pa

    seen: set[str] = set()
    with pa.memory_map(path) as file, pa.ipc.open_file(file) as reader:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            for start in range(0, batch.num_rows, _PORTION):
                part = batch.slice(start, _PORTION)
                ids = part.column("id").to_pylist()
                for id in ids:
                    check_id(id, "a row")
                    if id in seen:
                        raise InvalidInput(f"the id {id!r} comes twice in the rows to index", id=id)
                    seen.add(id)
                vectors = _arrow_vectors(part.column("vector"), ids, dimension, distance)
                yield Portion(ids, vectors, [(text or "").encode() for text in part.column("metadata").to_pylist()])


def _arrow_vectors(column: Any, ids: list[str], dimension: int, distance: Distance) -> np.ndarray:
    import pyarrow as pa

    try:
        column = column.cast(pa.list_(pa.float32(), dimension))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        column = None
    if column is None or column.null_count:
        raise InvalidInput(
            f"the rows to index must have vectors of {dimension} numbers (see row {ids[0]!r})", field="vector"
        )
    vectors: np.ndarray = column.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), dimension)
    check_vectors(vectors, distance, lambda row: f"the vector of row {ids[row]!r}")
    return vectors


def _live(request: Request) -> Rows:
    """Return the rows of the built part and journals that are not deleted or overwritten."""
    fresh: dict[str, tuple[journal.Put, int]] = {}
    touched: set[str] = set()
    for path in request.journals:
        for entry in journal.entries(Path(path), sealed=True):
            touched.update(entry.ids)
            if isinstance(entry, journal.Drop):
                for id in entry.ids:
                    fresh.pop(id, None)
            else:
                fresh.update((id, (entry, position)) for position, id in enumerate(entry.ids))
    built = Built(Path(request.built)) if request.built else None
    kept = [row for row, id in enumerate(built.ids) if id not in touched] if built else []
    return Rows(len(kept) + len(fresh), _live_portions(built, kept, fresh, request.dimension))


def _live_portions(
    built: Built | None, kept: list[int], fresh: dict[str, tuple[journal.Put, int]], dimension: int
) -> Iterator[Portion]:
    for start in range(0, len(kept), _PORTION):
        rows = kept[start : start + _PORTION]
        if built is not None:
            metadata = [bytes(built.metadata[row]) for row in rows]
            yield Portion([built.ids[row] for row in rows], built.vectors[rows], metadata)
    items = list(fresh.items())
    for start in range(0, len(items), _PORTION):
        part = items[start : start + _PORTION]
        vectors = [
            np.frombuffer(put.vectors, dtype=np.float32).reshape(-1, dimension)[position] for _, (put, position) in part
        ]
        yield Portion([id for id, _ in part], np.stack(vectors), [put.metadata[at] for _, (put, at) in part])


def _sync(folder: Path) -> None:
    for path, _, files in os.walk(folder):
        for name in files:
            with (Path(path) / name).open("r+b") as file:
                _sync_file(file)
        fsync_dir(path)
    fsync_dir(folder.parent)


def _sync_file(file: BinaryIO) -> None:
    """Bring a file to disk piece by piece, for the same reason as rows."""
    size = os.fstat(file.fileno()).st_size
    if size > PIECE:
        with mmap.mmap(file.fileno(), 0) as mapped:
            for start in range(0, size, PIECE):
                mapped.flush(start, min(PIECE, size - start))
    os.fsync(file.fileno())


if __name__ == "__main__":
    child.serve(main)
