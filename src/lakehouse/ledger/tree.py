"""Proofs over a Merkle tree of RFC 6962: that a leaf is in it, and that a later tree goes on from an earlier one.

What checks them stands in `verifier.py`, which has to stand alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.ledger.verifier import Range, node_hash


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over hashes of leaves."""
    tree = Range()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of one leaf, lowest first (RFC 6962, 2.1.1)."""
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(root(leaves[middle:high]))
            high = middle
        else:
            path.append(root(leaves[low:middle]))
            low = middle
    return path[::-1]


def consistency(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Return the proof that these leaves go on from the first `first` of them (RFC 6962, 2.1.2)."""
    if not 0 < first < len(leaves):
        return []
    return _subproof(leaves, first, whole=True)


def _subproof(leaves: Sequence[bytes], first: int, *, whole: bool) -> list[bytes]:
    size = len(leaves)
    if first == size:
        return [] if whole else [root(leaves)]
    middle = _split(size)
    if first <= middle:
        return [*_subproof(leaves[:middle], first, whole=whole), root(leaves[middle:])]
    return [*_subproof(leaves[middle:], first - middle, whole=False), root(leaves[:middle])]


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


__all__ = ["Range", "consistency", "inclusion", "node_hash", "root"]
