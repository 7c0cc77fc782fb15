"""The work of `Embeddings.embed_file`, run as a child process."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse import child, settings
from lakehouse.embed.base import Embedder
from lakehouse.embed.cache import DiskCache, key
from lakehouse.embed.service import CACHE_FILE, open_embedder
from lakehouse.embed.shared import SharedVectors
from lakehouse.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("id", "text", "metadata")
# Texts are sorted by length within a window, so a larger one fills batches better and holds more in memory.
_WINDOW_ROWS = 16_384
# A crash loses at most this many new vectors; each is written in one transaction.
_SAVE_EVERY = 256


def main(request: dict[str, Any], progress: Callable[[int, int], None]) -> dict[str, int]:
    """Embed one file; see `Embeddings.embed_file`."""
    config = msgspec.convert(request["config"], settings.Embed)
    folder = Path(request["folder"])
    cache = DiskCache(folder / CACHE_FILE)
    shared = SharedVectors(Path(config.shared_vectors)) if config.shared_vectors else None
    source = Path(request["source"])
    elsewhere = 0
    if shared is not None:
        _take_in(shared, cache)
        if config.spark_url:
            elsewhere, names = _embed_elsewhere(source, request["config"], cache, progress)
            _take_in(shared, cache)
            _check_left(names, cache, config)
    work = _Work(open_embedder(config.model, config, folder), cache, progress, shared)
    counts = work.run(source, Path(request["target"]))
    return {"embedded": counts["embedded"] + elsewhere, "reused": counts["reused"] - elsewhere}


def _take_in(shared: SharedVectors, cache: DiskCache) -> None:
    """Bring what others have left into the cache of this lake."""
    for name, vectors in shared.files(cache.taken()):
        cache.write(vectors)
        cache.take(name)


def _embed_elsewhere(
    source: Path, section: dict[str, Any], cache: DiskCache, progress: Callable[[int, int], None]
) -> tuple[int, list[bytes]]:
    """Have workers embed what nobody has yet, when that is much; returns how many texts that were, and their keys."""
    import pyarrow as pa

    from lakehouse.embed.service import fingerprint_of

    config = msgspec.convert(section, settings.Embed)
    fingerprint = fingerprint_of(config.model)
    unknown: dict[bytes, str] = {}
    total = 0
    with pa.memory_map(str(source)) as file, pa.ipc.open_file(file) as reader:
        _check_columns(reader.schema)
        for window in _windows(reader):
            total += window.num_rows
            texts = _checked(window.column("text").to_pylist(), window)
            keys = [key(fingerprint, text) for text in texts]
            found = cache.read(list(dict.fromkeys(keys)))
            unknown.update((name, text) for name, text in zip(keys, texts, strict=True) if name not in found)
    if len(unknown) < config.spark_from:
        return 0, []
    from lakehouse.embed import _bulk

    known = total - len(unknown)
    count = _bulk.embed(
        # Those of one length in one part, which share batches.
        sorted(unknown.values(), key=lambda text: (len(text), text)),
        section,
        url=config.spark_url,
        token_env=config.spark_token_env,
        done=lambda count: progress(known + count, total),
    )
    return count, [*unknown]


def _check_left(names: list[bytes], cache: DiskCache, config: settings.Embed) -> None:
    """Refuse to embed here what workers have embedded where this machine does not see it: that may take hours.

    Raises:
        Unavailable: Vectors are missing.
    """
    missing = sum(
        len(some) - len(cache.read(some))
        # Those of a million texts would not fit in memory.
        for some in (names[start : start + _WINDOW_ROWS] for start in range(0, len(names), _WINDOW_ROWS))
    )
    if missing:
        raise Unavailable(
            f"the workers of embed.spark_url have embedded {len(names):,} texts, and {missing:,} of the vectors are not"
            f" in embed.shared_vectors ({config.shared_vectors}); set it to a folder that this machine and all workers"
            " see under this path, and see that they have the same model",
            field="embed.shared_vectors",
        )


class _Work:
    """One file being embedded: the model, the cache and the counts so far."""

    def __init__(
        self,
        embedder: Embedder,
        cache: DiskCache,
        progress: Callable[[int, int], None],
        shared: SharedVectors | None,
    ) -> None:
        self._shared = shared
        self._embedder = embedder
        self._cache = cache
        self._progress = progress
        self._done = 0
        self._total = 0
        self._embedded = 0

    def run(self, source: Path, target: Path) -> dict[str, int]:
        import pyarrow as pa

        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        try:
            with pa.memory_map(str(source)) as file, pa.ipc.open_file(file) as reader:
                _check_columns(reader.schema)
                self._total = sum(reader.get_batch(n).num_rows for n in range(reader.num_record_batches))
                with pa.ipc.new_file(str(part), self._schema()) as writer:
                    for window in _windows(reader):
                        writer.write_batch(self._window(window))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return {"embedded": self._embedded, "reused": self._total - self._embedded}

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        strings = [pa.field(name, pa.string(), nullable=False) for name in COLUMNS]
        vector = pa.list_(pa.field("item", pa.float32(), nullable=False), self._embedder.dimension)
        return pa.schema([*strings, pa.field("vector", vector, nullable=False)])

    def _window(self, window: pa.RecordBatch) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        texts = window.column("text").to_pylist()
        keys = [key(self._embedder.fingerprint, text) for text in _checked(texts, window)]
        found = self._cache.read(list(dict.fromkeys(keys)))
        unknown = {name: text for name, text in zip(keys, texts, strict=True) if name not in found}
        known_rows = sum(name in found for name in keys)
        self._report(known_rows)
        rows_of = dict.fromkeys(unknown, 0)
        for name in keys:
            if name in rows_of:
                rows_of[name] += 1
        made: dict[bytes, np.ndarray] = {}
        for names in _portions(unknown):
            new = dict(zip(names, self._embedder.embed([unknown[name] for name in names]), strict=True))
            self._cache.write(new)
            found.update(new)
            made.update(new)
            self._embedded += len(new)
            self._report(sum(rows_of[name] for name in names))
        if made and self._shared is not None:
            self._cache.take(self._shared.write(made))
        flat = np.concatenate([found[name] for name in keys]) if keys else np.empty(0, dtype=np.float32)
        schema = self._schema()
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), type=schema.field("vector").type)
        columns = [window.column(name).cast(pa.string()) for name in COLUMNS]
        return pa.RecordBatch.from_arrays([*columns, vectors], schema=schema)

    def _report(self, rows: int) -> None:
        self._done += rows
        self._progress(self._done, self._total)


def _portions(texts: dict[bytes, str]) -> Iterator[list[bytes]]:
    """Yield the keys in portions of texts of similar length, which share batches."""
    names = sorted(texts, key=lambda name: len(texts[name]), reverse=True)
    for start in range(0, len(names), _SAVE_EVERY):
        yield names[start : start + _SAVE_EVERY]


def _windows(reader: Any) -> Iterator[pa.RecordBatch]:
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        for start in range(0, batch.num_rows, _WINDOW_ROWS):
            yield batch.slice(start, _WINDOW_ROWS)


def _check_columns(schema: pa.Schema) -> None:
    missing = [name for name in COLUMNS if name not in schema.names]
    if missing:
        raise InvalidInput(
            f"the rows to embed have no column {missing[0]!r}; they have {schema.names}", field=missing[0]
        )


def _checked(texts: list[str | None], window: pa.RecordBatch) -> list[str]:
    for row, text in enumerate(texts):
        if text is None or not text.strip():
            name = window.column("id")[row].as_py()
            raise InvalidInput(f"the text of row {name!r} is blank; there is nothing to embed", id=name)
    return texts  # type: ignore[return-value]  # None was refused above


if __name__ == "__main__":
    child.serve(main)
