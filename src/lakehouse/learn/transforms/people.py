"""Whom an artifact names."""

from __future__ import annotations

from typing import Any


def workers_of(artifact: Any) -> tuple[str, ...]:
    """Return the ids of the workers of a fill, in order; empty for anything else."""
    workers = artifact.get("workers") if isinstance(artifact, dict) else None
    if not isinstance(workers, list):
        return ()
    return tuple(str(each["id"]) for each in workers if isinstance(each, dict) and each.get("id"))
