"""The OpenAPI 3.1 description of what is served, made from the table of operations and nothing else."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

import msgspec

import lakehouse
from lakehouse import errors, idempotency, operations, tracing
from lakehouse.operations import Operation
from lakehouse.serve import services

Schema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_OCTETS = "application/octet-stream"
_JSON = "application/json"

# Every request can meet these; an operation's own errors are named in its description.
_COMMON = (
    errors.InvalidInput,
    errors.Unauthenticated,
    errors.PermissionDenied,
    errors.NotFound,
    errors.Conflict,
    errors.TooLarge,
    errors.InternalError,
    errors.Unavailable,
    errors.DeadlineExceeded,
)


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong: a stable code, a sentence with the fix, and facts a program can act on."""

    code: str
    message: str
    retryable: bool
    detail: dict[str, Any]


class ErrorBody(msgspec.Struct, frozen=True):
    """The one shape of an error."""

    error: ErrorDetail
    trace_id: str


class HealthBody(msgspec.Struct, frozen=True):
    """A service that is up."""

    status: str
    service: str
    version: str


class OlderEmbedded(msgspec.Struct, frozen=True):
    """Vectors in the wire form of the earlier editions."""

    embeddings: list[list[float]]
    dimensions: int


def describe(served: Sequence[Operation], *, server_prefix: str = "/v1") -> Schema:
    """Return the description as plain JSON values.

    Args:
        served: The operations to describe.
        server_prefix: What stands before their paths here: `/v1` on the gateway, nothing on one service.
    """
    components = _Components(served)
    paths: dict[str, Schema] = {}
    for operation in served:
        path = server_prefix + operation.path.removeprefix("/v1").replace(":path}", "}")
        entry = paths.setdefault(path, {})
        verb = operation.verb.lower()
        if verb in entry:
            # Two operations of one path and verb differ by the media type asked for.
            content = entry[verb]["responses"][str(operation.status)]["content"]
            content.update(_success(operation, components)["content"])
        else:
            entry[verb] = _entry(operation, components)
    paths |= _plain_paths(components, served, server_prefix)
    older = next((operation for operation in served if operation.name == "embed.texts"), None)
    if older is not None:
        paths["/ai/embed"] = {"post": _older_embed(older, components)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lakehouse",
            "version": lakehouse.__version__,
            "summary": "Staffing search with memory.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # Either: a stack on loopback may run without a token.
        "security": [{}, {"token": []}],
    }


