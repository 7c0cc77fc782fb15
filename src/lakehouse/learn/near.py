"""Near duplicates of texts by MinHash, and overlaps by word runs; both the same in every run and on every machine."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

NGRAM = 13
_SHINGLE = 5
_PERMUTATIONS = 128
_BANDS = 32
_ROWS = _PERMUTATIONS // _BANDS
_PRIME = (1 << 31) - 1
_WORD = re.compile(r"[\w']+")


def words(text: str) -> list[str]:
    """Return the words of a text, without case and punctuation."""
    return _WORD.findall(text.casefold())


def ngrams(text: str, size: int = NGRAM) -> set[str]:
    """Return the runs of so many words; of a shorter text the text itself, so that nothing short slips through."""
    found = words(text)
    if len(found) <= size:
        return {" ".join(found)} if found else set()
    return {" ".join(found[at : at + size]) for at in range(len(found) - size + 1)}


class Duplicates:
    """Remembers texts and tells which one a new text nearly repeats.

    Texts that share most of their runs of five letters are found by banded MinHash signatures of 128 values and
    confirmed by the share itself (Jaccard), so that no two texts are taken for the same by a chance of hashing.

    Args:
        threshold: Least share of runs, of all that either has, that makes a duplicate.

    >>> seen = Duplicates(0.8)
    >>> seen.add("a", "Need 3 forklift operators in Detroit"), seen.add("b", "need 3 forklift operators in Detroit!")
    ('', 'a')
    """

    def __init__(self, threshold: float) -> None:
        import numpy as np

        self._threshold = threshold
        drawn = np.random.default_rng(0)
        self._scale = drawn.integers(1, _PRIME, _PERMUTATIONS, dtype=np.uint64)[:, None]
        self._shift = drawn.integers(0, _PRIME, _PERMUTATIONS, dtype=np.uint64)[:, None]
        self._bands: dict[tuple[int, bytes], list[int]] = defaultdict(list)
        self._kept: list[tuple[str, np.ndarray]] = []

    def add(self, name: str, text: str) -> str:
        """Keep a text under a name, unless it nearly repeats one; returns that one's name, empty when it was kept."""
        import numpy as np

        runs = _runs(text)
        signature = ((runs[None, :] * self._scale + self._shift) % np.uint64(_PRIME)).min(axis=1)
        bands = [(nth, signature[nth * _ROWS : (nth + 1) * _ROWS].tobytes()) for nth in range(_BANDS)]
        for at in sorted({at for band in bands for at in self._bands.get(band, ())}):
            before, others = self._kept[at]
            shared = np.intersect1d(runs, others, assume_unique=True).size
            if shared >= self._threshold * (runs.size + others.size - shared):
                return before
        for band in bands:
            self._bands[band].append(len(self._kept))
        self._kept.append((name, runs))
        return ""


def _runs(text: str) -> np.ndarray:
    import numpy as np

    plain = " ".join(words(text))
    pieces = {plain[at : at + _SHINGLE] for at in range(max(1, len(plain) - _SHINGLE + 1))}
    # 31 bits, so that a product with a scale fits into 64.
    hashed = [
        int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=4).digest(), "big") % _PRIME for piece in pieces
    ]
    return np.unique(np.array(hashed, dtype=np.uint64))


def joined(groups: Iterable[Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield each name with the least name of those it hangs together with, over all groups that share a name."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for group in groups:
        for name in group:
            one, two = sorted((find(group[0]), find(name)))
            root[two] = one
    for name in list(root):
        yield name, find(name)
