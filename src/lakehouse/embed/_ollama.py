"""Embedding models served by Ollama, by its `/api/embed` protocol (docs/api.md of ollama/ollama)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.errors import NotFound, Unavailable, Upstream

if TYPE_CHECKING:
    import httpx
    import numpy as np

# Family prefix to vector length. A tag or suffix after the prefix (":latest", "-v2-moe") stays in the family.
FAMILIES = {"nomic-embed-text": 768}
_TEXTS_A_REQUEST = 64
_TIMEOUT_S = 120.0


def dimension_of(model: str) -> int | None:
    """Return the vector length of a model's family, None when the family is not known."""
    return next((length for prefix, length in FAMILIES.items() if model.startswith(prefix)), None)


class Ollama:
    """One Ollama model. Thread-safe; connects on first use.

    Args:
        model: Name as Ollama knows it, of a family in `FAMILIES`.
        url: Where Ollama listens (`http://host:11434`).
    """

    def __init__(self, model: str, url: str) -> None:
        length = dimension_of(model)
        if length is None:
            raise NotFound(f"no embedding family for the Ollama model {model!r}; known: {', '.join(FAMILIES)}")
        self.model = model
        self.dimension = length
        self.fingerprint = f"ollama/{model}"
        self._url = url.rstrip("/")
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed `texts`: `(n, dimension)` float32, unit-norm rows in the order of the texts."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), _TEXTS_A_REQUEST):
            part = list(texts[start : start + _TEXTS_A_REQUEST])
            vectors[start : start + len(part)] = self._matrix(self._ask(part), len(part))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(norms > 0):
            raise Upstream(f"Ollama's model {self.model} answered with a vector that has no direction")
        vectors /= norms
        return vectors

    def close(self) -> None:
        """Close the connections; idempotent."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, texts: list[str]) -> Any:
        import httpx

        try:
            response = self._connection().post("/api/embed", json={"model": self.model, "input": texts})
            body = response.json()
        except httpx.TransportError as error:
            raise Unavailable(f"Ollama at {self._url} cannot be reached: {error}", url=self._url) from None
        except ValueError:
            raise Upstream(f"Ollama at {self._url} answered with something other than JSON", url=self._url) from None
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"Ollama at {self._url} has no model {self.model}; run `ollama pull {self.model}`")
        if response.is_error:
            reason = body.get("error", "no reason given") if isinstance(body, dict) else "no reason given"
            raise Upstream(f"Ollama answered {response.status_code}: {reason}", status=response.status_code)
        return body

    def _matrix(self, body: Any, count: int) -> np.ndarray:
        import numpy as np

        rows = body.get("embeddings") if isinstance(body, dict) else None
        try:
            matrix = np.asarray(rows, dtype=np.float32)
        except (TypeError, ValueError):
            matrix = np.empty((0, 0), dtype=np.float32)
        if matrix.shape != (count, self.dimension) or not np.isfinite(matrix).all():
            raise Upstream(
                f"Ollama's model {self.model} should answer {count} vectors of {self.dimension} finite numbers, "
                f"it answered an array of shape {matrix.shape}"
            )
        return matrix

    def _connection(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                self._client = httpx.Client(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False)
            return self._client
