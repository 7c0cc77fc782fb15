"""How people are taken out of each room, for good: what `ledger.erasure` is handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import NotFound
from lakehouse.ledger.erasure import Gone, Purge, scrub

if TYPE_CHECKING:
    from lakehouse.embed.service import Embeddings
    from lakehouse.lake.catalog import Catalog
    from lakehouse.matrix.corpora import Corpora
    from lakehouse.memory.playbooks import Playbooks
    from lakehouse.vectors.service import Vectors

# Written over here they would no longer verify, and of a person they hold the id alone.
_LEFT_ALONE = ("ledger",)


class Rooms:
    """The rooms that hold data of people.

    Args:
        folder: The lake.
        catalog, vectors, corpora, embed, playbooks: The rooms.
    """

    def __init__(
        self,
        folder: Path,
        *,
        catalog: Catalog,
        vectors: Vectors,
        corpora: Corpora,
        embed: Embeddings,
        playbooks: Playbooks,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._vectors = vectors
        self._corpora = corpora
        self._embed = embed
        self._playbooks = playbooks

    def purges(self) -> Mapping[str, Purge]:
        """Return what removes people, by place, the truth first."""
        return {
            "datasets (rows)": self.datasets,
            "indexes (items)": self.indexes,
            "embedding cache (texts)": self.texts,
            "playbooks (entries)": self.entries,
            "logs (values written over)": self.logs,
        }

    def datasets(self, people: Sequence[Gone]) -> dict[str, int]:
        """Take rows out of every dataset, with the snapshots before."""
        wanted: dict[tuple[str, str], list[str]] = {}
        counts: dict[str, int] = {}
        for gone in people:
            for found in gone.found:
                place = found.appearance
                wanted.setdefault((place.dataset, place.column), []).append(place.value)
                counts[gone.subject] = counts.get(gone.subject, 0) + place.rows
        for (dataset, column), values in wanted.items():
            self._catalog.purge(dataset, column, values)
        return counts

    def indexes(self, people: Sequence[Gone]) -> dict[str, int]:
        """Take items out of every index of a corpus."""
        counts: dict[str, int] = {}
        for corpus in self._corpora.defined():
            held = [gone.subject for gone in people if self._holds(corpus.name, gone.subject)]
            if held:
                self._vectors.purge(corpus.name, held)
            for subject in held:
                counts[subject] = counts.get(subject, 0) + 1
        return counts

    def texts(self, people: Sequence[Gone]) -> dict[str, int]:
        """Take the vectors of people's texts out of the cache."""
        return {
            gone.subject: self._embed.forget(
                [
                    text
                    for found in gone.found
                    for row in found.rows
                    for text in self._corpora.texts(found.appearance.dataset, row)
                ]
            )
            for gone in people
        }

    def entries(self, people: Sequence[Gone]) -> dict[str, int]:
        """Take people out of every memory."""
        return {gone.subject: self._playbooks.purge([gone.subject], gone.pieces) for gone in people}

    def logs(self, people: Sequence[Gone]) -> dict[str, int]:
        """Write over what logs hold of people: inbox, operations, sessions, evidence, exports."""
        return scrub(self._folder, people, skip=_LEFT_ALONE)

    def _holds(self, index: str, id: str) -> bool:
        try:
            self._vectors.get(index, id)
        except NotFound:
            return False
        return True
