"""What the stress shows: tables worked out from its events, as JSON and as Markdown."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

import msgspec

from lakehouse.evals._stress_run import Event, Phase
from lakehouse.evals._stress_scenario import CONTRACTS, SHARED


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag="summary", tag_field="kind"):
    """The claims of the stress and what became of each.

    Attributes:
        same_role: Mean Jaccard of the people proposed for one role in two contracts; `same_role_worst` the largest.
        other_role: Mean Jaccard of the people proposed for two roles in one contract.
        determinism: Mean Jaccard of the questions of hour 0 and the same at hour 48; `identical` counts those whose
            answers are the same in order and distance too.
        swap: Jaccard of the first 200 and their replacements; `swap_returned` how many replacements there were.
        verbatim, paraphrase: Recorded people first in the list after the handover, of how many.
        before_handover: Recorded people whom memory moved before the handover; must be none.
        merged: Recorded people first in the list with the memory of both.
        fresh_by_resume, fresh_by_demand: Fresh workers first in the list, of how many.
        inbox_honest: Messages where `no_good_match` says what is so, of how many.
        split_shared: People proposed by both who share the divided contract; must be none.
        boosted, injected: What memory did in all.
    """

    events: int
    people_searched: dict[str, int]
    same_role: float
    same_role_worst: float
    other_role: float
    determinism: float
    identical: tuple[int, int]
    swap: float
    swap_returned: int
    verbatim: tuple[int, int]
    paraphrase: tuple[int, int]
    before_handover: int
    merged: tuple[int, int]
    fresh_by_resume: tuple[int, int]
    fresh_by_demand: tuple[int, int]
    inbox_honest: tuple[int, int]
    split_shared: int
    boosted: int
    injected: int
    median_ms: float
    took_s: float

    def unmet(self) -> list[str]:
        """Return the claims that do not hold, in words."""
        wanted = {
            "same role across contracts: Jaccard at most 0.05": self.same_role <= 0.05,
            "determinism 1.000": self.determinism == 1.0,
            "swap Jaccard 0.000": self.swap == 0.0 and self.swap_returned > 0,
            "verbatim handover": self.verbatim[0] == self.verbatim[1],
            "paraphrased handover": self.paraphrase[0] == self.paraphrase[1],
            "no memory before the handover": self.before_handover == 0,
            "merged memory": self.merged[0] == self.merged[1],
            "fresh workers first for their resume": self.fresh_by_resume[0] == self.fresh_by_resume[1],
            "fresh workers first for a demand": self.fresh_by_demand[0] == self.fresh_by_demand[1],
            "honest inbox": self.inbox_honest[0] == self.inbox_honest[1],
            "a divided contract shares nobody": self.split_shared == 0,
        }
        return [claim for claim, holds in wanted.items() if not holds]


def jaccard(one: Sequence[str], two: Sequence[str]) -> float:
    """Return the share of those in either who are in both; 1 for two empty lists."""
    first, second = set(one), set(two)
    return len(first & second) / len(first | second) if first | second else 1.0


def summarize(events: Sequence[Event], phases: Sequence[Phase], people: dict[str, int]) -> Summary:
    """Work out what the run shows."""
    by_phase: dict[str, list[Event]] = {}
    for event in events:
        by_phase.setdefault(event.phase, []).append(event)
    baseline, again = by_phase["baseline"], by_phase["reissue"]
    same, other = _across(baseline), _within(baseline)
    pairs = _reissued(baseline, again)
    first, second = by_phase["swap"]
    before = [event for event in by_phase["handover"] if event.about["step"] == "before"]
    after = [event for event in by_phase["handover"] if event.about["step"] == "after"]
    return Summary(
        events=len(events),
        people_searched=people,
        same_role=round(statistics.fmean(same), 4),
        same_role_worst=round(max(same), 4),
        other_role=round(statistics.fmean(other), 4),
        determinism=round(statistics.fmean(jaccard(one.ids, two.ids) for one, two in pairs), 4),
        identical=(sum(one.hits == two.hits for one, two in pairs), len(pairs)),
        swap=round(jaccard(first.ids, second.ids), 4),
        swap_returned=len(second.ids),
        verbatim=_first(after),
        paraphrase=_first(by_phase["paraphrase"]),
        before_handover=sum(_moved(event) for event in before),
        merged=_first(by_phase["merge"]),
        fresh_by_resume=_first([event for event in by_phase["fresh"] if event.coordinator == "resume"]),
        fresh_by_demand=_first([event for event in by_phase["fresh"] if event.coordinator == "demand"]),
        inbox_honest=_honest(by_phase["inbox"]),
        split_shared=_shared(by_phase["split"]),
        boosted=sum(event.boosted for event in events),
        injected=sum(event.injected for event in events),
        median_ms=round(statistics.median(event.took_ms for event in events), 2),
        took_s=round(sum(phase.took_s for phase in phases), 2),
    )


def markdown(summary: Summary, events: Sequence[Event], phases: Sequence[Phase], settings: dict[str, object]) -> str:
    """Return the report for people."""
    unmet = summary.unmet()
    lines = [
        "# Three coordinators, 48 hours",
        "",
        ", ".join(f"{name} {value}" for name, value in settings.items()) + ".",
        "",
        "**All claims hold.**" if not unmet else "**Not so:** " + "; ".join(unmet) + ".",
        "",
        *_table(["what", "found", "wanted"], _claims(summary)),
        "",
        "![Who is proposed, how near, how fast](stress.png)",
        "",
        "## Phases",
        "",
        *_table(
            ["hour", "phase", "searches", "began after s", "took s"],
            [[phase.hour, phase.name, phase.events, phase.began_s, phase.took_s] for phase in phases],
        ),
        "",
        "## Baseline, and the same at hour 48",
        "",
        *_table(
            ["coordinator", "contract", "role", "first", "distance", "rating", "no good match"],
            [_line(event) for event in events if event.phase == "baseline"],
        ),
        "",
        "## Handover, Alice to Bob",
        "",
        *_table(
            ["words", "role", "recorded", "first", "effect", "rating"],
            [_handed(event) for event in events if event.phase in {"handover", "paraphrase"}],
        ),
        "",
        "## Inbox",
        "",
        *_table(
            ["priority", "type", "tag", "role read", "first", "distance", "rating", "no good match", "is so"],
            [_message(event) for event in events if event.phase == "inbox"],
        ),
        "",
        "## Fresh workers who were not first",
        "",
        *_table(["wanted", "asked by", "first", "query"], _late(events)),
    ]
    return "\n".join(lines) + "\n"


def _claims(summary: Summary) -> list[list[object]]:
    return [
        ["same role across contracts, mean Jaccard", f"{summary.same_role:.3f}", "at most 0.05"],
        ["the largest of these", f"{summary.same_role_worst:.3f}", ""],
        ["different roles of one contract, mean Jaccard", f"{summary.other_role:.3f}", ""],
        ["hour 0 and hour 48, mean Jaccard", f"{summary.determinism:.3f}", "1.000"],
        ["the same in order and distance", _of(summary.identical), "all"],
        ["first 200 and replacements, Jaccard", f"{summary.swap:.3f} ({summary.swap_returned} found)", "0.000"],
        ["handover, verbatim", _of(summary.verbatim), "all"],
        ["handover, paraphrased", _of(summary.paraphrase), "all"],
        ["moved by memory before the handover", summary.before_handover, "0"],
        ["merged memory", _of(summary.merged), "all"],
        ["fresh workers first, by resume", _of(summary.fresh_by_resume), "all"],
        ["fresh workers first, by demand", _of(summary.fresh_by_demand), "all"],
        ["inbox honest", _of(summary.inbox_honest), "all"],
        ["proposed by both who share a contract", summary.split_shared, "0"],
        ["moved closer / put in by memory", f"{summary.boosted} / {summary.injected}", ""],
        ["median search, ms", summary.median_ms, ""],
    ]


def _of(pair: tuple[int, int]) -> str:
    return f"{pair[0]} of {pair[1]}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def _line(event: Event) -> list[object]:
    first = event.hits[0]
    return [
        event.coordinator, event.contract, event.role, first.id, first.distance, first.rating, _yes(event.no_good_match)
    ]  # fmt: skip


def _handed(event: Event) -> list[object]:
    words = "other words" if event.phase == "paraphrase" else f"same words, {event.about['step']}"
    first = event.hits[0]
    return [words, event.role, event.about["wanted"], first.id, first.effect, first.rating]


def _message(event: Event) -> list[object]:
    first, about = event.hits[0], event.about
    honest = _yes(event.no_good_match is not about["fillable"])
    return [
        about["priority"], event.coordinator, about["tag"], event.role, first.id, first.distance, first.rating,
        _yes(event.no_good_match), honest,
    ]  # fmt: skip


def _late(events: Sequence[Event]) -> list[list[object]]:
    return [
        [event.about["wanted"], event.coordinator, event.ids[:1], event.query]
        for event in events
        if event.phase == "fresh" and event.ids[:1] != [event.about["wanted"]]
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _across(baseline: Sequence[Event]) -> list[float]:
    return [
        jaccard(one.ids, two.ids)
        for role in SHARED
        for one, two in itertools.combinations([event for event in baseline if event.role == role], 2)
    ]


def _within(baseline: Sequence[Event]) -> list[float]:
    return [
        jaccard(one.ids, two.ids)
        for contract in CONTRACTS
        for one, two in itertools.combinations([event for event in baseline if event.contract == contract.name], 2)
    ]


def _reissued(baseline: Sequence[Event], again: Sequence[Event]) -> list[tuple[Event, Event]]:
    """Return what must be the same: hour 0 and turns 1 and 2 without memory, turns 3 and 4 with it."""
    turns = {turn: [event for event in again if event.about["turn"] == turn] for turn in (1, 2, 3, 4)}
    pairs = ((list(baseline), turns[1]), (turns[1], turns[2]), (turns[3], turns[4]))
    return [pair for one, two in pairs for pair in zip(one, two, strict=True)]


def _first(events: Sequence[Event]) -> tuple[int, int]:
    return sum(event.ids[:1] == [event.about["wanted"]] for event in events), len(events)


def _moved(event: Event) -> bool:
    hers = event.about["wanted"]
    return not event.about["own"] and any(hit.effect != "none" and hit.id == hers for hit in event.hits)


def _honest(events: Sequence[Event]) -> tuple[int, int]:
    return sum(event.no_good_match is not event.about["fillable"] for event in events), len(events)


def _shared(events: Sequence[Event]) -> int:
    by: dict[str, set[str]] = {}
    for event in events:
        by.setdefault(event.coordinator, set()).update(event.ids)
    return len(set.intersection(*by.values())) if by else 0
