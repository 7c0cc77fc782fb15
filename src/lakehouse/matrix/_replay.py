"""Memory applied to the very results it was applied to before: done again without being worked out again."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence

import msgspec

from lakehouse.matrix._candidates import Candidate, Rater
from lakehouse.matrix._memory import Memory
from lakehouse.matrix._recalled import Recalled
from lakehouse.matrix.base import DroppedMemory, MemoryUse
from lakehouse.memory.base import Recall
from lakehouse.vectors.base import Filter

# The same demand is asked with few values of k.
_KEPT = 4
_PLACED = [operator.attrgetter(name) for name in ("corpus", "id", "distance", "standing")]


class Applied(msgspec.Struct, frozen=True):
    """What memory made of some candidates.

    Attributes:
        order: Who comes first, and so on: the position among those candidates, or somebody who was put in.
        changed: By position, what became of distance, memory and rejection.
        dropped: What was stopped.
    """

    order: list[int | Candidate]
    changed: dict[int, tuple[float, MemoryUse | None, Recall | None]]
    dropped: list[DroppedMemory]


def apply(
    recalled: Recalled,
    candidates: list[Candidate],
    rater: Rater,
    *,
    k: int,
    filter: Filter | None,
    excluded: frozenset[str],
) -> tuple[list[Candidate], list[DroppedMemory]]:
    """Return the candidates with memory applied, in order, and what was stopped; see `Memory`.

    Args:
        recalled: What memory says to the demand.
        candidates: Best first; changed.
        rater: Of the demand.
        k: How many are results.
        filter: The caller's own conditions.
        excluded: People left out.
    """
    memory = Memory(recalled, rater, k=k, filter=filter, excluded=excluded)
    if filter is not None or excluded:
        return memory.apply(candidates), memory.dropped
    # One flat tuple: what is kept for every demand is gone through by Python's search for garbage.
    name = (k, *itertools.chain.from_iterable(map(placed, candidates) for placed in _PLACED))
    known = recalled.applied.get(name)
    if known is not None:
        return _again(known, candidates), list(known.dropped)
    applied = memory.apply(candidates)
    if len(recalled.applied) >= _KEPT:
        recalled.applied.clear()
    dropped = memory.dropped
    recalled.applied[name] = _noted(applied, candidates, dropped)
    return applied, list(dropped)


def _noted(applied: Sequence[Candidate], candidates: Sequence[Candidate], dropped: list[DroppedMemory]) -> Applied:
    at = {id(each): position for position, each in enumerate(candidates)}
    return Applied(
        order=[at[id(each)] if id(each) in at else _copy(each) for each in applied],
        changed={
            position: (each.distance, each.memory, each.rejected_by)
            for position, each in enumerate(candidates)
            # Nobody is moved without being told why.
            if each.memory is not None or each.rejected_by is not None
        },
        dropped=dropped,
    )


def _again(known: Applied, candidates: Sequence[Candidate]) -> list[Candidate]:
    for position, changed in known.changed.items():
        candidate = candidates[position]
        candidate.distance, candidate.memory, candidate.rejected_by = changed
    return [candidates[each] if isinstance(each, int) else _copy(each) for each in known.order]


def _copy(candidate: Candidate) -> Candidate:
    # What is handed out may be changed by whoever gets it.
    return msgspec.structs.replace(candidate, stored=dict(candidate.metadata))
