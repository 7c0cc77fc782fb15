"""The indexes of a lake by name, opened when first asked for."""

from __future__ import annotations

import difflib
import functools
import itertools
import logging
import secrets
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from lakehouse import caller, settings
from lakehouse.errors import AlreadyExists, IntegrityError, InvalidInput, NotFound
from lakehouse.state.folder import disk_error
from lakehouse.state.names import MEMORY_INDEX
from lakehouse.vectors.base import LOCAL

if TYPE_CHECKING:
    from lakehouse.vectors._remote import RemoteIndex
    from lakehouse.vectors._server import Server
    from lakehouse.vectors.index import Index, Manifest

    AnyIndex: TypeAlias = Index | RemoteIndex

# No index name begins with it.
_SCRATCH = "~"

_log = logging.getLogger(__name__)


class Registry:
    """Index names, and the open indexes under them. Thread-safe.

    Args:
        config: Section `[vectors]`.
        root: Folder with one folder an index; what a crash left half made or half deleted is removed.
    """

    def __init__(self, config: settings.Vectors, root: Path) -> None:
        self._config = config
        self._root = root
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._open: dict[str, AnyIndex] = {}
        self._damaged: dict[str, IntegrityError] = {}
        self._names: set[str] = set()
        self._connecting = threading.Lock()
        self._connected: Server | None = None
        self._versions = itertools.count(1)
        for path in root.iterdir() if root.is_dir() else ():
            if path.name.startswith(_SCRATCH):
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir():
                self._names.add(path.name)

    def whole(self, prefix: str = "") -> list[AnyIndex]:
        """Return all indexes that can be read and whose names begin so, by name; they are opened."""
        found = []
        for name in sorted(name for name in self._names.copy() if name.startswith(prefix)):
            try:
                found.append(self.get(name))
            except (NotFound, IntegrityError):
                continue
        return found

    def get(self, name: str) -> AnyIndex:
        """Return the open index of that name.

        Raises:
            NotFound: There is none; near names are listed.
            IntegrityError: Its files are damaged.
        """
        index = self._open.get(name)
        if index is not None:
            return index
        with self._lock:
            self._refuse_unknown(name)
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            return self._open.get(name) or self._load(name)

    def opened(self, name: str) -> AnyIndex | None:
        """Return the index of that name if it is open."""
        return self._open.get(name)

    def create(self, manifest: Manifest) -> AnyIndex:
        """Make an empty index: by the settings here or on a server, here in any case when it is never walked.

        Raises:
            AlreadyExists: The name is taken.
            PermissionDenied, Unavailable: The disk or the server refused.
        """
        from lakehouse.vectors.index import Index

        with self._lock:
            if manifest.name in self._names:
                raise AlreadyExists(f"index {manifest.name!r} exists already", index=manifest.name)
            if manifest.walked and self._config.engine != LOCAL:
                manifest = self._make_table(manifest)
            Index.create(self._root / manifest.name, manifest)
            index = self._open[manifest.name] = self._opened(manifest.name)
            self._names.add(manifest.name)
        return index

    def delete(self, name: str) -> None:
        """Remove an index and its files; builds of it are given up.

        Raises:
            NotFound: There is none.
            PermissionDenied, Unavailable: The disk or the server refused; what is left is deleted by the next try.
        """
        with self._lock:
            self._refuse_unknown(name)
            opening = self._opening.setdefault(name, threading.Lock())
        with opening, self._lock:
            self._refuse_unknown(name)
            index = self._open.pop(name, None)
            if index is not None:
                index.close()
            self._remove_tables(name)
            grave = self._root / f"{_SCRATCH}gone-{name}"
            try:
                (self._root / name).rename(grave)
            except OSError as error:
                raise disk_error(error, self._root / name) from error
            self._names.discard(name)
            self._damaged.pop(name, None)
            shutil.rmtree(grave, ignore_errors=True)

    def close(self) -> None:
        """Close every index; idempotent."""
        with self._lock:
            indexes, self._open = list(self._open.values()), {}
        for index in indexes:
            index.close()
        with self._connecting:
            if self._connected is not None:
                self._connected.close()
                self._connected = None

    def _load(self, name: str) -> AnyIndex:
        with self._lock:
            self._refuse_unknown(name)
            if name in self._damaged:
                raise self._damaged[name]
        try:
            index = self._opened(name)
        except IntegrityError as error:
            _log.error("index %s cannot be opened: %s", name, error.message)
            self._damaged[name] = error
            raise
        self._open[name] = index
        return index

    def _opened(self, name: str) -> AnyIndex:
        from lakehouse.vectors.index import Index, read_manifest

        folder = self._root / name
        manifest = read_manifest(folder)
        if manifest.engine == LOCAL:
            return Index(folder, self._config, self._versions)
        from lakehouse.vectors._remote import RemoteIndex

        return RemoteIndex(folder, functools.partial(self._server_of, manifest), self._versions)

    def _make_table(self, manifest: Manifest) -> Manifest:
        from lakehouse.vectors._remote import table_name

        # Lakes that share a server must not share tables, whatever their indexes are called.
        name = table_name(f"lakehouse_{secrets.token_hex(8)}_", 1)
        made = msgspec.structs.replace(manifest, engine=self._config.engine, built=name)
        self._server_of(made).create(name, made.dimension, made.distance)
        return made

    def _remove_tables(self, name: str) -> None:
        from lakehouse.vectors.index import read_manifest

        try:
            manifest = read_manifest(self._root / name)
        except IntegrityError:
            return
        if manifest.engine == LOCAL:
            return
        from lakehouse.vectors._remote import owns_tables

        if owns_tables(self._root / name, manifest):
            server = self._server_of(manifest)
            for table in server.names(manifest.built.rpartition("_")[0] + "_"):
                server.remove(table)

    def _server_of(self, manifest: Manifest) -> Server:
        if manifest.engine != self._config.engine:
            raise InvalidInput(
                f"index {manifest.name!r} was made with vectors.engine = {manifest.engine!r}, and it is "
                f"{self._config.engine!r} now; set it back to use the index or to delete it",
                field="vectors.engine",
            )
        with self._connecting:
            if self._connected is None:
                from lakehouse.vectors._server import connect

                self._connected = connect(self._config)
            return self._connected

    def _refuse_unknown(self, name: str) -> None:
        if name not in self._names:
            seen = [each for each in self._names if _is_seen(each)]
            near = difflib.get_close_matches(name, seen, 3, 0.6) or sorted(seen)[:10]
            hint = f"; there is {', '.join(near)}" if near else "; there is none yet"
            raise NotFound(f"no index {name[:140]!r}{hint}", index=name)


def _is_seen(name: str) -> bool:
    """Tell whether the caller may know of an index: one that is made of a memory tells that there is such a memory."""
    allowed = caller.current().namespaces
    return allowed is None or not name.startswith(MEMORY_INDEX) or name.removeprefix(MEMORY_INDEX) in allowed
