"""API keys: who may call, as what, how often. A key is shown once, when it is made; what is kept is its scrypt hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from lakehouse.caller import Caller
from lakehouse.errors import AlreadyExists, LimitExceeded, NotFound, Unauthenticated

if TYPE_CHECKING:
    from lakehouse.ledger._keys_stored import Kept
    from lakehouse.state.database import Database

Role = Literal["coordinator", "auditor", "operator"]
Roles = Annotated[list[Role], msgspec.Meta(min_length=1, max_length=3)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Namespaces = Annotated[list[Name], msgspec.Meta(max_length=1_000)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
# Inside the class `list` is an operation.
Everybody = list["ApiKey"]

DEFAULT_RATE = 50.0
_PREFIX = "lh"
# 16 MiB and 30 ms a guess; keys have 256 random bits, so this is for those who read the database.
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32, "maxmem": 64 * 1024 * 1024}
_WRONG_A_SECOND = 2.0


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is listed. `namespaces` is null when the key may use every memory."""

    id: str
    name: str
    roles: list[Role]
    namespaces: list[str] | None
    rate_per_s: float
    created_at: str


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made. `key` is what a caller sends; it is shown here and never again."""

    id: str
    name: str
    roles: list[Role]
    namespaces: list[str] | None
    rate_per_s: float
    created_at: str
    key: str


class KeyList(msgspec.Struct, frozen=True):
    """All keys, by name."""

    keys: list[ApiKey]


class Bucket:
    """A budget that fills with time: `rate` a second, at most two seconds' worth."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._left = 2 * rate
        self._at = now

    def take(self, now: float) -> bool:
        """Take one; False when there is none."""
        self._left = min(2 * self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Access:
    """API keys. Thread-safe.

    Args:
        state: Keeps their hashes.
        clock: Time of making.
        monotonic: Seconds, for rates.
    """

    def __init__(
        self,
        state: Database,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        from lakehouse.ledger import _keys_stored

        self._stored = _keys_stored
        self._state = state
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: dict[str, Kept] | None = None
        self._passed: dict[str, bytes] = {}
        self._budgets: dict[str, Bucket] = {}
        self._failures: dict[str, Bucket] = {}
        state.prepare(_keys_stored.ROOM, _keys_stored.metadata)

    def add(
        self, name: Name, roles: Roles, namespaces: Namespaces | None = None, rate_per_s: Rate = DEFAULT_RATE
    ) -> NewKey:
        """Make an API key. From the first one on, a stack asks everybody for a key.

        Args:
            name: Whose it is; stands in the ledger beside what was seen with it.
            roles: `coordinator` (searches, sees contact data), `auditor` (sees who saw what, never contact data),
                `operator` (everything).
            namespaces: Memory it may use; null means every one.
            rate_per_s: Calls a second, on average over two seconds.

        Raises:
            AlreadyExists: The name is taken.
        """
        id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        salt = secrets.token_bytes(16)
        kept = self._stored.Kept(
            id=id,
            name=name,
            roles=sorted(set(roles)),
            namespaces=namespaces,
            rate_per_s=rate_per_s,
            created_at=self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            salt=salt,
            digest=_digest(secret, salt),
        )
        if any(other.name == name for other in self._keys().values()):
            raise AlreadyExists(f"there is a key named {name!r}; revoke it first, or choose another name", name=name)
        with self._state.write() as connection:
            self._stored.insert(connection, kept)
        self._known = None
        return NewKey(**_facts(kept), key=f"{_PREFIX}_{id}_{secret}")

    def list(self) -> KeyList:
        """List the keys, by name; the keys themselves are not known here."""
        return KeyList([ApiKey(**_facts(kept)) for kept in self._keys().values()])

    def revoke(self, id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]) -> None:
        """Make a key worthless, at once.

        Args:
            id: Of the key, or its name.

        Raises:
            NotFound: There is no such key.
        """
        found = next((kept for kept in self._keys().values() if id in {kept.id, kept.name}), None)
        if found is None:
            raise NotFound(f"there is no key {id!r}; see `lakehouse key list`", id=id)
        with self._state.write() as connection:
            self._stored.remove(connection, found.id)
        self._known = None
        self._passed.pop(found.id, None)

    def follow(self) -> None:
        """Look anew which keys there are: another process that shares the database may have made or revoked one."""
        self._known = None

    @property
    def any(self) -> bool:
        """Whether there are keys."""
        return bool(self._keys())

    def quick(self, presented: str) -> Caller | None:
        """Return who calls when this very key was checked before; takes microseconds. Raises as `check`."""
        id = _id_of(presented)
        passed = self._passed.get(id)
        if passed is None or not hmac.compare_digest(passed, hashlib.sha256(presented.encode()).digest()):
            return None
        return self._admitted(id)

    def check(self, presented: str) -> Caller:
        """Return who calls.

        Raises:
            Unauthenticated: There is no such key.
            LimitExceeded: The key's rate is used up, or it was guessed at too often.
        """
        id = _id_of(presented)
        kept = self._keys().get(id)
        secret = presented.removeprefix(f"{_PREFIX}_{id}_")
        now = self._monotonic()
        with self._lock:
            if kept and not self._failures.setdefault(id, Bucket(_WRONG_A_SECOND, now)).take(now):
                raise LimitExceeded("too many checks of this key; try again in a moment")
        if kept is None or not hmac.compare_digest(_digest(secret, kept.salt), kept.digest):
            raise Unauthenticated("the key is not known; send one as 'Authorization: Bearer <key>'")
        self._passed[id] = hashlib.sha256(presented.encode()).digest()
        return self._admitted(id)

    def again(self, name: str) -> Caller | None:
        """Return who calls under the key of a name that was checked before, None when it was revoked.

        Raises:
            LimitExceeded: The key's rate is used up.
        """
        id = next((kept.id for kept in self._keys().values() if kept.name == name), None)
        return None if id is None else self._admitted(id)

    def _admitted(self, id: str) -> Caller:
        kept = self._keys().get(id)
        if kept is None:
            raise Unauthenticated("the key was revoked")
        now = self._monotonic()
        with self._lock:
            allowed = self._budgets.setdefault(id, Bucket(kept.rate_per_s, now)).take(now)
        if not allowed:
            raise LimitExceeded(
                f"key {kept.name!r} may make {kept.rate_per_s:g} calls a second; try again in a moment",
                rate_per_s=kept.rate_per_s,
            )
        names = None if kept.namespaces is None else frozenset(kept.namespaces)
        return Caller(kind="key", id=kept.name, roles=frozenset(kept.roles), namespaces=names)

    def _keys(self) -> dict[str, Kept]:
        known = self._known
        if known is None:
            with self._state.read() as connection:
                known = {kept.id: kept for kept in self._stored.all_keys(connection)}
            self._known = known
        return known


def _facts(kept: Kept) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(kept).items() if name not in {"salt", "digest"}}


def _id_of(presented: str) -> str:
    parts = presented.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == _PREFIX else ""


def _digest(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, **_SCRYPT)
