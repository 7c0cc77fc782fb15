"""The built-in model in another process: `lakehouse serve embedd`, reached over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse import errors, tracing
from lakehouse.errors import Unavailable, Upstream

if TYPE_CHECKING:
    import httpx
    import numpy as np

_TEXTS_A_REQUEST = 64
_TIMEOUT_S = 120.0


class Served:
    """A model behind the embedding service of a stack. Thread-safe; connects on first use.

    Args:
        model: Its name.
        url: Where the service answers (`http://127.0.0.1:3216`).
        dimension: Length of its vectors.
        fingerprint: Of the same model in this process: the vectors are the same bytes.
        token: Bearer token, empty for none.
    """

    def __init__(self, model: str, url: str, *, dimension: int, fingerprint: str, token: str = "") -> None:
        self.model = model
        self.dimension = dimension
        self.fingerprint = fingerprint
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed `texts`: `(n, dimension)` float32, unit-norm rows in the order of the texts."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), _TEXTS_A_REQUEST):
            part = list(texts[start : start + _TEXTS_A_REQUEST])
            matrix = np.asarray(self._ask(part), dtype=np.float32)
            if matrix.shape != (len(part), self.dimension):
                raise Upstream(
                    f"the embedding service at {self._url} answered an array of shape {matrix.shape}", url=self._url
                )
            vectors[start : start + len(part)] = matrix
        return vectors

    def close(self) -> None:
        """Close the connections; idempotent."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, texts: list[str]) -> Any:
        with tracing.span("embed.texts", calls=True, texts=len(texts), model=self.model):
            return self._answered(texts, {**self._headers, **tracing.headers()})

    def _answered(self, texts: list[str], headers: dict[str, str]) -> Any:
        import httpx

        try:
            response = self._connection().post("/v1/embed", json={"model": self.model, "texts": texts}, headers=headers)
            body = msgspec.json.decode(response.content)
        except httpx.TransportError as error:
            raise Unavailable(f"the embedding service at {self._url} cannot be reached: {error}") from None
        except msgspec.DecodeError:
            raise Upstream(f"the embedding service at {self._url} answered with something other than JSON") from None
        if response.is_error:
            raise errors.from_wire(response.status_code, body)
        return body["vectors"]

    def _connection(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                # A connection kept over a restart of the service would break the next call.
                limits = httpx.Limits(max_keepalive_connections=0)
                self._client = httpx.Client(base_url=self._url, timeout=_TIMEOUT_S, limits=limits, trust_env=False)
            return self._client
