"""The keys of a ledger: one HMAC key that writes, older ones that verify, one Ed25519 key that signs checkpoints.

A folder holds them: `k1.key`, `k2.key`, ... (the name is the rows' `key_id`, the newest one writes), `signing.key`,
and `public.vkey`, the public half in the form of C2SP signed notes, which is what an auditor keeps elsewhere.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lakehouse.errors import IntegrityError, NotFound, PermissionDenied
from lakehouse.ledger import _signing, verifier
from lakehouse.state.folder import atomic_write, disk_error, fsync_dir

LEAST_BYTES = 32
SIGNING = "signing.key"
PUBLIC = "public.vkey"
ERASED = "erased.key"
_NAME = re.compile(r"k([1-9][0-9]*)\.key")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Keyring(msgspec.Struct, frozen=True):
    """Keys as they were read.

    Attributes:
        folder: Where they are.
        keys: By key id, oldest first.
        active: The id that new rows get.
        seed: Private key of the checkpoints' signatures.
        vkey: The public half, `<origin>+<hash>+<key>`.
    """

    folder: Path
    keys: Mapping[str, bytes]
    active: str
    seed: bytes
    vkey: str

    @property
    def origin(self) -> str:
        """Name of the log, first line of every checkpoint."""
        return self.vkey.partition("+")[0]

    def sign(self, text: str) -> str:
        """Return a text, which ends in a line break, as a signed note."""
        signature = _signing.sign(self.seed, text.encode())
        return verifier.note(text, self.vkey, signature)


def open_keys(folder: Path, *, make: bool) -> Keyring:
    """Read the keys of a folder, making them when there are none yet.

    Args:
        folder: Of the keys.
        make: Whether keys may be made: only a ledger without rows may get new ones.

    Raises:
        NotFound: There are none, and none may be made.
        PermissionDenied: A key file can be read by others, or not by this user; the message has the fix.
        IntegrityError: A key is shorter than 32 bytes, or one of the files is missing.
    """
    named = _hmac_keys(folder)
    if not named:
        if not make:
            raise NotFound(
                f"the ledger has rows but {folder} has no keys; put the key files back, or name their folder in"
                " ledger.keys",
                path=str(folder),
            )
        _make(folder)
        named = _hmac_keys(folder)
    seed = _read(folder / SIGNING)
    try:
        vkey = (folder / PUBLIC).read_text(encoding="ascii").strip()
    except OSError as error:
        raise IntegrityError(f"{folder / PUBLIC} cannot be read ({error.strerror}); put it back") from None
    if verifier.public_key(vkey) != _signing.public_key(seed):
        raise IntegrityError(f"{folder / PUBLIC} does not belong to {SIGNING}; put the right one back")
    keys = {key_id: _read(folder / f"{key_id}.key") for key_id in named}
    return Keyring(folder, keys, named[-1], seed, vkey)


def rotate(ring: Keyring) -> Keyring:
    """Make a new HMAC key that writes from now on; the old ones only verify."""
    following = f"k{int(ring.active[1:]) + 1}"
    _write(ring.folder / f"{following}.key", secrets.token_bytes(LEAST_BYTES))
    return open_keys(ring.folder, make=False)


def secret(path: Path, *, make: bool) -> bytes:
    """Read a key of another use that lies in a file of its own, making it when it may be made and is not there.

    Raises:
        IntegrityError, PermissionDenied, Unavailable: As `open_keys`.
    """
    if make and not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fsync_dir(path.parent.parent)
        except OSError as error:
            raise disk_error(error, path.parent) from error
        _write(path, secrets.token_bytes(LEAST_BYTES))
    return _read(path)


def _hmac_keys(folder: Path) -> list[str]:
    found = [int(name[1]) for path in folder.glob("k*.key") if (name := _NAME.fullmatch(path.name))]
    return [f"k{number}" for number in sorted(found)]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fsync_dir(folder.parent)
    except OSError as error:
        raise disk_error(error, folder) from error
    seed = _signing.new_seed()
    origin = f"lakehouse-ledger/{secrets.token_hex(8)}"
    atomic_write(folder / PUBLIC, f"{verifier.vkey(origin, _signing.public_key(seed))}\n".encode())
    _write(folder / SIGNING, seed)
    # Last, because its presence says that the set is whole.
    _write(folder / "k1.key", secrets.token_bytes(LEAST_BYTES))


def _write(path: Path, data: bytes) -> None:
    # Under its name only when it is whole: half a key would keep the ledger from being opened.
    unfinished = path.with_name(f".{path.name}")
    try:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        unfinished.rename(path)
        fsync_dir(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except FileNotFoundError:
        raise IntegrityError(f"key file {path} is missing; put it back", path=str(path)) from None
    except OSError as error:
        raise PermissionDenied(f"key file {path} cannot be read: {error.strerror}", path=str(path)) from None
    if mode & _OTHERS:
        raise PermissionDenied(f"key file {path} is open to other users; run: chmod 600 {path}", path=str(path))
    if len(data) < LEAST_BYTES or (path.name == SIGNING and len(data) != LEAST_BYTES):
        raise IntegrityError(
            f"key file {path} has {len(data)} bytes; a key has at least {LEAST_BYTES}, {SIGNING} has just as many",
            path=str(path),
            bytes=len(data),
        )
    return data
