"""How people are taken out of each room, for good: what `ledger.erasure` is handed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.ledger.erasure import Gone, Purge
from lakehouse.ledger.pieces import Finder, owners_of
from lakehouse.state.names import MEMORY_INDEX

if TYPE_CHECKING:
    from lakehouse.embed.service import Embeddings
    from lakehouse.lake.catalog import Catalog
    from lakehouse.matrix.corpora import Corpora
    from lakehouse.matrix.erased_texts import Texts
    from lakehouse.memory.playbooks import Playbooks
    from lakehouse.vectors.service import Vectors


class Rooms:
    """The rooms that hold data of people.

    Args:
        catalog, vectors, corpora, embed, playbooks: The rooms.
        texts: What others wrote, where people may be named.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        vectors: Vectors,
        corpora: Corpora,
        embed: Embeddings,
        playbooks: Playbooks,
        texts: Texts,
    ) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._corpora = corpora
        self._embed = embed
        self._playbooks = playbooks
        self._words = texts

    def purges(self) -> Mapping[str, Purge]:
        """Return what removes people, by place, the truth first."""
        return {
            "datasets (rows)": self.datasets,
            "indexes (items)": self.indexes,
            "embedding cache (texts)": self.texts,
            "playbooks (entries)": self.entries,
            **self._words.purges(),
        }

    def local(self) -> Mapping[str, Purge]:
        """Return what removes people from this folder alone, after another replica has erased them everywhere else."""
        return {
            "indexes (items)": self.indexes,
            "embedding cache (texts)": self.texts,
            **self._words.local(),
        }

    def shared(self) -> Mapping[str, Purge]:
        """Return what removes people from where other replicas write as well."""
        return self._words.shared()

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
            # An erasure that is gone on with may find a dataset dropped, or made anew with other columns.
            with contextlib.suppress(NotFound, InvalidInput):
                self._catalog.purge(dataset, column, values)
        return counts

    def indexes(self, people: Sequence[Gone]) -> dict[str, int]:
        """Take items out of every index: of a corpus by their id, of the others also those that hold a piece."""
        counts: dict[str, int] = {}
        corpora = {corpus.name for corpus in self._corpora.defined()}
        finder = Finder(owners_of(people))
        held: dict[str, tuple[str, ...]]
        ids = {gone.subject for gone in people}
        for stats in self._vectors.list().indexes:
            if stats.name in corpora:
                held = {id: (id,) for id in sorted(ids) if self._holds(stats.name, id)}
            elif stats.name.startswith(MEMORY_INDEX):
                continue
            else:
                held = self._told_of(stats.name, ids, finder)
            if held:
                self._vectors.purge(stats.name, list(held))
            for subject in (subject for subjects in held.values() for subject in subjects):
                counts[subject] = counts.get(subject, 0) + 1
        return counts

    def _told_of(self, index: str, ids: Collection[str], finder: Finder) -> dict[str, tuple[str, ...]]:
        """Return the items of an index that are about one of some people, each with whom."""
        held: dict[str, tuple[str, ...]] = {}
        for item in self._vectors.scan(index):
            if item.id in ids:
                held[item.id] = (item.id,)
                continue
            hits = finder.hits(msgspec.json.encode(item.metadata))
            if hits:
                held[item.id] = tuple(dict.fromkeys(subject for hit in hits for subject in hit.subjects))
        return held

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
        return {gone.subject: self._playbooks.purge([gone.subject], _namer(gone)) for gone in people}

    def _holds(self, index: str, id: str) -> bool:
        try:
            self._vectors.get(index, id)
        except NotFound:
            return False
        return True


def _namer(gone: Gone) -> Callable[[str], bool]:
    finder = Finder(owners_of([gone]))
    return lambda text: bool(finder.hits(text.encode("utf-8", "surrogatepass")))
