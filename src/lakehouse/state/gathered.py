"""A log of one process whose rows are written by the commit that makes them safe: those of many callers in one call."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from lakehouse.errors import LakehouseError
from lakehouse.state.log import Log

_log = logging.getLogger(__name__)


class GatheredLog:
    """A `Log` that takes rows in memory first. Thread-safe.

    Readers see rows once they are safe. A process that dies loses those that were not, as a power cut would.

    Args:
        log: Where they go; closed with this.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from lakehouse.state.log import lines
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     log = GatheredLog(Log(Path(scratch) / "rows.jsonl"))
    ...     first, second = log.append([b'{"n":1}']), log.append([b'{"n":2}'])
    ...     print(len([*lines(log.path)]))
    ...     log.commit(first)
    ...     print([line for _, _, line in lines(log.path)])
    ...     log.close()
    0
    [b'{"n":1}', b'{"n":2}']
    """

    def __init__(self, log: Log) -> None:
        self.path = log.path
        self._log = log
        self._taking = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[bytes] = []
        self._taken = 0
        self._safe = 0
        self._refused = False

    def append(self, rows: Sequence[bytes]) -> int:
        """Take rows, in order, not yet safe nor seen by readers.

        Args:
            rows: One JSON object each, without a line break inside.

        Returns:
            The position to `commit`.

        Raises:
            PermissionDenied, Unavailable: The disk refused earlier rows and still does; these were not taken.
        """
        if self._refused:
            self.commit(self._taken)
        with self._taking:
            self._waiting += rows
            self._taken += len(rows)
            return self._taken

    def commit(self, position: int) -> None:
        """Return when everything up to `position` survives a power cut; those who wait together share one write.

        Raises:
            PermissionDenied, Unavailable: The disk refused. The rows wait for the next who appends or commits.
        """
        with self._writing:
            if self._safe >= position:
                return
            with self._taking:
                rows, self._waiting = self._waiting, []
                taken = self._taken
            try:
                self._log.write(rows)
            except LakehouseError:
                with self._taking:
                    self._waiting[:0] = rows
                self._refused = True
                raise
            self._safe, self._refused = taken, False

    def close(self) -> None:
        """Write what waits and close the log; idempotent. What the disk refuses then was never acknowledged."""
        try:
            self.commit(self._taken)
        except LakehouseError as error:
            _log.warning("%d rows that nobody was told of are lost: %s", len(self._waiting), error.message)
        self._log.close()
