"""The index of each namespace, derived from its rows: what a search looks at."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from lakehouse.errors import NotFound
from lakehouse.memory import keys
from lakehouse.memory._found import Found, Recollection
from lakehouse.memory.base import Change, Filed, Playbook, Remembered
from lakehouse.memory.likeness import facts_of
from lakehouse.state.names import MEMORY_INDEX

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.memory.asks import Ask, Asks
    from lakehouse.vectors._kept_near import Word
    from lakehouse.vectors.base import StoredItem
    from lakehouse.vectors.service import Vectors

# Entries looked at per search and namespace, nearest first.
RECALLED = 64
CHUNK = 500
# Where more than that are near: so many of the very text, of the client in the city, of the city each, and so many of
# the people who may be shown.
_FIRST = 16
_OF_PEOPLE = 128
# In a larger memory entries of other roles at the place are not looked up only to say that they were left out.
_EXPLAINED_ITEMS = 20_000
_EXPLAINED = 24
_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode


def index_name(namespace: str) -> str:
    """Return the name of the vector index that is derived from a namespace's rows."""
    return MEMORY_INDEX + namespace


def chunks(items: Sequence[_T], most: int = CHUNK) -> Iterator[Sequence[_T]]:
    """Yield portions of at most `most` items."""
    for start in range(0, len(items), most):
        yield items[start : start + most]


Stamp = tuple[str, float, float, float, str, str]


