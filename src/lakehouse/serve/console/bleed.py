"""Whether what is remembered for one role moves anybody when another role is asked for: asked in earnest."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lakehouse.app import Lakehouse
from lakehouse.memory.base import ListedPlaybook

MOST_ROLES = 4
_PER_SEARCH = 10


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One remembered demand, asked again for a role; `moved` people by memory of another role, `helped` by its own."""

    demand_of: str
    asked_for: str
    moved: int
    helped: int


class Bleed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        roles: The most remembered, at most four.
        asked: Each remembered demand for each role.
    """

    roles: list[str]
    asked: list[Asked]

    @property
    def moved(self) -> int:
        """How many people memory of another role moved; nobody, if no gate leaks."""
        return sum(one.moved for one in self.asked)


def measured(lake: Lakehouse, namespace: str, entries: Sequence[ListedPlaybook]) -> Bleed:
    """Ask the newest remembered demand of each role again, word for word, for every role.

    At most sixteen searches; the people they find are written into the audit as by any search.

    Raises:
        LakehouseError: As `matrix.search` does.
    """
    newest: dict[str, ListedPlaybook] = {}
    counts: dict[str, int] = {}
    for entry in entries:
        if entry.role and entry.trust > 0:
            newest.setdefault(_kind(entry), entry)
            counts[_kind(entry)] = counts.get(_kind(entry), 0) + 1
    kinds = sorted(newest, key=lambda kind: (-counts[kind], kind))[:MOST_ROLES]
    of = {entry.id: _kind(entry) for entry in entries}
    corpora = sorted({entry.corpus for entry in entries})
    asked: list[Asked] = []
    for remembered in kinds:
        for kind in kinds:
            answer = lake.matrix.search(
                query_text=newest[remembered].query_text,
                corpora=corpora,
                k=_PER_SEARCH,
                use_playbook=True,
                query_role=newest[kind].role,
                playbook=namespace,
            )
            memories = [hit.memory for hit in answer.results if hit.memory and hit.memory.effect != "none"]
            own = sum(of.get(memory.playbook_id, kind) == kind for memory in memories)
            asked.append(
                Asked(
                    demand_of=newest[remembered].role,
                    asked_for=newest[kind].role,
                    moved=len(memories) - own,
                    helped=own,
                )
            )
    return Bleed(roles=[newest[kind].role for kind in kinds], asked=asked)


def _kind(entry: ListedPlaybook) -> str:
    # Two titles of one occupation are no two roles.
    return entry.role_code or entry.role.casefold()
