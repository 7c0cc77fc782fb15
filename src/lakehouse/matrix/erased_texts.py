"""People in texts that others wrote, messages, outputs of workflows, logs, objects: written over where they stand."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import Conflict, NotFound
from lakehouse.ledger.erasure import Gone, Purge, blot_logs
from lakehouse.ledger.pieces import Blotter

if TYPE_CHECKING:
    from lakehouse.lake.shipping import Shipping
    from lakehouse.lake.store import Store
    from lakehouse.observe.ops import Ops
    from lakehouse.observe.traces import Traces
    from lakehouse.state.database import Database

# The ledger would no longer verify, and of a person it holds the id alone; objects have etags and go their own way.
_LEFT_ALONE = ("ledger", "objects", "objects-incoming")
# A larger object is left as it is, and named in the receipt when something is found in it.
_LARGEST_OBJECT = 256 * 1024 * 1024
_SHIPPED = "logs in the bucket (values written over)"
_BINARY = (b"PAR1", b"\x1f\x8b", b"PK\x03\x04")


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that holds texts in which people may be named.

    Attributes:
        folder: Of the lake.
        state: Messages, runs and their outputs, pathways, evidence.
        engine: The file of the workflows' engine.
        ops, traces: What they hold in memory goes to their logs first.
        storage: Objects; null where they are on another machine.
        shipping: Logs in a bucket; null where there are none.
        logs: Further logs, which may lie outside of the folder; those put aside of them are found beside them.
    """

    folder: Path
    state: Database
    engine: Path
    ops: Ops
    traces: Traces
    storage: Store | None
    shipping: Shipping | None = None
    logs: tuple[Path, ...] = ()

    def purges(self) -> Mapping[str, Purge]:
        """Return what writes over, by place."""
        return {
            "messages and runs (values written over)": self.tables,
            "logs (values written over)": self.in_logs,
            "objects (values written over)": self.objects,
        }

    def local(self) -> Mapping[str, Purge]:
        """Return what writes over in this folder alone."""
        purges = {"runs (values written over)": self.in_engine, "logs (values written over)": self.in_logs}
        if self.shipping is not None:
            # After the logs themselves, so that nothing is put there again.
            purges[_SHIPPED] = self.in_newest_shipped
        return purges

    def shared(self) -> Mapping[str, Purge]:
        """Return what writes over where other replicas write as well."""
        return {} if self.shipping is None else {_SHIPPED: self.in_shipped}

    def tables(self, people: Sequence[Gone]) -> dict[str, int]:
        """Write over what tables hold."""
        from lakehouse.ledger._keys_stored import keys
        from lakehouse.ledger._stored import KEPT

        counting = _Counting(people)
        if counting.needed:
            self.state.rewrite(counting, skip=KEPT | {keys.name})
            self._rewrite_engine(counting)
        return counting.counts

    def in_engine(self, people: Sequence[Gone]) -> dict[str, int]:
        """Write over what the workflows' engine holds."""
        counting = _Counting(people)
        if counting.needed:
            self._rewrite_engine(counting)
        return counting.counts

    def _rewrite_engine(self, counting: _Counting) -> None:
        from lakehouse.state.rewriting import rewrite_file

        if self.engine.exists():
            rewrite_file(self.engine, counting)

    def in_logs(self, people: Sequence[Gone]) -> dict[str, int]:
        """Write over what logs hold: operations, spans, sessions, evidence, exports, services."""
        counting = _Counting(people)
        if counting.needed:
            self.ops.rewrite(counting)
            self.traces.flush()
        more = [path.absolute() for path in self.logs if path.name]
        aside = [file for path in more for file in sorted(path.parent.glob(f"{path.name}.[0-9]*"))]
        return blot_logs(self.folder, people, skip=_LEFT_ALONE, more=[*more, *aside])

    def in_shipped(self, people: Sequence[Gone]) -> dict[str, int]:
        """Write over what logs in the bucket hold, those of every replica."""
        counting = _Counting(people)
        if self.shipping is not None and counting.needed:
            self.shipping.rewrite(counting.bytes_of)
        return counting.counts

    def in_newest_shipped(self, people: Sequence[Gone]) -> dict[str, int]:
        """Write over what this replica may have put there when somebody else was already doing so."""
        counting = _Counting(people)
        if self.shipping is not None and counting.needed:
            self.shipping.rewrite_newest(counting.bytes_of)
        return counting.counts

    def objects(self, people: Sequence[Gone]) -> dict[str, int]:
        """Write over what objects hold whose texts lie there as they are; each is replaced whole."""
        counting = _Counting(people)
        if self.storage is None or not counting.needed:
            return {}
        for info in self.storage.list().objects:
            if info.size > _LARGEST_OBJECT:
                continue
            try:
                data = self.storage.get(info.key)
                changed = data if data.startswith(_BINARY) else counting.bytes_of(data)
                if changed != data:
                    self.storage.put_if(info.key, changed, etag=info.etag)
            except (Conflict, NotFound):
                # Somebody replaced or deleted it meanwhile; the probe looks at what is there now.
                continue
        return counting.counts


class _Counting:
    """A blotter that counts; may be called from any thread."""

    def __init__(self, people: Sequence[Gone]) -> None:
        self._blotter = Blotter(people)
        self._lock = threading.Lock()
        self.counts: dict[str, int] = {}

    @property
    def needed(self) -> bool:
        return not self._blotter.idle

    def __call__(self, texts: Sequence[str]) -> Sequence[str] | None:
        changed, found = self._blotter.blot(texts)
        if not found:
            return None
        self._count(found)
        return changed

    def bytes_of(self, data: bytes) -> bytes:
        changed, found = self._blotter.over(data)
        self._count(found)
        return changed

    def _count(self, found: Mapping[str, int]) -> None:
        with self._lock:
            for subject, count in found.items():
                self.counts[subject] = self.counts.get(subject, 0) + count
