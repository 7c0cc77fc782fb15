"""The figures of `docs/benchmarks.md` and `docs/sizing.md`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.evals import _figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from sizes import Size

_MIB = 1 << 20


def peers(rates: Mapping[str, Sequence[float]], out: Path) -> list[Path]:
    """Write what `peers.py` found, the rate of each with the least and the most of its rounds."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = sorted(rates, key=lambda name: statistics.median(rates[name]))
        medians = [statistics.median(rates[name]) for name in names]
        spread = [
            [median - min(rates[name]) for name, median in zip(names, medians, strict=True)],
            [max(rates[name]) - median for name, median in zip(names, medians, strict=True)],
        ]
        colors = ["C0" if name.startswith("lakehouse") else "0.7" for name in names]
        axes.barh(names, medians, xerr=spread, color=colors)
        axes.set(xlabel="searches a second, ten nearest at recall 0.99 and better", xscale="log")

    return _figures.write(out, "peers", (9, 4.5), draw)


def growth(sizes: Sequence[Size], out: Path) -> list[Path]:
    """Write what `sizes.py` found: search time, build time, and bytes, by the number of people."""

    def draw(figure: Figure) -> None:
        left, middle, right = figure.subplots(1, 3)
        people = [size.people for size in sizes]
        left.plot(people, [size.search for size in sizes], marker="o")
        left.set(title="one search, us of a processor")
        middle.plot(people, [size.build_processor for size in sizes], marker="o")
        middle.set(title="build, s of a processor")
        right.plot(people, [size.disk / _MIB for size in sizes], marker="o", label="on disk")
        right.plot(people, [size.memory / _MIB for size in sizes], marker="o", label="in memory")
        right.plot(people, [size.own_memory / _MIB for size in sizes], marker="o", label="of it not files")
        right.set(title="MiB")
        right.legend()
        for axes in (left, middle, right):
            axes.set(xlabel="people", xscale="log")
            axes.set_ylim(bottom=0)

    return _figures.write(out, "sizes", (12, 4), draw)
