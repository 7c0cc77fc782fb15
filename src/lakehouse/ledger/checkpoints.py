"""Signed checkpoints: a Merkle tree over where every chain stands, so that nothing can be taken away unseen.

`tree.jsonl` holds the leaves. A checkpoint adds one leaf for each subject whose chain has moved,
`{"count", "head", "subject"}`, and then one for the log as a whole, `{"bytes", "digest", "rows"}`, whose digest is the
SHA-256 of the digest before and all bytes since. `checkpoints.jsonl` holds the signed notes. Leaves that no checkpoint
signs are what a crash left; the next start cuts them off.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.decoding import ready
from lakehouse.errors import IntegrityError, LakehouseError, NotFound
from lakehouse.ledger import tree
from lakehouse.ledger.chains import Place
from lakehouse.ledger.rows import Head
from lakehouse.ledger.verifier import Range, leaf_hash
from lakehouse.state.log import Log, lines

if TYPE_CHECKING:
    from lakehouse.ledger.chains import Chains
    from lakehouse.ledger.keys import Keyring

TREE = "tree.jsonl"
HISTORY = "checkpoints.jsonl"
_TAIL = 64 * 1024

_log = logging.getLogger(__name__)


@ready
class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the history; its fields stand in the order of their names.

    Attributes:
        at: Bytes of the leaves' log that this checkpoint covers.
        note: The signed checkpoint.
        range: Hashes of the tree's whole subtrees, largest first.
        size: Leaves.
    """

    at: int
    note: str
    range: list[str]
    size: int


@ready
class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The leaf of the log as a whole."""

    bytes: int
    digest: str
    rows: int


@ready
class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """The leaf of a subject."""

    count: int
    head: str
    subject: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That a leaf is in the newest checkpoint's tree: base64 hashes, lowest first."""

    leaf: str
    index: int
    path: list[str]
    checkpoint: str


class Checkpoints:
    """The tree and its signed states. Thread-safe.

    Args:
        folder: Of the ledger.
        anchor: Puts a checkpoint in a second place: called with the tree's size and the note.

    Raises:
        IntegrityError: Leaves that were signed are missing.
    """

    def __init__(self, folder: Path, anchor: Callable[[int, str], None] | None = None) -> None:
        self._folder = folder
        self._anchor = anchor
        self._lock = threading.Lock()
        self._history = Log(folder / HISTORY, max_bytes=0)
        last = _last_line(folder / HISTORY)
        self.newest = msgspec.json.decode(last, type=Entry) if last else None
        self._at = self.newest.at if self.newest else 0
        _cut(folder / TREE, self._at)
        self._leaves = Log(folder / TREE, max_bytes=0)
        entry = self.newest
        self._tree = Range(entry.size, map(bytes.fromhex, entry.range)) if entry else Range()
        mark = _last_line(folder / TREE)
        self._mark = msgspec.json.decode(mark, type=Mark) if mark else Mark(bytes=0, digest=bytes(32).hex(), rows=0)

    @property
    def signed(self) -> Place:
        """The place of the log up to which the newest checkpoint speaks."""
        return Place(self._mark.rows, self._mark.bytes)

    def add(self, chains: Chains, ring: Keyring) -> Entry | None:
        """Sign where all chains stand now; None when none has moved since the last time.

        Durable when this returns. An anchor that cannot be reached is logged and tried again with the next checkpoint.
        """
        with self._lock:
            place, heads = chains.changed()
            if not heads:
                return None
            try:
                entry = self._add(chains, ring, place, heads)
            except BaseException:
                chains.put_back(list(heads))
                raise
        if self._anchor is not None:
            try:
                self._anchor(entry.size, entry.note)
            except LakehouseError as error:
                _log.warning("checkpoint of %d leaves could not be anchored: %s", entry.size, error.message)
        return entry

    def prove(self, subject: str) -> Proof:
        """Prove the newest signed leaf of a subject.

        Raises:
            NotFound: No checkpoint speaks of the subject yet.
        """
        with self._lock:
            entry = self.newest
        hashes: list[bytes] = []
        found, line = -1, b""
        for leaf in self._signed_leaves(entry):
            if b'"subject":' in leaf and msgspec.json.decode(leaf, type=Leaf).subject == subject:
                found, line = len(hashes), leaf
            hashes.append(leaf_hash(leaf))
        if entry is None or found < 0:
            raise NotFound(
                f"no checkpoint speaks of {subject!r} yet; `lakehouse audit checkpoint` makes one", id=subject
            )
        path = [base64.b64encode(step).decode() for step in tree.inclusion(hashes, found)]
        return Proof(leaf=line.decode(), index=found, path=path, checkpoint=entry.note)

    def consistency(self, first: int) -> list[bytes]:
        """Prove that the newest tree goes on from an earlier one of `first` leaves."""
        return tree.consistency([leaf_hash(leaf) for leaf in self._signed_leaves(self.newest)], first)

    def close(self) -> None:
        """Close the files; idempotent."""
        self._leaves.close()
        self._history.close()

    def _signed_leaves(self, entry: Entry | None) -> Iterator[bytes]:
        for number, (_, _, line) in enumerate(lines(self._folder / TREE)):
            if entry is None or number >= entry.size:
                return
            yield line

    def _add(self, chains: Chains, ring: Keyring, place: Place, heads: dict[str, Head]) -> Entry:
        digest = chains.digest(bytes.fromhex(self._mark.digest), self._mark.bytes, place.size)
        mark = Mark(bytes=place.size, digest=digest.hex(), rows=place.rows)
        leaves = [
            _encode(Leaf(count=head.count, head=head.head.hex(), subject=subject)) for subject, head in heads.items()
        ]
        leaves.append(_encode(mark))
        grown = Range(self._tree.size, self._tree.hashes)
        for leaf in leaves:
            grown.append(leaf_hash(leaf))
        # What an attempt left that failed after the leaves and before the signature.
        _cut(self._folder / TREE, self._at)
        self._leaves.write(leaves)
        at = self._at + sum(map(len, leaves)) + len(leaves)
        root = base64.b64encode(grown.root()).decode()
        note = ring.sign(f"{ring.origin}\n{grown.size}\n{root}\n")
        entry = Entry(at=at, note=note, range=[each.hex() for each in grown.hashes], size=grown.size)
        self._history.write([_encode(entry)])
        self._tree, self._at, self._mark, self.newest = grown, at, mark, entry
        return entry


_encode = msgspec.json.Encoder().encode


def _cut(path: Path, size: int) -> None:
    """Cut off the leaves that no checkpoint signs."""
    there = path.stat().st_size if path.exists() else 0
    if there < size:
        raise IntegrityError(
            f"{path} has {there} bytes, but {size} were signed: the ledger was cut off; restore it from a backup",
            path=str(path),
        )
    if there > size:
        os.truncate(path, size)


def _last_line(path: Path) -> bytes:
    """Return the last line of a file that ends in a line break, or is empty or absent."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return b""
    with path.open("rb") as handle:
        for span in (_TAIL, size):
            handle.seek(max(0, size - span))
            found = handle.read().rstrip(b"\n").rpartition(b"\n")
            if found[1] or span >= size:
                return found[2]
    return b""
