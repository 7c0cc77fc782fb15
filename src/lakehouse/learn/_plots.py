"""Drift as pictures: both sides of each measure, bucket by bucket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from lakehouse.observe.drift import Distribution


def draw(distributions: Mapping[str, Distribution], folder: Path) -> list[Path]:
    """Write one SVG per measure and return their paths, in order."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    # The same report gives the same bytes.
    with mpl.rc_context({"svg.hashsalt": "drift"}):
        for name, found in distributions.items():
            figure = Figure(figsize=(6, 3.2), layout="constrained")
            axes = figure.subplots()
            lows = [bucket.low for bucket in found.buckets]
            width = (found.buckets[0].high - found.buckets[0].low) or 1.0
            for shift, side, label in ((0.0, "old", "before"), (0.45, "new", "since")):
                counts = [getattr(bucket, side) for bucket in found.buckets]
                total = sum(counts) or 1
                shares = [count / total for count in counts]
                axes.bar([low + shift * width for low in lows], shares, 0.45 * width, align="edge", label=label)
            axes.set_title(f"{name}: PSI {found.psi:.3f}, {found.verdict}", fontsize=9)
            axes.set_ylabel("share")
            axes.legend(fontsize=8)
            path = folder / f"{re.sub('[^A-Za-z0-9_.-]+', '-', name)}.svg"
            figure.savefig(path, metadata={"Date": None})
            drawn.append(path)
    return drawn
