"""The rooms of a lake in this process: wired together here and nowhere else, and what stands around every call."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import secrets
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lakehouse import decoding, operations, settings, tracing

if TYPE_CHECKING:
    from lakehouse.chat.base import ChatAnswer
    from lakehouse.lake.query import LogTable
    from lakehouse.lake.shipping import Shipping
    from lakehouse.ledger.erasure import Gone
    from lakehouse.memory.asks import Asks
    from lakehouse.observe.base import Op
    from lakehouse.observe.modes import Mode
    from lakehouse.observe.traces import Traces
    from lakehouse.operations import Operation
    from lakehouse.staffing.certifications import Certifications
    from lakehouse.staffing.places import Places
    from lakehouse.staffing.roles import Roles
    from lakehouse.validate.iterate import Ask


class _Closes(Protocol):
    def close(self) -> None: ...


_Closable = TypeVar("_Closable", bound=_Closes)

# What stands around every call of an operation: gets its checked arguments and what does the work, returns the answer.
Around = Callable[["Operation", Mapping[str, Any], Callable[[], Any]], Any]

# Folder of the append-only logs, and database of the workflows' engine.
_LOGS = "logs"
_ENGINE = "workflows.db"
_ERASES = "subjects.erase"
# Modes of workflows that are operations, as far as this version has them.
_MODES = frozenset({"matrix.search", "matrix.relevance", "matrix.downgrade"})

_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


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

    def __init__(self, config: settings.Settings, *, clock: Callable[[], datetime] = utc_now) -> None:
        from lakehouse.chat.prompting import prompting
        from lakehouse.embed.service import Embeddings
        from lakehouse.lake.catalog import Catalog
        from lakehouse.lake.store import Store
        from lakehouse.ledger.ledger import folder_of_keys
        from lakehouse.ledger.replicas import Replicas, require_shared
        from lakehouse.matrix.corpora import Corpora
        from lakehouse.staffing.parse import Parser
        from lakehouse.staffing.role_reader import role_reader
        from lakehouse.state.database import Database
        from lakehouse.state.folder import open_folder
        from lakehouse.state.quiet import Gate
        from lakehouse.vectors.service import Vectors

        require_shared(config)
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
            self.state = self._closing(Database.open(config.state.url or path / "state.db"))
            self.storage = Store(config.storage, path)
            self.catalog = self._closing(Catalog(config.catalog, path, config.storage))
            self.replicas = Replicas(
                self.state,
                path,
                folder_of_keys(config.ledger, path),
                model=config.embed.model,
                catalog=self.catalog.id,
            )
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
            places, self.roles, certifications = _vocabularies()
            reader = prompting(config.models.local_parse, lambda: self.chat)
            self.demand = Parser(
                places, self.roles, certifications, role_model=role_reader(reader) if reader is not None else None
            )
            self.corpora = Corpora(
                self.state,
                path,
                sql=self.sql,
                embed=self.embed,
                vectors=self.vectors,
                parser=self.demand,
                roles=self.roles,
            )
            asks = self._remember(config, clock)
            self._open_ledger(clock)
            self._take_in(config, path, clock)
            self._judge(config, path, clock)
            self._keep_demands(clock)
            self._learn_from(config, path, clock, asks)
            self._methods = {
                operation.name: getattr(getattr(self, operation.service), operation.method)
                for operation in operations.OPERATIONS
            }
            self._follow_others()
            decoding.ready_loaded()
        except BaseException:
            self.close()
            raise

    def _remember(self, config: settings.Settings, clock: Callable[[], datetime]) -> Asks:
        """Open memory, and search with it."""
        from lakehouse.chat.prompting import prompting
        from lakehouse.matrix.search import Matrix
        from lakehouse.memory.asks import Asks
        from lakehouse.memory.pathways import Pathways
        from lakehouse.memory.playbooks import Playbooks

        asks = Asks(self.demand, self.roles, self.embed.array)
        judge = prompting(config.models.local_judge, lambda: self.chat)
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
            judge=(config.models.local_judge, judge) if judge is not None else None,
        )
        return asks

    def _bring_in(self, config: settings.Settings, path: Path) -> None:
        """Open what brings files in, but for rows of people who were erased, and SQL over datasets and logs."""
        from msgspec import structs

        from lakehouse.lake.ingest import Ingest
        from lakehouse.lake.query import Query
        from lakehouse.learn.tables import log_tables
        from lakehouse.ledger.erased import Erased
        from lakehouse.ledger.ledger import folder_of_keys

        self._erased = Erased(self.state, folder_of_keys(config.ledger, path))
        self.ingest = Ingest(config.ingest, self.catalog, barred=self._erased)
        query = config.query
        if self.state.shared:
            # What another replica has taken in is there for the next statement, such as one that looks for a person.
            query = structs.replace(query, refresh_every_ms=0)
        logs = log_tables(path, _sessions(config, path))
        self.shipping = self._ship(config, path, logs)
        self.sql = self._closing(Query(query, self.catalog, logs, self.shipping))

    def _ship(self, config: settings.Settings, path: Path, tables: Sequence[LogTable]) -> Shipping | None:
        """Open what puts logs into a bucket; it closes after the rooms that write them."""
        if not config.storage.logs:
            return None
        from lakehouse.lake.shipping import Shipping, own_id

        # What is made of logs is made anew where it is wanted.
        logs = {table.name: table.path for table in tables if table.files is None}
        return self._closing(
            Shipping(
                config.storage,
                logs,
                self.replicas.own or own_id(path),
                held=lambda: self.replicas.behind,
            )
        )

    def _witness(self, config: settings.Settings, path: Path, clock: Callable[[], datetime]) -> None:
        """Open what watches every call: ops always, spans where a setting asks for them."""
        from lakehouse.observe.metrics import Metrics
        from lakehouse.observe.ops import Ops

        self.observer = self._closing(
            Ops(config.observer, path / _LOGS / "ops.jsonl", clock=clock, start=secrets.token_hex(4))
        )
        self.traces = self._closing(traces_of(config, path / _LOGS / "spans.jsonl", ops_of=self.observer.of_trace))
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
                shipping=self.shipping,
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
            tell_others=self.replicas.tell,
            eraser=Eraser(
                path,
                {
                    "open demands (people)": lambda people: {
                        gone.subject: self.demands.purge(gone.subject) for gone in people
                    },
                    **holding.purges(),
                    "training data (rows)": purge(path),
                },
                shared=holding.shared(),
                elsewhere=self.shipping.contents if self.shipping else tuple,
            ),
            erased=self._erased,
            clock=clock,
        )
        self._here = Eraser(path, {**holding.local(), "training data (rows)": purge(path)})
        self.keys = Access(self.state, clock=clock)
        self.around.append(
            Gate(
                owner=lambda entry: self.playbooks.get(entry).entry.namespace,
                used_by=lambda namespace: [used for used, _ in self.playbooks.version(namespace)],
            )
        )
        if config.ledger.enabled:
            witness = Witness(
                self.ledger,
                self.corpora.defined,
                watched=watched,
                holders=functools.partial(people_of, self.sql),
                answers=config.matrix.kept_answers,
            )
            self.around.append(witness)
            self.on_change.append(witness.forget)

    def _judge(self, config: settings.Settings, path: Path, clock: Callable[[], datetime]) -> None:
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
            roles=self.roles,
        )
        self.validate = Validators(
            config.validatord,
            self.state,
            look_up=self.roster.look_up,
            prefixes=lambda: [corpus.id_prefix for corpus in self.corpora.defined()],
            parser=self.demand,
            roles=self.roles,
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
        own = f"{self.replicas.own}-" if self.replicas.own else ""
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
                new_id=lambda: own + _new_id(),
            )
        )
        # A run that another replica has under way is not one to take up.
        self.workflow.is_own = lambda run_id: run_id.startswith(f"run-{own}")
        password = os.environ.get(config.inbox.imap_password_env, "")
        self._poller = self._closing(Poller(config.inbox, self.inbox.take, password=password))

    def _keep_demands(self, clock: Callable[[], datetime]) -> None:
        """Open the demands that are not done yet; they search through the table, so that it is seen."""
        from lakehouse.demands.desk import Desk
        from lakehouse.demands.service import Demands

        search = operations.BY_NAME["matrix.search"]
        desk = Desk(
            self.state,
            self.demand,
            message=self.inbox.get,
            look_up=self.roster.look_up,
            validators=self.validate,
            clock=clock,
            new_id=_new_id,
        )
        self.demands = Demands(
            desk,
            self.playbooks,
            search=lambda **values: self.call(search, values),
            corpora=lambda: [corpus.name for corpus in self.corpora.defined()],
        )

    def _learn_from(self, config: settings.Settings, path: Path, clock: Callable[[], datetime], asks: Asks) -> None:
        """Open what reads the logs of all rooms, and looks through the rooms themselves."""
        from lakehouse.learn.service import Learn

        self.learn = self._closing(
            Learn(config, self, folder=path, asks=asks, complete=self._ask_model, clock=clock, new_id=_new_id)
        )

    def _follow_others(self) -> None:
        """Take in what other replicas have written, and be ready to do so before every call."""
        from lakehouse.state.following import Following

        if self.state.shared:
            self.vectors.before_delete = self.corpora.keep_whole
            self.around.insert(0, self.corpora.around)
        # Datasets before memory: an entry is filed by where its person lives.
        rooms = (
            self.keys.follow,
            self._erased.follow,
            self.corpora.follow,
            self.playbooks.follow,
            self.pathways.follow,
            self._erase_here,
            self._note_change,
        )
        self.following = Following(self.state, rooms)
        self.following.catch_up()

    def _erase_here(self) -> None:
        """Erase from this folder whom another replica has erased everywhere else."""

        def erase(people: Sequence[Gone]) -> None:
            self._here.purge(people)
            self._forget()
            for subject, files in self._here.probe(people).items():
                if files:
                    _log.warning("of a person who was erased on another replica something is left here: %s", files)
                self.ledger.record(
                    [Event(subject=subject, action="erase", purpose="replica", fields=(), result="erased")]
                )

        from lakehouse.ledger.rows import Event

        self.replicas.follow(erase)

    def _mode(self, operation: Operation) -> Mode:
        from lakehouse.observe.modes import Mode

        summary = (operations.function(operation).__doc__ or "").strip().partition("\n")[0]
        return Mode(
            operation.name, operations.request_type(operation), lambda **values: self.call(operation, values), summary
        )

    def attend(self) -> None:
        """Begin what only a running stack does: unfinished runs, new mail, logs into a bucket. Returns at once."""
        self._poller.start()
        if self.shipping:
            # Nobody who was erased on another replica may be put there again.
            self.shipping.start(self.following.catch_up)
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

    def call(self, operation: Operation, values: Mapping[str, Any], *, strict: bool = True) -> Any:
        """Check the arguments and call the room's method in this thread, under the trace at hand."""
        self.following.catch_up()
        checked = operations.arguments(operation, dict(values), strict=strict)
        return self.watched(operation, checked, functools.partial(self._methods[operation.name], **checked))

    def watched(self, operation: Operation, checked: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Do the work of a call under the eyes of all that stands around it; the arguments are checked already."""
        for around in self.around:
            work = functools.partial(around, operation, checked, work)
        if tracing.current():
            return work()
        with tracing.trace():
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
            if operation.name == _ERASES:
                self._forget()
            self._note_change()

    def _forget(self) -> None:
        """Drop what is held in memory: what somebody asked to be erased must not stay there either."""
        self.matrix.forget()
        self.pathways.forget()

    def _note_change(self) -> None:
        self._changed = next(self._changes)
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


@functools.cache
def _vocabularies() -> tuple[Places, Roles, Certifications]:
    """Read what ships with the product; nothing of it changes, so all lakes of a process have it together."""
    from lakehouse.staffing.certifications import Certifications
    from lakehouse.staffing.places import Places
    from lakehouse.staffing.roles import Roles

    return Places.shipped(), Roles.shipped(), Certifications.shipped()


def _new_id() -> str:
    return secrets.token_hex(8)


def traces_of(
    config: settings.Settings, path: Path | None, ops_of: Callable[[str], Sequence[Op]] = lambda _: ()
) -> Traces:
    """Open the traces of a lake, or without a path those of a client, which keeps no log."""
    import lakehouse
    from lakehouse.observe.traces import Traces

    headers = os.environ.get(config.traces.headers_env, "") if config.traces.endpoint else ""
    return Traces(config.traces, path, version=lakehouse.__version__, headers=headers, ops_of=ops_of)


def _sessions(config: settings.Settings, path: Path) -> Path | None:
    named = config.validatord.session_log_path
    return path / named if named else None
