"""Plots of a lift report: distance and rating of who is first, before and after memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.evals import _figures
from lakehouse.evals._lift_shapes import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write(report: Report, out: Path) -> list[Path]:
    """Write `lift.png` and `lift.svg` into a folder and return their paths."""

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        _distances(left, report)
        _ratings(right, report)
        figure.suptitle(f"{report.demands} demands of {', '.join(report.years)}: who is first, without and with memory")

    return _figures.write(out, "lift", (11, 4.4), draw)


def _distances(axes: Axes, report: Report) -> None:
    for label, of, mark in (("discoveries", True, "o"), ("first already", False, "x")):
        chosen = [query for query in report.queries if query.discovery == of]
        axes.scatter(
            [query.cold.distance for query in chosen],
            [query.warm.distance for query in chosen],
            s=14,
            marker=mark,
            alpha=0.6,
            label=f"{label} ({len(chosen)})",
        )
    most = max([0.1, *(query.cold.distance for query in report.queries)])
    axes.plot([0, most], [0, most], color="0.6", linewidth=0.8)
    axes.set(xlabel="distance without memory", ylabel="distance with memory")
    axes.legend(loc="upper left")


def _ratings(axes: Axes, report: Report) -> None:
    cold = Counter(query.cold.rating or 0 for query in report.queries)
    warm = Counter(query.warm.rating or 0 for query in report.queries)
    levels = range(6)
    axes.bar([level - 0.2 for level in levels], [cold[level] for level in levels], width=0.4, label="without memory")
    axes.bar([level + 0.2 for level in levels], [warm[level] for level in levels], width=0.4, label="with memory")
    axes.set(xlabel="rating of who is first (0: not rated)", ylabel="demands")
    axes.set_xticks(list(levels))
    axes.legend(loc="upper left")
