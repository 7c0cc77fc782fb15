"""The indexes of a lake by name, opened when first asked for."""

from __future__ import annotations

import difflib
import itertools
import logging
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse import settings
from lakehouse.errors import AlreadyExists, IntegrityError, NotFound
from lakehouse.state.folder import disk_error

if TYPE_CHECKING:
    from lakehouse.vectors.index import Index, Manifest

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
        self._open: dict[str, Index] = {}
        self._damaged: dict[str, IntegrityError] = {}
        self._names: set[str] = set()
        self._versions = itertools.count(1)
        for path in root.iterdir() if root.is_dir() else ():
            if path.name.startswith(_SCRATCH):
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir():
                self._names.add(path.name)

    def whole(self) -> list[Index]:
        """Return all indexes that can be read, by name."""
        found = []
        for name in sorted(self._names.copy()):
            try:
                found.append(self.get(name))
            except (NotFound, IntegrityError):
                continue
        return found

    def get(self, name: str) -> Index:
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

    def create(self, manifest: Manifest) -> Index:
        """Make an empty index.

        Raises:
            AlreadyExists: The name is taken.
            PermissionDenied, Unavailable: The disk refused.
        """
        from lakehouse.vectors.index import Index

        with self._lock:
            if manifest.name in self._names:
                raise AlreadyExists(f"index {manifest.name!r} exists already", index=manifest.name)
            Index.create(self._root / manifest.name, manifest)
            index = self._open[manifest.name] = Index(self._root / manifest.name, self._config, self._versions)
            self._names.add(manifest.name)
        return index

    def delete(self, name: str) -> None:
        """Remove an index and its files; builds of it are given up.

        Raises:
            NotFound: There is none.
            PermissionDenied, Unavailable: The disk refused; the index is as it was.
        """
        with self._lock:
            self._refuse_unknown(name)
            opening = self._opening.setdefault(name, threading.Lock())
        with opening, self._lock:
            self._refuse_unknown(name)
            index = self._open.pop(name, None)
            if index is not None:
                index.close()
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

    def _load(self, name: str) -> Index:
        from lakehouse.vectors.index import Index

        with self._lock:
            self._refuse_unknown(name)
            if name in self._damaged:
                raise self._damaged[name]
        try:
            index = Index(self._root / name, self._config, self._versions)
        except IntegrityError as error:
            _log.error("index %s cannot be opened: %s", name, error.message)
            self._damaged[name] = error
            raise
        self._open[name] = index
        return index

    def _refuse_unknown(self, name: str) -> None:
        if name not in self._names:
            near = difflib.get_close_matches(name, self._names, 3, 0.5) or sorted(self._names)[:10]
            hint = f"; there is {', '.join(near)}" if near else "; there is none yet"
            raise NotFound(f"no index {name[:140]!r}{hint}", index=name)
