"""Text to vectors: the public face."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse import settings
from lakehouse.child import Children
from lakehouse.embed.base import Embedded, Embedder, FileEmbedded
from lakehouse.embed.cache import DiskCache, RecentVectors, key
from lakehouse.embed.shared import SharedVectors
from lakehouse.errors import InvalidInput, NotFound, TooLarge
from lakehouse.state.folder import disk_error

if TYPE_CHECKING:
    import numpy as np

MAX_TEXTS = 1_024
CACHE_FILE = "embeddings.db"

_BUILT_IN = "all-MiniLM-L6-v2"
_BUILT_IN_DIMENSION = 384


def _check_workers(config: settings.Embed) -> None:
    shared = config.shared_vectors
    if config.spark_url and not (shared and Path(shared).is_absolute()):
        given = f"is {shared!r}" if shared else "is empty"
        raise InvalidInput(
            f"embed.spark_url is set and embed.shared_vectors {given}; set it to the absolute path of a folder that"
            " this machine and all workers see, or the build finds nothing of what they embed",
            field="embed.shared_vectors",
        )


class Embeddings:
    """Texts to unit-norm vectors, by the built-in model or by Ollama.

    Thread-safe. A model is loaded on first use. Every model is a function of the text alone: the built-in one gives
    the same bytes for the same text on the same machine, in whatever company and order the text comes.

    Args:
        config: Section `[embed]`.
        folder: The lake; `embeddings.db` below it keeps the vectors of embedded files by content.

    Raises:
        InvalidInput: Workers are to embed, and it is not said where they leave the vectors.

    >>> import tempfile
    >>> from pathlib import Path
    >>> embeddings = Embeddings(settings.Embed(), Path(tempfile.mkdtemp()))
    >>> embeddings.texts(["forklift operator", "welder"]).dimension
    384
    """

    def __init__(self, config: settings.Embed, folder: Path) -> None:
        _check_workers(config)
        self._config = config
        self._folder = folder
        self._lock = threading.Lock()
        self._embedders: dict[str, Embedder] = {}
        self._recent = RecentVectors(config.memory_cache_items)
        self._disk = DiskCache(folder / CACHE_FILE)
        self._children = Children()
        self.model = config.model
        self.dimension = _dimension(config.model)

    def texts(self, texts: list[str], model: str | None = None) -> Embedded:
        """Turn texts into vectors.

        Args:
            texts: 1 to 1,024 texts, none blank, each at most `embed.max_text_bytes` of UTF-8 (32 KiB).
            model: A name listed by the error for an unknown one; the configured model when not given.

        Returns:
            One unit-norm vector a text, in the order of the texts.

        Raises:
            InvalidInput: No texts, too many, or a blank one; the message names `texts[i]`.
            TooLarge: A text is too long; the message names it.
            NotFound: The model is unknown.
            Unavailable, Upstream: The model's provider is out of reach or answered badly.
        """
        if not texts:
            raise InvalidInput("texts is empty; give at least one text", field="texts")
        if len(texts) > MAX_TEXTS:
            raise InvalidInput(f"texts has {len(texts)} entries; at most {MAX_TEXTS} a call", field="texts")
        self._check(texts)
        embedder = self._embedder(model or self.model)
        vectors = self._vectors(embedder, texts)
        return Embedded(vectors=vectors.tolist(), dimension=embedder.dimension, model=embedder.model)

    def array(self, texts: Sequence[str]) -> np.ndarray:
        """Embed with the configured model: `(n, d)` float32, unit-norm rows in the order of the texts.

        Raises:
            InvalidInput, TooLarge, Unavailable, Upstream: As `texts`, but any number of texts may come, also none.
        """
        self._check(texts)
        return self._vectors(self._embedder(self.model), texts)

    def cached(self, text: str) -> bool:
        """Return whether the vector of `text` under the configured model is known without running it."""
        fingerprint = fingerprint_of(self.model)
        if self._recent.get(fingerprint, text) is not None:
            return True
        return bool(self._disk.read([key(fingerprint, text)]))

    def embed_file(
        self, source: Path, target: Path, *, progress: Callable[[int, int], None] | None = None
    ) -> FileEmbedded:
        """Embed every row of a file with the configured model, in a child process of low priority.

        Each distinct text runs through the model once, and not at all when the lake has seen it before. `target`
        appears whole or not at all.

        Args:
            source: Arrow IPC file with string columns `id`, `text`, `metadata`. Texts may be of any length.
            target: Arrow IPC file to write: the same columns and rows in the same order, and `vector`
                (`fixed_size_list<float32>[d]`).
            progress: Called in this thread with (rows done, rows in all).

        Raises:
            InvalidInput: A column is missing or a text blank; the message names the row's id.
            Unavailable: The provider is out of reach, the disk is full, or `close` was called.
            Upstream: The provider answered badly.
            InternalError: The child process died; the message has the end of its stderr.
        """
        request = {
            "config": {name: getattr(self._config, name) for name in self._config.__struct_fields__},
            "folder": str(self._folder),
            "source": str(source),
            "target": str(target),
        }
        counts = self._children.run("lakehouse.embed._file", request, progress=progress)
        return FileEmbedded(embedded=counts["embedded"], reused=counts["reused"])

    def forget(self, texts: Sequence[str]) -> int:
        """Remove the vectors of texts for good, from memory and from the lake; returns how many the lake had.

        Raises:
            Unavailable, PermissionDenied: The disk refused.
        """
        name = fingerprint_of(self.model)
        for text in texts:
            self._recent.forget(name, text)
        keys = [key(name, text) for text in texts]
        try:
            if self._config.shared_vectors:
                SharedVectors(Path(self._config.shared_vectors)).forget(keys)
            return self._disk.forget(keys)
        except OSError as error:
            raise disk_error(error, self._folder) from error

    def close(self) -> None:
        """End running children, threads and connections; idempotent."""
        self._children.close()
        with self._lock:
            embedders, self._embedders = list(self._embedders.values()), {}
        for embedder in embedders:
            embedder.close()
        self._disk.close()

    def _check(self, texts: Sequence[str]) -> None:
        limit = self._config.max_text_bytes
        for position, text in enumerate(texts):
            if not text.strip():
                raise InvalidInput(f"texts[{position}] is blank; there is nothing to embed", field=f"texts[{position}]")
            # A character takes at most 4 bytes, so short texts need not be encoded to be measured.
            if len(text) * 4 > limit and len(text.encode("utf-8", "surrogatepass")) > limit:
                raise TooLarge(
                    f"texts[{position}] is over {limit:,} bytes; cut it, the model reads its beginning only",
                    field=f"texts[{position}]",
                    limit_bytes=limit,
                )
            if not text.isascii():
                _refuse_surrogates(text, position)

    def _embedder(self, model: str) -> Embedder:
        with self._lock:
            embedder = self._embedders.get(model)
            if embedder is None:
                embedder = open_embedder(model, self._config, self._folder)
                self._embedders[model] = embedder
            return embedder

    def _vectors(self, embedder: Embedder, texts: Sequence[str]) -> np.ndarray:
        import numpy as np

        name = embedder.fingerprint
        found = {text: self._recent.get(name, text) for text in dict.fromkeys(texts)}
        missing = [text for text, vector in found.items() if vector is None]
        if missing:
            found.update(self._new(embedder, missing))
        vectors = np.empty((len(texts), embedder.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = found[text]
        return vectors

    def _new(self, embedder: Embedder, texts: list[str]) -> dict[str, np.ndarray]:
        keys = {text: key(embedder.fingerprint, text) for text in texts}
        known = self._disk.read(list(keys.values()))
        found = {text: known[name] for text, name in keys.items() if name in known}
        unknown = [text for text in texts if text not in found]
        if unknown:
            found.update(zip(unknown, embedder.embed(unknown), strict=True))
        for text, vector in found.items():
            # A row of its own: a view would keep the whole batch in memory.
            self._recent.put(embedder.fingerprint, text, vector.copy())
        return found


def open_embedder(model: str, config: settings.Embed, folder: Path) -> Embedder:
    """Open the embedder of `model`.

    Raises:
        NotFound: No provider has a model of that name; the message lists the known ones.
        InvalidInput, IntegrityError, NotInstalled: The built-in model's files are wrong or missing.
    """
    if config.url:
        from lakehouse.embed._served import Served

        return Served(
            model,
            config.url,
            dimension=_dimension(model),
            fingerprint=fingerprint_of(model),
            token=os.environ.get(config.token_env, ""),
        )
    if model == _BUILT_IN:
        from lakehouse.embed._minilm import open_minilm

        return open_minilm(
            model_path=config.model_path,
            hub_url=config.hub_url,
            cache=_cache_folder(config, folder),
            threads=config.threads,
            batch_size=config.batch_size,
        )
    _dimension(model)
    from lakehouse.embed._ollama import Ollama

    return Ollama(model, config.ollama_url)


def _dimension(model: str) -> int:
    if model == _BUILT_IN:
        return _BUILT_IN_DIMENSION
    from lakehouse.embed._ollama import FAMILIES, dimension_of

    length = dimension_of(model)
    if length is None:
        known = [_BUILT_IN, *(f"{family}* (Ollama)" for family in FAMILIES)]
        raise NotFound(f"unknown embedding model {model!r}; known: {', '.join(known)}", model=model, known=known)
    return length


def fingerprint_of(model: str) -> str:
    """Return the identity under which vectors of a model are kept."""
    if model == _BUILT_IN:
        from lakehouse.embed._minilm import FINGERPRINT

        return FINGERPRINT
    return f"ollama/{model}"


def _cache_folder(config: settings.Embed, folder: Path) -> Path:
    if config.cache_path:
        return Path(config.cache_path)
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lakehouse"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return folder / "models"
    return home if os.access(home, os.W_OK) else folder / "models"


def _refuse_surrogates(text: str, position: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            f"texts[{position}] has half a surrogate pair, which no UTF-8 can hold", field=f"texts[{position}]"
        ) from None