def stamp(entry: Playbook | Remembered) -> Stamp:
    """Return what tells one state of an entry from another."""
    return entry.updated_at, entry.good, entry.bad, entry.score, entry.role_code, entry.client


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
        """Note which of these namespaces have an index that can be used; returns how many items it has, by name.

        One that was made by somebody else, or for vectors of another model, cannot.
        """
        wanted = {index_name(namespace) for namespace in namespaces}
        found = self._vectors.local_items(MEMORY_INDEX)
        items = {name: count for name, count in found.items() if name in wanted and self._fits(name)}
        self._names = set(items)
        return items

    def has(self, namespace: str) -> bool:
        """Tell whether a namespace has an index that can be used; an operator may delete one at any moment."""
        name = index_name(namespace)
        return name in self._names and self._vectors.is_here(name)

    def namespaces(self) -> list[str]:
        """Return the namespaces that have an index here, also those of which no row is left; they can be used then."""
        found = [name for name in self._vectors.local_items(MEMORY_INDEX) if self._fits(name)]
        self._names.update(found)
        return [name.removeprefix(MEMORY_INDEX) for name in found]

    def stamps(self, namespace: str) -> dict[str, Stamp]:
        """Return the ids in a namespace's index, each with the state of the entry that lies there.

        None of the states of today is that of an entry which lies there in another form.
        """
        if not self.has(namespace):
            return {}
        return {item.id: _stamp_of(item) for item in self._vectors.scan(index_name(namespace))}

    def version(self, namespace: str) -> int:
        """Return a number that changes with every write to a namespace's index, 0 while it has none."""
        # One that is being made is not looked at yet, and nothing else would tell when that begins.
        return self._vectors.version(index_name(namespace)) if self.has(namespace) else 0

    def items(self, namespace: str) -> int | None:
        """Return how many items a namespace's index has, None while it has none."""
        name = index_name(namespace)
        return self._vectors.local_items(name).get(name) if self.has(namespace) else None

    def put(self, namespace: str, entries: Sequence[Playbook]) -> None:
        """Bring rows of one namespace into its index.

        Raises:
            NotFound: There is none.
        """
        for chunk in chunks(entries):
            filed, vectors = self.filed(chunk)
            self._vectors.put(index_name(namespace), [entry.id for entry in chunk], vectors, filed)

    def make(self, namespace: str, entries: Sequence[Playbook]) -> None:
        """Make the index of a namespace anew from all its rows, in place of whatever has its name."""
        name = index_name(namespace)
        self._names.discard(name)
        with contextlib.suppress(NotFound):
            self._vectors.delete(name)
        self._vectors.create_unwalked(name, self._dimension, model=self._model)
        try:
            self.put(namespace, entries)
        except BaseException:
            # Half of a memory would pass for all of it.
            with contextlib.suppress(NotFound):
                self._vectors.delete(name)
            raise
        self._names.add(name)

    def filed(self, entries: Sequence[Playbook]) -> tuple[list[bytes], np.ndarray]:
        """Return what lies in an index for these rows: encoded `Filed`, and vectors `(n, d)` float32."""
        import numpy as np

        asks = self._asks.many([entry.query_text for entry in entries])
        filed = [_encode(self._filed(entry, ask)) for entry, ask in zip(entries, asks, strict=True)]
        return filed, np.stack([ask.meaning for ask in asks])

    def drop(self, namespace: str, ids: Sequence[str]) -> None:
        """Take rows out."""
        with contextlib.suppress(NotFound):
            if self.has(namespace):
                self._vectors.delete_items(index_name(namespace), ids)

    def purge(self, namespace: str, ids: Sequence[str]) -> None:
        """Take rows out for good; no file of the index holds anything of them then."""
        with contextlib.suppress(NotFound):
            if self.has(namespace):
                self._vectors.purge(index_name(namespace), ids)

    def drop_others(self, namespace: str, wanted: Collection[str]) -> None:
        """Take everything out that is not wanted."""
        name = index_name(namespace)
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
        before: Mapping[str, Found],
    ) -> Recollection:
        """Return entries near an ask: of its role at its place, of its very text, and of the given answers.

        Args:
            namespace: Whose memory.
            ask: The new demand.
            role: Its title and O*NET-SOC code, empty when unknown.
            answers: Ids of people of whom everything remembered for the role counts.
            near_km: How far around the demand's place is looked.
            corpora: Only answers of these.
            before: What was found for the same arguments, by namespace.

        Returns:
            Nearest first, ties by id. Where more than 64 are near, those 64; besides, some of the very text, of the
            client in the city and of the city, and whatever else is remembered of all these people, 128 at most; so
            outcomes of somebody who may be shown are not crowded out by what others have to say. Some of other roles.
            Nothing while there is no index: the next write makes it.
        """
        if self.has(namespace):
            earlier = before.get(namespace)
            words = earlier.demanded if earlier is not None else keys.demand_keys(ask.text, role, ask.demand, near_km)
            # It may be deleted meanwhile.
            with contextlib.suppress(NotFound):
                found = Found(
                    self._vectors,
                    index_name(namespace),
                    ask.meaning,
                    corpora=corpora,
                    demanded=words,
                    before=earlier,
                )
                return self._found(namespace, found, role, answers, earlier=earlier)
        return Recollection([], lambda: not self.has(namespace), {}, Change([], []))

    def _found(
        self, namespace: str, found: Found, role: tuple[str, str], answers: Sequence[str], *, earlier: Found | None
    ) -> Recollection:
        words = found.demanded
        explained = bool(words.others) and found.items <= _EXPLAINED_ITEMS
        if not (earlier is not None and earlier.explained == explained and found.follow()):
            self._look(found, role, answers)
            if explained:
                # Apart from the others, so that entries of other roles cannot crowd out those that count.
                found.take(_EXPLAINED, lambda: _by_key(words.others))
        found.explained = explained
        unchanged = found.watch()

        def still() -> bool:
            return unchanged() and explained == (bool(words.others) and found.items <= _EXPLAINED_ITEMS)

        return Recollection(found.recalls, still, {namespace: found}, found.change)

    @staticmethod
    def _look(found: Found, role: tuple[str, str], answers: Sequence[str]) -> None:
        """Look up what is near, and what may be crowded out by others that are as near."""
        words = found.demanded
        unknown = any(role) and found.has(("key", keys.UNKNOWN_ROLE))
        of_people = functools.partial(keys.person_keys, role, unknown=unknown)

        def among() -> Iterator[Word]:
            yield from _by_key([words.text, *words.near, *of_people(answers)])
            if not any(role):
                yield from (("answer_id", answer) for answer in answers)

        if found.take(RECALLED, among) == RECALLED:
            for word in (words.text, *words.nearer):
                found.take(_FIRST, functools.partial(_by_key, [word]))
            found.take(_OF_PEOPLE, lambda: _by_key(of_people([*dict.fromkeys([*answers, *found.people()])])))

    def _fits(self, name: str) -> bool:
        return self._vectors.is_unwalked(name, self._dimension, model=self._model)

    def _filed(self, entry: Playbook, ask: Ask) -> Filed:
        person = self._vectors.metadata(entry.corpus, entry.answer_id) or {}
        places = [*filter(None, [ask.demand.location]), keys.home(person)]
        remembered = Remembered(
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
            facts=tuple(facts_of(ask.demand)),
        )
        return Filed(entry.role_code, entry.answer_id, keys.entry_keys(entry, places), remembered)


def _stamp_of(item: StoredItem) -> Stamp:
    try:
        return stamp(msgspec.convert(item.metadata, Filed).entry)
    except msgspec.ValidationError:
        return "", 0.0, 0.0, 0.0, "", ""


def _by_key(words: Sequence[str]) -> list[Word]:
    return [("key", word) for word in words]
