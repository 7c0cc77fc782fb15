"""What one of many workers does of a bulk embedding; runs wherever lakehouse and the weights are installed."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse import settings
from lakehouse.embed.base import Embedder
from lakehouse.embed.cache import key
from lakehouse.embed.shared import SharedVectors, name_of

if TYPE_CHECKING:
    import pyarrow as pa

# Texts of one file: a worker that is lost loses the work on as many.
PART = 2_048


def embed(texts: Iterable[str], config: Mapping[str, Any]) -> tuple[str, int]:
    """Embed texts into one file of the shared vectors, unless it is there; nothing is downloaded.

    Args:
        texts: In any order.
        config: The settings section `embed` as plain values; `shared_vectors` is a folder that this machine sees.

    Returns:
        The name of the file, and how many texts went through the model: none when an earlier try had written it.

    Raises:
        NotInstalled: The weights are not on this machine.
        OSError: The folder cannot be written.
    """
    section = msgspec.convert(dict(config), settings.Embed)
    embedder = _opened(msgspec.json.encode(msgspec.structs.replace(section, hub_url="", url="")))
    shared = SharedVectors(Path(section.shared_vectors))
    # Those of one length share a batch.
    by_key = {key(embedder.fingerprint, text): text for text in sorted(texts, key=len)}
    if not by_key:
        return "", 0
    name = name_of(by_key)
    if shared.has(name):
        return name, 0
    vectors = embedder.embed([*by_key.values()])
    return shared.write(dict(zip(by_key, vectors, strict=True))), len(by_key)


def embed_batches(config: Mapping[str, Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Embed the parts of a partition, columns `part` and `text`; yields `name` and `embedded` of each, see `embed`."""
    import pyarrow as pa

    parts: dict[int, list[str]] = {}
    for batch in batches:
        for part, text in zip(batch.column("part").to_pylist(), batch.column("text").to_pylist(), strict=True):
            parts.setdefault(part, []).append(text)
    for texts in parts.values():
        name, count = embed(texts, config)
        yield pa.RecordBatch.from_pydict({"name": [name], "embedded": pa.array([count], pa.int64())})


@functools.lru_cache(maxsize=1)
def _opened(section: bytes) -> Embedder:
    """Return the model of these settings; a worker gets many parts, and loads it once."""
    from lakehouse.embed.service import open_embedder

    config = msgspec.json.decode(section, type=settings.Embed)
    return open_embedder(config.model, config, Path(config.shared_vectors))
