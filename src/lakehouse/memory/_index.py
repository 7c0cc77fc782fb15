"""The index of each namespace, derived from its rows: what a search looks at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from lakehouse.errors import NotFound
from lakehouse.memory import keys
from lakehouse.memory.base import Playbook, Recall, Remembered
from lakehouse.vectors.base import Condition, Filter, Item

if TYPE_CHECKING:
    from lakehouse.memory.asks import Ask, Asks
    from lakehouse.vectors._lookup import Lookup
    from lakehouse.vectors.service import Vectors

# Entries looked at per search and namespace, nearest first.
RECALLED = 64
CHUNK = 500
# In a larger memory entries of other roles at the place are not looked up only to say that they were left out.
_EXPLAINED_ITEMS = 20_000
_EXPLAINED = 24
_T = TypeVar("_T")
_decode = msgspec.json.Decoder(Remembered).decode


def index_name(namespace: str) -> str:
    """Return the name of the vector index that is derived from a namespace's rows."""
    return f"playbook_{namespace}"


def chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield portions of at most `CHUNK` items."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


class RecallIndex:
    """Puts rows into the indexes of their namespaces and looks them up.

    Args:
        vectors: Holds the indexes, and the corpora that answers are in.
        asks: Parses and embeds query texts.
        model, dimension: Of the vectors that `asks` makes.
    """

    def __init__(self, vectors: Vectors, asks: Asks, *, model: str, dimension: int) -> None:
        self._vectors = vectors
        self._asks = asks
        self._model = model
        self._dimension = dimension
        self._names: set[str] = set()

    def find_names(self, namespaces: Iterable[str]) -> dict[str, int]:
        """Note which of these namespaces have an index; returns the items of every index by name."""
        items = {stats.name: stats.items for stats in self._vectors.list().indexes}
        self._names = {index_name(namespace) for namespace in namespaces} & set(items)
        return items

    def version(self, namespace: str) -> int:
        """Return a number that changes with every write to a namespace's index, 0 while it has none."""
        return self._vectors.version(index_name(namespace))

    def put(self, entries: Sequence[Playbook]) -> None:
        """Bring rows into their indexes."""
        by_namespace: dict[str, list[Playbook]] = {}
        for entry in entries:
            by_namespace.setdefault(entry.namespace, []).append(entry)
        for namespace, group in by_namespace.items():
            name = index_name(namespace)
            if name not in self._names:
                self._make(name)
            for chunk in chunks(group):
                self._asks.many([entry.query_text for entry in chunk])
                self._vectors.add(name, [self._item(entry) for entry in chunk])

    def drop(self, namespace: str, ids: Sequence[str]) -> None:
        """Take rows out."""
        if index_name(namespace) in self._names:
            self._vectors.delete_items(index_name(namespace), ids)

    def purge(self, namespace: str, ids: Sequence[str]) -> None:
        """Take rows out for good; no file of the index holds anything of them then."""
        if index_name(namespace) in self._names:
            self._vectors.purge(index_name(namespace), ids)

    def drop_others(self, namespace: str, wanted: Collection[str]) -> None:
        """Take everything out that is not wanted."""
        name = index_name(namespace)
        if name in self._names:
            self._vectors.delete_items(name, [id for id in self._vectors.ids(name).ids if id not in wanted])

    def near(
        self,
        namespace: str,
        ask: Ask,
        *,
        role: tuple[str, str],
        answers: Sequence[str],
        near_km: float,
        corpora: Collection[str],
    ) -> list[Recall]:
        """Return entries near an ask: of its role at its place, of its very text, and of the given answers.

        Args:
            namespace: Whose memory.
            ask: The new demand.
            role: Its title and O*NET-SOC code, empty when unknown.
            answers: Ids of people of whom everything remembered counts.
            near_km: How far around the demand's place is looked.
            corpora: Only answers of these.

        Returns:
            Nearest first, ties by id; at most 64, and besides those of the same text and some of other roles.
        """
        name = index_name(namespace)
        if name not in self._names:
            return []
        own, others = keys.demand_keys(*role, ask.demand.location, near_km)
        same_text = keys.text_key(ask.text)
        either = [Condition(key="key", any=[same_text, *own])]
        if answers:
            either.append(Condition(key="answer_id", any=[*answers]))
        lookup = self._vectors.lookup(name, ask.meaning)
        found = _remembered(lookup, Filter(should=either), corpora)
        if len(found) == RECALLED:
            # Crowded out by others of the same meaning, the entries of this very text must not be.
            known = {recall.id for recall in found}
            of_text = Filter(must=[Condition(key="key", match=same_text)])
            again = _remembered(lookup, of_text, corpora)
            found += [recall for recall in again if recall.id not in known]
        if others and self._vectors.stats(name).items <= _EXPLAINED_ITEMS:
            # Apart from the others, so that entries of other roles cannot crowd out those that count.
            known = {recall.id for recall in found}
            of_place = Filter(must=[Condition(key="key", any=[*others])])
            again = _remembered(lookup, of_place, corpora, most=_EXPLAINED)
            found += [recall for recall in again if recall.id not in known]
        found.sort(key=lambda recall: (recall.distance, recall.id))
        return found

    def _make(self, name: str) -> None:
        if name not in {stats.name for stats in self._vectors.list().indexes}:
            self._vectors.create(name, self._dimension, model=self._model)
        self._names.add(name)

    def remembered(self, entry: Playbook) -> Remembered:
        """Return what a search needs of a row, with the words it is found by."""
        ask = self._asks.of(entry.query_text)
        try:
            person = self._vectors.get(entry.corpus, entry.answer_id).metadata
        except NotFound:
            person = {}
        places = [*filter(None, [ask.demand.location]), keys.home(person)]
        return Remembered(
            namespace=entry.namespace,
            answer_id=entry.answer_id,
            corpus=entry.corpus,
            score=entry.score,
            role=entry.role,
            role_code=entry.role_code,
            city=entry.city,
            client=entry.client,
            text=keys.text_key(entry.query_text),
            by=entry.by,
            why=entry.why,
            good=entry.good,
            bad=entry.bad,
            evidence_on=entry.evidence_on,
            updated_at=entry.updated_at,
            key=keys.entry_keys(entry.query_text, entry.role, entry.role_code, places),
        )

    def _item(self, entry: Playbook) -> Item:
        vector: Any = self._asks.of(entry.query_text).meaning
        return Item(id=entry.id, vector=vector.tolist(), metadata=msgspec.structs.asdict(self.remembered(entry)))


def _remembered(lookup: Lookup, among: Filter, corpora: Collection[str], *, most: int = RECALLED) -> list[Recall]:
    found = (
        Recall(id, _decode(lookup.encoded(place)), distance) for distance, id, place in lookup.nearest(most, among)
    )
    return [recall for recall in found if recall.playbook.corpus in corpora]
