"""The table of everything the product can be asked to do.

An operation is a method of a service. Its request type comes from the method's signature, its answer
type from the return annotation, its documentation from the docstring. The object in process, the HTTP
face, the remote client, the OpenAPI description and the tests all read this one table, so nothing can
be true in one of them only.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
import typing
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

import msgspec

from lakehouse.decoding import ready
from lakehouse.errors import InvalidInput

ARROW_STREAM = "application/vnd.apache.arrow.stream"
EVENT_STREAM = "text/event-stream"
JSON_LINES = "application/x-ndjson"

Runs = Literal["inline", "thread", "upstream"]

# Questions too long for an address.
_READS_BY_POST = frozenset(
    "sql.query sql.arrow ingest.explain embed.texts vectors.search demand.parse matrix.search matrix.relevance"
    " matrix.downgrade playbooks.export inbox.match chat.complete chat.stream validate.check"
    " corpora.people demands.candidates demands.relax".split()
)

# What changes something, and the same again changes nothing more.
_REPEATABLE = frozenset(
    "ingest.file vectors.add vectors.merge corpora.build playbooks.handover playbooks.import_ pathways.add_idempotent"
    " learn.materialize learn.score learn.export_sft demands.file demands.edit demands.place".split()
)
# What would count the same again once more, unless it comes with the key of the first time.
_KEYED = frozenset("playbooks.record playbooks.bulk playbooks.merge".split())


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one service and where it stands on the wire.

    Attributes:
        service: Attribute of `Lakehouse` ("matrix").
        method: Method of that service ("search").
        verb, path: HTTP; `{name}` in the path is an argument.
        owner: Dotted `module:Class` of the service, imported on first use.
        query: Arguments taken from the query string.
        raw: The argument that carries the request body itself (bytes, a path or a binary stream); an
            argument `content_type` beside it carries the header of that name.
        accept: Media type that chooses this operation among those of one path.
        status: HTTP status of success; 204 has no body.
        stops: The work asks `progress.abandoned`, so that a caller who hangs up stops it.
        runs: `inline` on the event loop (microseconds, holds the interpreter anyway; in a thread when its arguments ask
            for more), in a `thread`, or in a thread of those that wait for somebody else (`upstream`).
    """

    service: str
    method: str
    verb: str
    path: str
    owner: str
    query: tuple[str, ...] = ()
    raw: str = ""
    accept: str = ""
    status: int = 200
    stops: bool = False
    runs: Runs = "thread"

    @property
    def name(self) -> str:
        """Dotted name, `matrix.search`."""
        return f"{self.service}.{self.method}"

    @property
    def has_versions(self) -> bool:
        """Whether all that a search can see of what a call changes is told by `Matrix.version`."""
        return self.service in {"vectors", "playbooks", "demands"}

    @property
    def streams(self) -> bool:
        """Whether the method gives an iterator, sent as server-sent events."""
        return self.accept == EVENT_STREAM

    @property
    def changes(self) -> bool:
        """Whether a call may change the lake; such calls wait while a backup is taken."""
        return self.verb not in {"GET", "HEAD"} and self.name not in _READS_BY_POST

    @property
    def keyed(self) -> bool:
        """Whether a key tells a call that is sent again from another one that is the same; see `idempotency`."""
        return self.name in _KEYED

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice is as good as once, so that it may be sent again when an answer was lost.

        One that is `keyed` must be sent with the same key.
        """
        if self.runs == "upstream":
            # Somebody else's model, which was asked again already as often as makes sense, and costs.
            return False
        return self.verb in {"GET", "HEAD", "PUT"} or not self.changes or self.name in _REPEATABLE | _KEYED

    @property
    def path_arguments(self) -> tuple[str, ...]:
        """Arguments that stand in the path."""
        return tuple(re.findall(r"{(\w+)(?::path)?}", self.path))


def function(operation: Operation) -> Any:
    """Return the undecorated method of the owning class."""
    module, _, name = operation.owner.partition(":")
    owner = getattr(__import__(module, fromlist=[name]), name)
    return getattr(owner, operation.method)


@functools.cache
def request_type(operation: Operation) -> type[msgspec.Struct]:
    """Build the request type from the signature: all keyword, unknown fields refused."""
    method = function(operation)
    hints = typing.get_type_hints(method, include_extras=True)
    fields: list[Any] = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        declared = Any if parameter.name == operation.raw else hints[parameter.name]
        if parameter.default is inspect.Parameter.empty:
            fields.append((parameter.name, declared))
        else:
            fields.append((parameter.name, declared, parameter.default))
    return ready(
        msgspec.defstruct(
            f"{operation.service}_{operation.method}_request",
            fields,
            kw_only=True,
            frozen=True,
            forbid_unknown_fields=True,
            # `from` is a Python keyword: the argument is `from_`, the field on the wire is `from`.
            rename=lambda name: name.rstrip("_"),
        )
    )


@functools.cache
def answer_type(operation: Operation) -> Any:
    """Return the annotation of the method's answer; of a stream, that of one event."""
    answer = typing.get_type_hints(function(operation)).get("return", type(None))
    return ready(typing.get_args(answer)[0] if operation.streams else answer)


