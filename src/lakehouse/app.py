"""The one object: rooms wired together here and nowhere else, or a running stack at the end of a URL."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

from lakehouse import operations, settings, tracing
from lakehouse.errors import Unavailable

if TYPE_CHECKING:
    from lakehouse.embed.service import Embeddings
    from lakehouse.lake.catalog import Catalog
    from lakehouse.lake.ingest import Ingest
    from lakehouse.lake.query import Query
    from lakehouse.lake.store import Store
    from lakehouse.matrix.corpora import Corpora
    from lakehouse.matrix.search import Matrix
    from lakehouse.memory.playbooks import Playbooks
    from lakehouse.operations import Operation
    from lakehouse.staffing.parse import Parser
    from lakehouse.vectors.service import Vectors


class _Closes(Protocol):
    def close(self) -> None: ...


_Closable = TypeVar("_Closable", bound=_Closes)

# What stands around every call of an operation: gets its checked arguments and what does the work, returns the answer.
Around = Callable[["Operation", Mapping[str, Any], Callable[[], Any]], Any]


def _now() -> datetime:
    return datetime.now(UTC)


class Transport(Protocol):
    """How an operation reaches its service: in this process, or over HTTP."""

    def call(self, operation: Operation, values: Mapping[str, Any], *, strict: bool = True) -> Any:
        """Check the arguments, run the operation, return its answer or raise its error."""

    def close(self) -> None:
        """Release everything; idempotent."""


class Lakehouse:
    """Every service of the product, embedded or remote: same methods, same answers, same errors.

    Each attribute is a service and each method of `operations.OPERATIONS` takes its arguments by name or
    position. Safe to use from several threads. Also a context manager.

    >>> import lakehouse, tempfile
    >>> with lakehouse.connect(tempfile.mkdtemp() + "/lake") as lake:
    ...     lake.demand.parse("Need 3 Forklift Operators in Detroit MI").location.city
    'Detroit'
    """

    storage: Store
    catalog: Catalog
    ingest: Ingest
    sql: Query
    embed: Embeddings
    vectors: Vectors
    corpora: Corpora
    demand: Parser
    matrix: Matrix
    playbooks: Playbooks

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        for service in {operation.service for operation in operations.OPERATIONS}:
            setattr(self, service, cast(Any, _Service(transport, service)))

    def call(self, operation: Operation, values: Mapping[str, Any], *, strict: bool = True) -> Any:
        """Run one operation with its arguments by name, see `operations.arguments` for `strict`."""
        return self.transport.call(operation, values, strict=strict)

    @property
    def rooms(self) -> Rooms:
        """The rooms behind an embedded lake, for faces that live in the same process.

        Raises:
            Unavailable: This object talks to a running stack.
        """
        if isinstance(self.transport, Rooms):
            return self.transport
        raise Unavailable("the rooms of a remote lakehouse cannot be reached; connect to its folder instead")

    def close(self) -> None:
        """Close the lake or the connection; idempotent."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Service:
    """The methods of one service, each a call through the transport."""

    def __init__(self, transport: Transport, service: str) -> None:
        for operation in operations.OPERATIONS:
            if operation.service == service:
                setattr(self, operation.method, _method(transport, operation))


def _method(transport: Transport, operation: Operation) -> Callable[..., Any]:
    def call(*args: Any, **values: Any) -> Any:
        if args:
            names = operations.request_type(operation).__struct_fields__
            values = {**dict(zip(names, args, strict=False)), **values}
        return transport.call(operation, values)

    call.__name__ = operation.method
    call.__qualname__ = operation.name
    return call


