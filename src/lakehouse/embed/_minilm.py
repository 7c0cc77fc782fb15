"""all-MiniLM-L6-v2 in float32 on onnxruntime and tokenizers: 384 dimensions, at most 256 word pieces a text.

Reproducible to the bit. A batch holds texts of one token length only, so there is no padding and no mask, and on one
processor and onnxruntime version a text's vector is the same bytes whatever else was in the batch, whatever the batch's
size and whatever the number of threads (asserted in the tests). That lets search results stay byte-identical across
restarts and rebuilds without rounding. Across processors or versions the last float bits may differ (cosine above
0.999999 to a plain numpy forward pass).

The session uses one thread a call and never spins; many texts are spread over threads batch by batch, which is as
fast as threads inside each product and leaves single queries alone.
"""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.embed import _graph, _weights

if TYPE_CHECKING:
    import numpy as np

MODEL = "all-MiniLM-L6-v2"
MAX_WORD_PIECES = 256
FINGERPRINT = f"{MODEL}@{_weights.SHA256[_weights.WEIGHTS][:16]}"
# Products of about this many rows run at the processor's peak; larger ones fall out of its cache.
_BATCH_TOKENS = 512


class MiniLM:
    """The built-in model. Thread-safe.

    Args:
        graph: ONNX file written by `prepare`.
        tokenizer: Its `tokenizer.json`.
        threads: How many batches run at once.
        batch_size: Most texts in one batch.
    """

    model = MODEL
    dimension = _graph.DIMENSION
    fingerprint = FINGERPRINT

    def __init__(self, graph: Path, tokenizer: Path, *, threads: int, batch_size: int) -> None:
        self._session = _session(graph)
        self._tokenizer = _tokenizer(tokenizer)
        self._threads = max(1, threads)
        self._batch_size = max(1, batch_size)
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed `texts`: `(n, 384)` float32, unit-norm rows in the order of the texts."""
        import numpy as np

        pieces = self.word_pieces(texts)
        vectors = np.empty((len(pieces), self.dimension), dtype=np.float32)

        def run(rows: list[int]) -> None:
            ids = np.array([pieces[row] for row in rows], dtype=np.int32)
            vectors[rows] = self._session.run([_graph.OUTPUT], {_graph.INPUT: ids})[0]

        batches = self._batches(pieces)
        if len(batches) <= 1 or self._threads == 1:
            for rows in batches:
                run(rows)
        else:
            list(self._workers().map(run, batches))
        return vectors

    def word_pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, cut to 256, the two markers included."""
        return [self._tokenizer.encode(text).ids for text in texts]

    def close(self) -> None:
        """End the worker threads; idempotent."""
        with self._pool_lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _batches(self, pieces: list[list[int]]) -> list[list[int]]:
        by_length: dict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(pieces):
            by_length[len(ids)].append(row)
        batches = []
        for length in sorted(by_length, reverse=True):
            rows = by_length[length]
            size = min(self._batch_size, max(1, _BATCH_TOKENS // length))
            batches += [rows[start : start + size] for start in range(0, len(rows), size)]
        return batches

    def _workers(self) -> ThreadPoolExecutor:
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="embed")
            return self._pool


def open_minilm(*, model_path: str, hub_url: str, cache: Path, threads: int, batch_size: int) -> MiniLM:
    """Open the model, building its graph on first use.

    The graph (90 MB) is kept in `cache` under a name made of the weights' hash and the graph's version, and is
    written whole or not at all. A `model_path` is checked every time.

    Raises:
        InvalidInput, IntegrityError, NotInstalled: See `_weights.locate`.
    """
    folder = cache / f"{MODEL}-{_weights.SHA256[_weights.WEIGHTS][:16]}-v{_graph.VERSION}"
    graph, tokenizer = folder / "model.onnx", folder / _weights.TOKENIZER
    if model_path or not (graph.is_file() and tokenizer.is_file()):
        source = _weights.locate(model_path, folder, hub_url)
        if not graph.is_file():
            _write(graph, _graph.build(_weights.read(source / _weights.WEIGHTS)))
        if not tokenizer.is_file():
            _write(tokenizer, (source / _weights.TOKENIZER).read_bytes())
    return MiniLM(graph, tokenizer, threads=threads, batch_size=batch_size)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load() -> None:
    """Load the engine's modules, without a model."""
    import onnxruntime  # noqa: F401
    import tokenizers  # noqa: F401


def _session(graph: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_WORD_PIECES)
    return tokenizer