def arguments(operation: Operation, values: dict[str, Any], *, strict: bool = True) -> dict[str, Any]:
    """Check `values` against the request type.

    Args:
        operation: Whose arguments these are.
        values: By name, as plain JSON values or as the declared types.
        strict: False reads numbers and booleans from strings (query strings, paths).

    Returns:
        Every argument by name, defaults filled in, converted to the declared types.

    Raises:
        InvalidInput: A field is unknown, missing, of the wrong type or out of range, or one that stands in the
            path is empty; `detail.field` names it.
    """
    kind = request_type(operation)
    values = {name.rstrip("_"): value for name, value in values.items()}
    raw = values.get(operation.raw) if operation.raw else None
    if operation.raw and operation.raw in values:
        values = {**values, operation.raw: b""}
    try:
        request = msgspec.convert({name: _plain(value) for name, value in values.items()}, kind, strict=strict)
    except msgspec.ValidationError as error:
        refuse(operation, error)
    checked = {name: getattr(request, name) for name in kind.__struct_fields__}
    for name in operation.path_arguments:
        if checked[name] == "":
            raise InvalidInput(f"field {name!r} of {operation.name} must not be empty", field=name)
    if operation.raw and raw is not None:
        checked[operation.raw] = raw
    return checked


def _plain(value: Any) -> Any:
    """Return an argument without structs, which whoever calls in this process may have made and nobody has checked."""
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    # A vector has hundreds of numbers, and none of them is looked at.
    if isinstance(value, list | tuple) and value and isinstance(value[0], msgspec.Struct | dict):
        return [_plain(each) for each in value]
    return value


_ALIKE = 0.6
_ALIKE_LETTER = 0.5
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")


def refuse(operation: Operation, error: msgspec.ValidationError) -> NoReturn:
    """Raise `InvalidInput` in the product's words for what msgspec found."""
    text = str(error)
    at = _AT.search(text)
    place = at["path"] if at else ""
    unknown = _UNKNOWN.search(text)
    if unknown:
        field = unknown["field"]
        known = [] if place else list(request_type(operation).__struct_encode_fields__)
        near = _like(field, known)
        hint = f"; did you mean {near[0]!r}?" if near else (f"; known: {', '.join(known)}" if known else "")
        where = f" in {place!r}" if place else ""
        raise InvalidInput(f"unknown field {field!r}{where} for {operation.name}{hint}", field=field) from None
    missing = _MISSING.search(text)
    if missing:
        field = f"{place}.{missing['field']}" if place else missing["field"]
        raise InvalidInput(f"{operation.name} needs the field {field!r}", field=field) from None
    reason = _AT.sub("", text).replace("`", "")
    raise InvalidInput(f"field {place or 'body'!r} of {operation.name}: {reason}", field=place or "body") from None


def _like(field: str, known: Sequence[str]) -> list[str]:
    """Return the field that was likely meant: one of a near name, or the only one that has it as a word ("query_role").

    What has but a few letters in common ("client", "role") is another thing, and all that are known are better told.
    """
    # One letter is short for a word of three at most: "q" for "sql".
    near = difflib.get_close_matches(field, known, 1, _ALIKE if len(field) > 1 else _ALIKE_LETTER)
    having = [name for name in known if field in name.split("_")]
    return near or (having if len(having) == 1 else [])