class _Components:
    """The schemas of all request and answer types."""

    def __init__(self, served: Sequence[Operation]) -> None:
        kinds: list[Any] = [ErrorBody, HealthBody, OlderEmbedded]
        for operation in served:
            pair = (operations.request_type(operation), operations.answer_type(operation))
            kinds += [kind for kind in pair if kind not in (bytes, type(None))]
        (*found,), self.schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
        self._schemas = list(zip(kinds, found, strict=True))
        # Request types are taken apart into parameters and bodies, so they do not stand by themselves.
        for operation in served:
            self.schemas.pop(operations.request_type(operation).__name__, None)
        self._requests = {operation.name: self._request(operation) for operation in served}

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type, or the reference to it."""
        return next(schema for candidate, schema in self._schemas if candidate is kind)

    def request(self, operation: Operation) -> Schema:
        """Return the object schema of all arguments of an operation."""
        return self._requests[operation.name]

    @staticmethod
    def _request(operation: Operation) -> Schema:
        kind = operations.request_type(operation)
        _, schemas = msgspec.json.schema_components([kind], ref_template=_REF)
        schema: Schema = schemas[kind.__name__]
        return schema


def _entry(operation: Operation, components: _Components) -> Schema:
    schema = components.request(operation)
    summary, _, details = (inspect.getdoc(operations.function(operation)) or "").partition("\n")
    entry: Schema = {
        "operationId": operation.name,
        "tags": [next(s.name for s in services.SERVICES if operation.service in s.rooms)],
        "summary": summary.strip(),
        "description": textwrap.dedent(details).strip(),
        "parameters": [_trace_parameter(), *_key_parameter(operation), *_parameters(operation, schema)],
        "responses": {str(operation.status): _success(operation, components), **_failures(components)},
    }
    body = _request_body(operation, schema)
    if body:
        entry["requestBody"] = body
    return entry


def _trace_parameter() -> Schema:
    return {
        "name": tracing.HEADER,
        "in": "header",
        "required": False,
        "description": "Joins the request to a trace; made when absent and returned with every answer.",
        "schema": {"type": "string", "maxLength": 64},
    }


def _key_parameter(operation: Operation) -> list[Schema]:
    if not operation.keyed:
        return []
    described = (
        "The same request with the same key is carried out once; later ones get the first one's answer."
        " Without a key, each counts."
    )
    return [
        {
            "name": idempotency.HEADER,
            "in": "header",
            "required": False,
            "description": described,
            "schema": {"type": "string", "maxLength": idempotency.LONGEST},
        }
    ]


def _parameters(operation: Operation, schema: Schema) -> list[Schema]:
    required = set(schema.get("required", ()))
    places = [*((name, "path") for name in operation.path_arguments), *((name, "query") for name in operation.query)]
    return [
        {
            "name": name,
            "in": place,
            "required": place == "path" or name in required,
            "schema": schema["properties"][name],
        }
        for name, place in places
    ]


def _request_body(operation: Operation, schema: Schema) -> Schema | None:
    if operation.raw:
        return {"required": True, "content": {_OCTETS: {"schema": {"type": "string", "format": "binary"}}}}
    elsewhere = {*operation.path_arguments, *operation.query}
    fields = {name: field for name, field in schema.get("properties", {}).items() if name not in elsewhere}
    if not fields or operation.verb in {"GET", "HEAD", "DELETE"}:
        return None
    required = [name for name in schema.get("required", ()) if name in fields]
    body = {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
    return {"required": bool(required), "content": {_JSON: {"schema": body}}}


def _success(operation: Operation, components: _Components) -> Schema:
    described: Schema = {"description": "Done.", "headers": {tracing.HEADER: {"schema": {"type": "string"}}}}
    kind = operations.answer_type(operation)
    if operation.status == 204 or operation.verb == "HEAD":
        return described
    if kind is bytes:
        media = operation.accept or _OCTETS
        return {**described, "content": {media: {"schema": {"type": "string", "format": "binary"}}}}
    media = operation.accept if operation.streams else _JSON
    return {**described, "content": {media: {"schema": components.of(kind)}}}


def _failures(components: _Components) -> Schema:
    body = {_JSON: {"schema": components.of(ErrorBody)}}
    return {
        str(kind.status): {"description": (inspect.getdoc(kind) or "").partition("\n")[0], "content": body}
        for kind in _COMMON
    }


def _plain_paths(components: _Components, served: Sequence[Operation], server_prefix: str) -> dict[str, Schema]:
    health = {"description": "Up.", "content": {_JSON: {"schema": components.of(HealthBody)}}}
    counters = {"schema": {"type": "string"}}
    return {
        "/health": {
            "get": {
                "operationId": "health",
                "summary": "Tell that the stack is up; never asks for a token.",
                "security": [{}],
                "responses": {"200": health},
            }
        },
        f"{server_prefix}/{{service}}/health": {
            "get": {
                "operationId": "health.service",
                "summary": "Tell that a service is up, by its name or that of one of its rooms.",
                "parameters": [
                    {
                        "name": "service",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "enum": _health_names(served, server_prefix)},
                    }
                ],
                "responses": {"200": health},
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Return the counters of the stack in the text form that Prometheus reads.",
                "responses": {"200": {"description": "The counters.", "content": {"text/plain": counters}}},
            }
        },
        "/openapi.json": {
            "get": {
                "operationId": "openapi",
                "summary": "Return this description.",
                "responses": {"200": {"description": "This description.", "content": {_JSON: {}}}},
            }
        },
    }


def _older_embed(operation: Operation, components: _Components) -> Schema:
    entry = _entry(operation, components)
    content = entry["responses"][str(operation.status)]["content"]
    content[_JSON] = {"schema": components.of(OlderEmbedded)}
    return {
        **entry,
        "operationId": f"{operation.name}.older",
        "summary": "Do what embed.texts does, and answer in the wire form of the earlier editions.",
    }


def _health_names(served: Sequence[Operation], server_prefix: str) -> list[str]:
    rooms = {operation.service for operation in served}
    names = [word for word, service in services.health_names().items() if rooms & set(service.rooms)]
    # A service that stands alone is no gateway.
    return sorted([*names, services.GATEWAY] if server_prefix else names)
