"""Items on a Qdrant server or cluster."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from lakehouse.errors import InternalError, InvalidInput, NotInstalled, PermissionDenied, Unavailable
from lakehouse.vectors._qdrant_points import WHOLE, filter_of, payload_of, point_id, row_of
from lakehouse.vectors._server import Row, TableGone

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from lakehouse import settings
    from lakehouse.vectors._projection import Tests
    from lakehouse.vectors.base import Distance

# Rows and numbers sent at a time: a server takes 32 MB unless told otherwise.
_ROWS = 256
_NUMBERS = 250_000
_IDS = 10_000
_DISTANCES = {"cosine": "Cosine", "dot": "Dot", "euclid": "Euclid"}
_REFUSED = (401, 403)
# No item has this point: those of items are made of a hash.
_NOBODY = "00000000-0000-0000-0000-000000000000"

_T = TypeVar("_T")


class Qdrant:
    """A Qdrant server; see `Server`.

    Args:
        config: Section `[vectors]`.

    Raises:
        InvalidInput: `vectors.url` is missing.
        NotInstalled: The client is not installed.
    """

    def __init__(self, config: settings.Vectors) -> None:
        try:
            from qdrant_client import QdrantClient
        except ImportError:
            raise NotInstalled(
                "vectors.engine is 'qdrant' and its client is missing: pip install 'lakehouse[qdrant]'"
            ) from None
        if not config.url:
            raise InvalidInput("vectors.engine is 'qdrant'; vectors.url must say where it is", field="vectors.url")
        self._config = config
        self.local = "://" not in config.url
        parts = urlsplit(config.url)
        # Without a name and a password.
        self.shown = config.url if self.local else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.local else nullcontext()
        if self.local:
            self._client = _opened(config.url)
        else:
            self._client = QdrantClient(
                url=config.url,
                api_key=os.environ.get(config.key_env) or None,
                timeout=math.ceil(config.timeout_ms / 1_000),
                check_compatibility=False,
            )

    def call(self, ask: Callable[[QdrantClient], _T], table: str = "") -> _T:
        """Call the client, and tell of what goes wrong in the words of this product.

        Raises:
            TableGone: The server has no such table.
            PermissionDenied, Unavailable, InternalError: As `Table`.
        """
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        try:
            # What the client does without a server is not made for threads.
            with self._turn:
                if self.local and table and not self._client.collection_exists(table):
                    raise TableGone(table)
                return ask(self._client)
        except UnexpectedResponse as error:
            raise self._named(error.status_code or 0, error.content, table) from None
        except ResponseHandlingException as error:
            source = error.source
            if not isinstance(source, OSError) and "httpx" not in type(source).__module__:
                raise self._stranger("not what Qdrant says") from None
            raise self._away(source) from None
        except json.JSONDecodeError:
            raise self._stranger("not what Qdrant says") from None
        except QdrantException as error:
            raise self._away(error) from None

    def _named(self, status: int, content: bytes, table: str) -> Exception:
        if status == 404 and b'"status"' not in content:
            return self._stranger("404")
        if status == 404 and table:
            return TableGone(table)
        if status in _REFUSED:
            return PermissionDenied(
                f"Qdrant at {self.shown} (vectors.url) refused: check the key in ${self._config.key_env}"
            )
        said = content[:300].decode(errors="replace")
        kind = Unavailable if status == 429 or status >= 500 else InternalError
        return kind(f"Qdrant at {self.shown} (vectors.url) answered {status}: {said}")

    def _stranger(self, answer: str) -> InvalidInput:
        return InvalidInput(
            f"what is at {self.shown} is no Qdrant, it answered {answer}; mend vectors.url", field="vectors.url"
        )

    def _away(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"Qdrant at {self.shown} is out of reach: {error}; see that it runs and can be reached from here, raise"
            f" vectors.timeout_ms ({self._config.timeout_ms}) if it is slow, or mend vectors.url"
        )

    def create(self, name: str, dimension: int, distance: Distance) -> QdrantTable:
        """Make an empty table."""
        from qdrant_client import models

        config = self._config
        self.call(
            lambda client: client.create_collection(
                name,
                vectors_config=models.VectorParams(size=dimension, distance=models.Distance(_DISTANCES[distance])),
                hnsw_config=models.HnswConfigDiff(m=config.m, ef_construct=config.ef_construct),
                shard_number=config.shards or None,
                replication_factor=config.replicas,
                # Else a search could ask a copy that has not got the write yet.
                write_consistency_factor=config.replicas,
            )
        )
        table = self.table(name, dimension, distance)
        table.index("t", models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=False))
        return table

    def table(self, name: str, dimension: int, distance: Distance) -> QdrantTable:
        """Return a table that was made before, without asking the server."""
        return QdrantTable(self, name, dimension, distance, ef=self._config.ef_search)

    def names(self, prefix: str) -> list[str]:
        """Return the tables whose name begins so."""
        found = self.call(lambda client: client.get_collections().collections)
        return sorted(each.name for each in found if each.name.startswith(prefix))

    def remove(self, name: str) -> None:
        """Remove a table with all that is in it; nothing happens when there is none."""
        self.call(lambda client: client.delete_collection(name))

    def look(self) -> str:
        """Say what it is when indexes can be kept there; nothing is changed."""
        return f"Qdrant at {self.shown} has {len(self.names(''))} collections"

    def close(self) -> None:
        """Close all connections; idempotent."""
        with self._turn:
            self._client.close()


class QdrantTable:
    """A collection; see `Table`.

    Args:
        server: Has it.
        name: Of the collection.
        dimension, distance: Of its vectors.
        ef: Candidates looked at by a search.
    """

    def __init__(self, server: Qdrant, name: str, dimension: int, distance: Distance, *, ef: int) -> None:
        self._server = server
        self._name = name
        self._distance = distance
        self._ef = ef
        self._rows_at_once = max(1, min(_ROWS, _NUMBERS // dimension))
        self._indexed: set[str] = set()

    def put(self, rows: Sequence[Row]) -> None:
        """Store rows, each id once; on return every search finds them."""
        from qdrant_client import models

        for part in _parts(rows, self._rows_at_once):
            payloads = [payload_of(row) for row in part]
            self._index_new(payloads)
            points = [
                models.PointStruct(id=point_id(row.id), vector=self._sent(row.vector), payload=payload)
                for row, payload in zip(part, payloads, strict=True)
            ]
            self._upsert(points)

    def drop(self, ids: Sequence[str]) -> None:
        """Remove what is there of some ids; on return no search finds it."""
        from qdrant_client import models

        for part in _parts(ids, _IDS):
            self._delete(models.PointIdsList(points=[point_id(id) for id in part]))

    def present(self, ids: Sequence[str]) -> set[str]:
        """Return which ids are there."""
        by_point = {point_id(id): id for id in ids}
        return {by_point[str(each.id)] for each in self._records(list(by_point), payload=False)}

    def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """Return the rows of some ids, by id, as far as they are there."""
        found = self._records([point_id(id) for id in ids], payload=WHOLE)
        return {row.id: row for row in map(row_of, found)}

    def ids(self) -> list[str]:
        """Return all ids, in any order."""
        found: list[str] = []
        offset: Any = None
        while True:
            records, offset = self._page(offset)
            found += [str((each.payload or {})["id"]) for each in records]
            if offset is None:
                return found

    def count(self) -> int:
        """Return how many rows there are."""
        count: int = self._ask(lambda client: client.count(self._name, exact=True).count)
        return count

    def near(
        self, vector: np.ndarray, limit: int, *, tests: Tests | None, exclude: Collection[str], exact: bool
    ) -> list[Row]:
        """Return the `limit` nearest rows by the server's own reckoning, nearest first; all when there are fewer."""
        from qdrant_client import models

        condition = filter_of(tests, exclude)
        # Without a server every row is scored, and the client warns of parameters.
        how = None if self._server.local else models.SearchParams(hnsw_ef=max(self._ef, limit), exact=exact)
        points = self._ask(
            lambda client: (
                client.query_points(
                    self._name,
                    query=self._sent(vector),
                    query_filter=models.Filter.model_validate(condition) if condition else None,
                    limit=limit,
                    with_payload=WHOLE,
                    search_params=how,
                ).points
            )
        )
        return list(map(row_of, points))

    def fence(self) -> None:
        """Return when all writes that the server has received are done, also those whose caller has hung up."""
        from qdrant_client import models

        # Each shard does its writes one after another, and one by a filter goes to every shard.
        nobody = models.Filter(must=[models.HasIdCondition(has_id=[_NOBODY])])
        self._delete(models.FilterSelector(filter=nobody))

    def settle(self) -> None:
        """Do nothing: Qdrant builds its graph by itself, and scores what is not in it yet."""

    def index(self, path: str, kind: Any) -> None:
        """Have the server look up a field instead of reading every point; done again, nothing changes."""
        if path not in self._indexed and not self._server.local:
            self._ask(lambda client: client.create_payload_index(self._name, path, kind, wait=True))
        self._indexed.add(path)

    def _index_new(self, payloads: Iterable[Mapping[str, Any]]) -> None:
        from qdrant_client import models

        for payload in payloads:
            for group, kind in (("n", models.PayloadSchemaType.FLOAT), ("g", models.PayloadSchemaType.GEO)):
                for name in payload[group]:
                    self.index(f"{group}.{name}", kind)

    def _records(self, points: Sequence[str], payload: bool | list[str]) -> Iterator[Any]:
        for part in _parts(points, self._rows_at_once if payload else _IDS):
            yield from self._retrieved(list(part), payload)

    def _upsert(self, points: list[Any]) -> None:
        from qdrant_client import models

        strong = models.WriteOrdering.STRONG
        self._write(lambda client: client.upsert(self._name, points, wait=True, ordering=strong))

    def _delete(self, chosen: Any) -> None:
        from qdrant_client import models

        strong = models.WriteOrdering.STRONG
        self._write(lambda client: client.delete(self._name, chosen, wait=True, ordering=strong))

    def _write(self, write: Callable[[QdrantClient], Any]) -> None:
        from qdrant_client import models

        status = self._ask(write).status
        if status != models.UpdateStatus.COMPLETED:
            raise Unavailable(f"Qdrant has taken a write and not said that it is done ({status.value}); try again")

    def _page(self, offset: Any) -> tuple[list[Any], Any]:
        page: tuple[list[Any], Any] = self._ask(
            lambda client: client.scroll(self._name, limit=_IDS, offset=offset, with_payload=["id"], with_vectors=False)
        )
        return page

    def _retrieved(self, points: list[Any], payload: bool | list[str]) -> list[Any]:
        found: list[Any] = self._ask(
            lambda client: client.retrieve(self._name, points, with_payload=payload, with_vectors=False)
        )
        return found

    def _sent(self, vector: np.ndarray) -> list[float]:
        if self._distance == "cosine":
            # Qdrant leaves very short ones as they are, and would compare them by their length.
            wide = vector.astype(np.float64)
            vector = (wide / np.sqrt(wide @ wide)).astype(np.float32)
        numbers: list[float] = vector.tolist()
        return numbers

    def _ask(self, ask: Callable[[QdrantClient], Any]) -> Any:
        return self._server.call(ask, self._name)


def _opened(folder: str) -> QdrantClient:
    from qdrant_client import QdrantClient

    try:
        return QdrantClient(path=folder, force_disable_check_same_thread=True)
    except (OSError, RuntimeError) as error:
        raise Unavailable(f"the folder of vectors.url cannot be used: {error}", path=folder) from None


def _parts(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