_STORE = "lakehouse.lake.store:Store"
_CATALOG = "lakehouse.lake.catalog:Catalog"
_INGEST = "lakehouse.lake.ingest:Ingest"
_QUERY = "lakehouse.lake.query:Query"
_EMBED = "lakehouse.embed.service:Embeddings"
_VECTORS = "lakehouse.vectors.service:Vectors"
_CORPORA = "lakehouse.matrix.corpora:Corpora"
_PARSER = "lakehouse.staffing.parse:Parser"
_MATRIX = "lakehouse.matrix.search:Matrix"
_PLAYBOOKS = "lakehouse.memory.playbooks:Playbooks"
_CHAT = "lakehouse.chat.service:Chat"
_ITERATE = "lakehouse.validate.iterate:Iterate"
_VALIDATORS = "lakehouse.validate.service:Validators"
_PATHWAYS = "lakehouse.memory.pathways:Pathways"
_SUBJECTS = "lakehouse.ledger.subjects:Subjects"
_ACCESS = "lakehouse.ledger.access:Access"

_OPS = "lakehouse.observe.ops:Ops"
_INBOX = "lakehouse.observe.inbox:Inbox"
_WORKFLOWS = "lakehouse.observe.workflows:Workflows"
_TRACES = "lakehouse.observe.traces:Traces"
_LEARN = "lakehouse.learn.service:Learn"
_DEMANDS = "lakehouse.demands.service:Demands"


def _operation(name: str, route: str, owner: str, **options: Any) -> Operation:
    service, _, method = name.partition(".")
    verb, _, path = route.partition(" ")
    return Operation(service=service, method=method, verb=verb, path=path, owner=owner, **options)


