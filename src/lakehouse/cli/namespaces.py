"""How much a namespace remembers, and a warning when that is nothing: its name may be a slip of the pen."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING

from lakehouse.cli import showing
from lakehouse.errors import LakehouseError
from lakehouse.state.names import MEMORY_INDEX

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse

_NAMED = 3
_ALIKE = 0.7


def holds(lake: Lakehouse, namespace: str) -> bool:
    """Tell whether a namespace has entries of its own."""
    newest = lake.playbooks.list(namespace, limit=1).entries
    # What is shared with it is listed as well, and may be newer than all of its own.
    return bool(newest) and (newest[0].namespace == namespace or own(lake, namespace) > 0)


def own(lake: Lakehouse, namespace: str) -> int:
    """Count the entries of a namespace, without those shared with it; costs a list of all of them."""
    return sum(entry.namespace == namespace for entry in lake.playbooks.list(namespace).entries)


def warn_empty(lake: Lakehouse, namespace: str) -> None:
    """Say on standard error that a namespace has no entries of its own, and which with a name like it have some."""
    near = difflib.get_close_matches(namespace, _that_hold(lake), _NAMED, _ALIKE)
    hint = f"; of a name like it there are: {', '.join(near)}" if near else ""
    print(showing.cell(f"warning: the memory of {namespace} has no entries of its own{hint}"), file=sys.stderr)


def warn_of_client(namespace: str, client: str, like: list[str]) -> None:
    """Say on standard error that a namespace remembers nothing of a client, and of whom of a name like it."""
    hint = f"; of a name like it there are: {', '.join(like)}" if like else ""
    said = f"warning: nothing of the client {client} is in the memory of {namespace}{hint}"
    print(showing.cell(said), file=sys.stderr)


def _that_hold(lake: Lakehouse) -> list[str]:
    """Return the namespaces that have entries, by the indexes that are made of them; no operation lists namespaces."""
    try:
        indexes = lake.vectors.list().indexes
    except LakehouseError:
        # Whoever may use their own memory alone may not see these: the warning does without.
        return []
    return [
        each.name.removeprefix(MEMORY_INDEX) for each in indexes if each.name.startswith(MEMORY_INDEX) and each.items
    ]
