"""Open demands as one service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lakehouse.demands.asking import Asking
from lakehouse.demands.desk import Desk
from lakehouse.demands.filling import Filling
from lakehouse.demands.shelf import Shelf

if TYPE_CHECKING:
    from lakehouse.matrix.base import SearchAnswer
    from lakehouse.memory.playbooks import Playbooks


class Demands(Shelf, Filling, Asking):
    """Keeps demands until they are closed: fields, owner, people at their stages, notes. Thread-safe.

    Who is filled is told by the accepted fills of the validators, what is remembered by memory; neither is written down
    here a second time.

    Args:
        desk: The rows and what stands around them.
        playbooks: Memory, which learns what came of people.
        search: `matrix.search` with its arguments by name, watched as everybody's.
        corpora: Names of all corpora.

    >>> import lakehouse, tempfile
    >>> with lakehouse.connect(tempfile.mkdtemp() + "/lake") as lake:
    ...     made = lake.demands.open("Need 3 Welders in Detroit MI for Beacon Freight", owner="mia")
    ...     lake.demands.get(made.created[0]).demand.client
    'Beacon Freight'
    """

    def __init__(
        self,
        desk: Desk,
        playbooks: Playbooks,
        *,
        search: Callable[..., SearchAnswer],
        corpora: Callable[[], Sequence[str]],
    ) -> None:
        Shelf.__init__(self, desk)
        Filling.__init__(self, desk, playbooks)
        Asking.__init__(self, desk, search=search, corpora=corpora)