OPERATIONS: tuple[Operation, ...] = (
    _operation("storage.put", "PUT /v1/storage/{key:path}", _STORE, raw="data"),
    _operation("storage.get", "GET /v1/storage/{key:path}", _STORE, query=("start", "length")),
    _operation("storage.head", "HEAD /v1/storage/{key:path}", _STORE),
    _operation("storage.delete", "DELETE /v1/storage/{key:path}", _STORE, status=204),
    _operation("storage.list", "GET /v1/storage", _STORE, query=("prefix", "after", "limit")),
    _operation("ingest.file", "POST /v1/ingest", _INGEST, raw="source", query=("name", "key", "quarantine", "mapping")),
    _operation("ingest.explain", "POST /v1/ingest/explain", _INGEST, raw="source", query=("name", "key", "mapping")),
    _operation("catalog.datasets", "GET /v1/catalog/datasets", _CATALOG),
    _operation("catalog.dataset", "GET /v1/catalog/datasets/{name}", _CATALOG),
    _operation("catalog.snapshots", "GET /v1/catalog/datasets/{name}/snapshots", _CATALOG),
    _operation("catalog.drop", "DELETE /v1/catalog/datasets/{name}", _CATALOG, status=204),
    _operation("sql.query", "POST /v1/sql", _QUERY, stops=True),
    _operation("sql.arrow", "POST /v1/sql", _QUERY, accept=ARROW_STREAM, stops=True),
    _operation("embed.texts", "POST /v1/embed", _EMBED),
    _operation("vectors.create", "POST /v1/vectors/index", _VECTORS, status=201),
    _operation("vectors.list", "GET /v1/vectors/index", _VECTORS),
    _operation("vectors.stats", "GET /v1/vectors/index/{name}", _VECTORS),
    _operation("vectors.ids", "GET /v1/vectors/index/{name}/ids", _VECTORS),
    _operation("vectors.add", "POST /v1/vectors/index/{name}/add", _VECTORS),
    _operation("vectors.search", "POST /v1/vectors/index/{name}/search", _VECTORS, runs="inline"),
    _operation("vectors.merge", "POST /v1/vectors/index/{src}/merge", _VECTORS),
    _operation("vectors.get", "GET /v1/vectors/index/{name}/items/{id:path}", _VECTORS),
    _operation("vectors.delete_item", "DELETE /v1/vectors/index/{name}/items/{id:path}", _VECTORS, status=204),
    _operation("vectors.delete", "DELETE /v1/vectors/index/{name}", _VECTORS, status=204),
    _operation("corpora.build", "POST /v1/corpora", _CORPORA),
    _operation("corpora.delete", "DELETE /v1/corpora/{name}", _CORPORA, status=204),
    _operation("corpora.list", "GET /v1/matrix/corpora", _CORPORA),
    _operation("corpora.people", "POST /v1/corpora/people", _CORPORA),
    _operation("demand.parse", "POST /v1/demand/parse", _PARSER, runs="inline"),
    _operation("matrix.search", "POST /v1/matrix/search", _MATRIX, runs="inline"),
    _operation("matrix.relevance", "POST /v1/matrix/relevance", _MATRIX),
    _operation("matrix.downgrade", "POST /v1/matrix/downgrade", _MATRIX, runs="inline"),
    _operation("playbooks.record", "POST /v1/matrix/playbooks/record", _PLAYBOOKS),
    _operation("playbooks.bulk", "POST /v1/matrix/playbooks/bulk", _PLAYBOOKS),
    _operation("playbooks.list", "GET /v1/matrix/playbooks", _PLAYBOOKS, query=("namespace", "limit", "offset")),
    _operation("playbooks.get", "GET /v1/matrix/playbooks/{id}", _PLAYBOOKS),
    _operation("playbooks.delete", "DELETE /v1/matrix/playbooks/{id}", _PLAYBOOKS, status=204),
    _operation("playbooks.handover", "POST /v1/matrix/playbooks/handover", _PLAYBOOKS),
    _operation("playbooks.shares", "GET /v1/matrix/shares", _PLAYBOOKS, query=("namespace",)),
    _operation("playbooks.withdraw", "DELETE /v1/matrix/shares", _PLAYBOOKS, query=("namespace", "reader"), status=204),
    _operation("playbooks.merge", "POST /v1/matrix/playbooks/merge", _PLAYBOOKS),
    _operation("playbooks.export", "POST /v1/matrix/playbooks/export", _PLAYBOOKS),
    _operation("playbooks.import_", "POST /v1/matrix/playbooks/import", _PLAYBOOKS),
    _operation("playbooks.lift", "GET /v1/matrix/lift", _PLAYBOOKS, query=("namespace",)),
    _operation("pathways.add", "POST /v1/pathways", _PATHWAYS),
    _operation("pathways.add_idempotent", "POST /v1/pathways/idempotent", _PATHWAYS),
    _operation("pathways.search", "GET /v1/pathways/search", _PATHWAYS, query=("q", "k", "tag")),
    _operation("pathways.stats", "GET /v1/pathways/stats", _PATHWAYS),
    _operation("pathways.update", "POST /v1/pathways/{uid}/update", _PATHWAYS),
    _operation("pathways.revise", "POST /v1/pathways/{uid}/revise", _PATHWAYS),
    _operation("pathways.retire", "POST /v1/pathways/{uid}/retire", _PATHWAYS),
    _operation("pathways.get", "GET /v1/pathways/{uid}", _PATHWAYS),
    _operation("pathways.history", "GET /v1/pathways/{uid}/history", _PATHWAYS),
    _operation("observer.event", "POST /v1/observer/event", _OPS, status=202, runs="inline"),
    _operation("observer.stats", "GET /v1/observer/stats", _OPS),
    _operation("observer.ops", "GET /v1/observer/ops", _OPS, query=("source", "kind", "status", "after", "limit")),
    _operation("inbox.receive", "POST /v1/observer/inbox", _INBOX, status=202),
    _operation("inbox.list", "GET /v1/observer/inbox", _INBOX, query=("kind", "sender", "tag", "priority", "limit")),
    _operation("inbox.file", "POST /v1/observer/inbox/file", _INBOX, raw="source"),
    _operation("inbox.get", "GET /v1/observer/inbox/{id}", _INBOX),
    _operation("inbox.match", "POST /v1/observer/inbox/{id}/match", _INBOX),
    _operation("workflow.run", "POST /v1/observer/workflow/run", _WORKFLOWS, runs="upstream"),
    _operation("workflow.modes", "GET /v1/observer/workflow/modes", _WORKFLOWS),
    _operation("workflow.list", "GET /v1/observer/workflow/runs", _WORKFLOWS, query=("status", "limit")),
    _operation("workflow.resume", "POST /v1/observer/workflow/resume", _WORKFLOWS),
    _operation("workflow.get", "GET /v1/observer/workflow/runs/{run_id}", _WORKFLOWS),
    _operation("workflow.cancel", "POST /v1/observer/workflow/runs/{run_id}/cancel", _WORKFLOWS),
    _operation("workflow.picture", "GET /v1/observer/workflow/runs/{run_id}/picture", _WORKFLOWS),
    _operation("traces.show", "GET /v1/observer/traces/{trace_id}", _TRACES),
    _operation("subjects.put", "POST /v1/subjects", _SUBJECTS),
    _operation("subjects.due", "GET /v1/subjects", _SUBJECTS, query=("on",)),
    _operation("subjects.get", "GET /v1/subjects/{id}", _SUBJECTS),
    _operation("subjects.audit", "GET /v1/subjects/{id}/audit", _SUBJECTS, query=("after", "limit")),
    _operation("subjects.audit_log", "GET /v1/subjects/{id}/audit/chain", _SUBJECTS, accept=JSON_LINES),
    _operation("subjects.verify", "GET /v1/subjects/{id}/audit/verify", _SUBJECTS),
    _operation("keys.add", "POST /v1/keys", _ACCESS, status=201),
    _operation("keys.list", "GET /v1/keys", _ACCESS),
    _operation("keys.revoke", "DELETE /v1/keys/{id}", _ACCESS, status=204),
    _operation("subjects.erase", "DELETE /v1/subjects/{id}", _SUBJECTS, query=("reason",)),
    _operation("chat.complete", "POST /v1/chat", _CHAT, runs="upstream"),
    _operation("chat.stream", "POST /v1/chat", _CHAT, accept=EVENT_STREAM, runs="upstream"),
    _operation("chat.providers", "GET /v1/chat/providers", _CHAT),
    _operation("validate.check", "POST /v1/validate", _VALIDATORS),
    _operation("validate.accept", "POST /v1/validate/fills", _VALIDATORS, status=201),
    _operation("validate.fills", "GET /v1/validate/fills", _VALIDATORS, query=("worker_id",)),
    _operation("iterate.run", "POST /v1/iterate", _ITERATE, runs="upstream"),
    _operation("iterate.sessions", "GET /v1/iterate/sessions", _ITERATE, query=("limit",)),
    _operation("validate.release", "DELETE /v1/validate/fills/{fill_id}", _VALIDATORS, status=204),
    _operation("demands.open", "POST /v1/demands", _DEMANDS, status=201),
    _operation("demands.list", "GET /v1/demands", _DEMANDS, query=("status", "owner", "namespace", "limit")),
    _operation("demands.file", "POST /v1/demands/file", _DEMANDS, raw="source", query=("owner", "namespace")),
    _operation("demands.get", "GET /v1/demands/{id}", _DEMANDS),
    _operation("demands.edit", "POST /v1/demands/{id}", _DEMANDS),
    _operation("demands.people", "GET /v1/demands/{id}/people", _DEMANDS, query=("person",)),
    _operation("demands.place", "POST /v1/demands/{id}/people", _DEMANDS),
    _operation("demands.replace", "POST /v1/demands/{id}/replace", _DEMANDS),
    _operation("demands.candidates", "POST /v1/demands/{id}/candidates", _DEMANDS),
    _operation("demands.relax", "POST /v1/demands/{id}/relax", _DEMANDS),
    _operation("demands.fill", "POST /v1/demands/{id}/fill", _DEMANDS),
    _operation("demands.release", "POST /v1/demands/{id}/release", _DEMANDS),
    _operation("demands.outcome", "POST /v1/demands/{id}/outcome", _DEMANDS),
    _operation("demands.undo", "POST /v1/demands/{id}/undo", _DEMANDS),
    _operation("demands.note", "POST /v1/demands/{id}/notes", _DEMANDS),
    _operation("learn.materialize", "POST /v1/learn/materialize", _LEARN),
    _operation("learn.score", "POST /v1/learn/score", _LEARN),
    _operation("learn.export_sft", "POST /v1/learn/export-sft", _LEARN),
    _operation("learn.replay", "POST /v1/learn/replay", _LEARN, runs="upstream"),
    _operation("learn.drift", "GET /v1/learn/drift", _LEARN, query=("since",)),
    _operation("learn.audit_full", "POST /v1/learn/audit-full", _LEARN),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}
