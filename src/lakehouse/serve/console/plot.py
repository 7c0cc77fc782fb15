"""Small charts as SVG: bars for labelled numbers, a line for numbers along a number or a day.

Everything is worked out here, so that a page needs no script and no inline style: positions are attributes, colours
are classes of the stylesheet.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

import msgspec

MOST_BARS = 40
WIDTH = 640
_ROW = 26
_LABEL = 190
_VALUE = 90
_HEIGHT = 260
_LEFT = 64
_BELOW = 34
_TICKS = 5
_LONGEST_LABEL = 26


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One bar. `x` and `width` leave room for negative values; `y` is its top."""

    label: str
    value: str
    x: float
    y: float
    width: float


class Tick(msgspec.Struct, frozen=True):
    """A mark of an axis, at pixels from the left or the top."""

    at: float
    label: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart to be drawn.

    Attributes:
        kind: What to draw.
        title: What is told against what, for those who do not see it.
        points: Of a line, as SVG wants them.
        left_out: Rows that found no room.
    """

    kind: Literal["bars", "line"]
    title: str
    width: int
    height: int
    bars: list[Bar] = msgspec.field(default_factory=list)
    points: str = ""
    across: list[Tick] = msgspec.field(default_factory=list)
    upward: list[Tick] = msgspec.field(default_factory=list)
    left_out: int = 0


def chart(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Chart | None:
    """Draw a result when it has the shape of a chart: a first column to tell rows apart and a column of numbers.

    Args:
        columns: Names.
        rows: JSON values in the order of the columns.

    Returns:
        A line when the first column is numbers or days in rising order with at least three rows, else bars of the
        first 40 rows; None when no column beside the first is all numbers.
    """
    if len(rows) < 2 or len(columns) < 2:
        return None
    numeric = next((at for at in range(1, len(columns)) if all(_is_number(row[at], null=True) for row in rows)), None)
    if numeric is None or all(row[numeric] is None for row in rows):
        return None
    pairs = [(row[0], float(row[numeric])) for row in rows if row[numeric] is not None]
    title = f"{columns[numeric]} by {columns[0]}"
    steps = [_position(first) for first, _ in pairs]
    if len(pairs) >= 3 and all(step is not None for step in steps):
        found = [step for step in steps if step is not None]
        if all(a < b for a, b in itertools.pairwise(found)):
            return _line(title, pairs, found)
    return _bars(title, pairs)


def share_bars(title: str, pairs: Sequence[tuple[str, float]]) -> Chart:
    """Draw shares from 0 to 1 as bars on one scale."""
    return _bars(title, pairs, most=1.0)


def _bars(title: str, pairs: Sequence[tuple[Any, float]], most: float | None = None) -> Chart:
    shown = pairs[:MOST_BARS]
    low = min(0.0, *(value for _, value in shown))
    high = most if most is not None else max(0.0, *(value for _, value in shown))
    room = WIDTH - _LABEL - _VALUE
    scale = room / ((high - low) or 1)
    zero = _LABEL - low * scale
    bars = [
        Bar(
            label=_short(label),
            value=_figure(value),
            x=round(min(zero, zero + value * scale), 1),
            y=float(at * _ROW + 4),
            width=round(max(abs(value) * scale, 1), 1),
        )
        for at, (label, value) in enumerate(shown)
    ]
    height = len(shown) * _ROW + 4
    return Chart(kind="bars", title=title, width=WIDTH, height=height, bars=bars, left_out=len(pairs) - len(shown))


def _line(title: str, pairs: Sequence[tuple[Any, float]], steps: Sequence[float]) -> Chart:
    values = [value for _, value in pairs]
    marks = _marks(min(0.0, *values), max(values))
    low, high = marks[0], marks[-1]
    right, bottom = WIDTH - 16, _HEIGHT - _BELOW
    first, last = steps[0], steps[-1]

    def x(step: float) -> float:
        return round(_LEFT + (step - first) / (last - first) * (right - _LEFT), 1)

    def y(value: float) -> float:
        return round(bottom - (value - low) / ((high - low) or 1) * (bottom - 12), 1)

    points = " ".join(f"{x(step)},{y(value)}" for step, value in zip(steps, values, strict=True))
    every = max(1, math.ceil(len(pairs) / _TICKS))
    across = [Tick(x(steps[at]), _short(pairs[at][0])) for at in range(0, len(pairs), every)]
    upward = [Tick(y(mark), _figure(mark)) for mark in marks]
    return Chart(kind="line", title=title, width=WIDTH, height=_HEIGHT, points=points, across=across, upward=upward)


def _marks(low: float, high: float) -> list[float]:
    """Return round numbers from at most `low` to at least `high`."""
    span = (high - low) or 1.0
    step = 10 ** math.floor(math.log10(span / (_TICKS - 1)))
    step = next(step * by for by in (1, 2, 5, 10) if span / (step * by) <= _TICKS)
    first = math.floor(low / step)
    count = max(1, math.ceil(high / step) - first)
    return [round((first + at) * step, 12) for at in range(count + 1)]


def _position(value: Any) -> float | None:
    """Return where a value stands on a line of numbers or days, None when it is neither."""
    if _is_number(value):
        return float(value)
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return when.timestamp() if when.tzinfo else (when - datetime(1970, 1, 1)).total_seconds()  # noqa: DTZ001


def _is_number(value: Any, *, null: bool = False) -> bool:
    if value is None:
        return null
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"


def _short(label: Any) -> str:
    if isinstance(label, date):
        return label.isoformat()
    text = "none" if label is None else " ".join(str(label).split())
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
