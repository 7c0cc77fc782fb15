"""The ledger of a lake: rows of who saw or used whose data, and signed checkpoints over them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lakehouse import caller, settings, tracing
from lakehouse.errors import LakehouseError, Unavailable
from lakehouse.ledger.rows import Accessor, Event, Head, Prepared
from lakehouse.state.quiet import Gate

if TYPE_CHECKING:
    from lakehouse.ledger.anchors import Bucket
    from lakehouse.ledger.chains import Chains
    from lakehouse.ledger.checkpoints import Checkpoints, Entry, Proof
    from lakehouse.ledger.keys import Keyring

FOLDER = "ledger"
KEYS = "keys"
KEY_CHAIN = "lakehouse:keys"

_log = logging.getLogger(__name__)
_waiting: ContextVar[list[int] | None] = ContextVar("lakehouse_ledger_waiting", default=None)


class deferred:  # noqa: N801 - opened like a function: `with deferred() as positions`
    """Collect positions that are still to be committed, instead of waiting for the disk inside the block.

    Whoever opens the block must not let an answer out before `Ledger.commit` returned for the last of them.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> list[int]:
        positions: list[int] = []
        self._token = _waiting.set(positions)
        return positions

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _waiting.reset(self._token)


class Ledger:
    """Who saw and used whose data. Thread-safe.

    Nothing is opened, and no key is made, before the first row is written or read.

    Args:
        config: Section `[ledger]`.
        folder: The lake; the ledger is kept in `ledger/` below it.
        clock: Time of the rows.
        bucket: Opens a bucket below a prefix, for an anchor in S3.

    >>> import tempfile
    >>> ledger = Ledger(settings.Ledger(), Path(tempfile.mkdtemp()))
    >>> event = Event(subject="w-1", action="view", purpose="staffing", fields=("name",), result="shown")
    >>> ledger.record([event, event])
    >>> ledger.head("w-1").count
    2
    >>> ledger.close()
    """

    def __init__(
        self,
        config: settings.Ledger,
        folder: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        bucket: Callable[[str, str], Bucket] | None = None,
    ) -> None:
        self.folder = folder / FOLDER
        self.keys = folder_of_keys(config, folder)
        self._config = config
        self._gate = Gate(folder)
        self._clock = clock
        self._bucket = bucket
        self._opening = threading.RLock()
        self._opened: tuple[Chains, Checkpoints] | None = None
        self._closed = threading.Event()
        self._timer: threading.Thread | None = None

    @property
    def enabled(self) -> bool:
        """Whether rows are written."""
        return self._config.enabled

    def record(self, events: Sequence[Event] | Prepared) -> None:
        """Write a row for each event on behalf of the caller at hand; they are safe when this returns.

        Inside `deferred` they are not safe yet, and the position to commit is handed to the block instead.

        Raises:
            IntegrityError, NotFound: The ledger on disk is damaged, cut off, or without its keys.
            PermissionDenied, Unavailable: The disk refused. Nothing was written.
        """
        if not self.enabled or not (events.runs if isinstance(events, Prepared) else events):
            return
        who = caller.current()
        accessor = Accessor(who.kind, who.id, tracing.current())
        position = self._chains.append(events, accessor, self._clock())
        waiting = _waiting.get()
        if waiting is None:
            self.commit(position)
        else:
            waiting.append(position)

    def commit(self, position: int) -> None:
        """Return when everything up to `position` survives a power cut; those who wait together share one sync."""
        self._chains.commit(position)

    def head(self, subject: str) -> Head | None:
        """Return where a subject's chain stands, None when it has no rows."""
        return self._chains.head(subject) if self._exists() else None

    def lines(self, subject: str) -> Iterator[bytes]:
        """Yield a subject's chain, one line a row, byte for byte."""
        return self._chains.lines(subject) if self._exists() else iter(())

    @property
    def ring(self) -> Keyring:
        """The keys in use."""
        return self._chains.ring

    def checkpoint(self) -> Entry | None:
        """Sign where all chains stand; None when nothing has changed since the last time."""
        if not self._exists():
            return None
        # A backup copies files at a moment of quiet: rows may come after it, but no signature over them.
        with self._gate.passing(), self._opening:
            chains, checkpoints = self._open()
            made = checkpoints.add(chains, chains.ring)
            chains.snapshot()
            return made

    def prove(self, subject: str) -> Proof:
        """Prove that the newest checkpoint speaks of a subject.

        Raises:
            NotFound: It does not.
        """
        return self._open()[1].prove(subject)

    def rotate(self) -> str:
        """Make a new key that writes from now on, log that, and return its id; older keys only verify."""
        from lakehouse.ledger import keys

        with self._opening:
            chains = self._chains
            ring = keys.rotate(chains.ring)
            before = chains.ring.active
            chains.use(ring)
        event = Event(
            subject=KEY_CHAIN, action="rotate", purpose="keys", fields=(), result=f"{before} to {ring.active}"
        )
        self.record([event])
        return ring.active

    def close(self) -> None:
        """Sign what is new and close; idempotent."""
        self._closed.set()
        if self._timer is not None:
            self._timer.join()
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is None:
            return
        chains, checkpoints = opened
        try:
            with self._gate.passing():
                checkpoints.add(chains, chains.ring)
                chains.snapshot()
        except LakehouseError as error:
            # Rows are safe without it; the next start signs them.
            _log.warning("no checkpoint was made at the end: %s", error.message)
        chains.close()
        checkpoints.close()

    def _exists(self) -> bool:
        from lakehouse.ledger.chains import LOG

        return self._opened is not None or (self.folder / LOG).exists()

    @property
    def _chains(self) -> Chains:
        opened = self._opened
        return (opened or self._open())[0]

    def _open(self) -> tuple[Chains, Checkpoints]:
        from lakehouse.ledger import anchors, keys
        from lakehouse.ledger.chains import LOG, Chains
        from lakehouse.ledger.checkpoints import Checkpoints

        with self._opening:
            if self._opened is not None:
                return self._opened
            if self._closed.is_set():
                raise Unavailable("the ledger is closed")
            has_rows = (self.folder / LOG).exists()
            ring = keys.open_keys(self.keys, make=not has_rows)
            anchor = anchors.anchor(self._config.anchor, ring.vkey, self._bucket or anchors.no_bucket)
            checkpoints = Checkpoints(self.folder, anchor)
            self._opened = Chains(self.folder, ring, checkpoints.signed), checkpoints
            if self._config.checkpoint_every_s > 0:
                self._timer = threading.Thread(target=self._sign_now_and_then, name="ledger", daemon=True)
                self._timer.start()
            return self._opened

    def _sign_now_and_then(self) -> None:
        while not self._closed.wait(self._config.checkpoint_every_s):
            try:
                self.checkpoint()
            except LakehouseError as error:
                _log.warning("no checkpoint was made: %s", error.message)


def folder_of_keys(config: settings.Ledger, folder: Path) -> Path:
    """Return where the keys of a lake's ledger are."""
    return Path(config.keys).expanduser() if config.keys else folder / FOLDER / KEYS
