"""Named stacks: each with its own ports, data folder and bucket, found again by name and ended by pid file.

One folder a stack, below `stacks.folder`: `stack.json` (what the stack is), `stack.pid` (locked by the process that
runs it), `running.json` (what that process wrote when it was ready), `stack.log`, `start.log` and, unless another place
was chosen, `lake/`.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from lakehouse import settings
from lakehouse.decoding import ready
from lakehouse.errors import Conflict, IntegrityError, InvalidInput, NotFound, WrongState
from lakehouse.settings import Settings
from lakehouse.state import pidfile
from lakehouse.state.folder import atomic_write, disk_error

# The one stack that everybody knows by its ports; others come after it.
PERSISTENT = "persistent"
STEP = 1_000
_MOST_STACKS = 50
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

State = Literal["running", "starting", "stopped"]


@ready
class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack is; kept while it is stopped, so that it comes back on the same ports with the same data.

    Attributes:
        offset: Added to every port that a stack without a name has.
        config: Settings file, empty for none.
        bucket: S3 bucket, empty where objects are files of the data folder.
    """

    name: str
    offset: int
    host: str
    port: int
    data: str
    config: str = ""
    bucket: str = ""


@ready
class Running(msgspec.Struct, frozen=True):
    """What the process of a stack says when it is ready; `services` are the processes of a divided one, by name."""

    pid: int
    url: str
    ready_at: str
    services: dict[str, int] = {}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A stack as it is now."""

    name: str
    state: State
    url: str
    data: str
    bucket: str
    pid: int | None
    ready_at: str | None
    services: dict[str, int]


class Stacks:
    """The stacks recorded on this machine, for this user.

    Args:
        folder: Setting `stacks.folder`; empty means `$XDG_STATE_HOME/lakehouse/stacks`, in the home folder when
            that is not set.

    >>> import tempfile
    >>> known = Stacks(tempfile.mkdtemp())
    >>> record, config = known.prepare("persistent", settings.load(environ={}))
    >>> record.port, config.server.port, known.status("persistent").state
    (4110, 4110, 'stopped')
    """

    def __init__(self, folder: str = "") -> None:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self.folder = Path(folder or Path(base) / "lakehouse" / "stacks").absolute()

    def prepare(
        self,
        name: str,
        config: Settings,
        *,
        config_file: str = "",
        host: str | None = None,
        port: int | None = None,
        data: str | None = None,
        bucket: str | None = None,
    ) -> tuple[Record, Settings]:
        """Record a stack, or bring its record up to date, and return its settings.

        Args:
            name: 1 to 40 of a-z, 0-9, `_` and `-`.
            config: What applies to it beside what is its own.
            config_file: Where `config` was read from, empty for none.
            host, port, data, bucket: Its own; None keeps what is recorded, or takes what follows from the name.

        Raises:
            InvalidInput: The name is not allowed.
            Conflict: Another stack has that port, data folder, bucket, catalog or warehouse.
        """
        _check_name(name)
        with self._changing():
            others = [record for record in self._records() if record.name != name]
            known = self._find(name)
            if known:
                offset = known.offset if port is None else port - settings.Server().port
            else:
                offset = _free_offset(name, port, others)
            record = Record(
                name=name,
                offset=offset,
                host=host or (known.host if known else config.server.host),
                port=settings.Server().port + offset,
                data=str(Path(data).absolute()) if data else known.data if known else str(self.path(name) / "lake"),
                config=str(Path(config_file).absolute()) if config_file else known.config if known else "",
                bucket=bucket or (known.bucket if known else "") or _own_bucket(config, name),
            )
            own = _applied(record, config)
            for other in others:
                _refuse_shared(record, own, other, self.settings_of(other))
            path = self.path(name)
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise disk_error(error, path) from error
            atomic_write(path / "stack.json", msgspec.json.format(msgspec.json.encode(record)))
        return record, own

    def settings_of(self, record: Record) -> Settings:
        """Return the settings that a recorded stack runs with."""
        return _applied(record, settings.load(record.config or None))

    def get(self, name: str) -> Record:
        """Return a recorded stack.

        Raises:
            NotFound: None has that name; the message lists those there are.
        """
        _check_name(name)
        found = self._find(name)
        if found is None:
            known = ", ".join(record.name for record in self._records()) or "none yet"
            raise NotFound(f"there is no stack {name!r}; there are: {known}", stack=name)
        return found

    def status(self, name: str) -> Status:
        """Tell how a stack is. Raises as `get`."""
        record = self.get(name)
        pid = pidfile.holder(self.pid_file(name))
        running = self.running(name) if pid else None
        return Status(
            name=name,
            state="stopped" if pid is None else "running" if running else "starting",
            url=running.url if running else url_of(record.host, record.port),
            data=record.data,
            bucket=record.bucket,
            pid=pid,
            ready_at=running.ready_at if running else None,
            services=running.services if running else {},
        )

    def all(self) -> list[Status]:
        """Tell how all recorded stacks are, by name."""
        return [self.status(record.name) for record in self._records()]

    def running(self, name: str) -> Running | None:
        """Return what the process that holds the stack's pid file said when it was ready, None before that."""
        pid = pidfile.holder(self.pid_file(name))
        try:
            found = msgspec.json.decode((self.path(name) / "running.json").read_bytes(), type=Running)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise IntegrityError(f"{self.path(name) / 'running.json'} is damaged: {error}") from None
        # What a process that ended long ago wrote says nothing about this one.
        return found if found.pid == pid else None

    def forget(self, name: str) -> None:
        """Remove the record of a stopped stack, its logs and pid file; data outside of its folder stays.

        Raises:
            NotFound: None has that name.
            WrongState: It runs, or its data lie in the folder that would be removed.
        """
        record = self.get(name)
        if pidfile.holder(self.pid_file(name)) is not None:
            raise WrongState(f"stack {name!r} runs; stop it first", stack=name)
        path = self.path(name)
        if Path(record.data).is_relative_to(path) and Path(record.data).exists():
            raise WrongState(f"the data of stack {name!r} lie in {record.data}; move or remove them first", stack=name)
        with self._changing():
            shutil.rmtree(path, ignore_errors=True)

    def path(self, name: str) -> Path:
        """Return the folder of a stack."""
        return self.folder / name

    def pid_file(self, name: str) -> Path:
        """Return the file that the process of a stack holds."""
        return self.path(name) / "stack.pid"

    def log_file(self, name: str) -> Path:
        """Return the log of a stack that runs in the background: JSON lines."""
        return self.path(name) / "stack.log"

    def start_log(self, name: str) -> Path:
        """Return what the last start of a stack in the background printed."""
        return self.path(name) / "start.log"

    @contextmanager
    def held(self, name: str) -> Iterator[pidfile.PidFile]:
        """Be the process of a stack for a block.

        Raises:
            NotFound: None has that name.
            Conflict: It runs already.
        """
        self.get(name)
        try:
            held = pidfile.PidFile(self.pid_file(name))
        except Conflict as error:
            pid = error.detail.get("pid")
            raise Conflict(f"stack {name!r} runs already, as process {pid}", stack=name, pid=pid) from None
        try:
            yield held
        finally:
            (self.path(name) / "running.json").unlink(missing_ok=True)
            held.release()

    def say_ready(self, name: str, url: str, services: dict[str, int] | None = None) -> None:
        """Write down that the stack answers; called by the process that holds it."""
        running = Running(os.getpid(), url, datetime.now(UTC).isoformat(timespec="seconds"), services or {})
        atomic_write(self.path(name) / "running.json", msgspec.json.encode(running))

    def _find(self, name: str) -> Record | None:
        file = self.path(name) / "stack.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise IntegrityError(f"{file} is damaged: {error}; remove it and start the stack again") from None

    def _records(self) -> list[Record]:
        names = sorted(path.parent.name for path in self.folder.glob("*/stack.json"))
        return [record for name in names if (record := self._find(name))]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let one process at a time give out ports."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise disk_error(error, self.folder) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def url_of(host: str, port: int) -> str:
    """Return the URL of an address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"stack {name[:80]!r} is not allowed; use 1 to 40 of a-z, 0-9, _ and -", field="stack")


def _free_offset(name: str, port: int | None, others: list[Record]) -> int:
    if port is not None:
        return port - settings.Server().port
    if name == PERSISTENT:
        return STEP
    taken = {record.offset for record in others}
    for offset in range(2 * STEP, (_MOST_STACKS + 1) * STEP, STEP):
        if offset not in taken:
            return offset
    raise Conflict(f"{_MOST_STACKS} stacks are recorded; choose a port with --port or forget one")


def _own_bucket(config: Settings, name: str) -> str:
    return f"{config.storage.bucket}-{name}" if config.storage.bucket else ""


def _applied(record: Record, config: Settings) -> Settings:
    return msgspec.structs.replace(
        config,
        data=record.data,
        server=msgspec.structs.replace(config.server, host=record.host, port=record.port),
        storage=msgspec.structs.replace(config.storage, bucket=record.bucket),
    )


def _refuse_shared(record: Record, config: Settings, other: Record, others: Settings) -> None:
    shared = {
        "port": record.port == other.port,
        "data folder": _same_folder(config.data, others.data),
        "bucket": bool(config.storage.bucket)
        and (config.storage.endpoint, config.storage.bucket) == (others.storage.endpoint, others.storage.bucket),
        "storage.logs": bool(config.storage.logs)
        and (config.storage.endpoint, config.storage.logs) == (others.storage.endpoint, others.storage.logs),
        "catalog.uri": bool(config.catalog.uri) and config.catalog.uri == others.catalog.uri,
        "catalog.warehouse": bool(config.catalog.warehouse)
        and _same_folder(config.catalog.warehouse, others.catalog.warehouse or others.data),
    }
    for what, is_shared in shared.items():
        if is_shared:
            raise Conflict(
                f"stacks {record.name!r} and {other.name!r} would have the same {what}; give one of them its own",
                stack=record.name,
                other=other.name,
                what=what,
            )


def _same_folder(one: str, two: str) -> bool:
    """Tell whether two folders are the same, or one lies in the other."""
    first, second = Path(one).resolve(), Path(two).resolve()
    return first.is_relative_to(second) or second.is_relative_to(first)
