"""Progress bars with a time estimate, on a terminal only; in a pipe long work is silent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakehouse.progress import listening, report

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def bars(what: str = "") -> Iterator[None]:
    """Draw what the work of the block reports, one bar a stage, on standard error.

    Args:
        what: Put before the name of each stage ("workers: embedding").
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("  {task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    ) as drawn:
        stages = _Stages(drawn, what)
        with listening(stages):
            yield


def told(stage: str) -> Callable[[int, int], None]:
    """Return a progress callback that reports its counts as a stage."""
    return lambda done, total: report(stage, done, total)


class _Stages:
    """Turns reports into bars; called in the thread that works."""

    def __init__(self, drawn: Progress, what: str) -> None:
        self._drawn = drawn
        self._what = what
        self._bars: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._bars:
            title = f"{self._what}: {stage}" if self._what else stage
            self._bars[stage] = self._drawn.add_task(f"{title:<28}", total=None)
        # A total of 0 is one that is not known yet.
        self._drawn.update(self._bars[stage], completed=done, total=total or None)
