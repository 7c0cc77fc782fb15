"""From what a client records to rows: identity, what the query says, and the evidence so far."""

from __future__ import annotations

import contextlib
import hashlib
import unicodedata
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.errors import InvalidInput, NotFound, TooLarge
from lakehouse.memory.asks import check_text
from lakehouse.memory.base import ListedPlaybook, NewPlaybook, PastOutcome, Playbook
from lakehouse.memory.evidence import WEIGHTS, fading, posterior, trust
from lakehouse.staffing.folding import client_key, folded, folded_words
from lakehouse.state.names import MEMORY_INDEX
from lakehouse.vectors.items import no_corpus

if TYPE_CHECKING:
    from lakehouse.memory.asks import Asks
    from lakehouse.vectors.service import Vectors


class Writer:
    """Makes rows of what clients record.

    Args:
        vectors: The corpora that answers must come from.
        asks: Parses query texts.
        half_life_days: How fast evidence fades.

    Attributes:
        roles: Occupations of titles.
    """

    def __init__(self, vectors: Vectors, asks: Asks, half_life_days: float) -> None:
        self._vectors = vectors
        self._asks = asks
        self.half_life_days = half_life_days
        self.roles = asks.roles

    def check(self, new: NewPlaybook, at: int | None = None) -> None:
        """Refuse what cannot be recorded.

        Args:
            new: What is to be recorded.
            at: Its position in the call, named in errors.

        Raises:
            NotFound: The corpus or the person does not exist, or the corpus is an index of memory.
            InvalidInput, TooLarge: The query is empty or too long.
        """
        try:
            if not self._is_person(new.corpus, new.answer_id):
                raise NotFound(
                    f"index {new.corpus!r} has no item {new.answer_id[:140]!r}", index=new.corpus, id=new.answer_id
                )
            check_text(new.query_text)
        except (NotFound, InvalidInput, TooLarge) as error:
            if at is None:
                raise
            raise type(error)(f"entries[{at}]: {error.message}", **{**error.detail, "entry": at}) from None

    def read(self, entries: Sequence[NewPlaybook]) -> None:
        """Read and embed the queries of checked entries together, which `row` then has at hand."""
        self._asks.many([entry.query_text for entry in entries])

    def row(self, new: NewPlaybook, now: str) -> Playbook:
        """Work out the row of a checked entry; `now` is RFC 3339."""
        ask = self._asks.of(new.query_text)
        role = composed((new.role or ask.demand.role or "").strip())
        match = self.roles.resolve(role) if role else None
        place = ask.demand.location
        good, bad = WEIGHTS[new.outcome]
        return Playbook(
            id=identity(new.namespace, new.query_text, role, new.corpus, new.answer_id),
            namespace=new.namespace,
            query_text=new.query_text,
            answer_id=new.answer_id,
            corpus=new.corpus,
            score=new.score,
            role=role,
            role_code=match.code if match else "",
            city=composed(place.city or "") if place else "",
            state=(place.state or "") if place else "",
            outcome=new.outcome,
            created_at=now,
            updated_at=now,
            client=client_key(ask.demand.client),
            by=new.by,
            why=new.why,
            good=good,
            bad=bad,
            evidence_on=now[:10],
        )

    def _is_person(self, corpus: str, answer_id: str) -> bool:
        if not corpus.startswith(MEMORY_INDEX):
            with contextlib.suppress(NotFound):
                return self._vectors.has(corpus, answer_id)
        raise no_corpus(corpus, [stats.name for stats in self._vectors.list().indexes])

    def joined(self, before: Playbook, after: Playbook) -> Playbook:
        """Return `after` with the evidence of both, faded to the later day; created when `before` was."""
        on = max(before.evidence_on, after.evidence_on)
        left = [fading(each.evidence_on, date.fromisoformat(on), self.half_life_days) for each in (before, after)]
        return msgspec.structs.replace(
            after,
            created_at=before.created_at,
            good=round(before.good * left[0] + after.good * left[1], 9),
            bad=round(before.bad * left[0] + after.bad * left[1], 9),
            evidence_on=on,
            helped=max(before.helped, after.helped),
            overridden=max(before.overridden, after.overridden),
        )

    def listed(self, entry: Playbook, today: date) -> ListedPlaybook:
        """Return a row with what its outcomes say today."""
        left = fading(entry.evidence_on, today, self.half_life_days)
        found = posterior(entry.good * left, entry.bad * left)
        return ListedPlaybook(**msgspec.structs.asdict(entry), posterior=found, trust=trust(found))


def composed(name: str) -> str:
    """Return a name as rows have it, in one Unicode normal form: they are compared with each other by the database."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def identity(namespace: str, query_text: str, role: str, corpus: str, answer_id: str) -> str:
    """Return the id of an entry: the same for the same answer to the same query, role and namespace."""
    parts = (namespace, folded_words(query_text), folded(role), corpus, answer_id)
    return "pb-" + hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:24]


def for_namespace(entry: Playbook, namespace: str) -> Playbook:
    """Return the same entry as another namespace's own."""
    id = identity(namespace, entry.query_text, entry.role, entry.corpus, entry.answer_id)
    return msgspec.structs.replace(entry, id=id, namespace=namespace)


def as_recorded(entry: Playbook, *, held_out: bool) -> PastOutcome:
    """Return the outcome that was just recorded."""
    return PastOutcome(
        at=entry.updated_at,
        outcome=entry.outcome,
        score=entry.score,
        by=entry.by,
        why=entry.why,
        held_out=held_out,
    )


def outcome_row(entry: Playbook, outcome: PastOutcome) -> dict[str, Any]:
    """Return an outcome of an entry as a row of the history."""
    return {"playbook_id": entry.id, "namespace": entry.namespace, **msgspec.structs.asdict(outcome)}
