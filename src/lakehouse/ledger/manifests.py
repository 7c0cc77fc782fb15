"""What was said about people, sealed under a key for each of them, and that key shredded when they are erased.

What the ledger itself keeps of somebody in words, the manifest and what an erasure under way needs, is encrypted with
AES-256-GCM under a key of theirs alone, a file in `subjects/` beside the ledger's keys. Copies of the database that lie
elsewhere, in a backup say, cannot be read any more once that file is gone, if the keys are not copied with them.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.errors import IntegrityError
from lakehouse.ledger import _signing
from lakehouse.ledger import keys as key_files
from lakehouse.state.folder import disk_error, fsync_dir

if TYPE_CHECKING:
    from lakehouse.ledger._stored import Said, Stored
    from lakehouse.state.database import Database

_SUBJECTS = "subjects"
_SEALED = "A256GCM."


class DataKeys:
    """A key for each subject, 32 bytes in a file of its own.

    Args:
        folder: Of the ledger's keys.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _SUBJECTS
        self._making = threading.Lock()

    def seal(self, subject: str, plain: bytes) -> str:
        """Encrypt under a subject's key, which is made when there is none.

        Raises:
            IntegrityError, PermissionDenied, Unavailable: The key cannot be read or written.
        """
        with self._making:
            key = key_files.secret(self._path(subject), make=True)
        return _SEALED + base64.b64encode(_signing.seal(key, plain, bound=subject.encode())).decode()

    def unseal(self, subject: str, sealed: str) -> bytes:
        """Return what was encrypted; text that is not sealed comes from before there were keys, and as it is.

        Raises:
            IntegrityError: The key is missing, or another one, or the text was changed.
            PermissionDenied: The key is open to others.
        """
        if not sealed.startswith(_SEALED):
            return sealed.encode()
        key = key_files.secret(self._path(subject), make=False)
        plain = _signing.unseal(key, base64.b64decode(sealed.removeprefix(_SEALED)), bound=subject.encode())
        if plain is None:
            raise IntegrityError(f"what was said of {subject!r} does not belong to their key; put the right one back")
        return plain

    def shred(self, subject: str) -> int:
        """Overwrite and remove a subject's key; returns how many there were, 0 or 1.

        Raises:
            PermissionDenied, Unavailable: The disk refused.
        """
        path = self._path(subject)
        try:
            with path.open("r+b", buffering=0) as file:
                file.write(bytes(path.stat().st_size))
                os.fsync(file.fileno())
            path.unlink()
            fsync_dir(path.parent)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise disk_error(error, path) from error
        return 1

    def _path(self, subject: str) -> Path:
        # An id may hold what no name of a file can.
        return self._folder / f"{hashlib.sha256(subject.encode()).hexdigest()[:40]}.key"


class Manifests:
    """What was said about people, and the erasures under way. Thread-safe.

    Args:
        state: Keeps it.
        keys: Seal it.
    """

    def __init__(self, state: Database, keys: DataKeys) -> None:
        from lakehouse.ledger import _stored

        self._stored = _stored
        self._state = state
        self._keys = keys
        state.prepare(_stored.ROOM, _stored.metadata, _stored.MIGRATIONS)

    def get(self, id: str) -> tuple[Said, Stored | None]:
        """Return what was said about a subject, and when; the second is None when nothing ever was."""
        with self._state.read() as connection:
            stored = self._stored.get(connection, id)
        return (self._said(id, stored.said) if stored else self._stored.Said()), stored

    def all(self) -> list[tuple[str, Said]]:
        """Return what was said about everybody who is not erased, by id."""
        with self._state.read() as connection:
            found = self._stored.all_said(connection)
        return [(id, self._said(id, sealed)) for id, sealed in found]

    def put(self, id: str, now: str, **said: Any) -> None:
        """Say what holds of a subject; what is not named stays. Who gives consent is no longer erased."""
        with self._state.write() as connection:
            stored = self._stored.get(connection, id)
            before = self._said(id, stored.said) if stored else self._stored.Said()
            sealed = self._keys.seal(id, msgspec.json.encode(msgspec.structs.replace(before, **said)))
            self._stored.put(connection, id, sealed, now, back=said.get("consent") == "given")

    def begin(self, id: str, person: bytes) -> None:
        """Keep what an erasure needs until it is done."""
        sealed = self._keys.seal(id, person)
        with self._state.write() as connection:
            self._stored.begin(connection, id, sealed)

    def erased(self) -> list[str]:
        """Return the ids of everybody who was erased, in order."""
        with self._state.read() as connection:
            return self._stored.erased(connection)

    def begun(self, id: str) -> bytes | None:
        """Return what an erasure that was broken off needs to be gone on with."""
        with self._state.read() as connection:
            sealed = self._stored.begun(connection, id)
        return None if sealed is None else self._keys.unseal(id, sealed)

    def erase(self, id: str, now: str) -> int:
        """Forget what was said and what the erasure needed, note when, and shred the key; returns the keys shredded."""
        with self._state.write() as connection:
            self._stored.erase(connection, id, now)
        self._state.scrub()
        return self._keys.shred(id)

    def _said(self, id: str, sealed: str) -> Said:
        return msgspec.json.decode(self._keys.unseal(id, sealed), type=self._stored.Said)
