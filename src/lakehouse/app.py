"""The one object: rooms wired together here and nowhere else, or a running stack at the end of a URL."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import secrets
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

from lakehouse import operations, settings, tracing
from lakehouse.errors import Unavailable

if TYPE_CHECKING:
    from lakehouse.chat.base import ChatAnswer
    from lakehouse.chat.service import Chat
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
    from lakehouse.memory.asks import Asks
    from lakehouse.memory.pathways import Pathways
    from lakehouse.memory.playbooks import Playbooks
    from lakehouse.observe.base import Op
    from lakehouse.observe.inbox import Inbox
    from lakehouse.observe.modes import Mode
    from lakehouse.observe.ops import Ops
    from lakehouse.observe.traces import Traces
    from lakehouse.observe.workflows import Workflows
    from lakehouse.operations import Operation
    from lakehouse.staffing.parse import Parser
    from lakehouse.staffing.roles import Roles
    from lakehouse.validate.iterate import Ask, Iterate
    from lakehouse.validate.service import Validators
    from lakehouse.vectors.service import Vectors


class _Closes(Protocol):
    def close(self) -> None: ...


_Closable = TypeVar("_Closable", bound=_Closes)

# What stands around every call of an operation: gets its checked arguments and what does the work, returns the answer.
Around = Callable[["Operation", Mapping[str, Any], Callable[[], Any]], Any]


# Folder of the append-only logs, and database of the workflows' engine.
_LOGS = "logs"
_ENGINE = "workflows.db"
_ERASES = "subjects.erase"
# Enough for a digit and a few words around it.
_JUDGED_IN_TOKENS = 16
# Modes of workflows that are operations, as far as this version has them.
_MODES = frozenset({"matrix.search", "matrix.relevance", "matrix.downgrade"})

_log = logging.getLogger(__name__)


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
        on_change: Called after every call that may have changed what searches see in a way no version tells.

    Raises:
        Conflict: Another process has the folder open.
        PermissionDenied: The folder cannot be written.
        InvalidInput: The folder was written by a newer version.
    """

    def __init__(self, config: settings.Settings, *, clock: Callable[[], datetime] = _now) -> None:
        from lakehouse.embed.service import Embeddings
        from lakehouse.lake.catalog import Catalog
        from lakehouse.lake.store import Store
        from lakehouse.matrix.corpora import Corpora
        from lakehouse.matrix.search import Matrix
        from lakehouse.memory.asks import Asks
        from lakehouse.memory.pathways import Pathways
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
        self.on_change: list[Callable[[], None]] = []
        self._closers: list[Callable[[], None]] = [self._folder.close]
        try:
            self.state = self._closing(Database.open(path / "state.db"))
            self.storage = Store(config.storage, path)
            self.catalog = self._closing(Catalog(config.catalog, path, config.storage))
            self._bring_in(config, path)
            self._witness(config, path, clock)
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
                sql=self.sql,
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
            self.pathways = Pathways(self.state, self.embed.array, clock=clock)
            self.matrix = Matrix(
                config.matrix,
                vectors=self.vectors,
                asks=asks,
                playbooks=self.playbooks,
                today=lambda: clock().date(),
                weak_models=config.models.weak_models,
                judge=(config.models.local_judge, self._second_opinion) if config.models.local_judge else None,
            )
            self._open_ledger(clock)
            self._take_in(config, path, clock)
            self._judge(config, path, clock, roles)
            self._learn_from(config, path, clock, asks)
            self._methods = {
                operation.name: getattr(getattr(self, operation.service), operation.method)
                for operation in operations.OPERATIONS
            }
        except BaseException:
            self.close()
            raise

    def _bring_in(self, config: settings.Settings, path: Path) -> None:
        """Open what brings files in, but for rows of people who were erased, and SQL over datasets and logs."""
        from lakehouse.lake.ingest import Ingest
        from lakehouse.lake.query import Query
        from lakehouse.learn.tables import log_tables
        from lakehouse.ledger.erased import Erased
        from lakehouse.ledger.ledger import folder_of_keys

        self._erased = Erased(self.state, folder_of_keys(config.ledger, path))
        self.ingest = Ingest(config.ingest, self.catalog, barred=self._erased)
        self.sql = self._closing(Query(config.query, self.catalog, log_tables(path, _sessions(config, path))))

    def _witness(self, config: settings.Settings, path: Path, clock: Callable[[], datetime]) -> None:
        """Open what watches every call: ops always, spans where a setting asks for them."""
        from lakehouse.observe.metrics import Metrics
        from lakehouse.observe.ops import Ops

        self.observer = self._closing(
            Ops(config.observer, path / _LOGS / "ops.jsonl", clock=clock, start=secrets.token_hex(4))
        )
        self.traces = self._closing(_traces(config, path / _LOGS / "spans.jsonl", ops_of=self.observer.of_trace))
        self.observer.spans_dropped = lambda: self.traces.dropped
        lost = {"ops": lambda: self.observer.dropped, "spans": lambda: self.traces.dropped}
        self.metrics = Metrics(self.observer.counters, lost)
        self.around.append(self.observer.around)
        if self.traces.on:
            self.around.append(self.traces.around)

    def _open_ledger(self, clock: Callable[[], datetime]) -> None:
        """Open what stands around every call: who may call, and who saw whose data."""
        from lakehouse.lake.query import watched
        from lakehouse.lake.shown import people_of
        from lakehouse.lake.store import bucket
        from lakehouse.learn.tables import purge
        from lakehouse.ledger.access import Access
        from lakehouse.ledger.erasure import Eraser
        from lakehouse.ledger.gate import Gate
        from lakehouse.ledger.ledger import Ledger
        from lakehouse.ledger.manifests import DataKeys, Manifests
        from lakehouse.ledger.people import People
        from lakehouse.ledger.subjects import Subjects
        from lakehouse.ledger.witness import Witness
        from lakehouse.matrix import erasing
        from lakehouse.matrix.erased_texts import Texts

        config, path = self.settings, self._folder.path
        holding = erasing.Rooms(
            catalog=self.catalog,
            vectors=self.vectors,
            corpora=self.corpora,
            embed=self.embed,
            playbooks=self.playbooks,
            texts=Texts(
                folder=path,
                state=self.state,
                engine=path / _ENGINE,
                ops=self.observer,
                traces=self.traces,
                storage=self.storage if config.storage.backend == "local" else None,
                logs=(*filter(None, [_sessions(config, path)]), Path(config.chat.record), Path(config.logging.file)),
            ),
        )
        self.ledger = self._closing(
            Ledger(config.ledger, path, clock=clock, bucket=functools.partial(bucket, config.storage))
        )
        self.subjects = Subjects(
            Manifests(self.state, DataKeys(self.ledger.keys)),
            ledger=self.ledger,
            people=People(self.corpora.defined, self.sql.query, self.catalog.text_columns),
            eraser=Eraser(path, {**holding.purges(), "training data (rows)": purge(path)}),
            erased=self._erased,
            clock=clock,
        )
        self.keys = Access(self.state, clock=clock)
        self.around.append(Gate())
        if config.ledger.enabled:
            self.around.append(
                Witness(
                    self.ledger, self.corpora.defined, watched=watched, holders=functools.partial(people_of, self.sql)
                )
            )

    def _judge(self, config: settings.Settings, path: Path, clock: Callable[[], datetime], roles: Roles) -> None:
        """Open chat, and what decides about all that models say."""
        from lakehouse.chat.service import Chat
        from lakehouse.validate.iterate import Iterate
        from lakehouse.validate.roster import Roster
        from lakehouse.validate.service import Validators
        from lakehouse.validate.session import SessionLog

        self.chat = self._closing(Chat(config.chat, path))
        self.roster = Roster(
            self.catalog,
            self.vectors,
            corpora=self.corpora.defined,
            built_ids=self.corpora.built_ids,
            parser=self.demand,
            roles=roles,
        )
        self.validate = Validators(
            config.validatord,
            self.state,
            look_up=self.roster.look_up,
            prefixes=lambda: [corpus.id_prefix for corpus in self.corpora.defined()],
            parser=self.demand,
            roles=roles,
            clock=clock,
        )
        self.iterate = Iterate(
            config.validatord,
            complete=self._ask_model,
            validators=self.validate,
            log=self._closing(SessionLog(_sessions(config, path))),
            clock=clock,
        )

    def _take_in(self, config: settings.Settings, path: Path, clock: Callable[[], datetime]) -> None:
        """Open the inbox and the workflows, which reach the rooms above them through the table."""
        from lakehouse.observe.inbox import Inbox
        from lakehouse.observe.poller import Poller
        from lakehouse.observe.workflows import Workflows

        table = operations.BY_NAME
        search = table["matrix.search"]
        self.inbox = Inbox(
            self.state,
            self.observer,
            parse_all=self.demand.parse_all,
            search=lambda text, corpora: self.call(search, {"query_text": text, "corpora": list(corpora)}),
            clock=clock,
            new_id=_new_id,
        )
        self.workflow = self._closing(
            Workflows(
                config.workflow,
                self.state,
                path / _ENGINE,
                ops=self.observer,
                modes=lambda: [self._mode(table[name]) for name in sorted(_MODES & set(table))],
                clock=clock,
                new_id=_new_id,
            )
        )
        password = os.environ.get(config.inbox.imap_password_env, "")
        self._poller = self._closing(Poller(config.inbox, self.inbox.take, password=password))

    def _learn_from(self, config: settings.Settings, path: Path, clock: Callable[[], datetime], asks: Asks) -> None:
        """Open what reads the logs of all rooms, and looks through the rooms themselves."""
        from lakehouse.learn.service import Learn

        self.learn = self._closing(
            Learn(config, self, folder=path, asks=asks, complete=self._ask_model, clock=clock, new_id=_new_id)
        )

    def _mode(self, operation: Operation) -> Mode:
        from lakehouse.observe.modes import Mode

        summary = (operations.function(operation).__doc__ or "").strip().partition("\n")[0]
        return Mode(
            operation.name, operations.request_type(operation), lambda **values: self.call(operation, values), summary
        )

    def attend(self) -> None:
        """Begin what only a running stack does: take up unfinished runs, look for new mail. Returns at once."""
        self._poller.start()
        threading.Thread(target=self._resume, name="resume", daemon=True).start()

    def _resume(self) -> None:
        try:
            resumed = self.workflow.resume().run_ids
        except Exception:  # noqa: BLE001 - the stack serves on without them
            _log.exception("unfinished runs were not taken up; `lakehouse workflow resume` tries again")
            return
        if resumed:
            _log.info("took up %d unfinished runs", len(resumed))

    def _closing(self, room: _Closable) -> _Closable:
        self._closers.append(room.close)
        return room

    def _ask_model(self, ask: Ask) -> ChatAnswer:
        # As everybody else asks, so that ops and spans see it.
        answer: ChatAnswer = self.call(
            operations.BY_NAME["chat.complete"],
            {
                "model": ask.model,
                "messages": [{"role": role, "content": text} for role, text in ask.turns],
                "max_tokens": ask.max_tokens,
                "format": {"schema": ask.schema},
                "timeout_ms": ask.timeout_ms,
                "namespace": ask.namespace,
                "data_class": ask.data_class,
            },
        )
        return answer

    def _second_opinion(self, prompt: str) -> str:
        from lakehouse.chat.base import Message

        # What is said of a person is personal, though no name is among it.
        answer = self.chat.complete(
            self.settings.models.local_judge,
            [Message(role="user", content=prompt)],
            max_tokens=_JUDGED_IN_TOKENS,
            temperature=0.0,
            data_class="personal",
        )
        return answer.content

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
            if operation.name == _ERASES:
                # What somebody asked to be erased must not stay in memory either.
                self.matrix.forget()
            for told in self.on_change:
                told()

    def version(self, corpora: Sequence[str], namespace: str | None) -> Hashable:
        """Return what changes with every call that a search may see; see `Matrix.version`.

        Calls of which nothing closer is known change it too: an answer that is kept must never be wrong.
        """
        return self._changed, self.matrix.version(corpora, namespace)

    def close(self) -> None:
        """Close every room, last opened first, and unlock the folder; idempotent."""
        while self._closers:
            self._closers.pop()()


def _new_id() -> str:
    return secrets.token_hex(8)


def _traces(
    config: settings.Settings, path: Path | None, ops_of: Callable[[str], Sequence[Op]] = lambda _: ()
) -> Traces:
    import lakehouse
    from lakehouse.observe.traces import Traces

    headers = os.environ.get(config.traces.headers_env, "") if config.traces.endpoint else ""
    return Traces(config.traces, path, version=lakehouse.__version__, headers=headers, ops_of=ops_of)


def _sessions(config: settings.Settings, path: Path) -> Path | None:
    named = config.validatord.session_log_path
    return path / named if named else None


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

        config = config or settings.load()
        return Lakehouse(Remote(text, token=token), spans=_traces(config, None) if config.traces.endpoint else None)
    config = config or settings.load()
    if text:
        import msgspec

        config = msgspec.structs.replace(config, data=text)
    rooms = Rooms(config, clock=clock)
    return Lakehouse(rooms, spans=rooms.traces)
