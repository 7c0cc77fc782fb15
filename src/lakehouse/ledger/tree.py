"""Proofs over a Merkle tree of RFC 6962: that a leaf is in it, and that a later tree goes on from an earlier one.

What checks an inclusion stands in `verifier.py`, which has to stand alone.
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


def is_consistent(first: int, second: int, old: bytes, new: bytes, proof: list[bytes]) -> bool:
    """Tell whether a tree of `second` leaves goes on from one of `first` (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        return first == 0 and not proof
    if first == second:
        return not proof and old == new
    steps = [old, *proof] if first & (first - 1) == 0 else [*proof]
    if not steps:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            before, after = node_hash(step, before), node_hash(step, after)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            after = node_hash(after, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and before == old and after == new


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
