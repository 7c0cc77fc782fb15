"""What the stress shows, as pictures: who is proposed to whom, how near and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.evals import _figures
from lakehouse.evals._stress_run import Event, Phase
from lakehouse.evals._stress_tables import jaccard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write(events: Sequence[Event], phases: Sequence[Phase], out: Path) -> list[Path]:
    """Write `stress.png` and `stress.svg` into a folder and return their paths."""

    def draw(figure: Figure) -> None:
        (overlap, distance), (latency, wall) = figure.subplots(2, 2)
        _overlap(overlap, [event for event in events if event.phase == "baseline"])
        _distances(distance, events)
        _latencies(latency, events, phases)
        _wall_times(wall, phases)
        figure.suptitle(f"Three coordinators, 48 hours: {len(events)} searches")

    return _figures.write(out, "stress", (13, 10), draw)


def _overlap(axes: Axes, baseline: Sequence[Event]) -> None:
    """Draw the share of people that two demands of the baseline have in common."""
    names = [f"{event.contract}: {event.role}, {number}" for number, event in enumerate(baseline, 1)]
    shares = [[jaccard(one.ids, two.ids) for two in baseline] for one in baseline]
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(names)), [str(number) for number, _ in enumerate(names, 1)], fontsize=6)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set_title("people proposed for two demands (Jaccard)")


def _distances(axes: Axes, events: Sequence[Event]) -> None:
    """Draw how near the first of each answer is, and whether the answer says that nobody good is there."""
    for label, bad, mark in (("good match", False, "o"), ("no good match, as the answer says", True, "x")):
        chosen = [event for event in events if event.hits and event.no_good_match == bad]
        hours = [event.hour for event in chosen]
        axes.scatter(hours, [event.hits[0].distance for event in chosen], s=16, marker=mark, alpha=0.6, label=label)
    axes.set(xlabel="hour", ylabel="distance of the first", title="how near the first of each answer is")
    axes.legend(fontsize=8)


def _latencies(axes: Axes, events: Sequence[Event], phases: Sequence[Phase]) -> None:
    of_phase = {phase.name: [event.took_ms for event in events if event.phase == phase.name] for phase in phases}
    searched = {name: took for name, took in of_phase.items() if took}
    axes.boxplot(list(searched.values()), whis=(5, 95), showfliers=False)
    axes.set_xticks(range(1, len(searched) + 1), list(searched), rotation=45, ha="right")
    axes.set(ylabel="ms", title="a search, whiskers at 5 and 95 %", yscale="log")


def _wall_times(axes: Axes, phases: Sequence[Phase]) -> None:
    axes.barh([f"{phase.hour:02} {phase.name}" for phase in phases], [phase.took_s for phase in phases])
    axes.invert_yaxis()
    axes.set(xlabel="s", title="wall time of each phase")
