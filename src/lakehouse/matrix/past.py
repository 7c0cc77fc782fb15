"""Search in corpora as they were: the rows of an earlier snapshot, searched by the very code that searches today's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import NotFound
from lakehouse.matrix.base import SearchAnswer
from lakehouse.staffing import worker
from lakehouse.vectors.base import LOCAL

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.embed.service import Embeddings
    from lakehouse.lake.catalog import Catalog
    from lakehouse.matrix.base import Corpus
    from lakehouse.matrix.corpora import Corpora
    from lakehouse.memory.asks import Asks
    from lakehouse.memory.playbooks import Playbooks
    from lakehouse.staffing.parse import Parser
    from lakehouse.vectors.service import Vectors


class Past:
    """Searches earlier snapshots. What it builds for that is gone when the search is done.

    Vectors of texts that the lake has embedded before come from its cache, so a search costs reading and indexing the
    rows, not running the model over them. Memory does not act: it is what was learnt since.

    Args:
        config: Settings of all rooms.
        catalog, corpora, embed, asks, playbooks, parser: Rooms of the lake.
        today: The day by which certifications are valid.
    """

    def __init__(  # noqa: PLR0913 - the rooms a search needs
        self,
        config: settings.Settings,
        *,
        catalog: Catalog,
        corpora: Corpora,
        embed: Embeddings,
        asks: Asks,
        playbooks: Playbooks,
        parser: Parser,
        today: Callable[[], date],
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._corpora = corpora
        self._embed = embed
        self._asks = asks
        self._playbooks = playbooks
        self._parser = parser
        self._today = today

    def search(self, query_text: str, snapshots: Mapping[str, int], k: int) -> SearchAnswer:
        """Search corpora as they were.

        Args:
            query_text: The ask.
            snapshots: Snapshot of its dataset, by name of the corpus.
            k: Most results.

        Raises:
            NotFound: A corpus does not exist, or its dataset has no such snapshot any more.
        """
        from lakehouse.matrix.search import Matrix
        from lakehouse.vectors.service import Vectors

        defined = {corpus.name: corpus for corpus in self._corpora.defined()}
        missing = [name for name in snapshots if name not in defined]
        if missing:
            raise NotFound(f"there is no corpus {missing[0]!r}; `lakehouse corpus list` shows those there are")
        with tempfile.TemporaryDirectory(prefix="lakehouse-past-") as scratch:
            vectors = Vectors(
                # Gone in a moment, so never on a server.
                msgspec.structs.replace(self._config.vectors, engine=LOCAL),
                Path(scratch),
                embed=self._embed.array,
                embed_model=self._embed.model,
                embed_dimension=self._embed.dimension,
            )
            try:
                for name, snapshot in snapshots.items():
                    self._rebuild(vectors, defined[name], snapshot, Path(scratch))
                past = Matrix(
                    self._config.matrix,
                    vectors=vectors,
                    asks=self._asks,
                    playbooks=self._playbooks,
                    today=self._today,
                )
                return past.search(query_text, list(snapshots), k=k)
            finally:
                vectors.close()

    def _rebuild(self, vectors: Vectors, corpus: Corpus, snapshot: int, scratch: Path) -> None:
        from lakehouse.matrix import _corpus_rows

        shape = _corpus_rows.Shape(
            corpus.id_column, corpus.id_prefix, tuple(corpus.text_columns), tuple(corpus.metadata_columns)
        )
        known = [field.name for field in self._catalog.version(corpus.dataset, snapshot).fields]
        personal = [name for name in known if worker.is_personal(name)]
        reader = self._catalog.scan(
            corpus.dataset, columns=list(dict.fromkeys([*shape.columns, *personal])), snapshot_id=snapshot
        )
        source, whole = scratch / f"{corpus.name}.rows.arrow", scratch / f"{corpus.name}.arrow"
        _corpus_rows.write(
            _corpus_rows.Rows(reader, shape, parser=self._parser, roles=self._asks.roles).items(), source
        )
        self._embed.embed_file(source, whole)
        vectors.replace(corpus.name, whole, dimension=self._embed.dimension, model=self._embed.model)
