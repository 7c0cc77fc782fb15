"""People found, as a table: distance and rating side by side, and what memory did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lakehouse.cli import showing

if TYPE_CHECKING:
    from lakehouse.matrix.base import DroppedMemory, Match, MemoryUse, SearchAnswer

_WHY = 96
_CERTS = 40
_ROLE_MET = "role: "
_STOPPED = 10
_MOVED_AWAY = {"barred": "behind everybody", "lowered": "lowered"}

COLUMNS = (
    showing.Column("#", right=True),
    showing.Column("id"),
    showing.Column("name", wraps=True),
    showing.Column("role", wraps=True),
    showing.Column("city", wraps=True),
    showing.Column("certs", wraps=True, below=True),
    showing.Column("distance", right=True),
    showing.Column("rating", right=True),
    showing.Column("why", wraps=True, below=True),
    showing.Column("memory", wraps=True),
)


def table(results: Iterable[Match]) -> None:
    """Print results in order."""
    showing.table(COLUMNS, [_row(rank, match) for rank, match in enumerate(results, 1)])


def whole(answer: SearchAnswer) -> None:
    """Print an answer: its results, what memory did not do and why, and what the answer is worth."""
    table(answer.results)
    for line in unused(answer):
        print(line)
    print(verdict(answer))


def unused(answer: SearchAnswer) -> list[str]:
    """Say of memory that did not act on an answer why it did not, one line each, nearest first."""
    said = [_stopped(each) for each in answer.dropped[:_STOPPED]]
    if len(answer.dropped) > _STOPPED:
        said.append(f"and {len(answer.dropped) - _STOPPED} more; --json lists them")
    if answer.held_out:
        said.append("memory was held out from this demand")
    return said


def verdict(answer: SearchAnswer) -> str:
    """Say in one sentence what the answer is worth."""
    if not answer.results:
        return "Nobody was found."
    if answer.no_good_match:
        return "We have nobody good for this: the rows above are only the nearest there are."
    counts = []
    if answer.boosted:
        counts.append(f"{answer.boosted} moved closer by memory")
    if answer.injected:
        counts.append(f"{answer.injected} put in by memory")
    if answer.excluded:
        counts.append(f"{answer.excluded} left out as asked")
    shown = f"{len(answer.results)} shown"
    return f"{', '.join([shown, *counts])}.{_opinions(answer)}"


def _opinions(answer: SearchAnswer) -> str:
    said = answer.opinions
    if said is None:
        return ""
    if said.failure:
        return f" {said.model} gave no opinion: {said.failure}"
    kappa = "not defined" if said.kappa is None else f"{said.kappa:.2f}"
    return f" In brackets what {said.model} thinks: {said.same} of {said.pairs} the same, kappa {kappa}."


def memory(use: MemoryUse | None) -> str:
    """Say what memory did to one result."""
    if use is None:
        return ""
    if use.effect == "boost":
        return f"boost, was {use.base_distance:.3f}"
    if use.effect == "inject":
        return f"inject, ask {use.base_distance:.3f} away"
    if use.turned_down is not None:
        return f"{_MOVED_AWAY[use.turned_down]}, was {use.base_distance:.3f}"
    return "known, not moved"


def _stopped(memory: DroppedMemory) -> str:
    whose = f"{memory.answer_id} ({memory.corpus}), entry {memory.playbook_id}"
    return showing.cell(f"memory stopped at {memory.gate}: {whose}: {memory.reason}")


def _row(rank: int, match: Match) -> list[Any]:
    person = match.metadata
    return [
        rank,
        match.id,
        person.get("name"),
        person.get("role"),
        _place(person),
        showing.shortened(", ".join(map(str, person.get("certs") or [])), _CERTS),
        f"{match.distance:.3f}",
        _ratings(match),
        showing.shortened("; ".join(_reasons(match.reasons)), _WHY),
        memory(match.memory),
    ]


def _ratings(match: Match) -> str:
    """Return the rating by rules, and a model's beside it where there is one."""
    ruled = "-" if match.rating is None else str(match.rating)
    return ruled if match.opinion is None else f"{ruled} ({match.opinion})"


def _reasons(reasons: Iterable[str]) -> list[str]:
    """Leave out that the role is right: the role has its own column, and what is lacking must not be cut off."""
    return [reason for reason in reasons if not reason.startswith(_ROLE_MET)]


def _place(person: dict[str, Any]) -> str:
    return ", ".join(str(person[key]) for key in ("city", "state") if person.get(key))