class Rooms:
    """An embedded lake: the rooms of this process over one folder.

    Opening is cheap: models and vocabularies load when first needed. One process at a time; the folder is
    locked until `close`.

    Args:
        config: Settings; `config.data` is the folder, made when absent.
        clock: The time, with its zone; everything that asks what day it is asks here.

    Attributes:
        around: What watches calls (audit, ops, spans), outermost last. Each is called with the operation, its checked
            arguments and the rest of the work, and must return that work's answer or raise its error.

    Raises:
        Conflict: Another process has the folder open.
        PermissionDenied: The folder cannot be written.
        InvalidInput: The folder was written by a newer version.
    """

    def __init__(self, config: settings.Settings, *, clock: Callable[[], datetime] = _now) -> None:
        from lakehouse.embed.service import Embeddings
        from lakehouse.lake.catalog import Catalog
        from lakehouse.lake.ingest import Ingest
        from lakehouse.lake.query import Query
        from lakehouse.lake.store import Store
        from lakehouse.matrix.corpora import Corpora
        from lakehouse.matrix.search import Matrix
        from lakehouse.memory.asks import Asks
        from lakehouse.memory.playbooks import Playbooks
        from lakehouse.staffing.certifications import Certifications
        from lakehouse.staffing.parse import Parser
        from lakehouse.staffing.places import Places
        from lakehouse.staffing.roles import Roles
        from lakehouse.state.database import Database
        from lakehouse.state.folder import open_folder
        from lakehouse.state.quiet import Gate
        from lakehouse.vectors.service import Vectors

        self.settings = config
        self._folder = open_folder(Path(config.data))
        path = self._folder.path
        self._gate = Gate(path)
        self.around: list[Around] = [self._through_the_gate, self._count_changes]
        self._changes = itertools.count(1)
        self._changed = 0
        self._closers: list[Callable[[], None]] = [self._folder.close]
        try:
            self.state = self._closing(Database.open(path / "state.db"))
            self.storage = Store(config.storage, path)
            self.catalog = self._closing(Catalog(config.catalog, path))
            self.ingest = Ingest(config.ingest, self.catalog)
            self.sql = self._closing(Query(config.query, self.catalog))
            self.embed = self._closing(Embeddings(config.embed, path))
            self.vectors = self._closing(
                Vectors(
                    config.vectors,
                    path,
                    embed=self.embed.array,
                    embed_model=self.embed.model,
                    embed_dimension=self.embed.dimension,
                )
            )
            roles = Roles.shipped()
            self.demand = Parser(Places.shipped(), roles, Certifications.shipped())
            self.corpora = Corpora(
                self.state,
                path,
                catalog=self.catalog,
                embed=self.embed,
                vectors=self.vectors,
                parser=self.demand,
                roles=roles,
            )
            asks = Asks(self.demand, roles, self.embed.array)
            self.playbooks = self._closing(
                Playbooks(
                    self.state,
                    vectors=self.vectors,
                    asks=asks,
                    model=self.embed.model,
                    dimension=self.embed.dimension,
                    config=config.matrix,
                    clock=clock,
                )
            )
            self.matrix = Matrix(
                config.matrix,
                vectors=self.vectors,
                asks=asks,
                playbooks=self.playbooks,
                today=lambda: clock().date(),
            )
            self._methods = {
                operation.name: getattr(getattr(self, operation.service), operation.method)
                for operation in operations.OPERATIONS
            }
        except BaseException:
            self.close()
            raise

    def _closing(self, room: _Closable) -> _Closable:
        self._closers.append(room.close)
        return room

    def call(self, operation: Operation, values: Mapping[str, Any], *, strict: bool = True) -> Any:
        """Check the arguments and call the room's method in this thread, under the trace at hand."""
        checked = operations.arguments(operation, dict(values), strict=strict)
        return self.watched(operation, checked, functools.partial(self._methods[operation.name], **checked))

    def watched(self, operation: Operation, checked: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Do the work of a call under the eyes of all that stands around it; the arguments are checked already."""
        with tracing.trace():
            for around in self.around:
                work = functools.partial(around, operation, checked, work)
            return work()

    def _through_the_gate(self, operation: Operation, _values: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        if not operation.changes:
            return work()
        with self._gate.passing():
            return work()

    def _count_changes(self, operation: Operation, _values: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        if not operation.changes or operation.has_versions:
            return work()
        try:
            return work()
        finally:
            self._changed = next(self._changes)

    def version(self, corpora: Sequence[str], namespace: str | None) -> Hashable:
        """Return what changes with every call that a search may see; see `Matrix.version`.

        Calls of which nothing closer is known change it too: an answer that is kept must never be wrong.
        """
        return self._changed, self.matrix.version(corpora, namespace)

    def close(self) -> None:
        """Close every room, last opened first, and unlock the folder; idempotent."""
        while self._closers:
            self._closers.pop()()


def connect(
    where: str | os.PathLike[str] | None = None,
    *,
    token: str | None = None,
    config: settings.Settings | None = None,
    clock: Callable[[], datetime] = _now,
) -> Lakehouse:
    """Open a lake in this process, or reach a running stack.

    Args:
        where: A folder (made when absent), or the `http://` or `https://` URL of a gateway; the configured
            `data` folder when None.
        token: Bearer token for a stack that asks for one.
        config: Settings; read from `lakehouse.toml` and the environment when None.
        clock: The time, with its zone, for a lake opened in this process.

    Raises:
        Unavailable: Nothing answers at the URL on first use.
        Conflict, PermissionDenied, InvalidInput: The folder cannot be opened, see `Rooms`.
    """
    text = os.fspath(where) if where is not None else None
    if text and text.startswith(("http://", "https://")):
        from lakehouse.remote import Remote

        return Lakehouse(Remote(text, token=token))
    config = config or settings.load()
    if text:
        import msgspec

        config = msgspec.structs.replace(config, data=text)
    return Lakehouse(Rooms(config, clock=clock))
