"""The one object: the rooms of this process, or a running stack at the end of a URL."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from lakehouse import operations, settings, tracing
from lakehouse.errors import Unavailable
from lakehouse.rooms import Rooms, traces_of, utc_now

if TYPE_CHECKING:
    from lakehouse.chat.service import Chat
    from lakehouse.demands.service import Demands
    from lakehouse.embed.service import Embeddings
    from lakehouse.lake.catalog import Catalog
    from lakehouse.lake.ingest import Ingest
    from lakehouse.lake.query import Query
    from lakehouse.lake.store import Store
    from lakehouse.learn.service import Learn
    from lakehouse.ledger.access import Access
    from lakehouse.ledger.subjects import Subjects
    from lakehouse.matrix.corpora import Corpora
    from lakehouse.matrix.search import Matrix
    from lakehouse.memory.pathways import Pathways
    from lakehouse.memory.playbooks import Playbooks
    from lakehouse.observe.inbox import Inbox
    from lakehouse.observe.ops import Ops
    from lakehouse.observe.traces import Traces
    from lakehouse.observe.workflows import Workflows
    from lakehouse.operations import Operation
    from lakehouse.staffing.parse import Parser
    from lakehouse.validate.iterate import Iterate
    from lakehouse.validate.service import Validators
    from lakehouse.vectors.service import Vectors


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
    demands: Demands
    matrix: Matrix
    playbooks: Playbooks
    chat: Chat
    validate: Validators
    iterate: Iterate
    pathways: Pathways
    observer: Ops
    inbox: Inbox
    workflow: Workflows
    traces: Traces
    subjects: Subjects
    keys: Access
    learn: Learn

    def __init__(self, transport: Transport, *, spans: Traces | None = None) -> None:
        self.transport = transport
        self._spans = spans
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

    @contextlib.contextmanager
    def phase(self, name: str, **attributes: Any) -> Iterator[str]:
        """Put every call of the block under one trace, and where spans are recorded under one span.

        Args:
            name: What the block does (`baseline`, `handover`).
            **attributes: Facts without personal data.

        Yields:
            The trace id.
        """
        if self._spans is None:
            with tracing.trace() as trace_id:
                yield trace_id
            return
        with self._spans.phase(name, **attributes) as trace_id:
            yield trace_id

    def close(self) -> None:
        """Close the lake or the connection; idempotent."""
        self.transport.close()
        if self._spans is not None:
            self._spans.close()

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


def connect(
    where: str | os.PathLike[str] | None = None,
    *,
    token: str | None = None,
    config: settings.Settings | None = None,
    clock: Callable[[], datetime] = utc_now,
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

        config = config or settings.load()
        return Lakehouse(Remote(text, token=token), spans=traces_of(config, None) if config.traces.endpoint else None)
    config = config or settings.load()
    if text:
        import msgspec

        config = msgspec.structs.replace(config, data=text)
    rooms = Rooms(config, clock=clock)
    return Lakehouse(rooms, spans=rooms.traces)
