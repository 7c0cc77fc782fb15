"""Stacks that share a state database: who they are, and whom each has still to erase from its own folder.

Rows that all of them see are erased once. Indexes, caches and logs lie in the folder of each, so whoever erases
somebody leaves word for the others, sealed under `replicas.key` beside the ledger's keys. Each acts on it before its
next answer, or before its first one when it was not running, and takes the word away when it has.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import Conflict, IntegrityError, InvalidInput
from lakehouse.ledger import _signing
from lakehouse.ledger import keys as key_files
from lakehouse.ledger.erasure import Gone
from lakehouse.ledger.verifier import Mac
from lakehouse.state.folder import REPLICA_FILE, atomic_write

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.ledger._replicas_stored import Common
    from lakehouse.state.database import Database

KEY = "replicas.key"
_BOUND = b"lakehouse replicas"
# What a folder holds that was used before.
_USED = ("vectors", "corpora", "ledger")


class Replicas:
    """The stacks of one state database, one of which is this; a lake with its state in its own folder is none.

    Args:
        state: What they share.
        folder: The lake of this one.
        keys: Folder of the ledger's keys, which all of them see.
        model: What this one embeds with, which must be the same for all.
        catalog: Gives what tells its catalog from others, which must be the same for all, as must the keys.

    Attributes:
        own: Id of this one, empty when nothing is shared.

    Raises:
        Conflict: The folder was used without this database, so it may hold people who are erased here.
        InvalidInput: Another one embeds with another model, or has another catalog or other keys.
        Unavailable: The database or the catalog is out of reach.
        IntegrityError, PermissionDenied: The key of the replicas cannot be read, or is open to others.
    """

    def __init__(self, state: Database, folder: Path, keys: Path, *, model: str, catalog: Callable[[], str]) -> None:
        from lakehouse.ledger import _replicas_stored

        self._stored = _replicas_stored
        self._state = state
        self._keys = keys
        self.own = ""
        if state.shared:
            state.prepare(_replicas_stored.ROOM, _replicas_stored.metadata, _replicas_stored.MIGRATIONS)
            # One at a time: the first to come makes the key, and notes in the catalog what it is told by.
            with state.alone(_replicas_stored.ROOM):
                self.own = self._joined(folder, model, catalog)

    def tell(self, people: Sequence[Gone]) -> int:
        """Leave word that people were erased; returns how many other replicas have that still to do."""
        if not self.own:
            return 0
        key = key_files.secret(self._keys / KEY, make=True)
        sealed = {
            gone.subject: base64.b64encode(_signing.seal(key, msgspec.msgpack.encode(gone), bound=_BOUND)).decode()
            for gone in people
        }
        with self._state.write() as connection:
            others = [id for id in self._stored.known(connection) if id != self.own]
            self._stored.leave(connection, others, sealed)
        return len(others)

    def follow(self, erase: Callable[[Sequence[Gone]], None]) -> bool:
        """Erase here whom others have erased; returns whether that was anybody.

        Raises:
            Conflict: Its row was removed, or the database put back to before it joined, and others leave no word.
            IntegrityError, PermissionDenied: The key of the replicas is missing, another one, or open to others.
            PermissionDenied, Unavailable: The disk refused; it is tried again at the next call.
        """
        if not self.own:
            return False
        with self._state.read() as connection:
            waiting = self._stored.waiting(connection, self.own)
            is_known = self.own in self._stored.known(connection)
        if not is_known:
            raise Conflict(
                f"replica {self.own} is none of those in the database of state.url any more, so nobody tells it whom to"
                " erase; stop it and start it with an empty folder, it fills itself",
                replica=self.own,
            )
        if not waiting:
            return False
        erase([self._opened(sealed) for _, sealed in waiting])
        with self._state.write() as connection:
            self._stored.done(connection, [number for number, _ in waiting])
        return True

    @property
    def behind(self) -> bool:
        """Whether somebody has still to be erased here."""
        if not self.own:
            return False
        with self._state.read() as connection:
            return bool(self._stored.waiting(connection, self.own))

    def _opened(self, sealed: str) -> Gone:
        key = key_files.secret(self._keys / KEY, make=False)
        plain = _signing.unseal(key, base64.b64decode(sealed), bound=_BOUND)
        if plain is None:
            raise IntegrityError(
                f"{self._keys / KEY} is not the key of the other replicas; all of them share ledger.keys"
            )
        return msgspec.msgpack.decode(plain, type=Gone)

    def _joined(self, folder: Path, model: str, catalog: Callable[[], str]) -> str:
        path = folder / REPLICA_FILE
        own = path.read_text(encoding="ascii").strip() if path.exists() else ""
        with self._state.read() as connection:
            others = {id: its for id, its in self._stored.said(connection).items() if id != own}
        keys = self._told_by(make=not any(its.keys for its in others.values()))
        common = self._stored.Common(model, catalog(), keys)
        _refuse_other(common, others)
        with self._state.write() as connection:
            if own and own in self._stored.known(connection):
                self._stored.say(connection, own, common)
                return own
            used = [name for name in _USED if (folder / name).exists()]
            if own or used:
                raise Conflict(
                    f"{folder} was used without the database of state.url and may hold people who are erased there;"
                    " start this replica with an empty folder, it fills itself",
                    path=str(folder),
                )
            own = secrets.token_hex(6)
            atomic_write(path, own.encode())
            self._stored.join(connection, own)
            self._stored.say(connection, own, common)
        return own

    def _told_by(self, *, make: bool) -> str:
        """Return what tells the keys from others and gives away nothing of them: no other folder has this one's."""
        path = self._keys / KEY
        if not make and not path.exists():
            return "none"
        return Mac(key_files.secret(path, make=make)).hex(_BOUND)[:16].decode()


def _refuse_other(own: Common, others: Mapping[str, Common]) -> None:
    for id, its in others.items():
        there = f"on replica {id} of the same state.url"
        models = f"embed.model is {own.model!r} here and {its.model!r} {there}"
        differences = {
            "embed.model": (
                (own.model, its.model),
                f"{models}; each would answer by meanings of its own",
            ),
            "catalog.uri": (
                (own.catalog, its.catalog),
                f"catalog.uri names another catalog than {there}, whose datasets and corpora are not in this one",
            ),
            "ledger.keys": (
                (own.keys, its.keys),
                f"ledger.keys names other keys than {there}, or none; neither can read whom the other erases",
            ),
        }
        for field, (both, message) in differences.items():
            if all(both) and len(set(both)) > 1:
                raise InvalidInput(
                    f"{message}. Set it to the same on all; docs/replicas.md says how to change it", field=field
                )


def require_shared(config: settings.Settings) -> None:
    """Refuse a lake whose state others share and whose datasets or keys they do not see.

    Raises:
        InvalidInput: `state.url` is set, `catalog.uri` or `ledger.keys` is not, or the vectors lie on a server; the
            message names the setting.
    """
    if not config.state.url:
        return
    if config.vectors.engine != "local":
        raise InvalidInput(
            "state.url is set and vectors.engine is not local; replicas keep the indexes of corpora in their own"
            " folders, and each would build those of a server again",
            field="vectors.engine",
        )
    for name, value in (("catalog.uri", config.catalog.uri), ("ledger.keys", config.ledger.keys)):
        if not value:
            raise InvalidInput(
                f"state.url is set and {name} is empty; replicas that share their state share datasets and keys too,"
                f" set {name} to what all of them reach",
                field=name,
            )
