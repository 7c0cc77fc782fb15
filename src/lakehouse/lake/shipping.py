"""Logs as objects: what this lake appends goes into a bucket as well, what others have put there is read in place.

A log's files become objects `ID/NAME/FILE-OFFSET.jsonl`: whole rows from that offset on, of the file that is or will be
sealed under that number. An object is full when no further row fits; the last one of a log grows until then, exchanged
by its etag. So the bucket itself says how far a log is there, and nothing has to be remembered: whoever is killed at
any point looks what lies last and goes on behind it.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import AlreadyExists, Conflict, InvalidInput, LakehouseError, NotFound, NotInstalled, Unavailable
from lakehouse.lake.store import ObjectInfo, Store, bucket
from lakehouse.state.folder import LOGS_FILE, atomic_write
from lakehouse.state.log import numbers, stretch

if TYPE_CHECKING:
    from lakehouse.settings import Storage

OBJECT_BYTES = 4 * 1024 * 1024
_S3 = "s3://"
_KEY = re.compile(r"([0-9a-f]+)/(\w+)/([0-9]{6})-([0-9]{12})\.jsonl")
_TRIES = 8
_COMPLAIN_EVERY_S = 60.0
# While the bucket is out of reach, the wait doubles so many times, and to no more than this.
_DOUBLINGS = 10
_SLOWEST_S = 60.0
# How long a clean stop may take over the rest, and is waited for at all.
_LAST_S = 5.0
_CLOSING_S = 10.0
# How long the first statement waits until it is known what others have put there.
_FIRST_S = 2.0

_log = logging.getLogger(__name__)


class Rows(msgspec.Struct, frozen=True):
    """What another lake has in the bucket of one log.

    Attributes:
        replica: Its id.
        files: Addresses of the objects, oldest rows first.
    """

    replica: str
    files: tuple[str, ...]


class Beyond(msgspec.Struct, frozen=True):
    """What is read of logs beside the files in the folder.

    Attributes:
        own: Id of this lake.
        storage: How to reach the bucket.
        tables: What others have of each log, by its name; null while that is not known.
        erasures: Changes whenever objects were written over, so that nothing is given that was read before.
    """

    own: str
    storage: Storage
    tables: dict[str, tuple[Rows, ...] | None]
    erasures: int


class _Place(msgspec.Struct, frozen=True):
    """The last object of a log: where it begins, and as what it lies in the bucket, if it does."""

    number: int = 1
    start: int = 0
    size: int = 0
    etag: str | None = None


class Shipping:
    """Puts the logs of this lake into a bucket, in the background. Thread-safe; nobody waits for it or fails by it.

    Args:
        storage: The settings section; `logs` names the place.
        logs: Path of each log by the name it has in SQL.
        own: Id of this lake among those that share the place.
        held: Tells before each write whether it must wait, as when somebody has still to be erased from the folder.
        object_bytes: Size of a full object.

    Raises:
        InvalidInput: `storage.logs` is no address, lies among the objects, or is looked at every 0 seconds.
        NotInstalled: The engine's extension for buckets is missing.

    >>> from lakehouse.settings import Storage
    >>> shipping = Shipping(Storage(logs="s3://staffing-logs/prod"), {"ops": Path("lake/logs/ops.jsonl")}, "5ae1c0")
    >>> shipping.close()
    """

    def __init__(
        self,
        storage: Storage,
        logs: Mapping[str, Path],
        own: str,
        *,
        held: Callable[[], bool] = lambda: False,
        object_bytes: int = OBJECT_BYTES,
    ) -> None:
        name, prefix = _place(storage)
        self.own = own
        self._where = storage.logs.rstrip("/")
        self._storage = msgspec.structs.replace(storage, backend="s3", bucket=name, prefix="")
        self._store: Store = bucket(storage, name, prefix)
        self._logs = dict(logs)
        self._ready: Callable[[], None] = lambda: None
        self._held = held
        self._most = object_bytes
        self._every_s = storage.logs_every_s
        # Held over each write, so that what is written over in the folder first and in the bucket then stays so.
        self._writing = threading.Lock()
        self._last: dict[str, _Place] = {}
        self._erasures = 0
        self._others: dict[str, tuple[Rows, ...]] | None = None
        self._looking = threading.Lock()
        self._looked = threading.Event()
        self._look_at = float("-inf")
        self._stop = threading.Event()
        self._until = float("inf")
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._complained = float("-inf")

    def start(self, ready: Callable[[], None]) -> None:
        """Begin to put new rows into the bucket and to look for those of others; returns at once.

        Args:
            ready: Called before each look for new rows; what it raises puts that off.
        """
        self._ready = ready
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log-shipping", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Put the last rows there, if the bucket answers, and end; idempotent.

        The logs must be closed. What is not there in time is put there after the next start.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_CLOSING_S)
            self._thread = None

    def ship(self) -> bool:
        """Look what others have, put there what the logs have by now, and tell whether the bucket let it be done."""
        try:
            # First, as the rest may take long.
            self._look()
            if not self._stop.is_set():
                self._ready()
            for name in self._logs:
                self._ship(name)
            fine = True
        except Exception as error:  # noqa: BLE001 - whatever happens here must reach nobody
            self._complain(error)
            fine = False
        self._failures = 0 if fine else self._failures + 1
        return fine

    def beyond(self) -> Beyond:
        """Return what others have in the bucket, as it was last looked for."""
        if self._thread is None:
            self._look_again()
        elif not self._looked.is_set():
            self._looked.wait(_FIRST_S)
        others = self._others
        tables = {name: None if others is None else others.get(name, ()) for name in self._logs}
        return Beyond(self.own, self._storage, tables, self._erasures)

    def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Offer every object of every lake to `change`, which gives as many bytes back.

        Raises:
            PermissionDenied, Unavailable: The bucket is out of reach; those before it are changed.
        """
        with self._writing:
            for info in self._objects():
                self._rewrite(info.key, change)
            self._last.clear()
            self._erasures += 1
        self._look()

    def rewrite_newest(self, change: Callable[[bytes], bytes]) -> None:
        """Offer the last object of each log of this lake to `change`.

        Whoever is to be erased is told to each lake before the objects are gone through, and a lake that was told puts
        nothing more there. What was under way just then is in the last object.

        Raises:
            PermissionDenied, Unavailable: As `rewrite`.
        """
        with self._writing:
            for name in self._logs:
                for info in self._objects(f"{self.own}/{name}/")[-1:]:
                    self._rewrite(info.key, change)
            self._last.clear()
            self._erasures += 1

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Yield the address and the bytes of every object.

        Raises:
            PermissionDenied, Unavailable: As `rewrite`.
        """
        for info in self._objects():
            try:
                yield f"{self._where}/{info.key}", self._store.get(info.key)
            except NotFound:
                continue

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            self.ship()
            wait_s = max(self._every_s, min(self._every_s * 2 ** min(self._failures, _DOUBLINGS), _SLOWEST_S))
        if not self._failures:
            # Where it has not answered of late, nobody waits for it.
            self._until = time.monotonic() + _LAST_S
            self.ship()

    def _ship(self, name: str) -> None:
        """Put one log there as far as it goes; what is in its own way is told and does not stop the others."""
        for _ in range(_TRIES):
            try:
                while time.monotonic() < self._until and self._advance(name):
                    pass
            except _Further as error:
                self._complain(error)
                return
            except (AlreadyExists, Conflict, NotFound):
                # Written over by an erasure, or by an answer to an earlier try that never came.
                self._last.pop(name, None)
            except BaseException:
                self._last.pop(name, None)
                raise
            else:
                return

    def _advance(self, name: str) -> bool:
        """Bring the last object of a log up to its file, or go on to the next; returns whether there may be more."""
        with self._writing:
            at = self._last.get(name) or self._last_of(name)
            found = stretch(self._logs[name], at.number, at.start, self._most)
            rows = found.rows if found else b""
            if len(rows) < at.size:
                raise _Further(
                    f"log {name!r} reaches further in {self._where}/{self.own} than in its file {at.number}: it was cut"
                    " or removed; move these objects away and all of it is put there anew"
                )
            if found is None:
                # Old files may have been removed from the folder.
                later = [number for number in numbers(self._logs[name]) if number > at.number]
                if later:
                    self._last[name] = _Place(later[0])
                return bool(later)
            if len(rows) > at.size:
                # Asked with the rows in hand: nothing is put there that was read before somebody was erased.
                if self._held():
                    return False
                self._last[name] = self._put(name, at, rows)
                return True
            if not found.last:
                self._last[name] = _Place(at.number, at.start + at.size)
                return True
            if found.sealed:
                self._last[name] = _Place(at.number + 1)
                return True
            self._last[name] = at
            return False

    def _put(self, name: str, at: _Place, rows: bytes) -> _Place:
        key = f"{self.own}/{name}/{at.number:06d}-{at.start:012d}.jsonl"
        info = self._store.put_if(key, rows, etag=at.etag)
        if info.size != len(rows):
            raise Unavailable(f"{self._where}/{key} has {info.size} bytes, {len(rows)} were written")
        return _Place(at.number, at.start, info.size, info.etag)

    def _last_of(self, name: str) -> _Place:
        objects = self._objects(f"{self.own}/{name}/")
        if not objects:
            return _Place()
        _, _, number, start = _parted(objects[-1].key)
        return _Place(number, start, objects[-1].size, objects[-1].etag)

    def _objects(self, prefix: str = "") -> list[ObjectInfo]:
        return [info for info in self._store.list(prefix).objects if _KEY.fullmatch(info.key)]

    def _rewrite(self, key: str, change: Callable[[bytes], bytes]) -> None:
        for _ in range(_TRIES):
            try:
                etag = self._store.head(key).etag
                data = self._store.get(key)
                changed = change(data)
                if changed != data:
                    self._store.put_if(key, changed, etag=etag)
            except NotFound:
                return
            except Conflict:
                # Its lake has put more rows into it meanwhile.
                continue
            return
        raise Unavailable(f"{self._where}/{key} is written all the time; ask again")

    def _look(self) -> None:
        found: dict[str, dict[str, list[str]]] = {}
        for info in self._objects():
            replica, name, _, _ = _parted(info.key)
            if replica != self.own:
                found.setdefault(name, {}).setdefault(replica, []).append(f"{self._where}/{info.key}")
        self._others = {
            name: tuple(Rows(replica, tuple(files)) for replica, files in by_replica.items())
            for name, by_replica in found.items()
        }
        self._looked.set()

    def _look_again(self) -> None:
        """Look what others have, if that was not done of late: for a lake that puts nothing there itself."""
        with self._looking:
            if time.monotonic() >= self._look_at:
                try:
                    self._look()
                except LakehouseError as error:
                    self._complain(error)
                self._look_at = time.monotonic() + self._every_s

    def _complain(self, error: Exception) -> None:
        self._looked.set()
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_EVERY_S:
            self._complained = now
            _log.warning("logs in %s are behind, it is tried again: %s", self._where, error)


class _Further(Exception):
    """The bucket has more of a log than its file."""


def own_id(folder: Path) -> str:
    """Return the id of a lake that has no other, made on first use.

    A copied folder gets another one: two lakes must never write on at the same log.

    Raises:
        PermissionDenied, Unavailable: The folder cannot be written.
    """
    path, inode = folder / LOGS_FILE, str(folder.stat().st_ino)
    known = path.read_text(encoding="ascii").split() if path.exists() else []
    if len(known) == 2 and known[1] == inode:
        return known[0]
    made = secrets.token_hex(6)
    atomic_write(path, f"{made} {inode}\n".encode())
    return made


def _place(storage: Storage) -> tuple[str, str]:
    """Return bucket and prefix of the logs, after a look at what else the settings say of them."""
    name, _, prefix = storage.logs.removeprefix(_S3).partition("/")
    prefix = prefix.strip("/")
    if not storage.logs.startswith(_S3) or not name:
        raise InvalidInput(f"storage.logs {storage.logs!r} is no place; write it s3://BUCKET/PREFIX", field="logs")
    if storage.backend == "s3" and storage.bucket == name and f"{prefix}/".startswith(_folder(storage.prefix)):
        raise InvalidInput(
            f"storage.logs {storage.logs!r} lies among the objects, where whoever may delete objects could delete rows"
            " of logs; name another bucket, or give the objects a storage.prefix of their own",
            field="logs",
        )
    if storage.logs_every_s <= 0:
        raise InvalidInput(f"storage.logs_every_s is {storage.logs_every_s}; set it above 0", field="logs_every_s")
    if importlib.util.find_spec("duckdb_extension_httpfs") is None:
        raise NotInstalled("logs in S3 are read with DuckDB's httpfs; run: pip install 'lakehouse[s3]'")
    return name, prefix


def _folder(prefix: str) -> str:
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _parted(key: str) -> tuple[str, str, int, int]:
    replica, name, place = key.split("/")
    number, _, start = place.removesuffix(".jsonl").partition("-")
    return replica, name, int(number), int(start)
