"""Figures of reports: the same report gives the same bytes, as PNG and as SVG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMATS = ("png", "svg")


def write(out: Path, name: str, size: tuple[float, float], draw: Callable[[Figure], None]) -> list[Path]:
    """Write a figure into a folder, once for each format, and return the paths.

    Args:
        out: The folder; made where it is not there.
        name: Of the files, without what follows the dot.
        size: Width and height in inches.
        draw: Fills the figure.
    """
    # On the object interface: no window system is looked for. The salt makes the ids inside an SVG the same each time.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "lakehouse", "svg.fonttype": "none"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        paths = [out / f"{name}.{kind}" for kind in _FORMATS]
        for path in paths:
            figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths
