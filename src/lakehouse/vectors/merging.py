"""Copying the items of one index into another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lakehouse.errors import InvalidInput
from lakehouse.vectors import items as checks
from lakehouse.vectors.base import Merged

if TYPE_CHECKING:
    from lakehouse.vectors.registry import AnyIndex

_AT_ONCE = 500


def merge(source: AnyIndex, target: AnyIndex, *, clear_source: bool) -> Merged:
    """Copy what the target lacks; see `Vectors.merge`."""
    _check(source, target)
    merged, skipped, cleared = 0, 0, 0
    ids = source.ids()
    for start in range(0, len(ids), _AT_ONCE):
        copied, present, dropped = _portion(source, target, ids[start : start + _AT_ONCE], clear=clear_source)
        merged, skipped, cleared = merged + copied, skipped + present, cleared + dropped
    return Merged(merged=merged, skipped=skipped, cleared=cleared)


def _check(source: AnyIndex, target: AnyIndex) -> None:
    here, there = source.manifest, target.manifest
    if source is target:
        raise InvalidInput(f"index {here.name!r} cannot be merged into itself", field="dest")
    if here.dimension != there.dimension:
        raise InvalidInput(
            f"index {here.name!r} has dimension {here.dimension}, {there.name!r} {there.dimension}; they cannot merge",
            field="dest",
        )
    if here.model and there.model and here.model != there.model:
        raise InvalidInput(
            f"index {here.name!r} holds vectors of {here.model}, {there.name!r} of {there.model}; they cannot merge",
            field="dest",
        )


def _portion(source: AnyIndex, target: AnyIndex, ids: Sequence[str], *, clear: bool) -> tuple[int, int, int]:
    """Copy some items; return how many were copied, were there already, and left the source."""
    found = [item for id in ids if (item := source.find(id)) is not None]
    if not found:
        return 0, 0, 0
    vectors = np.array([item.vector for item in found], dtype=np.float32)
    checks.check_vectors(vectors, target.manifest.distance, lambda row: f"the vector of {found[row].id!r}")
    metadata = [checks.encode_metadata(item.metadata, item.id) for item in found]
    present = target.put([item.id for item in found], vectors, metadata, keep=True)
    cleared = source.drop_unchanged(found) if clear else 0
    return len(found) - present, present, cleared
